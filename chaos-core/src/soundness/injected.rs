//! A fault that the timeline never injects, or a change that it never makes.

use super::{Finding, Kind};
use crate::model::{Experiment, Step};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    // Of faults that several experiments or files share, each takes what it needs.
    for fault in experiment.faults.iter().filter(|f| experiment.owns(f)) {
        let injects = |step: &Step| matches!(step, Step::Inject(name) if name.value == fault.name.value);
        if !experiment.timeline.steps.iter().any(|s| injects(&s.value)) {
            out.push(Finding::plain(
                Kind::Odd,
                fault.name.span,
                format!("the timeline never injects `{}`", fault.name),
                format!("add `inject {}`, or remove the fault", fault.name),
            ));
        }
    }
    for change in &experiment.changes {
        let makes = |step: &Step| matches!(step, Step::Make(name) if name.value == change.name.value);
        if !experiment.timeline.steps.iter().any(|s| makes(&s.value)) {
            out.push(Finding::plain(
                Kind::Odd,
                change.name.span,
                format!("the timeline never makes `{}`", change.name),
                format!("add `make {}`, or remove the change", change.name),
            ));
        }
    }
}
