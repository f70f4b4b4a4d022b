//! A fault on processes that is in place, and what it does.

use std::time::Instant;

use chaos_core::injector::{Measured, Unit};

use super::{
    healing::Healing,
    subject::{Doing, Subject},
};

/// A fault in place.
pub(super) struct Held {
    pub(super) subjects: Vec<Subject>,
    /// Those among them that came after the undo record was written.
    pub(super) came: Vec<Subject>,
    pub(super) since: Instant,
    /// What comes in their place, where they end.
    pub(super) healing: Option<Healing>,
    /// Whether it is in place, and its loss was not reported yet.
    pub(super) watched: bool,
}

impl Held {
    /// Measures what it does.
    pub(super) fn measure(&mut self) -> Measured {
        let met = self.subjects.len() as u64;
        let count = |wanted| self.subjects.iter().filter(|subject| subject.doing() == wanted).count() as u64;
        let held = self.since.elapsed().as_secs_f64();
        let (changed, line) = match &mut self.healing {
            None => {
                let stopped = count(Doing::Stopped);
                (stopped, format!("{stopped} of {met} stopped, for {held:.1}s"))
            }
            Some(healing) => {
                let ended = count(Doing::Gone);
                healing.look();
                (ended, format!("{ended} of {met} ended; {} within {held:.1}s", healing.line()))
            }
        };
        Measured { seen: Some(met), met, changed, line, ..Measured::nothing(Unit::Processes) }
    }
}
