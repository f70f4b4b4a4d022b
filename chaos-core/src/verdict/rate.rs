//! Counts of events and their rates: exact bounds for what comes independently at a steady rate.

use statrs::function::gamma::gamma_lr;

use super::binomial::bisect;
use super::confidence::Estimate;
use super::interval::Interval;

/// Returns the interval of F. Garwood, "Fiducial limits for the Poisson distribution" (Biometrika 28, 1936), for the mean
/// of a count, each side wrong with a chance of `tail` at most.
///
/// What comes on a schedule varies less than that, so that for it the interval is only wider than it need be.
#[must_use]
pub fn garwood(count: u64, tail: f64) -> Interval {
    let count = count as f64;
    // Far beyond any bound: ten thousand standard deviations.
    let far = count + 1e4 * (count + 1.0).sqrt();
    let at = |shape: f64, probability: f64| bisect(0.0, far, |mean| gamma_lr(shape, mean) < probability);
    Interval { lo: if count == 0.0 { 0.0 } else { at(count, tail) }, hi: at(count + 1.0, 1.0 - tail) }
}

/// Returns the rate of this many events in this many seconds, of which `unknown` more may have come; `None` without time.
#[must_use]
pub fn rate(count: u64, unknown: u64, seconds: f64, tail: f64) -> Option<Estimate> {
    let all = count + unknown;
    (seconds > 0.0).then(|| {
        let bounds = Interval::new(garwood(count, tail).lo / seconds, garwood(all, tail).hi / seconds);
        Estimate {
            value: Interval::new(count as f64 / seconds, all as f64 / seconds),
            bounds,
            careful: bounds,
            samples: count,
            effective_samples: count as f64,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_agree_with_other_implementations() {
        // scipy.stats.chi2.ppf(tail, 2 k) / 2 and scipy.stats.chi2.ppf(1 - tail, 2 k + 2) / 2
        for (count, tail, lo, hi) in [
            (0, 0.05, 0.0, 2.995_732_273_554),
            (1, 0.05, 0.051_293_294_388, 4.743_864_518_391),
            (10, 0.025, 4.795_388_673_737, 18.390_356_041_670),
            (1000, 0.05, 948.559_849_383_666, 1_053.603_122_133_302),
        ] {
            let found = garwood(count, tail);
            assert!(
                (found.lo - lo).abs() < 1e-6 * hi && (found.hi - hi).abs() < 1e-6 * hi,
                "{count}: {found:?}"
            );
        }
        let many = garwood(3_600_000, 0.05);
        assert!((many.lo - 3_596_880.0).abs() < 5.0 && (many.hi - 3_603_122.0).abs() < 5.0, "{many:?}");
    }
}
