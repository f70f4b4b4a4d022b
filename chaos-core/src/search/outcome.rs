//! What came of one trial, as a search sees it.

use serde::{Deserialize, Serialize};

use crate::{
    outcome::{Verdict, result, was_stopped},
    run::{Record, record::AbortKind},
};

/// The result of one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The hypothesis passed.
    Held,
    /// It failed, or an abort condition ended the run.
    NotHeld,
    /// The run decided nothing; it teaches nothing, and the level is tried again.
    Inconclusive,
    /// Somebody ended the run; it does not count.
    Interrupted,
    /// The run did not take place, could not be kept, or left something behind; the search ends.
    Ended {
        /// The verdict on the run: not kept, refused, not permitted or not restored.
        by: Verdict,
        /// Why, one line for people.
        reason: String,
    },
}

impl Outcome {
    /// Reads the outcome off the record of a run.
    ///
    /// Only what the system did counts as not holding: an abort condition that came true, or silence where one needs
    /// measurements. An abort because the environment, an agent or the runner failed says nothing about the system.
    pub fn of(record: &Record) -> Outcome {
        let overall = result(record);
        match overall.verdict {
            Verdict::Passed => Outcome::Held,
            Verdict::Failed => Outcome::NotHeld,
            Verdict::Inconclusive => Outcome::Inconclusive,
            Verdict::Aborted | Verdict::Refused if was_stopped(record) => Outcome::Interrupted,
            Verdict::Aborted => match record.abort.as_ref().map(|cause| cause.kind) {
                Some(AbortKind::Condition | AbortKind::Blind) => Outcome::NotHeld,
                _ => Outcome::Inconclusive,
            },
            by @ (Verdict::NotKept | Verdict::Refused | Verdict::NotPermitted | Verdict::NotRestored) => {
                Outcome::Ended { by, reason: overall.reasons.into_iter().next().unwrap_or_default() }
            }
        }
    }

    /// Returns the words that name it for people.
    pub fn words(&self) -> &'static str {
        match self {
            Outcome::Held => "held",
            Outcome::NotHeld => "did not hold",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Interrupted => "interrupted",
            Outcome::Ended { .. } => "ended the search",
        }
    }
}
