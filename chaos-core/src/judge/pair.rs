//! Two metrics of one phase, compared with each other.
//!
//! Each gets the interval of its kind (order statistics, Wilson, Garwood), and `left - factor x right` the one that follows
//! from both: by MOVER where they are of different measurements, which may be taken for independent (what disturbs both
//! alike makes the difference vary less, so that the interval is only wider than it need be), and by the extremes of both,
//! each at half the chance of error, where they share measurements.

use super::metric;
use crate::model::{Function, Metric};
use crate::verdict::{
    Comparison as Relation,
    confidence::{Confidence, Estimate, Judged, Reason},
    quantile::{Method, judge_scaled, least_samples},
    rate::rate,
    window::{Observation, distribution, trials},
};

/// Judges `left` against `factor x right + offset`.
pub(super) fn judge(
    left: (&Metric, &[Observation]),
    right: (&Metric, &[Observation]),
    seconds: f64,
    (relation, factor, offset): (Relation, f64, f64),
    confidence: Confidence,
) -> Judged {
    let method = method(left.0, right.0);
    let tail = match method {
        Method::Mover => confidence.alpha,
        Method::Strict => confidence.alpha / 2.0,
    };
    let (Some(one), Some(other)) = (estimate(left, seconds, tail), estimate(right, seconds, tail)) else {
        return Judged::without(Reason::TooFewSamples, offset, None);
    };
    let bounded_from = [left.0, right.0].map(|metric| match metric.function {
        Function::Quantile(q) => least_samples(q, tail),
        Function::Success
        | Function::Errors
        | Function::Rate
        | Function::Count
        | Function::Min
        | Function::Max
        | Function::Last
        | Function::Value
        | Function::Fires => least_samples(0.5, tail),
    });
    judge_scaled(&one, &other, relation, (factor, offset), method, bounded_from[0].max(bounded_from[1]))
}

/// Returns how the interval of the difference is made.
pub(crate) fn method(left: &Metric, right: &Metric) -> Method {
    let apart = left.filter.iter().any(|one| {
        let same = right.filter.iter().filter(|other| other.label.value == one.label.value);
        same.into_iter().any(|other| match (one.negated, other.negated) {
            (false, false) => one.values.iter().all(|value| !other.values.contains(value)),
            (false, true) => one.values.iter().all(|value| other.values.contains(value)),
            (true, false) => other.values.iter().all(|value| one.values.contains(value)),
            (true, true) => false,
        })
    });
    if left.probe.value != right.probe.value || apart { Method::Mover } else { Method::Strict }
}

fn estimate((metric, seen): (&Metric, &[Observation]), seconds: f64, tail: f64) -> Option<Estimate> {
    let counts = trials(seen);
    match metric.function {
        Function::Quantile(q) => distribution(seen).estimate(q, tail),
        Function::Success | Function::Errors => metric::outcomes(metric, seen).wilson(tail),
        Function::Rate => rate(counts.made(), counts.unknown, seconds, tail),
        Function::Count => rate(counts.made(), counts.unknown, 1.0, tail),
        Function::Min | Function::Max | Function::Last | Function::Value | Function::Fires => None,
    }
}
