//! Quantities with their units.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What a quantity measures; two of different units never compare.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Time, in seconds.
    Seconds,
    /// A share of a whole, as a fraction.
    Ratio,
    /// A difference of two shares, as a fraction (`0.2pp` is 0.002).
    Points,
    /// Events each second.
    PerSecond,
    /// Bits each second.
    BitsPerSecond,
    /// Bytes.
    Bytes,
    /// Things counted.
    Count,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Seconds => "a duration",
            Unit::Ratio => "a percentage",
            Unit::Points => "percentage points",
            Unit::PerSecond => "a rate",
            Unit::BitsPerSecond => "a bandwidth",
            Unit::Bytes => "a size",
            Unit::Count => "a count",
        })
    }
}

/// A number with its unit, kept in the unit's base (seconds, fraction, per second, bits per second, bytes, one).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantity {
    /// The number, in the unit's base.
    pub value: f64,
    /// The unit.
    pub unit: Unit,
}

impl Quantity {
    /// Makes a quantity from a number in the unit's base.
    pub fn new(value: f64, unit: Unit) -> Self {
        Quantity { value, unit }
    }

    /// Makes a duration.
    pub fn duration(d: Duration) -> Self {
        Quantity { value: d.as_secs_f64(), unit: Unit::Seconds }
    }

    /// Makes a percentage from a fraction.
    pub fn ratio(fraction: f64) -> Self {
        Quantity { value: fraction, unit: Unit::Ratio }
    }

    /// Returns the nearest quantity that is written in full: printing it and reading that again gives the same.
    pub fn as_written(self) -> Self {
        let round = |unit: f64| (self.value / unit).round() * unit;
        let decimals = |unit: f64, decimals: i32| {
            // Counted in whole last digits first, so that the result is the number that the digits mean.
            let last = 10_f64.powi(decimals);
            (self.value / unit * last).round() / last * unit
        };
        let v = self.value.abs();
        let value = match self.unit {
            Unit::Seconds if v < 0.000_1 => (self.value * 1e7).round() / 1e7,
            Unit::Seconds if v < 0.000_999_5 => (self.value * 1e6).round() / 1e6,
            Unit::Seconds if v < 0.1 => (self.value * 1e4).round() / 1e4,
            Unit::Seconds if v < 0.999_5 => (self.value * 1e3).round() / 1e3,
            Unit::Seconds if v < 10.0 => (self.value * 1e2).round() / 1e2,
            Unit::Seconds if v < 60.0 => (self.value * 1e1).round() / 1e1,
            Unit::Seconds => round(1.0),
            Unit::Ratio | Unit::Points => (self.value * 1e5).round() / 1e5,
            Unit::PerSecond | Unit::Count => (self.value * 1e2).round() / 1e2,
            Unit::BitsPerSecond if v >= 1e9 => decimals(1e9, 3),
            Unit::BitsPerSecond if v >= 1e6 => decimals(1e6, 3),
            Unit::BitsPerSecond if v >= 1e3 => decimals(1e3, 3),
            Unit::BitsPerSecond => round(1.0),
            Unit::Bytes if v >= 1048576.0 => decimals(1048576.0, 3),
            Unit::Bytes if v >= 1024.0 => decimals(1024.0, 3),
            Unit::Bytes => round(1.0),
        };
        Quantity { value, ..self }
    }

    /// Returns the duration, where it is one; rounded to the nanosecond.
    pub fn as_duration(&self) -> Option<Duration> {
        // Duration::try_from_secs_f64 rounds to the nearest nanosecond, so `1ms` is exactly 1,000,000 ns.
        (self.unit == Unit::Seconds).then(|| Duration::try_from_secs_f64(self.value).ok()).flatten()
    }
}

/// Writes a duration as the language does: `1m30s`, `250ms`, `12.3ms`, `85µs`.
pub fn format_seconds(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let s = seconds.abs();
    if !s.is_finite() {
        return format!("{sign}∞");
    }
    if s == 0.0 {
        return "0s".into();
    }
    if s < 0.000_000_999_5 {
        return format!("{sign}{}ns", trim(s * 1e9, if s < 0.000_000_1 { 1 } else { 0 }));
    }
    if s < 0.000_999_5 {
        return format!("{sign}{}us", trim(s * 1e6, if s < 0.000_1 { 1 } else { 0 }));
    }
    if s < 0.999_5 {
        return format!("{sign}{}ms", trim(s * 1e3, if s < 0.1 { 1 } else { 0 }));
    }
    if s < 60.0 {
        return format!("{sign}{}s", trim(s, if s < 10.0 { 2 } else { 1 }));
    }
    let whole = s.round() as u64;
    let (d, h, m, sec) = (whole / 86_400, whole % 86_400 / 3600, whole % 3600 / 60, whole % 60);
    let mut out = sign.to_owned();
    for (n, unit) in [(d, "d"), (h, "h"), (m, "m"), (sec, "s")] {
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
        }
    }
    out
}

fn trim(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.value;
        match self.unit {
            Unit::Seconds => f.write_str(&format_seconds(v)),
            Unit::Ratio => write!(f, "{}%", trim(v * 100.0, 3)),
            Unit::Points => write!(f, "{}pp", trim(v * 100.0, 3)),
            Unit::PerSecond => write!(f, "{}/s", trim(v, 2)),
            Unit::BitsPerSecond => {
                let (n, unit) = match v {
                    v if v >= 1e9 => (v / 1e9, "gbit"),
                    v if v >= 1e6 => (v / 1e6, "mbit"),
                    v if v >= 1e3 => (v / 1e3, "kbit"),
                    v => (v, "bit"),
                };
                write!(f, "{}{unit}", trim(n, 3))
            }
            Unit::Bytes => {
                // tc's sizes: k is 1024 (man tc, UNITS).
                let (n, unit) = match v {
                    v if v >= 1048576.0 => (v / 1048576.0, "mb"),
                    v if v >= 1024.0 => (v / 1024.0, "kb"),
                    v => (v, "b"),
                };
                write!(f, "{}{unit}", trim(n, 3))
            }
            Unit::Count => f.write_str(&trim(v, 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_language_writes() {
        for (seconds, text) in [
            (0.0, "0s"),
            (0.000_000_5, "500ns"),
            (0.000_085, "85us"),
            (0.001, "1ms"),
            (0.0123, "12.3ms"),
            (0.25, "250ms"),
            (0.9996, "1s"),
            (1.5, "1.5s"),
            (90.0, "1m30s"),
            (3600.0, "1h"),
            (1_209_600.0, "14d"),
            (-90_000.0, "-1d1h"),
            (-0.012, "-12ms"),
        ] {
            assert_eq!(format_seconds(seconds), text);
        }
        assert_eq!(Quantity::ratio(0.999).to_string(), "99.9%");
        assert_eq!(Quantity::new(0.002, Unit::Points).to_string(), "0.2pp");
        assert_eq!(Quantity::new(1e7, Unit::BitsPerSecond).to_string(), "10mbit");
        assert_eq!(Quantity::new(65536.0, Unit::Bytes).to_string(), "64kb");
    }

    #[test]
    fn durations_are_exact_to_the_nanosecond() {
        assert_eq!(Quantity::new(0.0005, Unit::Seconds).as_duration(), Some(Duration::from_micros(500)));
        assert_eq!(Quantity::new(-1.0, Unit::Seconds).as_duration(), None);
        assert_eq!(Quantity::ratio(0.5).as_duration(), None);
    }
}
