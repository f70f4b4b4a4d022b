//! Shares of requests, such as a success rate: Wilson intervals to show, Clopper-Pearson bounds to decide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::binomial::{beta_quantile, binomial_cdf, least, normal_upper};
use super::confidence::{Confidence, Estimate, Judged, Leaning, Need, Reason};
use super::interval::{Comparison, Interval};
use super::quantile::{Allowance, Method, careful, correlation_time, judge_difference, least_samples};

/// The most samples that are ever said to be needed; beyond, a claim is called unlikely to pass.
const MOST_NEEDED: u64 = 100_000_000;

/// Returns the interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference"
/// (JASA 22, 1927), each side wrong with a chance of about `tail`.
#[must_use]
pub fn wilson(hits: f64, trials: f64, tail: f64) -> Interval {
    if trials <= 0.0 {
        return Interval::SHARE;
    }
    let z = normal_upper(tail);
    let share = hits / trials;
    let spread = z * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)).sqrt();
    let centre = share + z * z / (2.0 * trials);
    let scale = 1.0 + z * z / trials;
    Interval {
        lo: if hits <= 0.0 { 0.0 } else { ((centre - spread) / scale).max(0.0) },
        hi: if hits >= trials { 1.0 } else { ((centre + spread) / scale).min(1.0) },
    }
}

/// Returns the interval of C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
/// case of the binomial" (Biometrika 26, 1934), each side wrong with a chance of `tail` at most.
#[must_use]
pub fn clopper_pearson(hits: f64, trials: f64, tail: f64) -> Interval {
    if trials <= 0.0 {
        return Interval::SHARE;
    }
    Interval {
        lo: if hits <= 0.0 { 0.0 } else { beta_quantile(tail, hits, trials - hits + 1.0) },
        hi: if hits >= trials { 1.0 } else { beta_quantile(1.0 - tail, hits + 1.0, trials - hits) },
    }
}

/// Returns how many samples in all confirm a share of at least `share` when `failures` of them fail; `None` when no
/// reasonable number does.
#[must_use]
pub fn samples_to_confirm(share: f64, failures: u64, alpha: f64) -> Option<u64> {
    // The lower Clopper-Pearson bound reaches the share exactly when so few failures were this unlikely below it.
    least(failures + 1, MOST_NEEDED, |n| n > failures && binomial_cdf(failures, n, 1.0 - share) <= alpha)
}

/// The outcomes of the requests of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trials {
    /// How many hit, that is: had the property whose share is judged.
    pub hits: u64,
    /// How many did not.
    pub misses: u64,
    /// How many could not be made, so that nobody knows.
    pub unknown: u64,
    /// How many consecutive requests are as good as one independent request; 1 when they do not depend on each other.
    pub correlation_time: f64,
}

impl Trials {
    /// Returns trials that do not depend on each other.
    #[must_use]
    pub fn independent(hits: u64, misses: u64) -> Self {
        Self { hits, misses, unknown: 0, correlation_time: 1.0 }
    }

    /// Returns trials in the order of time, `None` for one that could not be made. How far neighbours depend on each
    /// other is taken from the order, so that a burst of failures counts as the one event it is.
    #[must_use]
    pub fn in_order(trials: impl IntoIterator<Item = Option<bool>>) -> Self {
        let trials: Vec<Option<bool>> = trials.into_iter().collect();
        let made: Vec<bool> = trials.iter().copied().flatten().collect();
        let hits = made.iter().filter(|hit| **hit).count() as u64;
        Self {
            hits,
            misses: made.len() as u64 - hits,
            unknown: (trials.len() - made.len()) as u64,
            correlation_time: correlation_time(&made),
        }
    }

