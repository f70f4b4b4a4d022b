//! The entries of a journal.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::Step;
use crate::{
    injector::Undo,
    place::{Kind, ObjectId},
};

/// The version of the journal's format; a reader refuses any other one.
pub const VERSION: u32 = 3;

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

/// Which run it is: the head of its journal, and of its entry in the machine's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Header {
    /// The version of the journal's format, [`VERSION`].
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
    /// The kernel's cookies of the network namespaces that those are in, as far as they are known, in the order of the targets:
    /// one namespace may go by several names, and one name may come to mean another namespace.
    pub namespaces: Vec<Option<u64>>,
}

impl Header {
    fn touches(&self) -> impl Iterator<Item = (&ObjectId, Option<u64>)> {
        let known = self.namespaces.iter().copied().chain(std::iter::repeat(None));
        self.targets.iter().zip(known)
    }

    /// Finds an object that two runs would both touch: in one namespace, or, where that is not known, of one name. Hosts of a lab
    /// never collide: each lab has its own.
    pub(super) fn collision<'a>(&'a self, theirs: &Header) -> Option<&'a ObjectId> {
        let both = |(our, our_space): (&ObjectId, Option<u64>),
                    (their, their_space): (&ObjectId, Option<u64>)| {
            match (our_space, their_space) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => our == their,
            }
        };
        self.touches()
            .filter(|(object, _)| object.kind != Kind::HOST)
            .find(|ours| theirs.touches().any(|theirs| both(*ours, theirs)))
            .map(|(object, _)| object)
    }
}

/// What was written by another version of this program, and so cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is of version {found}, and this `chaos` reads version {VERSION}")]
pub struct OtherVersion {
    /// The version that it is of.
    pub found: u32,
}

/// What every version says of itself: the head of a journal, and an entry of the machine's list.
#[derive(Deserialize)]
pub(super) struct Versioned {
    /// The first entries of the list said none.
    pub(super) version: Option<u32>,
}

impl OtherVersion {
    /// What there is to do about it.
    pub const HELP: &str = "use the `chaos` that wrote it";

    /// Refuses every version but [`VERSION`].
    pub(super) fn check(found: u32) -> Result<(), OtherVersion> {
        if found == VERSION { Ok(()) } else { Err(OtherVersion { found }) }
    }
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
