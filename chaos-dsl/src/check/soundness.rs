//! What an experiment cannot show as it is written, reported with the places in its text.

use chaos_core::{
    model::{Experiment, Step, Timeline},
    soundness::{self, Finding, Kind},
};

use super::Checker;
use crate::{codes::Code, diagnostic::Diagnostic};

impl Checker {
    /// Refuses what cannot be decided. `plain` is none where the timeline is missing, and true where it is computed: then its
    /// watch is lengthened to what the claims need.
    pub(super) fn sound(&mut self, experiment: &mut Experiment, plain: Option<bool>) {
        self.unsound(soundness::of_claims(experiment));
        let Some(plain) = plain else { return };
        // What is planned is not known as long as the timeline has mistakes.
        if self.reported_within(experiment.timeline.span) {
            return;
        }
        if plain {
            let needed = soundness::watch::needed(experiment);
            stretch(&mut experiment.timeline, needed);
        }
        self.unsound(soundness::of_course(experiment));
    }

    /// Tells what was found.
    pub(super) fn unsound(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let code = match finding.kind {
                Kind::Undecidable | Kind::Odd => Code::Undecidable,
                Kind::NoBaseline => Code::NoBaseline,
                Kind::TooShort => Code::TooShort,
                Kind::Order | Kind::Conflict => Code::ImpossibleOrder,
                Kind::Missing => Code::MissingLine,
            };
            self.out.push(Diagnostic::of(code, finding.remark));
        }
    }
}

/// Lengthens the watch of a plain timeline to what its claims need.
fn stretch(timeline: &mut Timeline, needed: std::time::Duration) {
    for step in &mut timeline.steps {
        if let Step::Watch(watch) = &mut step.value {
            *watch = (*watch).max(needed);
        }
    }
}
