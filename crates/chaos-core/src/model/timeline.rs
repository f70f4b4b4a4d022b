//! What happens when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::span::{Span, Spanned};

/// The steps of a run, in order; always written out, also where the file only says `duration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Timeline {
    /// The steps.
    pub steps: Vec<Spanned<Step>>,
    /// Where it was written.
    pub span: Span,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Watch the healthy system.
    Baseline(Duration),
    /// Put a fault in place.
    Inject(Spanned<String>),
    /// Leave things as they are.
    Hold(Duration),
    /// Take away one fault, or all that are in place.
    Rollback(Option<Spanned<String>>),
    /// Watch the system recover.
    Watch(Duration),
}

impl Timeline {
    /// Returns the sum of the waits; what injecting and reverting take comes on top.
    pub fn planned(&self) -> Duration {
        self.steps
            .iter()
            .map(|s| match &s.value {
                Step::Baseline(d) | Step::Hold(d) | Step::Watch(d) => *d,
                Step::Inject(_) | Step::Rollback(_) => Duration::ZERO,
            })
            .sum()
    }

    /// Returns the planned length of the baseline.
    pub fn baseline(&self) -> Duration {
        self.steps.iter().filter_map(|s| if let Step::Baseline(d) = s.value { Some(d) } else { None }).sum()
    }

    /// Returns the planned length of the watch after the rollback.
    pub fn watch(&self) -> Duration {
        self.steps.iter().filter_map(|s| if let Step::Watch(d) = s.value { Some(d) } else { None }).sum()
    }

    /// Returns how long a fault is planned to be in place.
    pub fn held(&self, fault: &str) -> Duration {
        let (mut active, mut total) = (false, Duration::ZERO);
        for step in &self.steps {
            match &step.value {
                Step::Inject(name) if name.value == fault => active = true,
                Step::Rollback(None) => active = false,
                Step::Rollback(Some(name)) if name.value == fault => active = false,
                Step::Hold(d) | Step::Watch(d) | Step::Baseline(d) if active => total += *d,
                _ => {}
            }
        }
        total
    }
}
