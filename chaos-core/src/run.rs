//! Running a plan: the world is set up, measured, broken, put back, and judged.
//!
//! 1. A [`Runner`] is put together of an environment, injectors, probers and a journal, and runs one [`Plan`](crate::plan::Plan).
//! 2. The [director] goes through setup, steady state and the steps of the timeline.
//! 3. Every stream of measurements is sent by the open-loop [`load`] engine and taken in by the [monitor], which judges
//!    abort conditions on every one of them.
//! 4. Faults are [put in place](inject) in [waves](wave), only after their undoing is in the journal, and [unwound](unwind) in
//!    reverse.
//! 5. Everything that happens is a [`RunEvent`]; the [`Record`] is what remains. The runner itself prints nothing.
//! 6. [`Control`] stops a run from outside.

mod abort;
mod attention;
mod chronicle;
mod context;
mod control;
mod director;
mod emit;
pub mod event;
mod exercised;
mod finish;
mod fleet;
mod inject;
pub mod load;
mod monitor;
mod pacer;
mod parts;
mod policy;
mod proof;
mod proven;
pub mod record;
mod runner;
mod scribe;
mod summary;
mod unwind;
mod wave;

pub use control::Control;
pub use emit::EventSink;
pub use event::{RunEvent, What};
pub use policy::Policy;
pub use record::{Completion, Record, Restoration};
pub use runner::{MissingPart, Runner, RunnerBuilder, fingerprint, header, new_id};

use crate::judge::Samples;

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Everything that reports fold from.
    pub record: Record,
    /// The exact samples of every probe, in the order of their intended starts.
    pub samples: Samples,
}

#[cfg(test)]
mod tests;
