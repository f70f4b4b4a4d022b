//! Replaying a journal into what is still owed.

use super::{Entry, Header, IllegalStep, Step, state::State};
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
}

/// Why entries do not make a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The format is newer than this program.
    #[error("the journal has format {found}, and this program reads up to format {}", super::entry::VERSION)]
    TooNew {
        /// The journal's format.
        found: u32,
    },
    /// A part is prepared that still owes a revert.
    #[error("part `{id}` is prepared again while a revert of it is owed")]
    Twice {
        /// The part.
        id: String,
    },
    /// An entry is about a part that was never prepared.
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
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<History, HistoryError> {
        let mut history = History::default();
        for entry in entries {
            history.record(entry)?;
        }
        Ok(history)
    }

    /// Takes in the next entry; on an error the history is as before.
    pub fn record(&mut self, entry: &Entry) -> Result<(), HistoryError> {
        self.ended = matches!(entry, Entry::Ended { .. });
        match entry {
            Entry::Run(header) if header.version > super::entry::VERSION => {
                return Err(HistoryError::TooNew { found: header.version });
            }
            Entry::Run(header) => self.header = Some(header.clone()),
            Entry::Ended { .. } => {}
            Entry::Prepared { undo } => {
                // A timeline may inject a fault again after its rollback; the later debt is the one that counts.
                if self.parts.iter().any(|p| p.undo.id == undo.id && p.state.is_owed()) {
                    return Err(HistoryError::Twice { id: undo.id.clone() });
                }
                self.parts.retain(|p| p.undo.id != undo.id);
                self.parts.push(Past { undo: (**undo).clone(), state: State::Prepared, error: None });
            }
            other => {
                let Some((id, step)) = other.step() else { return Ok(()) };
                let Some(past) = self.parts.iter_mut().find(|p| p.undo.id == id) else {
                    // What could not be written down as prepared was never injected, yet its revert is tried and noted.
                    let reverts = matches!(step, Step::Reverting | Step::Reverted | Step::RevertFailed);
                    return if reverts {
                        Ok(())
                    } else {
                        Err(HistoryError::Unprepared { id: id.to_owned() })
                    };
                };
                past.state = past
                    .state
                    .next(step)
                    .map_err(|source| HistoryError::Illegal { id: id.to_owned(), source })?;
                past.error = match other {
                    Entry::RevertFailed { error, .. } => Some(error.clone()),
                    _ if step == Step::Reverted => None,
                    _ => past.error.take(),
                };
            }
        }
        Ok(())
    }

    /// Returns what is owed a revert, in the order to pay it: the last prepared first.
    pub fn owed(&self) -> Vec<&Past> {
        self.parts.iter().rev().filter(|p| p.state.is_owed()).collect()
    }
}
