//! From a claim and what was seen to a verdict with its reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::confidence::{Leaning, Outcome, Reason};
use super::super::interval::{Interval, Truth};
use super::super::signal::Blank;
use super::super::steps::{FOREVER, shifted};
use super::claim::{Claim, Obligation};
use super::margin::{ClosestCall, closest_call};
use super::{Algebra, Reading, Trace, evaluate, latest_decision, lookback};
use crate::time::Nanos;

/// The verdict on one temporal claim, with how close it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The verdict.
    pub outcome: Outcome,
    /// The margin in the unit of the claim's atoms; meaningful when they share one.
    pub margin: Interval,
    /// The atom that was nearest to turning the verdict.
    pub closest: Option<ClosestCall>,
    /// By how much a deadline was met or missed, in nanoseconds.
    pub time_margin: Option<Nanos>,
    /// The earliest watermark at which the verdict was certain, in nanoseconds since the start of the run.
    pub decided_at: Option<Nanos>,
    /// The largest share, from 0 to 1, of a signal that was unknown where it mattered.
    pub unknown_share: f64,
}

impl Decision {
    /// The share of a signal that may be unknown before a verdict deserves a remark, even a decided one.
    pub const REMARKABLE_UNKNOWN_SHARE: f64 = 0.2;
}

/// Judges a temporal claim on what is known.
///
/// The same call serves during the run, on the trace so far, and after it: a decided verdict never changes.
#[must_use]
pub fn decide(claim: &Claim, trace: &Trace) -> Decision {
    let obligations = claim.obligations();
    let reading = read(claim, &obligations, trace);
    let presumed = trace.filled();
    let owed = obligations.iter().any(|obligation| !obligation.at.is_empty());
    let outcome = match reading.truth {
        Truth::True if owed => Outcome::Passed,
        Truth::False => Outcome::Failed,
        _ => Outcome::Inconclusive {
            leaning: if owed { presume_obligations(&obligations, &presumed) } else { Leaning::None },
            reasons: reasons(claim, &obligations, trace),
            need: None,
        },
    };
    let decided_at = if outcome.is_decided() { decided_at(claim, trace) } else { None };
    Decision {
        outcome,
        margin: reading.margin,
        closest: closest_call(&obligations, &presumed),
        time_margin: claim.time_margin(trace),
        decided_at,
        unknown_share: unknown_share(&obligations, trace),
    }
}

/// Returns the earliest watermark at which the claim's verdict was certain, `None` when it still is not.
///
/// Certainty is monotone in the watermark, so this is a binary search over it.
#[must_use]
pub fn decided_at(claim: &Claim, trace: &Trace) -> Option<Nanos> {
    let obligations = claim.obligations();
    let certain =
        |watermark: Nanos| read(claim, &obligations, &trace.known_until(watermark)).truth.is_decided();
    let mut early = obligations.iter().flat_map(|obligation| &obligation.at).copied().min()?;
    let mut late = trace.heard();
    if late == FOREVER || late < early || !certain(late) {
        return None;
    }
    while early < late {
        // Rounded down, so that it is before `late`; the midpoint of signed numbers is rounded towards zero.
        let middle = early + (early.abs_diff(late) / 2).cast_signed();
        if certain(middle) {
            late = middle;
        } else {
            early = middle + 1;
        }
    }
    Some(late)
}

fn read(claim: &Claim, obligations: &[Obligation], trace: &Trace) -> Reading {
    let reading = meet_all(obligations, trace);
    if claim.is_complete() {
        return reading;
    }
    // More events may come, and each may still go wrong.
    Reading { truth: reading.truth.min(Truth::Unknown), ..reading }
}

fn meet_all(obligations: &[Obligation], trace: &Trace) -> Reading {
    let mut all = Reading::TOP;
    for obligation in obligations.iter().filter(|obligation| !obligation.at.is_empty()) {
        let values = evaluate::<Reading>(&obligation.formula, trace);
        all = obligation.at.iter().fold(all, |all, at| all.meet(values.at(*at)));
    }
    all
}

fn presume_obligations(obligations: &[Obligation], filled: &Trace) -> Leaning {
    Leaning::from(meet_all(obligations, filled).truth)
}

/// Where one obligation looks.
struct Region<'a> {
    formula: &'a super::Formula,
    /// The first instant that matters.
    from: Nanos,
    /// One past the last instant that matters and is known.
    to: Nanos,
    /// Whether something that matters is still to come.
    open: bool,
}

fn regions<'a>(obligations: &'a [Obligation], trace: &'a Trace) -> impl Iterator<Item = Region<'a>> + 'a {
    let heard = shifted(trace.heard(), 1);
    obligations.iter().flat_map(move |obligation| {
        let back = lookback(&obligation.formula);
        obligation.at.iter().map(move |at| {
            let end = latest_decision(&obligation.formula, *at).map_or(FOREVER, |latest| shifted(latest, 1));
            Region {
                formula: &obligation.formula,
                from: shifted(first_instant(&obligation.formula, *at), -back),
                to: end.min(heard),
                open: end > heard,
            }
        })
    })
}

/// The warm-up of a window at the start of a stretch is not a gap: the obligation begins after it.
fn first_instant(formula: &super::Formula, at: Nanos) -> Nanos {
    match formula {
        super::Formula::Throughout { after: later, .. } | super::Formula::Always { from: later, .. } => {
            shifted(at, *later)
        }
        _ => at,
    }
}

fn reasons(claim: &Claim, obligations: &[Obligation], trace: &Trace) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let owed = obligations.iter().any(|obligation| !obligation.at.is_empty());
    if !owed && claim.is_complete() {
        return vec![Reason::NotExercised];
    }
    if !claim.is_complete() {
        reasons.push(Reason::HorizonNotReached);
    }
    for region in regions(obligations, trace) {
        if region.formula.waits_for_baseline() {
            reasons.push(Reason::BaselineUnhealthy);
        }
        if region.open {
            reasons.push(Reason::HorizonNotReached);
        }
        for signal in region.formula.signals() {
            let blanks = trace.signals[signal.0].blanks_in(region.from, region.to);
            reasons.extend(blanks.map(|blank| match blank.value {
                Blank::Gap => Reason::Gap,
                Blank::TooFewSamples => Reason::TooFewSamples,
                Blank::Aborted => Reason::Aborted,
                Blank::NextFault => Reason::NextFault,
            }));
        }
    }
    if reasons.is_empty() {
        // Everything was seen, yet the stretch to judge was empty or a value only bounded (a censored latency).
        reasons.push(Reason::HorizonNotReached);
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

fn unknown_share(obligations: &[Obligation], trace: &Trace) -> f64 {
    regions(obligations, trace)
        .flat_map(|region| {
            let signals = region.formula.signals();
            signals.into_iter().map(move |id| trace.signals[id.0].unknown_share(region.from, region.to))
        })
        .fold(0.0, f64::max)
}
