//! The border between running and judging: what the runner asks while it runs and when it is over.

use super::view::{Judged, PredicateResult, RunView, Samples};
use crate::{
    model::{Comparison, Experiment, Predicate},
    probe::Sample,
    time::Nanos,
};

/// Judges what was measured; pure, so that judging a record again gives the same.
///
/// # Guarantees
/// The same view gives the same answers, whoever asks and whenever. It holds no state between calls.
///
/// # Assumptions
/// The experiment passed the checks of planning; samples and marks are those of one run, on its own axis of time.
///
/// # Errors
/// None: what cannot be decided is an answer of its own, with what is missing.
pub trait Judge: Send + Sync {
    /// Makes the watcher of one abort condition.
    fn guard(&self, predicate: &Predicate, experiment: &Experiment) -> Box<dyn Guard>;

    /// Makes the watcher of one abort condition that must be sure; the comparison has no window.
    fn confident(&self, comparison: &Comparison, experiment: &Experiment) -> Box<dyn Guard>;

    /// Judges each predicate of the steady state on what was observed in `[from, to)`.
    fn steady(
        &self,
        experiment: &Experiment,
        samples: &Samples,
        from: Nanos,
        to: Nanos,
    ) -> Vec<PredicateResult>;

    /// Returns whether what should prove a fault has come true up to `view.end`; `None` if there are too few samples.
    fn proven(&self, condition: &Comparison, fault: &str, view: &RunView<'_>) -> Option<bool>;

    /// Judges every expectation, in the order of the experiment.
    fn judge(&self, experiment: &Experiment, view: &RunView<'_>) -> Vec<Judged>;
}

/// Watches one abort condition.
///
/// # Guarantees
/// `fires` answers by what was observed up to `now`, and by nothing else.
///
/// # Assumptions
/// Measurements come as they end, so not in the order of their starts; `now` never goes back.
///
/// # Errors
/// None: a condition that cannot be judged yet does not fire.
pub trait Guard: Send {
    /// Takes in a measurement that is over.
    fn observe(&mut self, probe: &str, sample: &Sample);

    /// Takes in the baseline, once it is over.
    fn baseline(&mut self, samples: &Samples, from: Nanos, to: Nanos);

    /// Returns what was measured, one line for people, if the condition holds at `now`; `now` never goes back.
    fn fires(&mut self, now: Nanos) -> Option<String>;
}
