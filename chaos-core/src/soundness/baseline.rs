//! A comparison with a baseline that the timeline does not have.

use super::{Finding, Kind, comparisons};
use crate::model::{Experiment, formula::Bound};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    if !experiment.timeline.baseline().is_zero() {
        return;
    }
    // One line of the timeline mends all of them.
    let relative = |bound: &Bound| matches!(bound, Bound::Baseline { .. });
    let first = comparisons(experiment).into_iter().find(|(_, c)| relative(&c.bound));
    if let Some((about, comparison)) = first {
        out.push(Finding::new(
            Kind::NoBaseline,
            about,
            comparison.span,
            "the timeline has no baseline to compare with",
            "add `baseline 1m` before the first `inject`",
        ));
    }
}
