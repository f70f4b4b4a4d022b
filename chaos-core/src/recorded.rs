//! Runs of the past, read back from what they left, and judged again.
//!
//! 1. [`load`] reads the folder of a run: its record, and every measurement.
//! 2. [`replace_claims`] exchanges what is claimed for what another file claims, where the run can speak of it.
//! 3. [`judge`] judges again, by the same code as the run itself: the same record gives the same verdicts, to the byte.
//! 4. [`samples`] is how measurements are kept: nothing of them is lost on the way to the file and back.

mod claims;
mod folder;
pub mod samples;

pub use claims::{ClaimError, replace_claims};
pub use folder::{LoadError, load};

use crate::run::{Finished, judge::Judge};

/// Judges the expectations of a run again, without running anything; abort conditions and steady states stay as they were.
///
/// A run that was refused has no expectations to judge, and stays as it is.
pub fn judge(run: &mut Finished, judge: &dyn Judge) {
    if run.record.is_refused() {
        return;
    }
    run.record.expectations = judge.judge(&run.record.plan.experiment, &run.record.view(&run.samples));
}

#[cfg(test)]
mod tests;
