//! Guards: conditions evaluated on every observation while the run goes on.

use super::super::interval::{Interval, Truth};
use super::super::steps::Nanos;
use super::{Formula, Online, Reading, SignalId};

/// A condition over the present and the past, evaluated at each instant at which something is observed.
///
/// It keeps only as much history as its formula can look back on. Unknown values never fire it; see [`Blindness`].
/// Its formula must not look ahead: what lies in the future is unknown, and a guard would wait for it.
#[derive(Debug, Clone)]
pub struct Guard {
    online: Online<Reading>,
}

impl Guard {
    /// Returns a guard over signals with the given physical ranges, in the order of their [`SignalId`]s.
    #[must_use]
    pub fn new(formula: &Formula, ranges: &[Interval]) -> Self {
        Self { online: Online::new(formula, ranges) }
    }

    /// Takes the values of all signals at `now` (`None`: unknown), an instant later than all before, and returns how the
    /// condition stands; it fires when the truth is [`Truth::True`].
    pub fn update(&mut self, now: Nanos, values: &[Option<Interval>]) -> Reading {
        for (signal, value) in values.iter().enumerate() {
            self.online.set(SignalId(signal), now, *value);
        }
        self.online.hear(now);
        self.online.forget_before(now);
        self.online.at(now)
    }

    /// Whether a reading means that the guard fires.
    #[must_use]
    pub fn fires(reading: Reading) -> bool {
        reading.truth == Truth::True
    }

    /// Returns the number of segments kept at present.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.online.segment_count()
    }
}

/// The guard against guards that cannot see: fires when a metric has been unknown for too long.
#[derive(Debug, Clone)]
pub struct Blindness {
    limit: Nanos,
    blind_since: Option<Nanos>,
}

impl Blindness {
    /// Returns the guard that allows a metric to be unknown for `limit`; the customary limit is the larger of 30 s and
    /// three observation intervals.
    #[must_use]
    pub fn new(limit: Nanos) -> Self {
        Self { limit, blind_since: None }
    }

    /// Takes whether the metric is known at `now`, and returns whether it has been unknown for the whole limit.
    pub fn update(&mut self, now: Nanos, known: bool) -> bool {
        if known {
            self.blind_since = None;
            return false;
        }
        let since = *self.blind_since.get_or_insert(now);
        now.saturating_sub(since) >= self.limit
    }
}
