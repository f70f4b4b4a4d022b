//! Numbers and times as a verdict writes them.

use crate::{
    model::{Quantity, Unit, quantity::format_seconds},
    time::{Nanos, duration},
    verdict::Interval,
};

const HOUR: f64 = 3_600.0;
const DAY: f64 = 24.0 * HOUR;

/// Writes a number as the language does, a share no finer than it is worth.
pub(super) fn show(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return if value < 0.0 { "-∞".into() } else { "∞".into() };
    }
    // Near 0 and 1 every nine counts; in between a tenth of a percent is enough.
    let rounded = match unit {
        Unit::Ratio if value > 0.01 && value < 0.99 => (value * 1e3).round() / 1e3,
        Unit::Points if value.abs() >= 0.01 => (value * 1e3).round() / 1e3,
        // Of days the minutes do not count.
        Unit::Seconds if value.abs() >= DAY => (value / HOUR).round() * HOUR,
        _ => value,
    };
    Quantity::new(rounded, unit).to_string()
}

/// Returns the unit of a difference.
pub(super) fn difference_unit(unit: Unit) -> Unit {
    if unit == Unit::Ratio { Unit::Points } else { unit }
}

/// Writes a length of time, which may be negative.
pub(super) fn time(length: Nanos) -> String {
    let text = format_seconds(duration(length.saturating_abs()).as_secs_f64());
    if length < 0 { format!("-{text}") } else { text }
}

/// Writes a number that may be known within bounds only.
pub(super) fn value(value: Interval, unit: Unit) -> String {
    match (value.lo.is_finite(), value.hi.is_finite()) {
        _ if value.is_exact() => show(value.lo, unit),
        (true, true) => format!("between {} and {}", show(value.lo, unit), show(value.hi, unit)),
        (true, false) => format!("at least {}", show(value.lo, unit)),
        (false, true) => format!("at most {}", show(value.hi, unit)),
        (false, false) => "unknown".into(),
    }
}

/// Writes by how much a deadline was met or missed.
pub(super) fn late(margin: Nanos) -> String {
    if margin >= 0 { format!("{} to spare", time(margin)) } else { format!("{} too late", time(-margin)) }
}

/// Writes how long something has been so: ` for 2.1s`.
pub(super) fn lasting(length: Nanos) -> String {
    if length > 0 { format!(" for {}", time(length)) } else { String::new() }
}
