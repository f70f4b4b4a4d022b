//! The temporal claims people write, and the core formulas they stand for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::interval::Truth;
use super::super::steps::{FOREVER, Steps, shifted};
use super::formula::Formula;
use super::{Reading, Trace, evaluate};
use crate::time::Nanos;

/// A stretch of time `[start, end)`, usually a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The first instant, in nanoseconds since the start of the run.
    pub start: Nanos,
    /// The first instant after it; `None` while it is still going on.
    pub end: Option<Nanos>,
}

/// The instants at which a claim begins to be owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The instants seen so far, in nanoseconds since the start of the run.
    pub instants: Vec<Nanos>,
    /// Whether no more can come.
    pub complete: bool,
}

impl Events {
    /// Returns the one event that a claim is about.
    #[must_use]
    pub fn once(instant: Nanos) -> Self {
        Self { instants: vec![instant], complete: true }
    }
}

/// A claim about how signals behave in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// `p @ E`: the formula holds at each event.
    Holds {
        /// What must hold.
        formula: Formula,
        /// When.
        at: Events,
    },
    /// `always p`: p holds throughout each span, from `warm_up` after its start.
    ///
    /// `warm_up` is the longest window inside p: a window restarts at a phase edge and is full only one length later.
    Always {
        /// What must hold.
        body: Formula,
        /// The phases it must hold in; edges between them restart windows.
        spans: Vec<Span>,
        /// Length of the longest window inside the body.
        warm_up: Nanos,
    },
    /// `p within T after E`: after each event p holds somewhere in `[0, T]`. `eventually p within T` is its case with
    /// the start of the phase as the only event.
    Within {
        /// What must come.
        body: Formula,
        /// The deadline, included.
        within: Nanos,
        /// What it is counted from.
        after: Events,
    },
    /// `stops p within T after E`: p never holds from T after each event to the end.
    Stops {
        /// What must stop.
        body: Formula,
        /// The deadline; p at that very instant is too late.
        within: Nanos,
        /// What it is counted from.
        after: Events,
        /// Until when it must not come back.
        end: Option<Nanos>,
    },
    /// `stays p for T after E`: after each event p holds on all of `[warm_up, T]`.
    Stays {
        /// What must hold.
        body: Formula,
        /// For how long.
        lasting: Nanos,
        /// Length of the longest window inside the body, when the event is a phase edge.
        warm_up: Nanos,
        /// What it is counted from.
        after: Events,
    },
    /// `p until q within T`: q comes within T and p holds up to it.
    Until {
        /// What must hold until then.
        left: Formula,
        /// What must come.
        right: Formula,
        /// The deadline for it, included.
        within: Nanos,
        /// What it is counted from.
        after: Events,
    },
    /// `p unless q`: as `until`, or p holds to the end and q need not come.
    Unless {
        /// What must hold until then.
        left: Formula,
        /// What releases from it.
        right: Formula,
        /// How far ahead q is looked for.
        within: Nanos,
        /// What it is counted from.
        after: Events,
        /// Until when p must hold if q does not come.
        end: Option<Nanos>,
    },
    /// `p settles within T [for H]`: within T p begins to hold and goes on for H, by default to the end.
    Settles {
        /// What must come to hold.
        body: Formula,
        /// The deadline, included.
        within: Nanos,
        /// For how long it must then hold; `None`: to the end, so that a relapse counts.
        lasting: Option<Nanos>,
        /// What it is counted from; usually the proven rollback.
        after: Events,
        /// The end of the watch.
        end: Option<Nanos>,
    },
}

/// A core formula and the instants at which it must hold.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Obligation {
    /// What must hold.
    pub formula: Formula,
    /// When; all of them count.
    pub at: Vec<Nanos>,
}

impl Claim {
    /// Returns the claim that p never holds: `always not p`.
    #[must_use]
    pub fn never(body: Formula, spans: Vec<Span>, warm_up: Nanos) -> Self {
        Self::Always { body: body.negated(), spans, warm_up }
    }

