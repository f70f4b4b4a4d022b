//! Several claims at once: the step-down procedure of S. Holm, "A simple sequentially rejective multiple test procedure"
//! (Scandinavian Journal of Statistics 6, 1979).
//!
//! Of `m` tests, each wrong with a chance of `alpha`, one at least goes wrong far more often. Holm's procedure keeps that
//! chance under `alpha` for all of them together, whatever they depend on: the clearest is held against `alpha / m`, and
//! each one that is clear lets the others share what is left among fewer.

/// Returns the level at which each of `tests` is significant together with all others, or `None` if it is not.
///
/// `significant(test, level)` says whether a test on its own is significant at a level; it must stay so at every higher one.
#[must_use]
pub(crate) fn step_down(tests: usize, alpha: f64, mut significant: impl FnMut(usize, f64) -> bool) -> Levels {
    let mut found = vec![None; tests];
    let mut open: Vec<usize> = (0..tests).collect();
    loop {
        let level = alpha / open.len().max(1) as f64;
        let (clear, unclear): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|test| significant(**test, level));
        clear.iter().for_each(|test| found[*test] = Some(level));
        if clear.is_empty() || unclear.is_empty() {
            return Levels { found, last: level };
        }
        open = unclear;
    }
}

/// What came of several tests at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Levels {
    /// For each test the level at which it is significant; `None` if it is not.
    pub found: Vec<Option<f64>>,
    /// The level that those which are not significant were held against last.
    pub last: f64,
}

/// Returns which of several tests with these p-values are significant together at `alpha`.
#[must_use]
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let levels = step_down(p_values.len(), alpha, |test, level| p_values[test] <= level);
    levels.found.into_iter().map(|level| level.is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clearest_go_first() {
        // statsmodels.stats.multitest.multipletests(p, 0.05, "holm")
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        assert_eq!(holm(&[0.05], 0.05), [true]);
        assert_eq!(holm(&[0.02, 0.03, 0.04], 0.05), [false, false, false]);
        assert_eq!(holm(&[0.016, 0.02, 0.04], 0.05), [true, true, true]);
        assert_eq!(holm(&[], 0.05), [] as [bool; 0]);
    }

    #[test]
    fn each_is_held_against_what_the_clearer_ones_leave() {
        let levels = step_down(3, 0.06, |test, level| [0.019, 0.029, 0.9][test] <= level);
        assert_eq!(levels.found, [Some(0.02), Some(0.03), None]);
        assert_eq!(levels.last, 0.06);
    }

    #[test]
    fn it_is_never_stricter_than_sharing_evenly_and_never_laxer_than_not_sharing() {
        for seed in 0_u32..500 {
            let p = |test: u32| {
                f64::from(seed.wrapping_mul(2_654_435_761).wrapping_add(test * 40_503) % 1000) / 8000.0
            };
            let p: Vec<f64> = (0..5).map(p).collect();
            for (found, p) in holm(&p, 0.05).into_iter().zip(&p) {
                assert!(found || *p > 0.01);
                assert!(!found || *p <= 0.05);
            }
        }
    }
}
