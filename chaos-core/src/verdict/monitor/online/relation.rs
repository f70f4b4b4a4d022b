//! Comparisons of two signals.

use std::collections::VecDeque;

use super::{Algebra, Atom, SignalId, input::Input, joined, side::Side};
use crate::{
    time::Nanos,
    verdict::{
        interval::Interval,
        steps::{BEGINNING, Steps},
    },
};

/// A comparison of two signals.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) atom: Atom,
    other: SignalId,
    read: Side<Interval, Interval>,
    left: VecDeque<(Nanos, Interval)>,
    right: VecDeque<(Nanos, Interval)>,
}

impl Relation {
    /// Returns the comparison with another signal that has seen nothing yet.
    pub(super) fn new(atom: Atom, other: SignalId) -> Self {
        Self { atom, other, read: Side::NONE, left: VecDeque::new(), right: VecDeque::new() }
    }

    /// Goes on as far as both signals are known.
    pub(super) fn advance<A: Algebra>(&mut self, inputs: &[Input], mut emit: impl FnMut(Nanos, A)) -> Nanos {
        let Self { atom, other, read, left, right } = self;
        let (value, limit) = (&inputs[atom.signal.0], &inputs[other.0]);
        left.extend(&value.points[..value.known()]);
        right.extend(&limit.points[..limit.known()]);
        let known = value.frontier.min(limit.frontier);
        read.merge(left, right, known, |at, value, other| {
            emit(at, A::atom(atom, value, atom.limit(&|_| other), at));
        });
        known
    }

    /// Both signals from where they have been read on; what was not heard of is unknown.
    pub(super) fn view<A: Algebra>(&self, inputs: &[Input]) -> Steps<A> {
        let rest = |read: Option<Interval>, queue: &VecDeque<(Nanos, Interval)>, input: &Input| {
            let known = read.into_iter().map(|value| (BEGINNING, value)).chain(queue.iter().copied());
            joined(known, input.frontier, &Steps::constant(input.range))
        };
        let left = rest(self.read.left, &self.left, &inputs[self.atom.signal.0]);
        let right = rest(self.read.right, &self.right, &inputs[self.other.0]);
        let pairs = left.zip(&right, |value, other| (value, self.atom.limit(&|_| other)));
        pairs.map_segments(|segment| A::atom(&self.atom, segment.value.0, segment.value.1, segment.start))
    }

    pub(super) fn segment_count(&self) -> usize {
        self.left.len() + self.right.len()
    }
}
