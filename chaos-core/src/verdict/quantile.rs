//! Quantiles of a phase: order statistics with distribution-free confidence bounds.
//!
//! The quantile is the order statistic `x_(ceil(q n))`, a value that was measured. Its bounds are order statistics too,
//! `[x_(l), x_(u)]` with ranks from the binomial distribution, valid for any distribution of latencies (H. A. David and
//! H. N. Nagaraja, "Order Statistics", 3rd ed., 2003, section 7.1). Samples that follow each other are alike when a
//! system is under load; the ranks are those of the number of independent samples they are worth.

mod autocorrelation;
mod baseline;

pub(crate) use autocorrelation::careful;
pub use autocorrelation::correlation_time;
pub use baseline::{Allowance, Method, difference, judge_against_baseline};
pub(crate) use baseline::{judge_difference, judge_scaled};

use super::binomial::{binomial_cdf, least};
use super::confidence::{Confidence, Estimate, Judged, Leaning, Need, Reason};
use super::interval::{Comparison, Interval};

/// The most samples that are ever said to be needed; beyond, a claim is called unlikely to pass.
const MOST_NEEDED: u64 = 10_000_000;

/// Returns the rank, counted from 1, of the order statistic that is the quantile `q` of `n` samples.
#[must_use]
pub fn rank(q: f64, n: usize) -> usize {
    // The allowance keeps 0.95 x 200 at 190 whatever its last bit says.
    (((q * n as f64) - 1e-9).ceil() as usize).clamp(1, n.max(1))
}

/// Returns the ranks `(l, u)` of the order statistics that bound the quantile `q` of `n` samples, each wrong with a
/// chance of `tail` at most. Rank 0 stands for minus infinity, `n + 1` for plus infinity: too few samples for a bound.
#[must_use]
pub fn bound_ranks(n: u64, q: f64, tail: f64) -> (u64, u64) {
    // l is the largest with P(B <= l-1) <= tail, u the smallest with P(B <= u-1) >= 1-tail.
    let first_above = |threshold: &dyn Fn(f64) -> bool| {
        let (mut below, mut above) = (0, n + 1);
        while below < above {
            let middle = below.midpoint(above);
            if middle > 0 && threshold(binomial_cdf(middle - 1, n, q)) {
                above = middle
            } else {
                below = middle + 1
            }
        }
        below
    };
    let lower = first_above(&|cdf| cdf > tail).saturating_sub(1);
    let upper = if n > 0 && binomial_cdf(n - 1, n, q) >= 1.0 - tail {
        first_above(&|cdf| cdf >= 1.0 - tail)
    } else {
        n + 1
    };
    (lower, upper)
}

/// Returns the smallest number of samples for which the quantile `q` has a bound that is wrong with a chance of `tail`
/// at most, on the side where it is harder to have.
#[must_use]
pub fn least_samples(q: f64, tail: f64) -> u64 {
    let rare = q.max(1.0 - q);
    (tail.ln() / rare.ln() - 1e-9).ceil().max(1.0) as u64
}

