//! The run's own time axis.

use std::time::Duration;

/// Nanoseconds on the monotonic clock since the run began; steps of the wall clock never move it.
pub type Nanos = i64;

/// Turns a duration into nanoseconds; saturates after 292 years.
pub fn nanos(d: Duration) -> Nanos {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

/// Turns nanoseconds into a duration; what is negative becomes zero.
pub fn duration(n: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(0))
}
