//! Reducing measurements to the few numbers that a reader compares.

use std::time::{Duration, Instant};

/// Returns the order statistic of rank `ceil(q n)`, the definition that verdicts use too; zero of nothing.
pub(crate) fn quantile(values: &[Duration], q: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Returns the middle value, the lower of two.
pub(crate) fn median(values: &[Duration]) -> Duration {
    quantile(values, 0.5)
}

/// Returns the middle of plain numbers, the lower of two; NaN of nothing.
pub(crate) fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Writes the median of several rounds with their spread: `12.3 (11.9 to 13.0)`.
pub(crate) fn rounds(values: &[f64], unit: &str) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}{unit} ({} to {})", short(middle(values)), short(least), short(most))
}

/// Writes a number with three significant digits, or all of its whole ones.
pub(crate) fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    format!("{value:.*}", (2.0 - digits).clamp(0.0, 6.0) as usize)
}

/// Writes a time in the unit that suits it.
pub(crate) fn time(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{} us", short(s * 1e6)),
        s if s < 1.0 => format!("{} ms", short(s * 1e3)),
        s => format!("{} s", short(s)),
    }
}

/// Returns how long something takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_order_statistics() {
        let values: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 0.5), Duration::from_millis(50));
        assert_eq!(quantile(&values, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&values, 1.0), Duration::from_millis(100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
        assert_eq!(middle(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(0.0123), "0.0123");
        assert_eq!(short(1.5), "1.50");
        assert_eq!(short(123_456.7), "123457");
        assert_eq!(time(Duration::from_micros(1500)), "1.50 ms");
        assert_eq!(rounds(&[1.0, 3.0, 2.0], "x"), "2.00x (1.00 to 3.00)");
    }
}