    /// Returns the trials with hits and misses exchanged.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self { hits: self.misses, misses: self.hits, ..self }
    }

    /// Returns how many requests were made.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.hits + self.misses
    }

    /// Returns the share of hits; an interval when some requests could not be made. `None` without any made.
    #[must_use]
    pub fn share(&self) -> Option<Interval> {
        let all = (self.made() + self.unknown) as f64;
        (self.made() > 0)
            .then(|| Interval::new(self.hits as f64 / all, (self.hits + self.unknown) as f64 / all))
    }

    /// Returns the share of hits with bounds by the given interval, each wrong with a chance of about `tail`.
    fn estimate(&self, tail: f64, interval: fn(f64, f64, f64) -> Interval) -> Option<Estimate> {
        let value = self.share()?;
        let all = self.made() + self.unknown;
        let bounds = |time: f64| {
            let worth = |count: u64| count as f64 / time;
            let (fewest, most) = (worth(self.hits), worth(self.hits + self.unknown));
            Interval { lo: interval(fewest, worth(all), tail).lo, hi: interval(most, worth(all), tail).hi }
        };
        Some(Estimate {
            value,
            bounds: bounds(self.correlation_time),
            careful: bounds(careful(self.correlation_time, self.hits.min(self.misses))),
            samples: self.made(),
            effective_samples: self.made() as f64 / self.correlation_time,
        })
    }

    /// Returns the share of hits with Clopper-Pearson bounds, each wrong with a chance of `tail` at most.
    #[must_use]
    pub fn clopper_pearson(&self, tail: f64) -> Option<Estimate> {
        self.estimate(tail, clopper_pearson)
    }

    /// Returns the share of hits with Wilson bounds, each wrong with a chance of about `tail`.
    #[must_use]
    pub fn wilson(&self, tail: f64) -> Option<Estimate> {
        self.estimate(tail, wilson)
    }
}

/// Judges a claim such as `success >= 99.9 %` on the outcomes of a phase's requests.
#[must_use]
pub fn judge_share(trials: Trials, comparison: Comparison, limit: f64, confidence: Confidence) -> Judged {
    let to_confirm = |misses: u64| {
        let share = if comparison.prefers_small() { 1.0 - limit } else { limit };
        samples_to_confirm(share, misses, confidence.alpha)
    };
    let Some(estimate) = trials.clopper_pearson(confidence.alpha) else {
        return Judged::without(Reason::TooFewSamples, limit, to_confirm(0).map(Need::MoreSamples));
    };
    Judged::by_bounds(estimate, comparison, limit, |leaning| {
        if leaning == Leaning::Failed {
            return Some(Need::UnlikelyToPass);
        }
        // What could not be made may have missed.
        let misses = trials.unknown + if comparison.prefers_small() { trials.hits } else { trials.misses };
        let time = careful(trials.correlation_time, trials.hits.min(trials.misses));
        let effective = (misses as f64 / time).ceil() as u64;
        let total = to_confirm(effective).map(|n| (n as f64 * time).ceil() as u64);
        Some(match total {
            Some(total) => Need::MoreSamples(total.saturating_sub(trials.made()).max(1)),
            None => Need::UnlikelyToPass,
        })
    })
}

/// Judges a claim such as `success >= baseline - 0.2 pp` on the outcomes of two phases' requests, by Wilson intervals
/// combined by MOVER (R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics
/// in Medicine 17, 1998).
#[must_use]
pub fn judge_share_against_baseline(
    phase: Trials,
    baseline: Trials,
    comparison: Comparison,
    allowance: Allowance,
    confidence: Confidence,
) -> Judged {
    let limit = if let Allowance::Plus(more) = allowance { more } else { 0.0 };
    let Some(before) = baseline.wilson(confidence.alpha) else {
        return Judged::without(Reason::BaselineUnhealthy, limit, None);
    };
    let Some(during) = phase.wilson(confidence.alpha) else {
        return Judged::without(Reason::TooFewSamples, limit, None);
    };
    let bounded_from = least_samples(0.5, confidence.alpha);
    judge_difference(&during, &before, comparison, allowance, Method::Mover, bounded_from)
}

