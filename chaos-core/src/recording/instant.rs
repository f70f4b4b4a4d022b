//! Times as files write them: seconds, or a date with a time.

use std::str::FromStr;

use super::Error;
use crate::time::Nanos;

/// What times are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// A zero of the recording's own, written as seconds.
    Own,
    /// The calendar.
    Calendar,
}

/// An instant with the axis it lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// What it is counted from.
    pub axis: Axis,
    /// Nanoseconds since the axis' zero; the calendar's is the start of 1970, UTC.
    pub at: Nanos,
}

impl FromStr for Instant {
    type Err = Error;

    /// Reads seconds, exact to the nanosecond, or a date with its time in RFC 3339.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(at) = seconds(text) {
            return Ok(Instant { axis: Axis::Own, at });
        }
        let number = text.parse::<f64>().ok();
        if number.is_some() {
            return Err(Error::new(format!("the time `{text}` is too large, or no number at all"))
                .help("write seconds, such as `12.5`"));
        }
        let timestamp = text.parse::<jiff::Timestamp>().ok();
        let at = timestamp.and_then(|timestamp| i64::try_from(timestamp.as_nanosecond()).ok());
        at.map(|at| Instant { axis: Axis::Calendar, at }).ok_or_else(|| {
            Error::new(format!("`{text}` is not a time")).help(
                "write seconds, such as `12.5`, or a date with its time, such as `2026-01-31T12:00:00Z`",
            )
        })
    }
}

/// Reads decimal seconds without going through binary fractions; digits beyond the nanosecond round.
fn seconds(text: &str) -> Option<Nanos> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !plain(whole) || !plain(fraction) {
        return from_float(text.parse().ok()?);
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos: i64 = 0;
    let mut digits = fraction.bytes().map(|byte| i64::from(byte - b'0'));
    for _ in 0..9 {
        nanos = nanos * 10 + digits.next().unwrap_or(0);
    }
    nanos += i64::from(digits.next().is_some_and(|next| next >= 5));
    let at = whole.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    within(if negative { -at } else { at })
}

/// Returns seconds as nanoseconds, or `None` if they lie outside of what an instant can be.
pub(super) fn from_float(seconds: f64) -> Option<Nanos> {
    let nanos = (seconds * 1e9).round();
    // The conversion is exact: the bound leaves room for every window.
    within(if nanos.abs() < 9e18 { nanos as Nanos } else { return None })
}

/// Half of all time is left for windows to look back and ahead.
fn within(at: Nanos) -> Option<Nanos> {
    (at.abs() <= Nanos::MAX / 4).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> Option<Nanos> {
        text.parse::<Instant>().ok().filter(|instant| instant.axis == Axis::Own).map(|instant| instant.at)
    }

    #[test]
    fn seconds_are_exact_to_the_nanosecond() {
        assert_eq!(own("0"), Some(0));
        assert_eq!(own("12.5"), Some(12_500_000_000));
        assert_eq!(own("1700000000.123456789"), Some(1_700_000_000_123_456_789));
        assert_eq!(own("-0.1"), Some(-100_000_000));
        assert_eq!(own(".5"), Some(500_000_000));
        assert_eq!(own("1e-3"), Some(1_000_000));
        assert_eq!(own("0.0000000005"), Some(1));
        for text in ["", ".", "abc", "1,5", "nan", "1e40", "99999999999", "5s", "--1"] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_instants_of_the_calendar() {
        let instant: Instant = "2026-01-31T12:00:00.25+01:00".parse().unwrap();
        assert_eq!((instant.axis, instant.at % 1_000_000_000), (Axis::Calendar, 250_000_000));
        let utc: Instant = "2026-01-31T11:00:00.25Z".parse().unwrap();
        assert_eq!(instant, utc);
    }
}
