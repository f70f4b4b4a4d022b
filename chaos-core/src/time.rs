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
