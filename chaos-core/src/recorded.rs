//! Runs of the past, read back from what they left, and judged again.
//!
//! 1. [`bundle::load`](crate::bundle::load) reads the folder of a run: its record, and every measurement.
//! 2. [`replace_claims`] exchanges what is claimed for what another file claims, where the run can speak of it.
//! 3. [`judge`] judges again, by the same code as the run itself: the same record gives the same verdicts, to the byte.

mod claims;

pub use claims::replace_claims;

use crate::{judge::border::Judge, run::Finished};

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
