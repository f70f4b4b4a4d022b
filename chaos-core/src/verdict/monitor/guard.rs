//! Guards: conditions evaluated on every observation while the run goes on.

use super::super::interval::{Interval, Truth};
use super::super::steps::shifted;
use super::{Formula, Online, SignalId, Witness};
use crate::time::Nanos;

/// A condition over the present and the past, looked at whenever something is observed.
///
/// It is [`Online`] with a present that is still open: of several looks at one instant the last counts. It reads truth
/// alone, so that each look takes time in proportion to the size of the formula, and memory does too, whatever happens
/// within its windows. Unknown values never fire it.
///
/// Its formula must not look ahead: what lies in the future is unknown, and a guard would wait for it.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Has heard of everything before the latest look.
    before: Online<Truth>,
    /// Has heard of the latest look.
    present: Online<Truth>,
    now: Option<Nanos>,
}

impl Guard {
    /// Returns a guard over signals with the given physical ranges, in the order of their [`SignalId`]s.
    #[must_use]
    pub fn new(formula: &Formula, ranges: &[Interval]) -> Self {
        let before = Online::new(formula, ranges);
        Self { present: before.clone(), before, now: None }
    }

    /// Takes the values of all signals at `now` (`None`: unknown) and returns how the condition stands. A look back in time
    /// is one at the latest instant.
    pub fn update(&mut self, now: Nanos, values: &[Option<Interval>]) -> Truth {
        let now = self.now.map_or(now, |latest| latest.max(now));
        self.now = Some(now);
        self.before.hear(shifted(now, -1));
        self.before.take().for_each(drop);
        for (signal, value) in values.iter().enumerate() {
            self.before.set(SignalId(signal), now, *value);
        }
        self.present.clone_from(&self.before);
        self.present.hear(now);
        self.present.at(now)
    }

    /// Returns the instant of the latest look.
    #[must_use]
    pub fn now(&self) -> Option<Nanos> {
        self.now
    }

    /// Returns the atoms that spoke for how the condition stood at the latest look.
    #[must_use]
    pub(crate) fn witnesses(&self) -> Vec<Witness> {
        self.present.witnesses()
    }

    /// Returns the number of segments kept at present.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.before.segment_count()
    }
}
