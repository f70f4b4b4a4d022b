//! A metric that its probe never feeds: a probe that is never sent, a time that it does not take, a label that it does not
//! have.

use super::{Finding, Kind, comparisons};
use crate::model::{Experiment, Function, Metric, Probe, metric::ALERT};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, comparison) in comparisons(experiment) {
        for metric in comparison.metrics() {
            let Some(probe) = experiment.probe(&metric.probe) else { continue };
            if let Some((message, help)) = unfed(metric, probe) {
                out.push(Finding::new(Kind::Undecidable, about.clone(), metric.span, message, help));
            }
        }
    }
}

fn unfed(metric: &Metric, probe: &Probe) -> Option<(String, String)> {
    if probe.rate.is_nan() || probe.rate <= 0.0 {
        let message =
            format!("`{}` is sent {} times a second, so `{metric}` is never known", probe.name, probe.rate);
        return Some((message, "give the probe a rate above zero".into()));
    }
    let times = matches!(
        metric.function,
        Function::Quantile(_) | Function::Min | Function::Max | Function::Last | Function::Value
    );
    if times && !probe.kind.takes(metric.field) {
        let what = if metric.field.is_read() { "reads nothing of the kind" } else { "has no such time" };
        let message = format!("`{metric}` is never known: {} {what}", probe.kind.name());
        return Some((message, format!("take `{}.latency`", probe.name)));
    }
    // What labels a prober of the harness gives, only the harness knows.
    if probe.kind.prober().is_some() {
        return None;
    }
    let known = |label: &str| {
        matches!(label, "from" | "status" | ALERT) || probe.labels.iter().any(|l| l.name.value == label)
    };
    let stray = metric.filter.iter().find(|f| !known(&f.label))?;
    let message = format!("`{}` has no label `{}`, so `{metric}` is never known", probe.name, stray.label);
    Some((message, format!("add `label {}` to the probe, or filter by `from` or `status`", stray.label)))
}
