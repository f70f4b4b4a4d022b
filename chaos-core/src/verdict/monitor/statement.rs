//! Statements: temporal claims joined by logic, judged as one.

use super::super::confidence::Outcome;
use super::super::interval::Truth;
use super::super::steps::Steps;
use super::claim::{Claim, Events, Obligation};
use super::decide::{Decision, decide};
use super::margin::ClosestCall;
use super::{Algebra, Formula, Reading, Trace, evaluate, latest_decision};
use crate::time::Nanos;

/// What can be asked of signals: a formula at the beginning of time, claims counted from events, and what joins them.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// The formula holds at time 0.
    Formula(Formula),
    /// The claim holds; it is counted from instants of its own.
    Claim(Claim),
    /// The statement does not hold.
    Not(Box<Statement>),
    /// All of them hold.
    All(Vec<Statement>),
    /// One of them holds at least.
    Any(Vec<Statement>),
}

impl Statement {
    /// Judges the statement on what is known.
    #[must_use]
    pub fn judge(&self, trace: &Trace) -> Decision {
        match self {
            Self::Formula(formula) => decide(&at_zero(formula), trace),
            Self::Claim(claim) => decide(claim, trace),
            Self::Not(part) => negated(part.judge(trace)),
            Self::All(parts) => {
                let parts = parts.iter().map(|part| part.judge(trace));
                parts.reduce(|one, other| joined(one, other, Mode::All)).unwrap_or_else(|| empty(true))
            }
            Self::Any(parts) => {
                let parts = parts.iter().map(|part| part.judge(trace));
                parts.reduce(|one, other| joined(one, other, Mode::Any)).unwrap_or_else(|| empty(false))
            }
        }
    }

    /// Returns the value over time. A claim is counted from its own instants, so it has the same value at all times.
    #[must_use]
    pub fn readings(&self, trace: &Trace) -> Steps<Reading> {
        let all = |parts: &[Statement], first: Reading, combine: fn(Reading, Reading) -> Reading| {
            let parts = parts.iter().map(|part| part.readings(trace));
            parts.fold(Steps::constant(first), |all, part| all.zip(&part, combine))
        };
        match self {
            Self::Formula(formula) => evaluate::<Reading>(formula, trace),
            Self::Claim(claim) => Steps::constant(constant(claim, trace)),
            Self::Not(part) => part.readings(trace).map(Reading::negated),
            Self::All(parts) => all(parts, Reading::TOP, Reading::meet),
            Self::Any(parts) => all(parts, Reading::BOTTOM, Reading::join),
        }
    }

    /// Returns what must hold and when, of all parts, from left to right.
    #[must_use]
    pub fn obligations(&self) -> Vec<Obligation> {
        match self {
            Self::Formula(formula) => at_zero(formula).obligations(),
            Self::Claim(claim) => claim.obligations(),
            Self::Not(part) => part.obligations(),
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::obligations).collect(),
        }
    }

    /// Returns the last instant whose values can matter, `None` when it is not known yet.
    #[must_use]
    pub fn latest_decision(&self) -> Option<Nanos> {
        self.obligations().iter().try_fold(0, |latest, obligation| {
            obligation
                .at
                .iter()
                .try_fold(latest, |latest, at| Some(latest.max(latest_decision(&obligation.formula, *at)?)))
        })
    }
}

fn at_zero(formula: &Formula) -> Claim {
    Claim::Holds { formula: formula.clone(), at: Events::once(0) }
}

/// The value of a claim at its own instants.
fn constant(claim: &Claim, trace: &Trace) -> Reading {
    let mut all = Reading::TOP;
    let obligations = claim.obligations();
    for obligation in &obligations {
        let values = evaluate::<Reading>(&obligation.formula, trace);
        all = obligation.at.iter().fold(all, |all, at| all.meet(values.at(*at)));
    }
    let exercised = obligations.iter().any(|obligation| !obligation.at.is_empty());
    if claim.is_complete() && exercised {
        return all;
    }
    // What was never owed, or may be owed again, is not true yet.
    Reading { truth: all.truth.min(Truth::Unknown), ..all }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    All,
    Any,
}

fn empty(passed: bool) -> Decision {
    let margin = if passed { Reading::TOP.margin } else { Reading::BOTTOM.margin };
    Decision {
        outcome: Outcome::decided(passed),
        margin,
        closest: None,
        time_margin: None,
        decided_at: None,
        unknown_share: 0.0,
    }
}