/// The values of one metric in one phase.
///
/// A value is an interval: `[v, v]` when measured, `[timeout, inf]` for a request that was given up after `timeout`
/// (right-censored), the whole range for one that could not be made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Distribution {
    in_order: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Distribution {
    /// Returns the distribution of values given in the order of time.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Interval>) -> Self {
        let (in_order, mut upper): (Vec<f64>, Vec<f64>) =
            values.into_iter().map(|value| (value.lo, value.hi)).unzip();
        let exact = in_order == upper;
        let mut lower = in_order.clone();
        lower.sort_unstable_by(f64::total_cmp);
        if exact {
            upper.clone_from(&lower);
        } else {
            upper.sort_unstable_by(f64::total_cmp);
        }
        Self { in_order, lower, upper }
    }

    /// Returns the distribution of measured values given in the order of time.
    #[must_use]
    pub fn measured(values: impl IntoIterator<Item = f64>) -> Self {
        Self::new(values.into_iter().map(Interval::exactly))
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lower.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    /// Returns the value of a rank counted from 1; ranks outside are infinite.
    #[must_use]
    pub(crate) fn order_statistic(&self, rank: u64) -> Interval {
        let Some(index) = rank.checked_sub(1) else {
            return Interval { lo: f64::NEG_INFINITY, hi: f64::NEG_INFINITY };
        };
        match (self.lower.get(index as usize), self.upper.get(index as usize)) {
            (Some(lo), Some(hi)) => Interval::new(*lo, *hi),
            _ => Interval { lo: f64::INFINITY, hi: f64::INFINITY },
        }
    }

    /// Returns the quantile `q`, `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Interval> {
        (!self.is_empty()).then(|| self.order_statistic(rank(q, self.len()) as u64))
    }

    /// Returns how many independent samples these are worth where the quantile `q` is concerned.
    #[must_use]
    pub fn effective_samples(&self, q: f64) -> f64 {
        self.quantile(q).map_or(0.0, |quantile| self.effective_samples_around(quantile.lo))
    }

    /// Returns how many independent samples these are worth where exceeding a limit is concerned: neighbours that exceed
    /// it together count once. All of them count where all lie on one side.
    #[must_use]
    pub(crate) fn effective_samples_around(&self, limit: f64) -> f64 {
        self.worth_around(limit).0
    }

    /// The same, and with care for how little is known of the correlation.
    fn worth_around(&self, limit: f64) -> (f64, f64) {
        let exceeds: Vec<bool> = self.in_order.iter().map(|value| *value > limit).collect();
        let (all, over) = (exceeds.len() as u64, exceeds.iter().filter(|exceeds| **exceeds).count() as u64);
        if all == 0 {
            return (0.0, 0.0);
        }
        let time = correlation_time(&exceeds);
        let worth = |time: f64| (all as f64 / time).max(1.0);
        (worth(time), worth(careful(time, over.min(all - over))))
    }

    /// Returns the quantile `q` with bounds each wrong with a chance of `tail` at most, `None` without values.
    #[must_use]
    pub fn estimate(&self, q: f64, tail: f64) -> Option<Estimate> {
        self.bounded(q, tail, self.worth_around(self.quantile(q)?.lo))
    }

    /// Returns the quantile `q` with bounds of this many independent samples, and of as many to be careful.
    ///
    /// Where there are enough samples for a bound, but they are worth too few, the bound is the extreme that was measured:
    /// what holds of every single one of them is not in doubt.
    fn bounded(&self, q: f64, tail: f64, (effective, careful): (f64, f64)) -> Option<Estimate> {
        let value = self.quantile(q)?;
        Some(Estimate {
            value,
            bounds: self.bounds(q, tail, effective),
            careful: self.bounds(q, tail, careful),
            samples: self.len() as u64,
            effective_samples: effective,
        })
    }

    fn bounds(&self, q: f64, tail: f64, effective: f64) -> Interval {
        let all = self.len() as u64;
        let whole = effective.floor() as u64;
        let (l, u) = bound_ranks(whole, q, tail);
        let (least, most) = bound_ranks(all, q, tail);
        let stretch = self.len() as f64 / effective;
        let lower = ((l as f64 * stretch + 1e-9).floor() as u64).max(least.min(1));
        let upper =
            if u > whole { all + u64::from(most > all) } else { (u as f64 * stretch - 1e-9).ceil() as u64 };
        Interval { lo: self.order_statistic(lower).lo, hi: self.order_statistic(upper).hi }
    }

    /// Returns the share of values that surely satisfy a comparison with a limit.
    fn share(&self, comparison: Comparison, limit: f64) -> f64 {
        let satisfying = match comparison {
            Comparison::AtMost => self.upper.partition_point(|value| *value <= limit),
            Comparison::Below => self.upper.partition_point(|value| *value < limit),
            Comparison::AtLeast => self.len() - self.lower.partition_point(|value| *value < limit),
            Comparison::Above => self.len() - self.lower.partition_point(|value| *value <= limit),
            Comparison::Equal | Comparison::NotEqual => 0,
        };
        satisfying as f64 / self.len().max(1) as f64
    }
}

/// Judges a claim such as `p95(latency) <= 250 ms` on the samples of a phase.
///
/// It is the same claim as "at most 5 % of all requests take longer"; values and limit are in one unit.
#[must_use]
pub fn judge_quantile(
    samples: &Distribution,
    q: f64,
    comparison: Comparison,
    limit: f64,
    confidence: Confidence,
) -> Judged {
    let tail = confidence.alpha;
    // What is judged is how often the limit is exceeded, so it is there that neighbours may be alike.
    let Some(estimate) = samples.bounded(q, tail, samples.worth_around(limit)) else {
        let need = Need::MoreSamples(least_samples(q, tail));
        return Judged::without(Reason::TooFewSamples, limit, Some(need));
    };
    Judged::by_bounds(estimate, comparison, limit, |leaning| {
        if leaning == Leaning::Failed {
            return Some(Need::UnlikelyToPass);
        }
        let share = samples.share(comparison, limit);
        let stretch = estimate.samples as f64 / estimate.effective_samples;
        let enough = least(1, MOST_NEEDED, |n| {
            let satisfying = (share * n as f64).floor() as u64;
            let (l, u) = bound_ranks(n, q, tail);
            if comparison.prefers_small() { satisfying >= u } else { satisfying > n.saturating_sub(l) }
        });
        Some(match enough {
            Some(n) => Need::MoreSamples(
                ((n as f64 * stretch).ceil() as u64).saturating_sub(estimate.samples).max(1),
            ),
            None => Need::UnlikelyToPass,
        })
    })
}

#[cfg(test)]
mod tests;
