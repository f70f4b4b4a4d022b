//! What is left of an experiment that was not run.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::{model::Experiment, plan::PlanError, run::Record, trouble::Trouble};

/// An experiment of which there is no run, and why: it could not be planned, or nothing could be kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotRun {
    /// The title of the experiment, with the values that were varied.
    pub experiment: String,
    /// Either refused or not permitted.
    pub verdict: Verdict,
    /// Why, one line for people.
    pub reason: String,
    /// The likely fix.
    pub help: Option<String>,
}

impl NotRun {
    /// Makes one of an experiment that something stood in the way of.
    pub fn because(experiment: &Experiment, trouble: Trouble) -> NotRun {
        let verdict = if trouble.is_denied() { Verdict::NotPermitted } else { Verdict::Refused };
        NotRun { experiment: experiment.title(), verdict, reason: trouble.message, help: trouble.help }
    }

    /// Makes one of an experiment that cannot be planned.
    pub fn unplanned(experiment: &Experiment, error: &PlanError) -> NotRun {
        let denied = matches!(error, PlanError::Denied { denied, .. } if denied.is_denied());
        NotRun {
            experiment: experiment.title(),
            verdict: if denied { Verdict::NotPermitted } else { Verdict::Refused },
            reason: error.to_string(),
            help: error.help(),
        }
    }
}

/// One experiment that was asked for: its record, or why there is none.
#[derive(Clone, Debug)]
pub enum Ran {
    /// It was run.
    Run(Box<Record>),
    /// It was not.
    Not(NotRun),
}

impl Ran {
    /// Returns what came of it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Ran::Run(record) => super::result(record).verdict,
            Ran::Not(not_run) => not_run.verdict,
        }
    }

    /// Returns the record, where there was a run.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Ran::Run(record) => Some(record),
            Ran::Not(_) => None,
        }
    }
}
