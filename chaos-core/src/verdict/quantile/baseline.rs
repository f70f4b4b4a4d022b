//! A quantile of one phase against that of the baseline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::confidence::{Confidence, Estimate, Judged, Leaning, Need, Outcome, Reason};
use super::super::interval::{Comparison, Interval};
use super::{Distribution, least_samples};

/// How far from the baseline a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allowance {
    /// `baseline + d`; `d` may be negative.
    Plus(f64),
    /// `r x baseline`; `r` is not negative.
    Times(f64),
}

/// How the bounds of a difference are made from those of its two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Method of variance estimates recovery: close to the asked confidence (A. Donner and G. Y. Zou, "Closed-form
    /// confidence intervals for functions of the normal mean and standard deviation", SMMR 21, 2012).
    #[default]
    Mover,
    /// The extremes of both sides: never less than the asked confidence, and wide.
    Strict,
}

/// Returns the difference of two independent estimates with its bounds.
#[must_use]
pub fn difference(one: &Estimate, other: &Estimate, method: Method) -> Estimate {
    let value = one.value.minus(other.value);
    let between = |one_bounds: Interval, other_bounds: Interval| {
        let bounds = match method {
            Method::Strict => one_bounds.minus(other_bounds),
            Method::Mover => Interval {
                lo: value.lo - reach(one.value.lo - one_bounds.lo, other_bounds.hi - other.value.hi),
                hi: value.hi + reach(one_bounds.hi - one.value.hi, other.value.lo - other_bounds.lo),
            },
        };
        // A censored side makes the arithmetic inf - inf: then nothing bounds the difference on that side.
        Interval {
            lo: if bounds.lo.is_nan() { f64::NEG_INFINITY } else { bounds.lo },
            hi: if bounds.hi.is_nan() { f64::INFINITY } else { bounds.hi },
        }
    };
    Estimate {
        value,
        bounds: between(one.bounds, other.bounds),
        careful: between(one.careful, other.careful),
        samples: one.samples.min(other.samples),
        effective_samples: one.effective_samples.min(other.effective_samples),
    }
}

fn reach(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::INFINITY } else { one.hypot(other) }
}

/// Returns the estimate multiplied by a factor that is not negative.
pub(crate) fn scaled(estimate: &Estimate, factor: f64) -> Estimate {
    let by = |bounds: Interval| if factor == 0.0 { Interval::exactly(0.0) } else { bounds.scaled(factor) };
    Estimate {
        value: estimate.value.scaled(factor),
        bounds: by(estimate.bounds),
        careful: by(estimate.careful),
        ..*estimate
    }
}

/// Judges a claim such as `p95(latency) <= baseline + 100 ms` or `<= 1.5 x baseline` on the samples of two phases.
///
/// The estimate in the result is the difference to the baseline, for a ratio `phase - r x baseline`, compared with 0.
#[must_use]
pub fn judge_against_baseline(
    phase: &Distribution,
    baseline: &Distribution,
    q: f64,
    comparison: Comparison,
    allowance: Allowance,
    method: Method,
    confidence: Confidence,
) -> Judged {
    let tail = match method {
        Method::Mover => confidence.alpha,
        Method::Strict => confidence.alpha / 2.0,
    };
    let limit = limit_of(allowance);
    let enough = Need::MoreSamplesPerPhase(least_samples(q, tail));
    let Some(before) = baseline.estimate(q, tail) else {
        return Judged::without(Reason::BaselineUnhealthy, limit, Some(enough));
    };
    let Some(during) = phase.estimate(q, tail) else {
        return Judged::without(Reason::TooFewSamples, limit, Some(enough));
    };
    judge_difference(&during, &before, comparison, allowance, method, least_samples(q, tail))
}

fn limit_of(allowance: Allowance) -> f64 {
    match allowance {
        Allowance::Plus(more) => more,
        Allowance::Times(_) => 0.0,
    }
}

/// Judges the difference of two estimates; `bounded_from` is the sample size from which each side has bounds at all.
pub(crate) fn judge_difference(
    during: &Estimate,
    before: &Estimate,
    comparison: Comparison,
    allowance: Allowance,
    method: Method,
    bounded_from: u64,
) -> Judged {
    let limit = limit_of(allowance);
    let (before, unhealthy) = match allowance {
        Allowance::Plus(_) => (*before, false),
        // A multiple of something that may be nothing bounds nothing.
        Allowance::Times(factor) => (scaled(before, factor), before.bounds.lo <= 0.0),
    };
    let between = difference(during, &before, method);
    let mut judged = Judged::by_bounds(between, comparison, limit, |leaning| {
        Some(need(&between, comparison, limit, leaning, during.samples.max(before.samples), bounded_from))
    });
    if unhealthy {
        let leaning = judged.outcome.leaning();
        judged.outcome = Outcome::inconclusive(leaning, Reason::BaselineUnhealthy, None);
    }
    judged
}

/// Judges `one - factor x other` against an offset; `bounded_from` as for [`judge_difference`].
pub(crate) fn judge_scaled(
    one: &Estimate,
    other: &Estimate,
    comparison: Comparison,
    (factor, offset): (f64, f64),
    method: Method,
    bounded_from: u64,
) -> Judged {
    let between = difference(one, &scaled(other, factor), method);
    Judged::by_bounds(between, comparison, offset, |leaning| {
        Some(need(&between, comparison, offset, leaning, one.samples.max(other.samples), bounded_from))
    })
}

/// Bounds shrink with the square root of the number of samples; this many are needed for them to clear the limit.
fn need(
    between: &Estimate,
    comparison: Comparison,
    limit: f64,
    leaning: Leaning,
    samples: u64,
    bounded_from: u64,
) -> Need {
    let (value, bound) = if comparison.prefers_small() {
        (between.value.hi, between.bounds.hi)
    } else {
        (between.value.lo, between.bounds.lo)
    };
    if leaning == Leaning::Failed || (limit - value).abs() <= 0.0 {
        return Need::UnlikelyToPass;
    }
    if !value.is_finite() || !bound.is_finite() {
        return Need::MoreSamplesPerPhase(
            bounded_from.saturating_sub(between.effective_samples as u64).max(1),
        );
    }
    let growth = ((bound - value) / (limit - value)).powi(2);
    let total = (samples as f64 * growth).ceil();
    if total.is_finite() && total < super::MOST_NEEDED as f64 {
        Need::MoreSamplesPerPhase((total as u64).saturating_sub(samples).max(1))
    } else {
        Need::UnlikelyToPass
    }
}
