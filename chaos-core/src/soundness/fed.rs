//! A metric that its probe never feeds: a probe that is never sent, a time that it does not take, a label that it does not
//! have, a value of a label that nothing can have.

use std::collections::BTreeSet;

use super::{
    Finding, Kind, comparisons,
    hosts::{Hosts, called, programs, servers},
};
use crate::model::{
    Experiment, Function, Metric, Probe, Program,
    metric::{ALERT, Filter},
    probe::LabelSource,
};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, comparison) in comparisons(experiment) {
        for metric in comparison.metrics() {
            let Some(probe) = experiment.probe(&metric.probe) else { continue };
            if let Some((message, help)) = unfed(experiment, metric, probe) {
                out.push(Finding::new(Kind::Undecidable, about.clone(), metric.span, message, help));
            }
        }
    }
}

fn unfed(experiment: &Experiment, metric: &Metric, probe: &Probe) -> Option<(String, String)> {
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
    if let Some(stray) = metric.filter.iter().find(|f| !known(&f.label)) {
        let message =
            format!("`{}` has no label `{}`, so `{metric}` is never known", probe.name, stray.label);
        return Some((
            message,
            format!("add `label {}` to the probe, or filter by `from` or `status`", stray.label),
        ));
    }
    metric.filter.iter().find_map(|filter| impossible(experiment, metric, probe, filter))
}

/// Says that a filter asks for a value that no measurement can have.
fn impossible(
    experiment: &Experiment,
    metric: &Metric,
    probe: &Probe,
    filter: &Filter,
) -> Option<(String, String)> {
    let label = filter.label.as_str();
    let source = probe.labels.iter().find(|l| l.name.value == label).map(|l| &l.source);
    if matches!((label, source), ("status", None) | (_, Some(LabelSource::Status))) {
        let possible = probe.kind.statuses()?;
        let value = filter.values.iter().find(|value| !(possible.contain)(value))?;
        let message = format!("no answer has the status `{value}` that `{metric}` asks for");
        return Some((message, possible.help.into()));
    }
    let possible = match (label, source) {
        ("from", _) => {
            Hosts::of(experiment, experiment.lab()?, probe.from.selector()?).map(|hosts| hosts.names)
        }
        (_, Some(LabelSource::Peer)) => servers(experiment.lab()?, probe),
        (_, Some(LabelSource::Header(header))) if header.eq_ignore_ascii_case("x-served-by") => {
            served_by(experiment, probe)
        }
        _ => None,
    };
    let possible = possible.filter(|possible| !possible.is_empty())?;
    let value = filter.values.iter().find(|value| !possible.contains(*value))?;
    let named: Vec<String> = possible.iter().take(5).map(|value| format!("`{value}`")).collect();
    let more = if possible.len() > 5 { ", …" } else { "" };
    Some((
        format!("no measurement of `{}` has the `{label}` `{value}` that `{metric}` asks for", probe.name),
        format!("there is {}{more}", named.join(", ")),
    ))
}

/// Returns the hosts that answers can name in `x-served-by`; `None` where a program of somebody else may write it.
fn served_by(experiment: &Experiment, probe: &Probe) -> Option<BTreeSet<String>> {
    let lab = experiment.lab()?;
    let (mut seen, mut next) = (BTreeSet::new(), vec![servers(lab, probe)?]);
    while let Some(at) = next.pop() {
        let new: BTreeSet<String> = at.difference(&seen).cloned().collect();
        if new.is_empty() {
            continue;
        }
        for program in programs(experiment, lab, &new)? {
            match program {
                Program::Gateway { upstream, .. } => next.push(called(lab, upstream)),
                Program::Http { .. } | Program::Dns => {}
                Program::Command { .. } => return None,
            }
        }
        seen.extend(new);
    }
    Some(seen)
}
