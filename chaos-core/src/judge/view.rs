//! What a run shows to the judge: samples, phases and instants, on one time axis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Event, Phase},
    probe::Sample,
    time::Nanos,
};

/// The samples of every probe, by its name, in the order of their intended starts.
pub type Samples = BTreeMap<String, Vec<Sample>>;

/// A period that formulas speak of, as it really was: `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// Its first instant.
    pub start: Nanos,
    /// One past its last instant.
    pub end: Nanos,
}

/// An instant that formulas speak of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mark {
    /// What happened.
    pub event: Event,
    /// When.
    pub at: Nanos,
}

/// Everything that expectations are judged on.
#[derive(Clone, Copy, Debug)]
pub struct RunView<'a> {
    /// The samples; those that were meant to start at `end` or later are not to be looked at.
    pub samples: &'a Samples,
    /// The phases that the run had.
    pub phases: &'a [PhaseSpan],
    /// The instants that came.
    pub marks: &'a [Mark],
    /// The end of the watch.
    pub end: Nanos,
    /// When the run was ended early; what would have come after it in the fault phase is unknown.
    pub aborted: Option<Nanos>,
    /// Whether each fault and change did what was asked for; absent where it was never in place.
    pub exercised: &'a BTreeMap<String, bool>,
    /// Why those that did not, behind their names.
    pub idle: &'a BTreeMap<String, String>,
}

impl RunView<'_> {
    /// Finds the period of a phase.
    pub fn phase(&self, phase: &Phase) -> Option<&PhaseSpan> {
        self.phases.iter().find(|p| p.phase == *phase)
    }

    /// Returns when, after an event at an instant, the next fault began that what is owed after the event cannot be held against:
    /// after a rollback any, after the end of a fault the same one again.
    pub fn next_fault_after(&self, at: Nanos, event: &Event) -> Option<Nanos> {
        let counts = |begun: &str| match event {
            Event::Rollback | Event::RollbackStarts => true,
            Event::Ends(name) => name == begun,
            Event::Starts(_) | Event::Made(_) => false,
        };
        let begun = self.marks.iter().filter(|mark| mark.at > at);
        let begun = begun.filter(|mark| matches!(&mark.event, Event::Starts(name) if counts(name)));
        begun.map(|mark| mark.at).min()
    }
}

/// One predicate of a steady state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PredicateResult {
    /// As the language writes it.
    pub text: String,
    /// Whether it held; `None` if there were too few samples.
    pub held: Option<bool>,
    /// What was measured, one line for people.
    pub measured: String,
    /// Its place in the file.
    pub span: crate::span::Span,
}

/// One expectation with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Judged {
    /// The expectation's name.
    pub name: String,
    /// The claim as the language writes it.
    pub claim: String,
    /// The claim's place in the file.
    pub span: crate::span::Span,
    /// Its verdict.
    pub verdict: Verdict,
    /// What was measured, one line for people.
    pub measured: String,
    /// Each elementary claim of it with its numbers, in the order of the file.
    #[serde(default)]
    pub findings: Vec<crate::judge::finding::Finding>,
}

/// The verdict of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// The run does not decide it.
    Inconclusive {
        /// Why not, a line each.
        reasons: Vec<String>,
    },
}
