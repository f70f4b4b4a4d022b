//! The binomial and beta distributions, exact enough for tails of a million samples.
//!
//! The usual library routine for the incomplete beta function stops after a fixed 140 terms of its continued fraction,
//! which is too early from some 10,000 samples on; here the fraction is carried until it has converged.

use statrs::function::erf::{erf_inv, erfc, erfc_inv};
use statrs::function::gamma::ln_gamma;

/// Returns the logarithm of the beta function.
#[must_use]
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Returns the regularised incomplete beta function `I_x(a, b)` for positive `a` and `b`, by Lentz's method.
#[must_use]
pub(crate) fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(a, b, x) / a
    } else {
        1.0 - front * continued_fraction(b, a, 1.0 - x) / b
    }
}

fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    // Converges in about the square root of the larger parameter; the bound only stops what never would.
    const MOST_TERMS: u32 = 200_000;
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Returns the `probability` quantile of the beta distribution, by bisection.
#[must_use]
pub(crate) fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_cdf(a, b, x) < probability)
}

/// Returns `P(B <= successes)` for `B` successes of `trials` with the given chance each.
#[must_use]
pub fn binomial_cdf(successes: u64, trials: u64, chance: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    beta_cdf((trials - successes) as f64, successes as f64 + 1.0, 1.0 - chance)
}

/// Returns the point of a standard normal variable that is exceeded with the given probability.
#[must_use]
pub fn normal_upper(probability: f64) -> f64 {
    if probability < 0.25 {
        std::f64::consts::SQRT_2 * erfc_inv(2.0 * probability)
    } else {
        std::f64::consts::SQRT_2 * erf_inv(1.0 - 2.0 * probability)
    }
}

/// Returns the probability that a standard normal variable exceeds `z`.
#[must_use]
pub(crate) fn normal_tail(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// Returns where a predicate that is true at first turns false, between `lo` and `hi`, to the last bits.
pub(crate) fn bisect(mut lo: f64, mut hi: f64, before: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (lo + hi);
        if middle <= lo || middle >= hi {
            break;
        }
        if before(middle) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    0.5 * (lo + hi)
}

/// Returns the smallest number in `[from, most]` that satisfies a predicate which stays true once it is; `None` when
/// none does.
pub(crate) fn least(from: u64, most: u64, satisfied: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut below, mut candidate) = (from, from);
    while !satisfied(candidate) {
        if candidate >= most {
            return None;
        }
        below = candidate + 1;
        candidate = candidate.saturating_mul(2).clamp(candidate + 1, most);
    }
    while below < candidate {
        let middle = below.midpoint(candidate);
        if satisfied(middle) {
            candidate = middle;
        } else {
            below = middle + 1;
        }
    }
    Some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_agrees_with_summing_it_up() {
        for (trials, chance) in [(10_u64, 0.3), (200, 0.95), (3_000, 0.01)] {
            let mut sum = 0.0;
            for successes in 0..=trials {
                let (n, k) = (trials as f64, successes as f64);
                let ln_choose = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
                sum += (ln_choose + k * f64::ln(chance) + (n - k) * f64::ln_1p(-chance)).exp();
                let cdf = binomial_cdf(successes, trials, chance);
                assert!((cdf - sum).abs() < 1e-10, "{successes} of {trials}: {cdf} is not {sum}");
            }
        }
    }

    #[test]
    fn a_million_samples_still_converge() {
        // The median of a binomial with an integer mean is that mean.
        let below = binomial_cdf(499_999, 1_000_000, 0.5);
        let at = binomial_cdf(500_000, 1_000_000, 0.5);
        assert!((below + at - 1.0).abs() < 1e-7, "{below} and {at}");
        assert!((at - below - 0.000_797_884).abs() < 1e-8, "{at} - {below}");
    }

    #[test]
    fn quantile_and_distribution_are_inverse() {
        for (a, b, p) in [(0.5, 0.5, 0.05), (5998.0, 3.0, 0.05), (1.0, 3000.0, 0.95), (2.0, 9.0, 0.5)] {
            assert!((beta_cdf(a, b, beta_quantile(p, a, b)) - p).abs() < 1e-10);
        }
    }

    #[test]
    fn an_exact_test_of_a_quantile() {
        // scipy.stats.quantile_test(range(1, 201), q=180, p=0.95, alternative="greater")
        assert!((binomial_cdf(180, 200, 0.95) - 0.002_664_579_5).abs() < 1e-10);
    }

    #[test]
    fn points_of_the_normal_distribution() {
        assert!((normal_upper(0.025) - 1.959_963_984_540_054).abs() < 1e-9);
        assert!((normal_upper(0.05) - 1.644_853_626_951_472).abs() < 1e-9);
        assert!((normal_tail(1.959_963_984_540_054) - 0.025).abs() < 1e-10);
    }
}
