//! Which measurements of a stream have arrived.

use std::collections::BTreeMap;

use chaos_core::{probe::Stream, time::Nanos};

/// The schedule of one stream, with what is still missing of it.
pub(super) struct Schedule {
    stream: Stream,
    /// The first measurement that has not arrived.
    next: u64,
    /// How many arrived of those that were meant to start later than that; several may be meant to start together.
    ahead: BTreeMap<Nanos, u32>,
}

impl Schedule {
    pub(super) fn new(stream: Stream) -> Self {
        Schedule { stream, next: 0, ahead: BTreeMap::new() }
    }

    /// Takes in that a measurement arrived which was meant to start then.
    pub(super) fn arrived(&mut self, intended: Nanos) {
        *self.ahead.entry(intended).or_default() += 1;
        while self.take(self.next()) {
            self.next += 1;
        }
    }

    /// Returns when the first measurement that has not arrived was meant to start.
    pub(super) fn next(&self) -> Nanos {
        self.stream.intended(self.next)
    }

    /// Returns the starts up to then that have not arrived, once each: they count as arrived from now on.
    pub(super) fn due(&mut self, until: Nanos) -> Vec<Nanos> {
        let mut due = Vec::new();
        while self.next() <= until {
            let intended = self.next();
            if !self.take(intended) {
                due.push(intended);
            }
            self.next += 1;
        }
        due
    }

    /// Returns the starts that have not arrived although later ones have.
    pub(super) fn missing(&mut self) -> Vec<Nanos> {
        let last = self.ahead.last_key_value().map(|(intended, _)| *intended);
        last.map_or_else(Vec::new, |last| self.due(last))
    }

    /// Takes one of those that arrived early.
    fn take(&mut self, intended: Nanos) -> bool {
        let Some(count) = self.ahead.get_mut(&intended) else { return false };
        *count -= 1;
        if *count == 0 {
            self.ahead.remove(&intended);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Nanos = 1_000_000;

    fn schedule(rate: f64) -> Schedule {
        let timeout = Duration::from_secs(1);
        Schedule::new(Stream { from: "a".into(), first: 5 * MS, rate, timeout, limit: 10 })
    }

    #[test]
    fn what_is_missing_is_found_once() {
        let mut schedule = schedule(100.0);
        for intended in [5, 25, 15, 55] {
            schedule.arrived(intended * MS);
        }
        assert_eq!(schedule.next(), 35 * MS);
        assert_eq!(schedule.due(65 * MS), [35 * MS, 45 * MS, 65 * MS]);
        assert!(schedule.due(65 * MS).is_empty());
        assert_eq!(schedule.next(), 75 * MS);
        assert!(schedule.ahead.is_empty());
    }

    #[test]
    fn dense_starts_are_counted() {
        // Four in each millisecond, meant to start together.
        let mut schedule = schedule(4_000.0);
        for intended in [5, 5, 5, 6, 6] {
            schedule.arrived(intended * MS);
        }
        assert_eq!(schedule.due(6 * MS), [5 * MS, 6 * MS, 6 * MS]);
    }

    #[test]
    fn only_what_later_ones_overtook_is_missing() {
        let mut schedule = schedule(100.0);
        assert!(schedule.missing().is_empty());
        schedule.arrived(25 * MS);
        assert_eq!(schedule.missing(), [5 * MS, 15 * MS]);
        assert!(schedule.missing().is_empty());
    }
}
