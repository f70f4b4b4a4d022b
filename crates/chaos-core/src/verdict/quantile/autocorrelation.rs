//! How many independent samples a run of alike ones is worth.

/// The correlation below which the rest of the series is taken for noise.
const NEGLIGIBLE: f64 = 0.05;
/// The longest lag looked at.
const LONGEST_LAG: usize = 200;

/// Returns the integrated correlation time `1 + 2 (r_1 + r_2 + ...)` of an indicator over consecutive samples.
///
/// The sum ends before the first correlation below 0.05, at a quarter of the samples, or at 200 (the initial sequence
/// of C. J. Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7, 1992, with a fixed threshold).
#[must_use]
pub fn correlation_time(indicator: &[bool]) -> f64 {
    let n = indicator.len();
    let hits = indicator.iter().filter(|hit| **hit).count() as f64;
    let mean = hits / n.max(1) as f64;
    let variance = hits * (1.0 - mean);
    if variance <= 0.0 {
        return 1.0;
    }
    let deviation = |hit: &bool| f64::from(u8::from(*hit)) - mean;
    let mut time = 1.0;
    for lag in 1..=(n / 4).min(LONGEST_LAG) {
        let covariance: f64 =
            indicator.iter().zip(&indicator[lag..]).map(|(a, b)| deviation(a) * deviation(b)).sum();
        let correlation = covariance / variance;
        if correlation < NEGLIGIBLE {
            break;
        }
        time += 2.0 * correlation;
    }
    time
}

/// Returns how many independent samples consecutive ones are worth: their number over the correlation time.
#[must_use]
pub fn effective_samples(indicator: &[bool]) -> f64 {
    if indicator.is_empty() { 0.0 } else { (indicator.len() as f64 / correlation_time(indicator)).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_alike_samples_are_worth_fewer() {
        let indicator = [1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0].map(|i| i == 1);
        assert!((correlation_time(&indicator) - 1.85).abs() < 1e-12);
        assert!((effective_samples(&indicator) - 10.810_810_8).abs() < 1e-6);
    }

    #[test]
    fn constant_and_alternating_samples_count_in_full() {
        assert_eq!(effective_samples(&[true; 50]), 50.0);
        let alternating: Vec<bool> = (0..50).map(|i| i % 2 == 0).collect();
        assert_eq!(effective_samples(&alternating), 50.0);
        assert_eq!(effective_samples(&[]), 0.0);
    }
}