#[cfg(test)]
mod tests {
    use super::super::confidence::Outcome;
    use super::super::quantile::difference;
    use super::*;

    const CONFIDENT: Confidence = Confidence { alpha: 0.05 };

    fn close(left: Interval, lo: f64, hi: f64) {
        assert!((left.lo - lo).abs() < 1e-9 && (left.hi - hi).abs() < 1e-9, "{left:?} is not [{lo}, {hi}]");
    }

    #[test]
    fn intervals_agree_with_other_implementations() {
        // statsmodels.stats.proportion.proportion_confint and scipy.stats.binomtest agree on these.
        let table = [
            (0.0, 20.0, (0.0, 0.161_125_158_1), (0.0, 0.168_433_471_0)),
            (1.0, 100.0, (0.001_767_432_1, 0.054_486_196_2), (0.000_253_146_0, 0.054_459_385_4)),
            (5.0, 100.0, (0.021_543_679_2, 0.111_750_469_2), (0.016_431_879_2, 0.112_834_911_1)),
            (1000.0, 1000.0, (0.996_173_241_5, 1.0), (0.996_317_916_1, 1.0)),
        ];
        for (hits, trials, by_wilson, by_clopper_pearson) in table {
            close(wilson(hits, trials, 0.025), by_wilson.0, by_wilson.1);
            close(clopper_pearson(hits, trials, 0.025), by_clopper_pearson.0, by_clopper_pearson.1);
        }
    }

    #[test]
    fn the_difference_of_two_shares() {
        // statsmodels confint_proportions_2indep(30, 1000, 10, 1000, "newcomb", "diff")
        let one = Trials::independent(30, 970).wilson(0.025).unwrap();
        let other = Trials::independent(10, 990).wilson(0.025).unwrap();
        close(difference(&one, &other, Method::Mover).bounds, 0.007_819_328_4, 0.033_308_722_2);
    }

    #[test]
    fn samples_that_confirm_a_share() {
        let table = [
            (0.999, [(0, 2995), (1, 4742), (2, 6294), (5, 10_511)]),
            (0.99, [(0, 299), (1, 473), (2, 628), (5, 1049)]),
        ];
        for (share, row) in table {
            for (failures, samples) in row {
                assert_eq!(samples_to_confirm(share, failures, 0.05), Some(samples), "{share} {failures}");
            }
        }
        assert_eq!(samples_to_confirm(1.0, 0, 0.05), None);
    }

    #[test]
    fn a_success_rate_against_its_limit() {
        let judge = |failures: u64| {
            judge_share(Trials::independent(6000 - failures, failures), Comparison::AtLeast, 0.999, CONFIDENT)
        };
        assert_eq!(judge(1).outcome, Outcome::Passed);
        let open = judge(2);
        assert!((open.estimate.unwrap().bounds.lo - 0.998_951_1).abs() < 1e-7);
        let need = Some(Need::MoreSamples(294));
        assert_eq!(open.outcome, Outcome::inconclusive(Leaning::Passed, Reason::TooFewSamples, need));
        let leaning = judge(10);
        assert!((leaning.estimate.unwrap().bounds.hi - 0.999_095_5).abs() < 1e-7);
        let need = Some(Need::UnlikelyToPass);
        assert_eq!(leaning.outcome, Outcome::inconclusive(Leaning::Failed, Reason::TooFewSamples, need));
        let failed = judge(11);
        assert!((failed.estimate.unwrap().bounds.hi - 0.998_971_5).abs() < 1e-7);
        assert_eq!(failed.outcome, Outcome::Failed);
    }

    #[test]
    fn an_error_rate_is_the_mirror_of_a_success_rate() {
        for failures in [0, 1, 2, 5, 10, 11, 50] {
            let trials = Trials::independent(6000 - failures, failures);
            let success = judge_share(trials, Comparison::AtLeast, 0.999, CONFIDENT).outcome;
            let errors = judge_share(trials.inverted(), Comparison::AtMost, 1.0 - 0.999, CONFIDENT).outcome;
            assert_eq!(success, errors, "{failures}");
        }
    }

