//! What comes of one elementary claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    model::Unit,
    time::Nanos,
    verdict::{Interval, Outcome, confidence::Estimate},
};

/// The verdict on one elementary claim of an expectation, with its numbers.
///
/// `baseline`, `limit` and the values of `estimate` and `margin` are in the base of `unit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The claim as the language writes it.
    pub claim: String,
    /// The verdict, with what it leans to where there is none.
    pub outcome: Outcome,
    /// The unit of the numbers.
    pub unit: Unit,
    /// Which of many it is about, the worst of them: the name that the variable of a `for each` stood for.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether it is what had to hold for a claim to mean anything: it turns no verdict on its own.
    #[serde(default)]
    pub precondition: bool,
    /// The one-sided confidence that it was judged with, as a fraction; `None` if what was observed decides.
    #[serde(default)]
    pub confidence: Option<f64>,
    /// The number of the phase with its confidence bounds; none for claims about signals, and without samples.
    pub estimate: Option<Estimate>,
    /// The number of the baseline, where the claim speaks of it.
    pub baseline: Option<f64>,
    /// What was allowed, as a number; none while the baseline gives none, and where several limits are spoken of.
    pub limit: Option<f64>,
    /// What was allowed, for people: `at most 13.2ms (baseline 3.2ms + 10ms)`.
    pub allowed: Option<String>,
    /// By how much it was met (positive) or missed, in `unit`; an interval where samples are only bounded.
    pub margin: Option<Interval>,
    /// The share of the allowed budget that was left, at most 1; comparable between claims.
    pub normalised: Option<f64>,
    /// The comparison that came nearest to turning the verdict, for claims about signals.
    pub closest: Option<Closest>,
    /// By how much a deadline was met (positive) or missed, in nanoseconds.
    pub time_margin: Option<Nanos>,
    /// When the verdict was certain, in nanoseconds since the run began.
    pub decided_at: Option<Nanos>,
    /// The largest share of a signal, from 0 to 1, that was unknown where it mattered.
    pub unknown_share: f64,
    /// Why it is undecided, a line each.
    pub reasons: Vec<String>,
    /// What would give one, for people: `294 more clean samples`.
    pub need: Option<String>,
    /// What puts the numbers in doubt without turning the verdict, a line each: a baseline that drifted.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// What was measured and what it means, one sentence for people.
    pub sentence: String,
}

/// The moment at which a claim was nearest to the other verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Closest {
    /// The comparison as the language writes it.
    pub comparison: String,
    /// When, in nanoseconds since the run began.
    pub at: Nanos,
    /// By how much it helped (positive) or hurt the claim, in `unit`.
    pub margin: f64,
    /// The unit of the margin; percentage points for a share.
    pub unit: Unit,
    /// The share of the allowed budget that was left, at most 1.
    pub normalised: f64,
}

impl Finding {
    /// A finding without any numbers yet.
    pub(crate) fn of(outcome: Outcome, unit: Unit) -> Self {
        Finding {
            claim: String::new(),
            outcome,
            unit,
            key: None,
            precondition: false,
            confidence: None,
            estimate: None,
            baseline: None,
            limit: None,
            allowed: None,
            margin: None,
            normalised: None,
            closest: None,
            time_margin: None,
            decided_at: None,
            unknown_share: 0.0,
            reasons: Vec::new(),
            need: None,
            remarks: Vec::new(),
            sentence: String::new(),
        }
    }
}