fn negated(decision: Decision) -> Decision {
    let flip = |call: ClosestCall| ClosestCall { raw: -call.raw, normalised: -call.normalised, ..call };
    Decision {
        outcome: decision.outcome.not(),
        margin: decision.margin.negated(),
        closest: decision.closest.map(flip),
        time_margin: decision.time_margin.map(Nanos::saturating_neg),
        ..decision
    }
}

fn joined(one: Decision, other: Decision, mode: Mode) -> Decision {
    let all = mode == Mode::All;
    // The part that decides is the worst of a conjunction, the best of a disjunction.
    let nearest = |one: ClosestCall, other: ClosestCall| {
        if (other.normalised < one.normalised) == all { other } else { one }
    };
    let time = |one: Nanos, other: Nanos| if all { one.min(other) } else { one.max(other) };
    let enough = if all { Outcome::Failed } else { Outcome::Passed };
    // One part may be enough to decide; else all of them are needed.
    let decided_at = match (one.outcome == enough, other.outcome == enough) {
        (true, true) => merged(one.decided_at, other.decided_at, Nanos::min),
        (true, false) => one.decided_at,
        (false, true) => other.decided_at,
        (false, false) => one.decided_at.zip(other.decided_at).map(|(one, other)| one.max(other)),
    };
    Decision {
        decided_at,
        margin: if all { one.margin.min(other.margin) } else { one.margin.max(other.margin) },
        closest: merged(one.closest, other.closest, nearest),
        time_margin: merged(one.time_margin, other.time_margin, time),
        unknown_share: one.unknown_share.max(other.unknown_share),
        outcome: if all { one.outcome.and(other.outcome) } else { one.outcome.or(other.outcome) },
    }
}

fn merged<T: Copy>(one: Option<T>, other: Option<T>, both: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::confidence::{Leaning, Reason};
    use super::super::super::interval::{Comparison, Interval};
    use super::super::super::signal::Signal;
    use super::super::{Atom, Scale, SignalId};
    use super::*;

    fn at_most(limit: f64) -> Formula {
        Formula::Atom(Atom::compares(0, SignalId(0), Comparison::AtMost, limit, Scale::FROM_ZERO))
    }

    fn trace() -> Trace {
        let points = [(0, Some(1.0)), (10, Some(4.0)), (20, Some(2.0))];
        Trace::new(vec![Signal::from_points(Interval::NON_NEGATIVE, points, 30)])
    }

    fn at(formula: Formula, instant: Nanos) -> Statement {
        Statement::Claim(Claim::Holds { formula, at: Events::once(instant) })
    }

    #[test]
    fn a_formula_is_judged_at_time_zero_and_a_claim_at_its_own_instants() {
        let trace = trace();
        assert_eq!(Statement::Formula(at_most(3.0)).judge(&trace).outcome, Outcome::Passed);
        assert_eq!(at(at_most(3.0), 10).judge(&trace).outcome, Outcome::Failed);
        let readings = at(at_most(3.0), 10).readings(&trace);
        assert_eq!((readings.segment_count(), readings.at(0).truth), (1, Truth::False));
        assert_eq!(Statement::Formula(at_most(3.0)).readings(&trace).at(10).truth, Truth::False);
    }

    #[test]
    fn one_part_may_be_enough_to_decide() {
        let trace = trace();
        let (early, late) = (at(at_most(3.0), 0), at(at_most(3.0), 20));
        let broken = at(at_most(3.0), 10);
        let open = at(at_most(3.0), 90);
        let judged = |statement: Statement| {
            let decision = statement.judge(&trace);
            (decision.outcome, decision.decided_at, decision.closest.map(|call| call.raw))
        };
        let all = |parts: &[&Statement]| Statement::All(parts.iter().map(|part| (*part).clone()).collect());
        let any = |parts: &[&Statement]| Statement::Any(parts.iter().map(|part| (*part).clone()).collect());
        assert_eq!(judged(all(&[&early, &late])), (Outcome::Passed, Some(20), Some(1.0)));
        assert_eq!(judged(all(&[&early, &broken, &open])), (Outcome::Failed, Some(10), Some(-1.0)));
        assert_eq!(judged(any(&[&broken, &late])), (Outcome::Passed, Some(20), Some(1.0)));
        assert_eq!(judged(any(&[&broken])).0, Outcome::Failed);
        assert_eq!(
            judged(any(&[&broken, &open])).0,
            Outcome::inconclusive(Leaning::Passed, Reason::HorizonNotReached, None)
        );
        let negated = Statement::Not(Box::new(broken.clone()));
        assert_eq!(judged(negated), (Outcome::Passed, Some(10), Some(1.0)));
        assert_eq!(all(&[&early, &open]).latest_decision(), Some(90));
    }
}
