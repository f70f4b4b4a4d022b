//! What is owed to the world, written down before it is touched.
//!
//! 1. An [`Entry`] says what is about to happen, or did; an [`Undo`](crate::injector::Undo) stands in the journal before
//!    its injection.
//! 2. [`state`] is the table of legal transitions of one part of a fault; every state from `Prepared` on is owed a revert.
//! 3. [`History`] replays entries into what is still owed.
//! 4. [`FileJournal`] keeps entries as fsynced JSON lines in a preallocated file; [`registry`] knows the journals of all
//!    runs of a machine, for exclusion, stopping and restoring.

mod alive;
pub mod entry;
pub mod file;
pub mod history;
pub mod holder;
pub mod registry;
pub mod state;

pub use entry::{Entry, Header, Line, OtherVersion};
pub use file::{FileJournal, Reopened};
pub use history::History;
pub use holder::Holder;
pub use registry::{KnownRun, Registration, Registry, RegistryError, RunEntry};
pub use state::{IllegalStep, State, Step};

use crate::trouble::Trouble;

use async_trait::async_trait;

/// Keeps the entries of one run.
///
/// # Guarantees
/// An entry whose append returned `Ok` survives a crash of the machine, and entries are kept in the order of the calls. One that
/// returned an error may be there or not, and never makes the entries before it unreadable.
///
/// # Assumptions
/// One run writes it, one call at a time. Nothing is injected before its entry is kept.
///
/// # Errors
/// The entry is not known to be kept: the runner then injects nothing of it, and goes on reverting what is pending.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends an entry; returns once it would survive a crash of the machine.
    async fn append(&self, entry: &Entry) -> Result<(), Trouble>;

    /// Appends entries in this order; returns once all of them would survive a crash, with a result for each.
    ///
    /// Appends one after another unless overridden by a journal that can wait for its disk once.
    async fn append_all(&self, entries: &[Entry]) -> Vec<Result<(), Trouble>> {
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            results.push(self.append(entry).await);
        }
        results
    }
}

#[cfg(test)]
mod tests;
