//! What is claimed: steady state, abort conditions, expectations.
//!
//! The split follows signal temporal logic (Maler & Nickovic 2004): a [`Comparison`] of a windowed metric is a signal and
//! may stand in temporal claims; a metric without a window is a phase statistic, one number with a confidence interval.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    metric::Metric,
    quantity::{Quantity, format_seconds},
};
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

impl Predicate {
    /// Visits every comparison.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Predicate::Compare(c) => vec![c],
            Predicate::For { predicate, .. } | Predicate::Not(predicate) => predicate.comparisons(),
            Predicate::All(all) | Predicate::Any(all) => {
                all.iter().flat_map(Predicate::comparisons).collect()
            }
        }
    }
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
    /// The predicate holds at some instant within so long of the phase's start.
    Eventually {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The phase.
        during: Phase,
    },
    /// The predicate holds at some instant within so long after each such event.
    Within {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate holds no more from so long after each such event.
    Stops {
        /// The predicate.
        predicate: Predicate,
        /// The deadline.
        within: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate holds without interruption for so long after each such event.
    Stays {
        /// The predicate.
        predicate: Predicate,
        /// How long.
        lasting: Duration,
        /// The event.
        after: Event,
    },
    /// The predicate comes to hold within so long after the event, and keeps holding: for `lasting`, else to the end.
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
    /// All hold.
    All(Vec<Claim>),
    /// At least one holds.
    Any(Vec<Claim>),
}

impl Claim {
    /// Returns the elementary claims that it is made of, in the order of the file.
    pub fn elements(&self) -> Vec<&Claim> {
        match self {
            Claim::All(all) | Claim::Any(all) => all.iter().flat_map(Claim::elements).collect(),
            _ => vec![self],
        }
    }

    /// Returns every comparison in it.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Claim::Statistic { comparison, .. } => vec![comparison],
            Claim::Always { predicate, .. }
            | Claim::Never { predicate, .. }
            | Claim::Eventually { predicate, .. }
            | Claim::Within { predicate, .. }
            | Claim::Stops { predicate, .. }
            | Claim::Stays { predicate, .. }
            | Claim::Settles { predicate, .. } => predicate.comparisons(),
            Claim::All(all) | Claim::Any(all) => all.iter().flat_map(Claim::comparisons).collect(),
        }
    }

    /// Returns the phase that an elementary claim is about.
    pub fn during(&self) -> Option<&Phase> {
        match self {
            Claim::Statistic { during, .. }
            | Claim::Always { during, .. }
            | Claim::Never { during, .. }
            | Claim::Eventually { during, .. } => Some(during),
            Claim::Within { .. }
            | Claim::Stops { .. }
            | Claim::Stays { .. }
            | Claim::Settles { .. }
            | Claim::All(_)
            | Claim::Any(_) => None,
        }
    }

    /// Returns the event that an elementary claim is about.
    pub fn after(&self) -> Option<&Event> {
        match self {
            Claim::Within { after, .. }
            | Claim::Stops { after, .. }
            | Claim::Stays { after, .. }
            | Claim::Settles { after, .. } => Some(after),
            Claim::Statistic { .. }
            | Claim::Always { .. }
            | Claim::Never { .. }
            | Claim::Eventually { .. }
            | Claim::All(_)
            | Claim::Any(_) => None,
        }
    }
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
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::Greater => ">",
            Op::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.metric.alert().is_some() {
            return write!(f, "{} fires", self.metric);
        }
        write!(f, "{} {} ", self.metric, self.op)?;
        match &self.bound {
            Bound::Constant(q) => write!(f, "{q}"),
            Bound::Baseline { factor, offset } => {
                if *factor != 1.0 {
                    write!(f, "{factor} x ")?;
                }
                f.write_str("baseline")?;
                if *offset != 0.0 {
                    let unit = match self.metric.unit() {
                        super::quantity::Unit::Ratio => super::quantity::Unit::Points,
                        unit => unit,
                    };
                    let sign = if *offset < 0.0 { '-' } else { '+' };
                    write!(f, " {sign} {}", Quantity::new(offset.abs(), unit))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, all: &[Predicate], word: &str| {
            for (i, p) in all.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                match p {
                    Predicate::Compare(_) | Predicate::Not(_) => write!(f, "{p}")?,
                    _ => write!(f, "({p})")?,
                }
            }
            Ok(())
        };
        match self {
            Predicate::Compare(c) => write!(f, "{c}"),
            Predicate::For { predicate, lasting } => {
                let lasting = format_seconds(lasting.as_secs_f64());
                match **predicate {
                    Predicate::Compare(_) => write!(f, "{predicate} for {lasting}"),
                    _ => write!(f, "({predicate}) for {lasting}"),
                }
            }
            Predicate::Not(p) => write!(f, "not ({p})"),
            Predicate::All(all) => list(f, all, "and"),
            Predicate::Any(all) => list(f, all, "or"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Baseline => f.write_str("baseline"),
            Phase::Fault(None) => f.write_str("fault"),
            Phase::Fault(Some(name)) => f.write_str(name),
            Phase::Watch => f.write_str("watch"),
            Phase::WholeRun => f.write_str("whole run"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Rollback => f.write_str("rollback"),
            Event::RollbackStarts => f.write_str("rollback starts"),
            Event::Starts(name) => write!(f, "{name} starts"),
            Event::Ends(name) => write!(f, "{name} ends"),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |d: &Duration| format_seconds(d.as_secs_f64());
        let list = |f: &mut fmt::Formatter<'_>, all: &[Claim], word: &str| {
            for (i, c) in all.iter().enumerate() {
                write!(f, "{}({c})", if i == 0 { String::new() } else { format!(" {word} ") })?;
            }
            Ok(())
        };
        match self {
            Claim::Statistic { comparison, during, observed } => {
                write!(f, "{comparison} during {during}{}", if *observed { " observed" } else { "" })
            }
            Claim::Always { predicate, during } => write!(f, "always {predicate} during {during}"),
            Claim::Never { predicate, during } => write!(f, "never {predicate} during {during}"),
            Claim::Eventually { predicate, within, during } => {
                write!(f, "eventually {predicate} within {} of {during}", time(within))
            }
            Claim::Within { predicate, within, after } => {
                write!(f, "{predicate} within {} after {after}", time(within))
            }
            Claim::Stops { predicate, within, after } => {
                write!(f, "stops {predicate} within {} after {after}", time(within))
            }
            Claim::Stays { predicate, lasting, after } => {
                write!(f, "stays {predicate} for {} after {after}", time(lasting))
            }
            Claim::Settles { predicate, within, lasting, after } => {
                match predicate {
                    Predicate::Compare(c) => {
                        let text = c.to_string();
                        let metric = c.metric.to_string();
                        write!(f, "{metric} settles to{}", &text[metric.len()..])?;
                    }
                    other => write!(f, "settles ({other})")?,
                }
                write!(f, " within {}", time(within))?;
                if let Some(lasting) = lasting {
                    write!(f, " for {}", time(lasting))?;
                }
                write!(f, " after {after}")
            }
            Claim::All(all) => list(f, all, "and"),
            Claim::Any(all) => list(f, all, "or"),
        }
    }
}
