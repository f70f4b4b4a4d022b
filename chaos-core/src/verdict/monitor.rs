//! The core temporal formulas and their evaluation over signals.
//!
//! Two readings are computed side by side: Kleene truth, which decides, and the margin as an interval, which says how
//! close it was. Both are monotone in what is unknown: a sample that arrives later can only narrow them, so a verdict
//! once reached never changes, and evaluating what is known at a watermark gives online exactly what offline gives on
//! that prefix. See O. Maler and D. Nickovic (FORMATS 2004), A. Donzé and O. Maler (FORMATS 2010), and for verdicts from
//! intervals J. V. Deshmukh et al., "Robust online monitoring of signal temporal logic" (FMSD 51, 2017).
//!
//! [`evaluate`] takes time linear in the number of segments for each operator. [`Online`] does the same for signals that are
//! still coming: in constant amortised time for each segment and operator, with no more memory than its windows need, and
//! on every prefix the very values that [`evaluate`] finds there. Both slide windows by the same code. [`Guard`] is [`Online`]
//! for abort conditions: it is looked at with every observation, and its present is still open.

mod atom;
mod claim;
mod decide;
mod formula;
mod guard;
pub mod margin;
mod online;
mod statement;

pub use atom::{Atom, Operand, Scale, SignalId, Subject};
pub use claim::{Claim, Events, Obligation, Span};
pub use decide::{Decision, decide, decided_at};
pub use formula::{Formula, horizon, latest_decision, lookback};
pub use guard::Guard;
pub use online::{Online, Witness};
pub use statement::Statement;

use super::interval::{Interval, Truth};
use super::signal::Signal;
use super::steps::{FOREVER, Steps};
use crate::time::Nanos;

/// The signals a formula speaks of, found by [`SignalId`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// The signals; `SignalId(i)` is the one at index `i`.
    pub signals: Vec<Signal>,
}

impl Trace {
    /// Returns the trace of the given signals.
    #[must_use]
    pub fn new(signals: Vec<Signal>) -> Self {
        Self { signals }
    }

    /// Returns the trace as it was known at a watermark.
    #[must_use]
    pub fn known_until(&self, watermark: Nanos) -> Self {
        Self { signals: self.signals.iter().map(|signal| signal.known_until(watermark)).collect() }
    }

    /// Returns the trace with every unknown stretch filled by the last known value.
    #[must_use]
    pub fn filled(&self) -> Self {
        Self { signals: self.signals.iter().map(Signal::filled).collect() }
    }

    /// Returns the watermark: the earliest of what the signals have heard of.
    #[must_use]
    pub fn heard(&self) -> Nanos {
        self.signals.iter().map(Signal::heard).min().unwrap_or(FOREVER)
    }
}

/// The truth of a formula at an instant, and its margin in the unit of its atoms.
///
/// The margin is meaningful only where all atoms share a unit; across units the closest call is what to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// What is certain.
    pub truth: Truth,
    /// By how much it holds (positive) or fails (negative).
    pub margin: Interval,
}

/// Values that formulas can be evaluated to: a lattice with a negation.
///
/// The operators of the logic need nothing else, so truth with margin and the closest call share one evaluator.
///
/// # Guarantees
/// `meet` and `join` are associative, commutative and idempotent, with `TOP` and `BOTTOM` as their neutral values; `negated` swaps the
/// two and undoes itself.
///
/// # Assumptions
/// The sides of an atom are of one unit, and segments arrive in the order of time.
///
/// # Errors
/// None: what is unknown is a value, too.
pub trait Algebra: Copy + PartialEq {
    /// The value of a conjunction of nothing.
    const TOP: Self;
    /// The value of a disjunction of nothing.
    const BOTTOM: Self;
    /// Returns the value of a conjunction.
    #[must_use]
    fn meet(self, other: Self) -> Self;
    /// Returns the value of a disjunction.
    #[must_use]
    fn join(self, other: Self) -> Self;
    /// Returns the value of a negation.
    #[must_use]
    fn negated(self) -> Self;
    /// Returns the value of an atom on a segment that starts at `at`, from the values of both of its sides.
    fn atom(atom: &Atom, value: Interval, limit: Interval, at: Nanos) -> Self;
    /// Returns the value of an atom of which nothing is known, from the ranges of both of its sides.
    fn blank(atom: &Atom, value: Interval, limit: Interval) -> Self;
}

impl Algebra for Reading {
    const TOP: Self = Self { truth: Truth::True, margin: Interval { lo: f64::INFINITY, hi: f64::INFINITY } };
    const BOTTOM: Self =
        Self { truth: Truth::False, margin: Interval { lo: f64::NEG_INFINITY, hi: f64::NEG_INFINITY } };

    fn meet(self, other: Self) -> Self {
        Self { truth: self.truth.min(other.truth), margin: self.margin.min(other.margin) }
    }

