//! What is claimed: steady state, abort conditions, expectations.
//!
//! The split follows signal temporal logic (Maler & Nickovic 2004): a [`Comparison`] of a windowed metric is a signal and
//! may stand in temporal claims; a metric without a window is a phase statistic, one number with a confidence interval.

mod display;
mod walk;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{metric::Metric, quantity::Quantity};
use crate::span::{Span, Spanned};

/// What must hold before anything is injected, and again after rollback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SteadyState {
    /// How long it is watched, and the window of each of its metrics.
    pub over: Duration,
    /// The predicates; all must hold.
    pub predicates: Vec<Predicate>,
    /// Where it was written.
    pub span: Span,
}

/// What ends the fault at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Abort {
    /// A predicate on signals, judged on every observation and on a tick.
    When(Predicate),
    /// A share without a window, once it surely breaks the limit: `abort when confident errors(get) > 5%`.
    Confident(Comparison),
    /// Nothing does, for this reason; allowed in a lab only.
    Never(Spanned<String>),
}

/// A named claim of the hypothesis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Expectation {
    /// Its name.
    pub name: Spanned<String>,
    /// What is claimed.
    pub claim: Claim,
    /// Where it was written.
    pub span: Span,
}

/// A comparison of a metric with a bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Comparison {
    /// The left side.
    pub metric: Metric,
    /// The relation.
    pub op: Op,
    /// The right side.
    pub bound: Bound,
    /// Where it was written.
    pub span: Span,
}

/// A relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Op {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
}

impl Op {
    /// Returns whether smaller values of the left side are better.
    pub fn is_upper_bound(self) -> bool {
        matches!(self, Op::Less | Op::AtMost)
    }

    /// Returns whether equality fails it.
    pub fn is_strict(self) -> bool {
        matches!(self, Op::Less | Op::Greater)
    }

    /// Returns whether `left op right` holds.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Op::Less => left < right,
            Op::AtMost => left <= right,
            Op::Greater => left > right,
            Op::AtLeast => left >= right,
        }
    }
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// A constant.
    Constant(Quantity),
    /// `factor` × the same metric over the baseline phase + `offset`.
    Baseline {
        /// The factor; 1 for `baseline + q`.
        factor: f64,
        /// What is added, in the metric's unit (percentage points for a share); may be negative.
        offset: f64,
    },
    /// `factor` × another metric + `offset`: over the same phase, or at the same instant where both have windows.
    Metric {
        /// The factor; 1 without one.
        factor: f64,
        /// The other metric, of the same unit.
        metric: Box<Metric>,
        /// What is added, as for the baseline.
        offset: f64,
    },
}

/// Something that is true or false at each instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Predicate {
    /// A comparison of a windowed metric.
    Compare(Comparison),
    /// The predicate has held without interruption for so long.
    For {
        /// The predicate.
        predicate: Box<Predicate>,
        /// How long.
        lasting: Duration,
    },
    /// It does not hold.
    Not(Box<Predicate>),
    /// All hold.
    All(Vec<Predicate>),
    /// At least one holds.
    Any(Vec<Predicate>),
}

/// What an expectation claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// One number of a phase, judged with confidence unless `observed`.
    Statistic {
        /// The comparison; its metric has no window.
        comparison: Comparison,
        /// The phase.
        during: Phase,
        /// Whether the observed number decides, without inference.
        observed: bool,
        /// Its own one-sided confidence, as a fraction; without it that of the experiment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
    },
    /// The predicate holds at every instant of the phase.
    Always {
        /// The predicate.
        predicate: Predicate,
        /// The phase.
        during: Phase,
    },
    /// The predicate holds at no instant of the phase.
    Never {
        /// The predicate.
        predicate: Predicate,
        /// The phase.
        during: Phase,
    },
    /// The predicate holds at every instant of the phase until another one does, which need not come (weak until).
    Unless {
        /// What must hold.
        predicate: Predicate,
        /// What releases from it, for the rest of the phase.
        unless: Predicate,
        /// The phase.
        during: Phase,
    },
    /// The predicate holds at some instant within this time of the phase's start.
    Eventually {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The phase.
        during: Phase,
    },
    /// The predicate holds at some instant within this time after each such event.
    Within {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate holds no more from this time after each such event.
    Stops {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate holds without interruption for this time after each such event.
    Stays {
        /// The predicate.
        predicate: Predicate,
        /// How long.
        lasting: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate starts to hold within this time after the event, and keeps holding: for `lasting`, else to the end.
    Settles {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// How long it must keep holding; without it to the end of the run.
        lasting: Option<Duration>,
        /// The event.
        after: Event,
    },
    /// Every request under way at each such event succeeds, and is over within this time after it.
    Completes {
        /// The probe whose requests are meant.
        probe: Spanned<String>,
        /// The deadline, counted from the event.
        within: Duration,
        /// The event.
        open_at: Event,
    },
    /// The claim holds for each of these; in it the variable stands for one of them.
    Each {
        /// What stands in the claim's filters for one of them.
        variable: String,
        /// What they are called together, as written.
        of: Spanned<String>,
        /// Each of them by name; where they are those of a named target that picks some, planning leaves the ones picked.
        keys: Vec<String>,
        /// What is claimed of each.
        claim: Box<Claim>,
    },
    /// The claim holds, provided that another one does: otherwise it was not tested.
    Given {
        /// What must hold for the claim to mean anything.
        condition: Box<Claim>,
        /// What is claimed.
        claim: Box<Claim>,
    },
    /// All hold.
    All(Vec<Claim>),
    /// At least one holds.
    Any(Vec<Claim>),
}

/// How several claims judged with confidence share the chance of a wrong verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// They do not: each verdict has the confidence asked for.
    #[default]
    None,
    /// Holm's: all passes together have it, and so have all failures.
    Holm,
}

/// A stretch of the run.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before anything is injected.
    Baseline,
    /// From the first fault confirmed to the first rollback begun; with a name, while that fault is in place.
    Fault(Option<String>),
    /// After everything was rolled back.
    Watch,
    /// From the start of the baseline to the end.
    WholeRun,
}

/// An instant of the run.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Everything is rolled back, confirmed.
    Rollback,
    /// The first step of the rollback begins.
    RollbackStarts,
    /// A fault is in place, confirmed.
    Starts(String),
    /// A fault is gone, confirmed.
    Ends(String),
    /// A change is made, confirmed.
    Made(String),
}
