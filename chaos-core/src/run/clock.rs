//! The run's time axis on tokio's clock, so that a paused clock makes a run an ordinary, fast unit test.

use tokio::time::Instant;

use crate::time::{Nanos, duration, nanos};

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

    /// Returns the instant of a time.
    pub fn instant(&self, at: Nanos) -> Instant {
        self.start + duration(at)
    }
}
