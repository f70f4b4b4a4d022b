//! What came of one trial, as a search sees it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    outcome::{Verdict, result},
    run::{
        Completion, Record,
        record::{AbortKind, Refusal},
    },
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
    /// The run did not take place, or left something behind; the search ends.
    Ended {
        /// The outcome of the run.
        by: EndedBy,
        /// Why, one line for people.
        reason: String,
    },
}

/// What ends a search at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// Nothing was injected.
    Refused,
    /// A right is missing.
    NotPermitted,
    /// Something is still in place.
    NotRestored,
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndedBy::Refused => "refused",
            EndedBy::NotPermitted => "not permitted",
            EndedBy::NotRestored => "not restored",
        })
    }
}

impl Outcome {
    /// Reads the outcome off the record of a run.
    ///
    /// Only what the system did counts as not holding: an abort condition that came true, or silence where one needs
    /// measurements. An abort because the environment, an agent or the runner failed says nothing about the system.
    pub fn of(record: &Record) -> Outcome {
        let overall = result(record);
        let ended = |by| Outcome::Ended { by, reason: overall.reasons.first().cloned().unwrap_or_default() };
        let stopped = matches!(record.completion, Completion::Refused { by: Refusal::Stopped, .. });
        match overall.verdict {
            Verdict::Passed => Outcome::Held,
            Verdict::Failed => Outcome::NotHeld,
            Verdict::Inconclusive => Outcome::Inconclusive,
            Verdict::Aborted => match record.abort.as_ref().map(|cause| cause.kind) {
                Some(AbortKind::Condition | AbortKind::Blind) => Outcome::NotHeld,
                Some(AbortKind::Stopped) => Outcome::Interrupted,
                _ => Outcome::Inconclusive,
            },
            Verdict::Refused if stopped => Outcome::Interrupted,
            Verdict::Refused => ended(EndedBy::Refused),
            Verdict::NotPermitted => ended(EndedBy::NotPermitted),
            Verdict::NotRestored => ended(EndedBy::NotRestored),
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
