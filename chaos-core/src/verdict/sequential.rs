//! Tests that may be looked at while samples still come in.

use super::binomial::{bisect, ln_beta, normal_tail, normal_upper};
use super::interval::Interval;

/// A guard on a share that fires only when it surely exceeds its limit: a repeated sequential probability ratio test
/// kept from falling below zero (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954).
///
/// Starting afresh at every tick, a good past cannot hide a late failure; the union bound over the ticks keeps the chance
/// of firing at all, while the true share is at its limit or below, under the `alpha` it was made with.
#[derive(Debug, Clone)]
pub(crate) struct ConfidentGuard {
    hit: f64,
    miss: f64,
    threshold: f64,
    evidence: f64,
}

impl ConfidentGuard {
    /// Returns a guard on a share above `limit`, looked at `planned_ticks` times, that fires falsely with a chance of
    /// `alpha` at most; the customary `alpha` is 0.01.
    ///
    /// # Panics
    ///
    /// Never; a limit outside of (0, 1) is moved inside.
    #[must_use]
    pub(crate) fn new(limit: f64, planned_ticks: u64, alpha: f64) -> Self {
        let p0 = limit.clamp(1e-9, 1.0 - 1e-9);
        let p1 = (2.0 * p0).min((1.0 + p0) / 2.0);
        Self {
            hit: (p1 / p0).ln(),
            miss: ((1.0 - p1) / (1.0 - p0)).ln(),
            threshold: (planned_ticks.max(1) as f64 / alpha).ln(),
            evidence: 0.0,
        }
    }

    /// Takes the requests that ended since the last tick and returns whether the guard fires.
    pub(crate) fn update(&mut self, requests: u64, errors: u64) -> bool {
        let fine = requests.saturating_sub(errors) as f64;
        self.evidence = self.evidence.max(0.0) + errors as f64 * self.hit + fine * self.miss;
        self.evidence > self.threshold
    }

    /// Returns the evidence so far; the guard fires above its threshold.
    #[must_use]
    pub(crate) fn evidence(&self) -> f64 {
        self.evidence
    }
}

/// Returns the logarithm of the evidence against a share `p` after `hits` of `trials`: the ratio of the beta-binomial
/// mixture with Jeffreys' prior to the binomial.
///
/// For the true share it exceeds `ln(1/alpha)` ever with a chance of `alpha` at most (J. Ville, 1939).
#[must_use]
pub fn mixture_evidence(hits: u64, trials: u64, p: f64) -> f64 {
    let (hits, misses) = (hits as f64, trials.saturating_sub(hits) as f64);
    let weigh = |count: f64, chance: f64| if count == 0.0 { 0.0 } else { count * chance.ln() };
    ln_beta(0.5 + hits, 0.5 + misses) - ln_beta(0.5, 0.5) - weigh(hits, p) - weigh(misses, 1.0 - p)
}

/// Returns the confidence sequence for a share: intervals that contain it at all times at once with a chance of `1 - alpha`
/// at least, so that one may look whenever one likes.
///
/// For a quantile, count the samples above a limit fixed beforehand; for one without such a limit see S. R. Howard and
/// A. Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification" (Bernoulli
/// 28, 2022).
#[must_use]
pub fn confidence_sequence(hits: u64, trials: u64, alpha: f64) -> Interval {
    if trials == 0 {
        return Interval::SHARE;
    }
    let threshold = -alpha.ln();
    let peak = hits as f64 / trials as f64;
    let excluded = |p: f64| mixture_evidence(hits, trials, p) >= threshold;
    Interval {
        lo: if hits == 0 { 0.0 } else { bisect(0.0, peak, excluded) },
        hi: if hits >= trials { 1.0 } else { bisect(peak, 1.0, |p| !excluded(p)) },
    }
}

/// Returns the error spent until a share `elapsed` of the planned samples, of `alpha` in all, in the manner of O'Brien and
/// Fleming (K. K. G. Lan and D. L. DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983).
#[must_use]
pub fn spent(alpha: f64, elapsed: f64) -> f64 {
    if elapsed <= 0.0 {
        return 0.0;
    }
    2.0 * normal_tail(normal_upper(alpha / 2.0) / elapsed.min(1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_adds_up_evidence_tick_by_tick() {
        let mut guard = ConfidentGuard::new(0.05, 600, 0.01);
        assert!((guard.threshold - 11.0021).abs() < 1e-4);
        let table = [
            (1, -0.334_130, false),
            (0, -1.081_344, false),
            (2, 0.413_084, false),
            (6, 3.815_026, false),
            (9, 9.458_612, false),
            (12, 17.343_840, true),
        ];
        for (errors, evidence, fires) in table {
            assert_eq!(guard.update(20, errors), fires);
            assert!((guard.evidence() - evidence).abs() < 1e-6, "{} is not {evidence}", guard.evidence());
        }
    }

    #[test]
    fn a_good_past_does_not_delay_the_guard() {
        let mut fresh = ConfidentGuard::new(0.05, 600, 0.01);
        let mut seasoned = fresh.clone();
        for _ in 0..300 {
            assert!(!seasoned.update(20, 0));
        }
        let ticks = |guard: &mut ConfidentGuard| (1..).find(|_| guard.update(20, 20)).unwrap();
        assert_eq!(ticks(&mut fresh), ticks(&mut seasoned));
    }

    #[test]
    fn evidence_against_one_share() {
        let table = [
            (0, 100, 2.253_129),
            (5, 100, -2.537_962),
            (50, 1000, -3.680_629),
            (30, 200, 11.173_010),
            (8, 40, 3.512_327),
        ];
        for (hits, trials, evidence) in table {
            assert!((mixture_evidence(hits, trials, 0.05) - evidence).abs() < 1e-6, "{hits} of {trials}");
        }
    }

    #[test]
    fn the_confidence_sequence() {
        let table = [
            (5, 100, 0.007_149, 0.155_794),
            (10, 100, 0.029_061, 0.227_510),
            (50, 1000, 0.028_720, 0.079_240),
            (0, 100, 0.0, 0.057_029),
            (8, 40, 0.054_315, 0.439_193),
        ];
        for (hits, trials, lo, hi) in table {
            let found = confidence_sequence(hits, trials, 0.05);
            assert!(
                (found.lo - lo).abs() < 1e-6 && (found.hi - hi).abs() < 1e-6,
                "{hits} of {trials}: {found:?}"
            );
        }
        assert_eq!(confidence_sequence(0, 0, 0.05), Interval::SHARE);
    }

    #[test]
    fn error_is_spent_late() {
        let table = [(0.25, 0.000_088_6), (0.5, 0.005_574_6), (0.75, 0.023_625_1), (1.0, 0.05)];
        for (elapsed, error) in table {
            assert!((spent(0.05, elapsed) - error).abs() < 1e-7, "{elapsed}");
        }
    }
}
