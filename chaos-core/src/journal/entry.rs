//! The entries of a journal.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::Step;
use crate::{injector::Undo, place::ObjectId};

/// The version of the journal's format; a reader refuses a newer one.
pub const VERSION: u32 = 2;

/// What a journal says of one moment of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins; the first entry of every journal.
    Run(Header),
    /// A part is about to be injected; from here on it is owed a revert.
    Prepared {
        /// Everything needed to put it back.
        undo: Arc<Undo>,
    },
    /// The injection of a part begins.
    Injecting {
        /// The part.
        id: String,
    },
    /// A part is in place, confirmed by reading back.
    Injected {
        /// The part.
        id: String,
    },
    /// The revert of a part begins.
    Reverting {
        /// The part.
        id: String,
    },
    /// The prior state of a part is back, confirmed by reading back.
    Reverted {
        /// The part.
        id: String,
    },
    /// A part could not be put back; it is still owed.
    RevertFailed {
        /// The part.
        id: String,
        /// Why.
        error: String,
    },
    /// The run, or a restore of it, is over.
    Ended {
        /// Whether everything is as it was.
        restored: bool,
    },
}

impl Entry {
    /// Returns the part that an entry is about, and what it says of it.
    pub fn step(&self) -> Option<(&str, Step)> {
        match self {
            Entry::Prepared { undo } => Some((&undo.id, Step::Prepared)),
            Entry::Injecting { id } => Some((id, Step::Injecting)),
            Entry::Injected { id } => Some((id, Step::Injected)),
            Entry::Reverting { id } => Some((id, Step::Reverting)),
            Entry::Reverted { id } => Some((id, Step::Reverted)),
            Entry::RevertFailed { id, .. } => Some((id, Step::RevertFailed)),
            Entry::Run(_) | Entry::Ended { .. } => None,
        }
    }
}

/// Which run a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Header {
    /// The version of the journal's format.
    pub version: u32,
    /// The run's id, unique on this machine.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// When the run began, by the wall clock.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// The runner's process.
    pub pid: u32,
    /// A fingerprint of the plan, to tell whether two runs did the same.
    pub plan: String,
    /// The objects that its faults touch.
    pub targets: Vec<ObjectId>,
}

/// One line of a journal file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    /// Counts up from 0, so that a missing line shows.
    pub number: u64,
    /// When it was written, by the wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
}
