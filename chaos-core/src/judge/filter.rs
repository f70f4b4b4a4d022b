//! Which samples the filter of a metric lets through, and what to say where it is none.

use super::Period;
use crate::{
    judge::view::Samples,
    model::{Metric, metric::Filter},
    probe::{Outcome, Sample},
};

/// A label that a sample does not have equals nothing, so that only `!=` and `not in` match it. What a measurement that
/// could not be taken would have seen nobody knows: it may match.
pub(super) fn matches(filter: &Filter, sample: &Sample) -> bool {
    let listed = |value: &str| filter.values.iter().any(|v| v == value);
    let seen = &sample.observation;
    let found = match filter.label.as_str() {
        "from" => listed(&sample.from),
        _ if seen.outcome == Outcome::NotRun => return true,
        "status" if seen.status.is_some() => seen.status.is_some_and(|status| listed(&status.to_string())),
        label => seen.labels.iter().any(|(name, value)| **name == *label && listed(value)),
    };
    found != filter.negated
}

/// Says that none of the samples in the periods matched the metric's filter, though there were some, and what the first
/// label that matched none of them was instead: a filter that can match nothing is more often a mistake than a finding.
pub(super) fn unmatched(metric: &Metric, samples: &Samples, periods: &[Period]) -> Option<String> {
    let inside = |s: &&Sample| periods.iter().any(|(start, end)| (*start..*end).contains(&s.intended));
    let all: Vec<&Sample> = samples.get(&metric.probe.value)?.iter().filter(inside).collect();
    if all.is_empty() || all.iter().any(|s| metric.filter.iter().all(|filter| matches(filter, s))) {
        return None;
    }
    let filter =
        metric.filter.iter().find(|f| !all.iter().any(|s| matches(f, s))).or(metric.filter.first())?;
    let label = filter.label.as_str();
    let mut seen: Vec<String> = all.iter().filter_map(|s| value_of(label, s)).collect();
    seen.sort_unstable();
    seen.dedup();
    let were = match seen.as_slice() {
        [] => format!("none had a label `{label}`"),
        [one] => format!("`{label}` was always `{one}`"),
        many => {
            let first: Vec<String> = many.iter().take(5).map(|value| format!("`{value}`")).collect();
            let more = if many.len() > 5 { ", …" } else { "" };
            format!("`{label}` was {}{more}", first.join(", "))
        }
    };
    Some(format!("none of {} measurements matched: {were}", all.len()))
}

/// Returns what a sample has for a label.
fn value_of(label: &str, sample: &Sample) -> Option<String> {
    let seen = &sample.observation;
    match label {
        "from" => Some(sample.from.to_string()),
        "status" if seen.status.is_some() => seen.status.map(|status| status.to_string()),
        _ => seen.labels.iter().find(|(name, _)| **name == *label).map(|(_, value)| value.to_string()),
    }
}
