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
    let bits = Bits::new(indicator);
    let hits = bits.count(n) as f64;
    let mean = hits / n.max(1) as f64;
    let variance = hits * (1.0 - mean);
    if variance <= 0.0 {
        return 1.0;
    }
    let mut time = 1.0;
    for lag in 1..=(n / 4).min(LONGEST_LAG) {
        // The sum of (a - mean)(b - mean) over all pairs at this distance, multiplied out.
        let (both, first, second) =
            (bits.pairs(lag) as f64, bits.count(n - lag) as f64, hits - bits.count(lag) as f64);
        let covariance = both - mean * (first + second) + (n - lag) as f64 * mean * mean;
        let correlation = covariance / variance;
        if correlation < NEGLIGIBLE {
            break;
        }
        time += 2.0 * correlation;
    }
    time
}

/// How much a correlation time is raised for being estimated from few runs: at ten of them it is doubled.
const CAUTION: f64 = 10.0;
/// The most by which it is raised: one outage to the end of a phase is one run, and yet beyond doubt.
const MOST_CAUTION: f64 = 2.5;

/// Returns a correlation time that is rarely too short, where `rarer` samples were on the side that fewer were on.
///
/// It is estimated from the runs in which these came, and a phase that happens to have few and short ones would both look better
/// than the system is and seem surer of it. Samples that do not depend on each other keep theirs of 1. `chaos-benches verdicts`
/// shows how often claims at their limits pass.
#[must_use]
pub(crate) fn careful(time: f64, rarer: u64) -> f64 {
    let runs = (rarer as f64 / time).max(1.0);
    1.0 + (time - 1.0) * (1.0 + CAUTION / runs).min(MOST_CAUTION)
}

/// An indicator, 64 samples to a word, so that a lag of millions of samples is counted in microseconds.
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn new(indicator: &[bool]) -> Self {
        let word = |chunk: &[bool]| {
            chunk.iter().enumerate().fold(0, |word, (place, hit)| word | (u64::from(*hit) << place))
        };
        Self { words: indicator.chunks(64).map(word).collect() }
    }

    /// How many of the first `n` are set.
    fn count(&self, n: usize) -> u64 {
        let (whole, rest) = (n / 64, n % 64);
        let full: u64 = self.words[..whole].iter().map(|word| u64::from(word.count_ones())).sum();
        let part = if rest == 0 { 0 } else { self.words[whole] & ((1 << rest) - 1) };
        full + u64::from(part.count_ones())
    }

    /// How many pairs at this distance are both set; what lies behind the end is not.
    fn pairs(&self, lag: usize) -> u64 {
        let (skip, shift) = (lag / 64, lag % 64);
        let later = |place: usize| self.words.get(place).copied().unwrap_or(0);
        let shifted = |place: usize| match shift {
            0 => later(place + skip),
            _ => later(place + skip) >> shift | later(place + skip + 1) << (64 - shift),
        };
        self.words
            .iter()
            .enumerate()
            .map(|(place, word)| u64::from((word & shifted(place)).count_ones()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_alike_samples_are_worth_fewer() {
        let indicator = [1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0].map(|i| i == 1);
        assert!((correlation_time(&indicator) - 1.85).abs() < 1e-12);
    }

    #[test]
    fn constant_and_alternating_samples_count_in_full() {
        assert_eq!(correlation_time(&[true; 50]), 1.0);
        let alternating: Vec<bool> = (0..50).map(|i| i % 2 == 0).collect();
        assert_eq!(correlation_time(&alternating), 1.0);
        assert_eq!(correlation_time(&[]), 1.0);
    }

    #[test]
    fn care_is_taken_where_runs_are_few() {
        // A hundred runs, ten, and one; and samples that do not depend on each other, however few.
        assert!((careful(9.0, 900) - (1.0 + 8.0 * 1.1)).abs() < 1e-12);
        assert!((careful(9.0, 90) - 17.0).abs() < 1e-12);
        assert!((careful(9.0, 9) - 21.0).abs() < 1e-12);
        assert_eq!(careful(1.0, 1), 1.0);
    }

    #[test]
    fn words_of_bits_count_as_one_by_one_does() {
        let slow = |indicator: &[bool]| {
            let n = indicator.len() as f64;
            let mean = indicator.iter().filter(|hit| **hit).count() as f64 / n;
            let deviation = |hit: &bool| f64::from(u8::from(*hit)) - mean;
            let variance: f64 = indicator.iter().map(|hit| deviation(hit).powi(2)).sum();
            let correlation = |lag: usize| {
                let pairs = indicator.iter().zip(&indicator[lag..]);
                pairs.map(|(a, b)| deviation(a) * deviation(b)).sum::<f64>() / variance
            };
            let lags = (1..=(indicator.len() / 4).min(LONGEST_LAG)).map(correlation);
            1.0 + 2.0 * lags.take_while(|r| *r >= NEGLIGIBLE).sum::<f64>()
        };
        let mut state = 7_u64;
        for (length, stickiness) in [(20, 3), (64, 5), (65, 9), (500, 40), (1000, 300), (3000, 150)] {
            let mut hit = false;
            let indicator: Vec<bool> = (0..length)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    hit ^= (state >> 33).is_multiple_of(stickiness);
                    hit
                })
                .collect();
            if indicator.iter().any(|hit| *hit) && indicator.iter().any(|hit| !hit) {
                let (fast, slow) = (correlation_time(&indicator), slow(&indicator));
                assert!((fast - slow).abs() < 1e-9, "{length}: {fast} is not {slow}");
            }
        }
    }
}
