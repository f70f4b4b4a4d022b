//! The run's own time axis, on tokio's clock, so that a paused clock makes a run an ordinary, fast unit test.

use std::time::Duration;

use tokio::time::Instant;

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

/// Counts nanoseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts to count now.
    pub fn start() -> Self {
        Clock { start: Instant::now() }
    }

    /// Returns the time since the start.
    pub fn now(&self) -> Nanos {
        nanos(self.start.elapsed())
    }

    /// Returns by how many nanoseconds this clock is ahead of another one of the same process.
    pub fn ahead_of(&self, other: &Clock) -> Nanos {
        nanos(other.start.saturating_duration_since(self.start))
            - nanos(self.start.saturating_duration_since(other.start))
    }

    /// Returns the instant of a time.
    pub fn instant(&self, at: Nanos) -> Instant {
        self.start + duration(at)
    }
}

/// Writes a length of time so that reading it gives the very same: `1m30s`, `250ms`, `10.25s`.
pub fn exact(nanos: Nanos) -> String {
    const S: i64 = 1_000_000_000;
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos % S == 0 {
        let seconds = nanos / S;
        let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
        return parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    }
    let (unit, digits) = match nanos {
        n if n >= S => ("s", 9),
        n if n >= 1_000_000 => ("ms", 6),
        n if n >= 1_000 => ("us", 3),
        _ => ("ns", 0),
    };
    let scale = 10_i64.pow(digits);
    let fraction = format!("{:0width$}", nanos % scale, width = digits as usize);
    match fraction.trim_end_matches('0') {
        "" => format!("{}{unit}", nanos / scale),
        fraction => format!("{}.{fraction}{unit}", nanos / scale),
    }
}
