//! The schedule of one stream of measurements.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::time::{Nanos, nanos};

/// The grid of the schedule where it is denser than one start for each of these.
///
/// What stands in one millisecond is meant to start together, at its beginning. One wake-up for each start would cost more
/// processor time than the measurement itself, and a start that waits for the others of its group would count the wait as
/// the target's latency.
const GRID: Duration = Duration::from_millis(1);

/// One stream of measurements: a probe from one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// The place's name.
    pub from: Arc<str>,
    /// When the first measurement is meant to start.
    pub first: Nanos,
    /// Measurements per second.
    pub rate: f64,
    /// After which a measurement counts as failed, from its intended start.
    pub timeout: Duration,
    /// How many may be under way at once.
    pub limit: usize,
}

impl Stream {
    /// Returns the intended start of the measurement with this number, counted from 0.
    ///
    /// Up to 1,000 a second they stand evenly; beyond, in groups on a grid of a millisecond, as many as the rate brings.
    pub fn intended(&self, number: u64) -> Nanos {
        // In floating point, so that a rate such as 3/s does not drift: an f64 is exact to the nanosecond for 100 days.
        let after = (number as f64 * 1e9 / self.rate).round() as Nanos;
        let grid = nanos(GRID);
        let dense = self.rate * GRID.as_secs_f64() > 1.0;
        self.first + if dense { after - after % grid } else { after }
    }
}