    #[test]
    fn requests_that_could_not_be_made_may_have_gone_either_way() {
        let clean = judge_share(Trials::independent(3000, 0), Comparison::AtLeast, 0.999, CONFIDENT);
        assert_eq!(clean.outcome, Outcome::Passed);
        let blind = Trials { unknown: 10, ..Trials::independent(3000, 0) };
        let judged = judge_share(blind, Comparison::AtLeast, 0.999, CONFIDENT);
        assert!(!judged.outcome.is_decided());
        assert!(!judged.estimate.unwrap().value.is_exact());
        let none = judge_share(Trials::independent(0, 0), Comparison::AtLeast, 0.999, CONFIDENT).outcome;
        let need = Some(Need::MoreSamples(2995));
        assert_eq!(none, Outcome::inconclusive(Leaning::None, Reason::TooFewSamples, need));
    }

    #[test]
    fn a_burst_of_failures_counts_as_fewer_events() {
        let burst = Trials::in_order((0..1000).map(|i| Some(!(500..520).contains(&i))));
        let spread = Trials::in_order((0..1000).map(|i| Some(i % 50 != 0)));
        assert_eq!((burst.hits, spread.hits), (980, 980));
        assert_eq!(spread.correlation_time, 1.0);
        assert!(burst.correlation_time > 5.0);
        let width = |trials: Trials| {
            let bounds = trials.clopper_pearson(0.05).unwrap().bounds;
            bounds.hi - bounds.lo
        };
        assert!(width(burst) > 2.0 * width(spread));
    }

    /// 1,000 requests whose failures follow a latent autoregression, at a true share of exactly the limit.
    #[test]
    fn correlated_failures_pass_no_more_often_than_asked_for() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        let mut normal = || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        let (threshold, rho, runs) = (super::super::binomial::normal_upper(0.05), 0.9_f64, 600);
        let mut passes = 0;
        for _ in 0..runs {
            let mut latent = normal();
            let trials = Trials::in_order((0..1000).map(|_| {
                let failed = latent > threshold;
                latent = rho * latent + (1.0 - rho * rho).sqrt() * normal();
                Some(!failed)
            }));
            let judged = judge_share(trials, Comparison::AtLeast, 0.95, CONFIDENT);
            passes += u32::from(judged.outcome == Outcome::Passed);
        }
        // 5.5 %, and twice the error of so many runs; without care one in ten passes.
        assert!(f64::from(passes) <= 600.0 * (0.055 + 0.018), "{passes} of {runs}");
    }

    #[test]
    fn an_outage_to_the_end_of_a_phase_is_beyond_doubt() {
        let trials = Trials::in_order((0..3000).map(|request| Some(request < 500)));
        let felt = judge_share(trials, Comparison::AtMost, 0.9, CONFIDENT);
        assert_eq!(felt.outcome, Outcome::Passed, "{felt:?}");
        let broken = judge_share(trials, Comparison::AtLeast, 0.99, CONFIDENT);
        assert_eq!(broken.outcome, Outcome::Failed, "{broken:?}");
    }

    #[test]
    fn a_success_rate_against_the_baseline() {
        let baseline = Trials::independent(9990, 10);
        let judge = |failures: u64, less: f64| {
            let phase = Trials::independent(10_000 - failures, failures);
            judge_share_against_baseline(
                phase,
                baseline,
                Comparison::AtLeast,
                Allowance::Plus(-less),
                CONFIDENT,
            )
            .outcome
        };
        assert_eq!(judge(12, 0.002), Outcome::Passed);
        assert_eq!(judge(100, 0.002), Outcome::Failed);
        assert!(matches!(
            judge(27, 0.002),
            Outcome::Inconclusive { need: Some(Need::MoreSamplesPerPhase(_)), .. }
        ));
    }
}