    fn join(self, other: Self) -> Self {
        Self { truth: self.truth.max(other.truth), margin: self.margin.max(other.margin) }
    }

    fn negated(self) -> Self {
        Self { truth: self.truth.negated(), margin: self.margin.negated() }
    }

    fn atom(atom: &Atom, value: Interval, limit: Interval, _: Nanos) -> Self {
        atom.read(value, limit)
    }

    fn blank(atom: &Atom, value: Interval, limit: Interval) -> Self {
        atom.read(value, limit)
    }
}

/// Truth alone, for those who need no margin: there are three values only, so whatever is kept of them stays small.
impl Algebra for Truth {
    const TOP: Self = Self::True;
    const BOTTOM: Self = Self::False;

    fn meet(self, other: Self) -> Self {
        self.min(other)
    }

    fn join(self, other: Self) -> Self {
        self.max(other)
    }

    fn negated(self) -> Self {
        Truth::negated(self)
    }

    fn atom(atom: &Atom, value: Interval, limit: Interval, _: Nanos) -> Self {
        atom.read(value, limit).truth
    }

    fn blank(atom: &Atom, value: Interval, limit: Interval) -> Self {
        atom.read(value, limit).truth
    }
}

/// A step of `until` read as the function `x -> q or (p and x)` of what comes after it; such clamps compose.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clamp<A> {
    p: A,
    q: A,
}

impl<A: Algebra> Clamp<A> {
    fn then(self, later: Self) -> Self {
        Self { p: self.p.meet(later.p), q: self.q.join(self.p.meet(later.q)) }
    }
}

/// Returns the value of a formula over all time.
///
/// # Panics
///
/// When the formula names a signal that the trace does not have.
#[must_use]
pub fn evaluate<A: Algebra>(formula: &Formula, trace: &Trace) -> Steps<A> {
    match formula {
        Formula::Atom(atom) => atom.values(trace).map_segments(|segment| {
            let (value, limit) = segment.value;
            A::atom(atom, value, limit, segment.start)
        }),
        Formula::Not(body) => evaluate::<A>(body, trace).map(A::negated),
        Formula::And(parts) => fold(parts, trace, A::TOP, A::meet),
        Formula::Or(parts) => fold(parts, trace, A::BOTTOM, A::join),
        Formula::Implies(given, then) => {
            let given = evaluate::<A>(given, trace);
            given.zip(&evaluate::<A>(then, trace), |given, then| given.negated().join(then))
        }
        Formula::Always { from, to, body } => evaluate::<A>(body, trace).slide(*from, *to, A::meet),
        Formula::Eventually { from, to, body } => evaluate::<A>(body, trace).slide(*from, *to, A::join),
        Formula::Historically { from, to, body } => evaluate::<A>(body, trace).slide(-*to, -*from, A::meet),
        Formula::Once { from, to, body } => evaluate::<A>(body, trace).slide(-*to, -*from, A::join),
        Formula::Until { within, left, right } => {
            let left = evaluate::<A>(left, trace);
            left.zip(&evaluate::<A>(right, trace), |p, q| Clamp { p, q })
                .slide(0, *within, Clamp::then)
                .map(|clamp| clamp.q)
        }
        Formula::Throughout { after, end, body } => {
            let end = end.unwrap_or(FOREVER);
            let range = |signal: SignalId| trace.signals[signal.0].range();
            evaluate::<A>(body, trace).accumulate_to(*after, end, blank(body, &range), A::meet)
        }
    }
}

fn fold<A: Algebra>(parts: &[Formula], trace: &Trace, empty: A, combine: fn(A, A) -> A) -> Steps<A> {
    let mut values = parts.iter().map(|part| evaluate::<A>(part, trace));
    let first = values.next().unwrap_or_else(|| Steps::constant(empty));
    values.fold(first, |all, part| all.zip(&part, combine))
}

/// Returns the value of a formula when nothing at all is known of signals with the given ranges.
fn blank<A: Algebra>(formula: &Formula, range: &dyn Fn(SignalId) -> Interval) -> A {
    match formula {
        Formula::Atom(atom) => A::blank(atom, range(atom.signal), atom.limit(range)),
        Formula::Not(body) => blank::<A>(body, range).negated(),
        Formula::And(parts) => parts.iter().map(|part| blank(part, range)).fold(A::TOP, A::meet),
        Formula::Or(parts) => parts.iter().map(|part| blank(part, range)).fold(A::BOTTOM, A::join),
        Formula::Implies(given, then) => blank::<A>(given, range).negated().join(blank(then, range)),
        Formula::Until { left, right, .. } => {
            let right = blank::<A>(right, range);
            right.join(blank::<A>(left, range).meet(right))
        }
        Formula::Always { body, .. }
        | Formula::Eventually { body, .. }
        | Formula::Historically { body, .. }
        | Formula::Once { body, .. }
        | Formula::Throughout { body, .. } => blank(body, range),
    }
}

#[cfg(test)]
mod tests;
