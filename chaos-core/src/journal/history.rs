//! Replaying a journal into what is still owed.
//!
//! A replay never loses a debt. Notes are written beside the work and may be lost on a full disk, so a step that cannot
//! follow the one before is an oddity to report, not a reason to leave a fault in place; only a confirmed revert pays.

use super::{Entry, Header, IllegalStep, OtherVersion, Step, state::State};
use crate::injector::Undo;

/// One part of a fault as the journal knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// How to put it back.
    pub undo: Undo,
    /// Where it stands.
    pub state: State,
    /// Why the last revert failed.
    pub error: Option<String>,
}

/// What a journal says, all entries taken together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Which run it was.
    pub header: Option<Header>,
    /// Every part that was prepared, in that order.
    pub parts: Vec<Past>,
    /// Whether the last entry says that the run is over.
    pub ended: bool,
    /// What does not fit together.
    pub oddities: Vec<Oddity>,
}

/// Something in a journal that does not fit together: an entry was lost, or two processes wrote at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// A part is prepared that still owes a revert; the later debt counts.
    #[error("part `{id}` is prepared again while a revert of it is owed")]
    Twice {
        /// The part.
        id: String,
    },
    /// An entry is about a part that was never prepared, so nothing of it was ever in place.
    #[error("part `{id}` was never prepared")]
    Unprepared {
        /// The part.
        id: String,
    },
    /// A step cannot follow the one before.
    #[error("part `{id}`: {source}")]
    Illegal {
        /// The part.
        id: String,
        /// Which step met which state.
        source: IllegalStep,
    },
}

impl History {
    /// Replays entries from the first to the last.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<History, OtherVersion> {
        let mut history = History::default();
        for entry in entries {
            history.record(entry)?;
        }
        Ok(history)
    }

    /// Takes in the next entry.
    pub fn record(&mut self, entry: &Entry) -> Result<(), OtherVersion> {
        self.ended = matches!(entry, Entry::Ended { .. });
        match entry {
            Entry::Run(header) => {
                OtherVersion::check(header.version)?;
                self.header = Some(header.clone());
            }
            Entry::Prepared { undo } => self.prepare(undo),
            other => {
                if let Some((id, step)) = other.step() {
                    self.step(id, step, other);
                }
            }
        }
        Ok(())
    }

    fn prepare(&mut self, undo: &Undo) {
        // A timeline may inject a fault again after its rollback; the later debt is the one that counts.
        if self.parts.iter().any(|p| p.undo.id == undo.id && p.state.is_owed()) {
            self.oddities.push(Oddity::Twice { id: undo.id.clone() });
        }
        self.parts.retain(|p| p.undo.id != undo.id);
        self.parts.push(Past { undo: undo.clone(), state: State::Prepared, error: None });
    }

    fn step(&mut self, id: &str, step: Step, entry: &Entry) {
        let Some(past) = self.parts.iter_mut().find(|p| p.undo.id == id) else {
            self.oddities.push(Oddity::Unprepared { id: id.to_owned() });
            return;
        };
        match past.state.next(step) {
            Ok(state) => past.state = state,
            Err(source) => {
                self.oddities.push(Oddity::Illegal { id: id.to_owned(), source });
                // A paid debt does not come back without being prepared; an owed one moves on to what the step says.
                if past.state.is_owed() {
                    past.state = step.leads_to();
                }
            }
        }
        match entry {
            Entry::RevertFailed { error, .. } => past.error = Some(error.clone()),
            Entry::Reverted { .. } => past.error = None,
            _ => {}
        }
    }

    /// Returns what is owed a revert, in the order to pay it: the last prepared first.
    pub fn owed(&self) -> Vec<&Past> {
        self.parts.iter().rev().filter(|p| p.state.is_owed()).collect()
    }
}