    /// Returns what the claim stands for in core formulas, all of which must hold.
    #[must_use]
    pub fn obligations(&self) -> Vec<Obligation> {
        let all = |formula: Formula, after: &Events| vec![Obligation { formula, at: after.instants.clone() }];
        match self {
            Self::Holds { formula, at } => all(formula.clone(), at),
            Self::Always { body, spans, warm_up } => {
                // A phase shorter than the window can show nothing; it counts only when there is no other.
                let judged = |span: &&Span| span.end.is_none_or(|end| shifted(span.start, *warm_up) < end);
                let kept: Vec<&Span> = if spans.iter().any(|span| judged(&span)) {
                    spans.iter().filter(judged).collect()
                } else {
                    spans.iter().collect()
                };
                kept.into_iter()
                    .map(|span| Obligation {
                        formula: body.clone().throughout(*warm_up, span.end),
                        at: vec![span.start],
                    })
                    .collect()
            }
            Self::Within { body, within, after } => all(body.clone().eventually(*within), after),
            Self::Stops { body, within, after, end } => {
                all(body.clone().negated().throughout(*within, *end), after)
            }
            Self::Stays { body, lasting, warm_up, after } => {
                let body = Box::new(body.clone());
                all(Formula::Always { from: (*warm_up).min(*lasting), to: *lasting, body }, after)
            }
            Self::Until { left, right, within, after } => all(until(left, right, *within), after),
            Self::Unless { left, right, within, after, end } => {
                all(Formula::Or(vec![until(left, right, *within), left.clone().throughout(0, *end)]), after)
            }
            Self::Settles { body, within, lasting, after, end } => {
                let settled = match lasting {
                    Some(length) => body.clone().always(*length),
                    None => body.clone().throughout(0, *end),
                };
                all(settled.eventually(*within), after)
            }
        }
    }

    /// Whether all instants at which the claim is owed are known.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Always { .. } => true,
            Self::Holds { at: after, .. }
            | Self::Within { after, .. }
            | Self::Stops { after, .. }
            | Self::Stays { after, .. }
            | Self::Until { after, .. }
            | Self::Unless { after, .. }
            | Self::Settles { after, .. } => after.complete,
        }
    }

    /// Returns by how much time the deadline was met (positive) or missed (negative), for the worst event.
    ///
    /// `None` for claims without a deadline, and when what had to come never came.
    #[must_use]
    pub fn time_margin(&self, trace: &Trace) -> Option<Nanos> {
        let truth = |formula: &Formula| evaluate::<Reading>(formula, trace).map(|reading| reading.truth);
        match self {
            Self::Holds { .. } | Self::Always { .. } | Self::Stays { .. } | Self::Unless { .. } => None,
            Self::Within { body, within, after } | Self::Until { right: body, within, after, .. } => {
                let truth = truth(body);
                worst(after, |event| Some(within - (first_true(&truth, event)? - event)))
            }
            Self::Stops { body, within, after, end } => {
                let truth = truth(body);
                let end = end.unwrap_or(FOREVER);
                worst(after, |event| {
                    let last = truth.segments_in(event, end).filter(|s| s.value == Truth::True).last();
                    Some(within - last.map_or(0, |segment| segment.end - 1 - event))
                })
            }
            Self::Settles { body, within, lasting: Some(length), after, .. } => {
                let truth = truth(&body.clone().always(*length));
                worst(after, |event| Some(within - (first_true(&truth, event)? - event)))
            }
            Self::Settles { body, within, lasting: None, after, end } => {
                let truth = truth(body);
                let end = end.unwrap_or(shifted(trace.heard(), 1));
                worst(after, |event| {
                    let relapse = truth.segments_in(event, end).filter(|s| s.value == Truth::False).last();
                    Some(within - relapse.map_or(0, |segment| segment.end - event))
                })
            }
        }
    }
}

fn until(left: &Formula, right: &Formula, within: Nanos) -> Formula {
    Formula::Until { within, left: Box::new(left.clone()), right: Box::new(right.clone()) }
}

fn first_true(truth: &Steps<Truth>, from: Nanos) -> Option<Nanos> {
    truth.segments_in(from, FOREVER).find(|segment| segment.value == Truth::True).map(|segment| segment.start)
}

fn worst(events: &Events, margin: impl Fn(Nanos) -> Option<Nanos>) -> Option<Nanos> {
    let margins: Option<Vec<Nanos>> = events.instants.iter().map(|event| margin(*event)).collect();
    margins?.into_iter().min()
}
