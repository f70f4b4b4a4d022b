//! A share of the requests that were answered in some way: those that got no answer are in none of its parts.

use super::{Finding, Kind, comparisons};
use crate::model::{Experiment, Function, Metric, Probe, probe::LabelSource};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    let all = comparisons(experiment);
    let counted = |m: &Metric| matches!(m.function, Function::Success | Function::Errors);
    let whole = |probe: &str| {
        let mut metrics = all.iter().flat_map(|(_, c)| c.metrics());
        metrics.any(|m| counted(m) && m.filter.is_empty() && m.probe.value == probe)
    };
    for (about, comparison) in &all {
        for metric in comparison.metrics().into_iter().filter(|m| counted(m)) {
            let Some(probe) = experiment.probe(&metric.probe) else { continue };
            let answers = metric.filter.iter().find(|f| !f.negated && is_of_answers(probe, &f.label));
            let Some(filter) = answers.filter(|_| !whole(&metric.probe)) else { continue };
            let label = &filter.label;
            out.push(Finding::new(
                Kind::Odd,
                about,
                comparison.span,
                format!(
                    "a request without an answer has no `{label}`, so `{metric}` does not count it, and nothing else does"
                ),
                format!(
                    "add a claim such as `success({}) >= 99%`, or filter by who was asked, with `label NAME = peer`",
                    metric.probe
                ),
            ));
        }
    }
}

/// Whether only an answer has this label.
fn is_of_answers(probe: &Probe, label: &str) -> bool {
    match probe.labels.iter().find(|l| l.name.value == label) {
        Some(label) => !matches!(label.source, LabelSource::Peer),
        None => label == "status",
    }
}
