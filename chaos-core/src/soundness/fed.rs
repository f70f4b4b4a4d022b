//! A metric that its probe never feeds: a probe that is never sent, a time that it does not take, a label that it does not
//! have.

use super::{Finding, Kind, comparisons};
use crate::model::{Experiment, Field, Function, Metric, Probe, ProbeKind, metric::ALERT};

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
    if times && !takes(&probe.kind, metric.field) {
        let what = if metric.field.is_read() { "reads nothing of the kind" } else { "has no such time" };
        let message = format!("`{metric}` is never known: {} {what}", kind(&probe.kind));
        return Some((message, format!("take `{}.latency`", probe.name)));
    }
    // What labels a prober of the harness gives, only the harness knows.
    if matches!(probe.kind, ProbeKind::Custom { .. }) {
        return None;
    }
    let known = |label: &str| {
        matches!(label, "from" | "status" | ALERT) || probe.labels.iter().any(|l| l.name.value == label)
    };
    let stray = metric.filter.iter().find(|f| !known(&f.label))?;
    let message = format!("`{}` has no label `{}`, so `{metric}` is never known", probe.name, stray.label);
    Some((message, format!("add `label {}` to the probe, or filter by `from` or `status`", stray.label)))
}

/// Whether measurements of a kind have a part of this name.
fn takes(kind: &ProbeKind, field: Field) -> bool {
    match (kind, field) {
        (ProbeKind::Custom { .. }, _) | (_, Field::Latency | Field::Dns) => true,
        (_, Field::Value(_) | Field::DaysLeft) => kind.reads() == Some(field),
        (ProbeKind::Http { .. } | ProbeKind::Prometheus { .. }, Field::Connect | Field::Ttfb) => true,
        (ProbeKind::Http { url, .. } | ProbeKind::Prometheus { url, .. }, Field::Tls) => {
            url.starts_with("https://")
        }
        (ProbeKind::Tls { .. }, Field::Connect | Field::Tls) => true,
        (ProbeKind::Grpc { .. } | ProbeKind::Alerts { .. }, Field::Connect | Field::Ttfb) => true,
        (ProbeKind::Grpc { secure, .. }, Field::Tls) => *secure,
        (ProbeKind::Alerts { url, .. }, Field::Tls) => url.starts_with("https://"),
        (ProbeKind::Tls { .. }, Field::Ttfb) => false,
        (ProbeKind::Exec { .. }, Field::Connect | Field::Tls | Field::Ttfb) => false,
        (ProbeKind::Tcp { .. }, Field::Connect) => true,
        (ProbeKind::Tcp { .. }, Field::Tls | Field::Ttfb) => false,
        (ProbeKind::Dns { .. }, Field::Connect | Field::Tls | Field::Ttfb) => false,
    }
}

fn kind(kind: &ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Http { .. } => "an http probe",
        ProbeKind::Tcp { .. } => "a tcp probe",
        ProbeKind::Dns { .. } => "a dns probe",
        ProbeKind::Tls { .. } => "a tls probe",
        ProbeKind::Grpc { .. } => "a grpc probe",
        ProbeKind::Exec { .. } => "an exec probe",
        ProbeKind::Alerts { .. } => "the question for alerts",
        ProbeKind::Prometheus { .. } => "a prometheus probe",
        ProbeKind::Custom { .. } => "this probe",
    }
}
