//! Evaluating formulas while their signals are still coming.
//!
//! Each operator takes what is final of its operands and hands on what thereby becomes final of its own value; it keeps
//! only what windows still to come can meet. What is not final yet, the value at time 0 above all, is computed from that
//! on demand by the same step functions as offline, so both agree on every prefix.

mod input;
mod node;
mod relation;
mod side;
mod tail;

use self::{input::Input, node::Node};
use super::super::interval::Interval;
use super::super::steps::{FOREVER, Steps, shifted};
use super::{Algebra, Atom, Formula, SignalId};
use crate::time::Nanos;

/// The evaluation of one formula over signals that grow.
///
/// A value holds until the next; what has not been heard of is unknown. Each segment takes constant amortised time for each
/// operator. Memory is bounded by what happens within the windows of the formula; that of a stretch with an end of its own
/// ([`Formula::Throughout`]) is the stretch, of which only the steps of its outcome are kept.
///
/// ```
/// use chaos_core::verdict::{Comparison, Interval, Truth, monitor::*};
///
/// let atom = Atom::compares(0, SignalId(0), Comparison::AtMost, 5.0, Scale::FROM_ZERO);
/// let mut online: Online<Reading> = Online::new(&Formula::Atom(atom).always(2), &[Interval::NON_NEGATIVE]);
/// online.set(SignalId(0), 0, Some(Interval::exactly(1.0)));
/// online.hear(1);
/// assert_eq!(online.at(0).truth, Truth::Unknown);
/// online.hear(2);
/// assert_eq!((online.frontier(), online.at(0).truth), (1, Truth::True));
/// ```
#[derive(Debug, Clone)]
pub struct Online<A> {
    inputs: Vec<Input>,
    root: Node<A>,
    /// The value before the first final step that was not taken yet.
    taken: Option<A>,
}

/// An atom that speaks for what a formula came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// The [`Atom::id`].
    pub atom: u32,
    /// Since when it has read as it does.
    pub since: Nanos,
}

impl<A: Algebra> Online<A> {
    /// Returns the evaluation over signals with the given physical ranges, in the order of their [`SignalId`]s.
    ///
    /// # Panics
    ///
    /// When the formula names a signal without a range.
    #[must_use]
    pub fn new(formula: &Formula, ranges: &[Interval]) -> Self {
        let inputs = ranges.iter().copied().map(Input::new).collect();
        Self { inputs, root: Node::new(formula, ranges), taken: None }
    }

    /// Sets the value of a signal from `at` on (`None`: unknown). What was already heard of cannot change any more: an
    /// earlier instant is moved to the first that is still open.
    pub fn set(&mut self, signal: SignalId, at: Nanos, value: Option<Interval>) {
        self.inputs[signal.0].set(at, value);
    }

    /// Moves the watermark of all signals: everything up to and including `watermark` has been heard of.
    pub fn hear(&mut self, watermark: Nanos) {
        let open = shifted(watermark, 1);
        for input in &mut self.inputs {
            input.frontier = input.frontier.max(open);
        }
        self.advance();
    }

    /// Moves the watermark of one signal.
    pub fn hear_of(&mut self, signal: SignalId, watermark: Nanos) {
        let input = &mut self.inputs[signal.0];
        input.frontier = input.frontier.max(shifted(watermark, 1));
        self.advance();
    }

    fn advance(&mut self) {
        self.root.advance(&self.inputs);
        for input in &mut self.inputs {
            let known = input.known();
            input.points.drain(..known);
        }
    }

    /// Returns the first instant at which the value of the formula is not final.
    #[must_use]
    pub fn frontier(&self) -> Nanos {
        self.root.frontier
    }

    /// Returns the value at an instant, as far as it is known. Of what was taken only the last value is remembered.
    #[must_use]
    pub fn at(&self, instant: Nanos) -> A {
        if instant < self.root.frontier {
            let later = self.root.out.partition_point(|(start, _)| *start <= instant);
            let step = later.checked_sub(1).and_then(|index| self.root.out.get(index));
            if let Some(value) = step.map(|(_, value)| *value).or(self.taken) {
                return value;
            }
        }
        self.root.view(&self.inputs).at(instant)
    }

    /// Takes the steps that have become final, each with the instant from which on it holds.
    pub fn take(&mut self) -> impl Iterator<Item = (Nanos, A)> + '_ {
        self.taken = self.root.latest().or(self.taken);
        self.root.out.drain(..)
    }

    /// Returns the atoms that speak for the latest final value, from left to right: all of a conjunction, and those sides
    /// of a disjunction that came to what it came to.
    #[must_use]
    pub(crate) fn witnesses(&self) -> Vec<Witness> {
        let mut found = Vec::new();
        self.root.witnesses(&mut found);
        found
    }

    /// Returns the number of segments kept at present.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.inputs.iter().map(|input| input.points.len()).sum::<usize>() + self.root.segment_count()
    }
}

/// Returns the function with the given steps up to `frontier`, and that of `later` from there on.
fn joined<T: Copy + PartialEq>(
    known: impl IntoIterator<Item = (Nanos, T)>,
    frontier: Nanos,
    later: &Steps<T>,
) -> Steps<T> {
    let mut known = known.into_iter();
    let Some((_, first)) = known.next() else { return later.clone() };
    let mut steps = Steps::from_points(first, known);
    for segment in later.segments_in(frontier, FOREVER) {
        steps.push(segment.start, segment.value);
    }
    steps
}
