//! What a comparison allows, as a number.

use super::{Period, metric, show::show};
use crate::verdict::{
    Interval,
    confidence::Reason,
    interval::Comparison as Relation,
    monitor::{Scale, SignalId},
};
use crate::{
    judge::view::Samples,
    model::{
        Comparison, Function, Unit,
        formula::{Bound, Op},
    },
    time::{Nanos, nanos},
};

/// The right side of a comparison, made a number where it speaks of the baseline.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    /// The number; `None` if the baseline gives none.
    pub(super) value: Option<f64>,
    /// The number of the baseline, where it is spoken of.
    pub(super) baseline: Option<f64>,
    /// The place of the signal it is, where it is another metric at the same instant.
    pub(super) signal: Option<SignalId>,
    /// For people: `13.2ms (baseline 3.2ms + 10ms)`.
    pub(super) text: String,
    /// What margins are measured against.
    pub(super) scale: Scale,
}

impl Limit {
    /// Resolves a comparison's right side; the baseline's number is taken once, over the whole `baseline`. `length` is that
    /// of what it will be compared with, where the metric has no window.
    pub(super) fn of(
        comparison: &Comparison,
        samples: &Samples,
        baseline: Option<Period>,
        length: Option<Nanos>,
    ) -> Self {
        let number = match comparison.bound {
            Bound::Constant(_) | Bound::Metric { .. } => None,
            Bound::Baseline { .. } => baseline.and_then(|period| {
                let window = comparison.metric.over.map(nanos).or(length);
                metric::baseline_number(&comparison.metric, samples, period, window)
            }),
        };
        Self::from_baseline(comparison, number)
    }

    /// Makes it a number by what another metric was.
    pub(super) fn other(
        &mut self,
        comparison: &Comparison,
        other: Option<Interval>,
        factor: f64,
        offset: f64,
    ) {
        let Some(other) = other else {
            self.value = None;
            return;
        };
        let value = other.scaled(factor).lo + offset;
        if value.is_finite() {
            self.value = Some(value);
            let unit = comparison.metric.unit();
            self.text = if factor == 1.0 && offset == 0.0 {
                format!("{} of {}", show(value, unit), right_side(comparison))
            } else {
                let right = right_side(comparison);
                format!("{} ({right}, itself {})", show(value, unit), show(other.lo, unit))
            };
        }
    }

    /// Why there is no number.
    pub(super) fn missing(&self, comparison: &Comparison) -> Reason {
        match comparison.bound {
            Bound::Metric { .. } => Reason::TooFewSamples,
            _ => Reason::BaselineUnhealthy,
        }
    }

    /// Resolves a comparison's right side with the baseline's number, where there is one yet.
    pub(super) fn from_baseline(comparison: &Comparison, baseline: Option<f64>) -> Self {
        let unit = comparison.metric.unit();
        let quantum = match unit {
            Unit::Seconds => 0.001,
            Unit::Ratio | Unit::Points => 0.01,
            _ => 1.0,
        };
        let best = comparison.metric.function == Function::Success && !comparison.op.is_upper_bound();
        let ideal = if best { 1.0 } else { 0.0 };
        match &comparison.bound {
            Bound::Constant(quantity) => Limit {
                value: Some(quantity.value).filter(|v| !v.is_nan()),
                baseline: None,
                signal: None,
                text: show(quantity.value, quantity.unit),
                scale: Scale { ideal, quantum },
            },
            Bound::Metric { .. } => Limit {
                value: None,
                baseline: None,
                signal: None,
                text: right_side(comparison),
                scale: Scale { ideal, quantum },
            },
            Bound::Baseline { factor, offset } => {
                let value = baseline.map(|b| factor * b + offset).filter(|v| !v.is_nan());
                let relative = right_side(comparison);
                let text = match (baseline, value) {
                    (Some(b), Some(value)) => {
                        let b = show(b, unit);
                        format!(
                            "{} ({})",
                            show(value, unit),
                            relative.replacen("baseline", &format!("baseline {b}"), 1)
                        )
                    }
                    _ => relative,
                };
                Limit {
                    value,
                    baseline,
                    signal: None,
                    text,
                    scale: Scale { ideal: baseline.unwrap_or(0.0), quantum },
                }
            }
        }
    }
}

/// Returns the right side of a comparison as the language writes it.
fn right_side(comparison: &Comparison) -> String {
    let whole = comparison.to_string();
    let right = whole[comparison.metric.to_string().len()..].trim_start();
    right.trim_start_matches(['<', '>', '=']).trim_start().to_owned()
}

/// Returns the relation as the mathematics names it.
pub(super) fn relation(op: Op) -> Relation {
    match op {
        Op::Less => Relation::Below,
        Op::AtMost => Relation::AtMost,
        Op::Greater => Relation::Above,
        Op::AtLeast => Relation::AtLeast,
    }
}
