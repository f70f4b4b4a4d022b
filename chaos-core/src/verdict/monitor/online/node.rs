//! One operator of a formula, from what is final of its operands to what is final of itself.

use std::collections::VecDeque;

use super::{
    Algebra, Atom, Formula, SignalId, Witness, input::Input, joined, relation::Relation, side::Side,
    tail::Tail,
};
use crate::{
    time::Nanos,
    verdict::{
        interval::Interval,
        monitor::{Clamp, blank},
        steps::{BEGINNING, Combine, FOREVER, Sliding, Steps},
    },
};

/// One operator with its operands.
#[derive(Debug, Clone)]
pub(super) struct Node<A> {
    operator: Operator<A>,
    /// Final steps that nobody has taken yet.
    pub(super) out: VecDeque<(Nanos, A)>,
    /// The latest final step, with when it began.
    last: Option<(Nanos, A)>,
    /// The first instant at which the value is not final.
    pub(super) frontier: Nanos,
}

#[derive(Debug, Clone)]
enum Operator<A> {
    Constant(A),
    Atom(Atom, Interval),
    Relation(Box<Relation>),
    Not(Box<Node<A>>),
    And(Box<Pair<A>>),
    Or(Box<Pair<A>>),
    Implies(Box<Pair<A>>),
    All(Box<Node<A>>, Sliding<A, Meet>),
    Some(Box<Node<A>>, Sliding<A, Join>),
    Until(Box<Pair<A>>, Sliding<Clamp<A>, Then>),
    Throughout(Box<Node<A>>, Tail<A>),
}

/// Two operands, with their values where both have been read.
#[derive(Debug, Clone)]
struct Pair<A> {
    left: Node<A>,
    right: Node<A>,
    read: Side<A, A>,
}

impl<A: Algebra> Pair<A> {
    fn new(left: Node<A>, right: Node<A>) -> Box<Self> {
        Box::new(Self { left, right, read: Side::NONE })
    }

    /// Goes on as far as both operands are final.
    fn advance(&mut self, inputs: &[Input], emit: impl FnMut(Nanos, A, A)) -> Nanos {
        self.left.advance(inputs);
        self.right.advance(inputs);
        let limit = self.left.frontier.min(self.right.frontier);
        self.read.merge(&mut self.left.out, &mut self.right.out, limit, emit);
        limit
    }

    /// Both values from where they have been read on.
    fn view<T: Copy + PartialEq>(&self, inputs: &[Input], combine: impl FnMut(A, A) -> T) -> Steps<T> {
        let left = self.left.rest(self.read.left, inputs);
        left.zip(&self.right.rest(self.read.right, inputs), combine)
    }
}

#[derive(Debug, Clone, Copy)]
struct Meet;

#[derive(Debug, Clone, Copy)]
struct Join;

#[derive(Debug, Clone, Copy)]
struct Then;

impl<A: Algebra> Combine<A> for Meet {
    fn combine(&self, earlier: A, later: A) -> A {
        earlier.meet(later)
    }
}

impl<A: Algebra> Combine<A> for Join {
    fn combine(&self, earlier: A, later: A) -> A {
        earlier.join(later)
    }
}

impl<A: Algebra> Combine<Clamp<A>> for Then {
    fn combine(&self, earlier: Clamp<A>, later: Clamp<A>) -> Clamp<A> {
        earlier.then(later)
    }
}

impl<A: Algebra> Node<A> {
    pub(super) fn new(formula: &Formula, ranges: &[Interval]) -> Self {
        let range = |signal: SignalId| ranges[signal.0];
        let boxed = |formula: &Formula| Box::new(Self::new(formula, ranges));
        let chain = |parts: &[Formula], empty: A, join: fn(Box<Pair<A>>) -> Operator<A>| {
            let parts = parts.iter().map(|part| Self::new(part, ranges));
            parts
                .reduce(|one, other| Self::of(join(Pair::new(one, other))))
                .map_or(Operator::Constant(empty), |node| node.operator)
        };
        Self::of(match formula {
            Formula::Atom(atom) => match atom.other() {
                None => Operator::Atom(atom.clone(), atom.limit(&range)),
                Some(other) => Operator::Relation(Box::new(Relation::new(atom.clone(), other))),
            },
            Formula::Not(body) => Operator::Not(boxed(body)),
            Formula::And(parts) => chain(parts, A::TOP, Operator::And),
            Formula::Or(parts) => chain(parts, A::BOTTOM, Operator::Or),
            Formula::Implies(given, then) => {
                Operator::Implies(Pair::new(Self::new(given, ranges), Self::new(then, ranges)))
            }
            Formula::Always { from, to, body } => Operator::All(boxed(body), Sliding::new(*from, *to, Meet)),
            Formula::Eventually { from, to, body } => {
                Operator::Some(boxed(body), Sliding::new(*from, *to, Join))
            }
            Formula::Historically { from, to, body } => {
                Operator::All(boxed(body), Sliding::new(-*to, -*from, Meet))
            }
            Formula::Once { from, to, body } => Operator::Some(boxed(body), Sliding::new(-*to, -*from, Join)),
            Formula::Until { within, left, right } => {
                let pair = Pair::new(Self::new(left, ranges), Self::new(right, ranges));
                Operator::Until(pair, Sliding::new(0, *within, Then))
            }
            Formula::Throughout { after, end, body } => Operator::Throughout(
                boxed(body),
                Tail {
                    after: *after,
                    end: *end,
                    nothing: blank(body, &range),
                    kept: Vec::new(),
                    done: false,
                },
            ),
        })
    }

    fn of(operator: Operator<A>) -> Self {
        Self { operator, out: VecDeque::new(), last: None, frontier: BEGINNING }
    }

    /// Takes what has become final of the operands.
    pub(super) fn advance(&mut self, inputs: &[Input]) {
        let Self { operator, out, last, frontier } = self;
        let mut emit = |at: Nanos, value: A| {
            if last.is_none_or(|(_, before)| before != value) {
                out.push_back((at, value));
                *last = Some((at, value));
            }
        };
        *frontier = match operator {
            Operator::Constant(value) => {
                emit(BEGINNING, *value);
                FOREVER
            }
            Operator::Atom(atom, limit) => {
                let input = &inputs[atom.signal.0];
                for (at, value) in &input.points[..input.known()] {
                    emit(*at, A::atom(atom, *value, *limit, *at));
                }
                input.frontier
            }
            Operator::Relation(relation) => relation.advance(inputs, emit),
            Operator::Not(body) => {
                body.advance(inputs);
                body.out.drain(..).for_each(|(at, value)| emit(at, value.negated()));
                body.frontier
            }
            Operator::And(pair) => pair.advance(inputs, |at, left, right| emit(at, left.meet(right))),
            Operator::Or(pair) => pair.advance(inputs, |at, left, right| emit(at, left.join(right))),
            Operator::Implies(pair) => {
                pair.advance(inputs, |at, given, then| emit(at, given.negated().join(then)))
            }
            Operator::All(body, window) => slid(body, window, inputs, emit),
            Operator::Some(body, window) => slid(body, window, inputs, emit),
            Operator::Until(pair, window) => {
                let known = pair.advance(inputs, |at, p, q| {
                    window.enter(at, Clamp { p, q }, |at, clamp| emit(at, clamp.q));
                });
                window.advance(known, |at, clamp| emit(at, clamp.q))
            }
            Operator::Throughout(_, tail) if tail.done => FOREVER,
            Operator::Throughout(body, tail) => {
                body.advance(inputs);
                let end = tail.end.unwrap_or(FOREVER);
                body.out.drain(..).filter(|(at, _)| *at < end).for_each(|(at, value)| tail.push(at, value));
                if body.frontier < end || tail.end.is_none() {
                    BEGINNING
                } else {
                    tail.done = true;
                    let kept = Steps::from_points(tail.nothing, tail.kept.drain(..));
                    let steps = tail.steps(&kept);
                    steps.segments().for_each(|segment| emit(segment.start, segment.value));
                    FOREVER
                }
            }
        };
    }

    /// The value as far as it is known, from the first instant on at which it is not final.
    pub(super) fn view(&self, inputs: &[Input]) -> Steps<A> {
        match &self.operator {
            Operator::Constant(value) => Steps::constant(*value),
            Operator::Atom(atom, limit) => {
                Steps::constant(A::blank(atom, inputs[atom.signal.0].range, *limit))
            }
            Operator::Relation(relation) => relation.view(inputs),
            Operator::Not(body) => body.view(inputs).map(A::negated),
            Operator::And(pair) => pair.view(inputs, A::meet),
            Operator::Or(pair) => pair.view(inputs, A::join),
            Operator::Implies(pair) => pair.view(inputs, |given, then| given.negated().join(then)),
            Operator::All(body, window) => joined(window.held(), body.frontier, &body.view(inputs)).slide(
                window.from(),
                window.to(),
                A::meet,
            ),
            Operator::Some(body, window) => joined(window.held(), body.frontier, &body.view(inputs)).slide(
                window.from(),
                window.to(),
                A::join,
            ),
            Operator::Until(pair, window) => {
                let known = pair.left.frontier.min(pair.right.frontier);
                let later = pair.view(inputs, |p, q| Clamp { p, q });
                joined(window.held(), known, &later)
                    .slide(window.from(), window.to(), Clamp::then)
                    .map(|clamp| clamp.q)
            }
            Operator::Throughout(_, tail) if tail.done => Steps::constant(tail.nothing),
            Operator::Throughout(body, tail) => {
                tail.steps(&joined(tail.kept.iter().copied(), body.frontier, &body.view(inputs)))
            }
        }
    }

    /// The value from where its reader, which last read `read`, is on.
    pub(super) fn rest(&self, read: Option<A>, inputs: &[Input]) -> Steps<A> {
        let known = read.into_iter().map(|value| (BEGINNING, value)).chain(self.out.iter().copied());
        joined(known, self.frontier, &self.view(inputs))
    }

    /// The latest final value.
    pub(super) fn latest(&self) -> Option<A> {
        self.last.map(|(_, value)| value)
    }

    /// Collects the atoms that speak for the latest final value.
    pub(super) fn witnesses(&self, found: &mut Vec<Witness>) {
        let since = self.last.map_or(BEGINNING, |(start, _)| start);
        match &self.operator {
            Operator::Constant(_) => {}
            Operator::Atom(atom, _) => found.push(Witness { atom: atom.id, since }),
            Operator::Relation(relation) => found.push(Witness { atom: relation.atom.id, since }),
            Operator::Not(body)
            | Operator::All(body, _)
            | Operator::Some(body, _)
            | Operator::Throughout(body, _) => body.witnesses(found),
            Operator::And(pair) | Operator::Implies(pair) | Operator::Until(pair, _) => {
                [&pair.left, &pair.right].into_iter().for_each(|side| side.witnesses(found));
            }
            Operator::Or(pair) => {
                let sides = [&pair.left, &pair.right].into_iter();
                sides.filter(|side| side.latest() == self.latest()).for_each(|side| side.witnesses(found));
            }
        }
    }

    pub(super) fn segment_count(&self) -> usize {
        let pair = |pair: &Pair<A>| pair.left.segment_count() + pair.right.segment_count();
        self.out.len()
            + match &self.operator {
                Operator::Constant(_) | Operator::Atom(..) => 0,
                Operator::Relation(relation) => relation.segment_count(),
                Operator::Not(body) => body.segment_count(),
                Operator::And(parts) | Operator::Or(parts) | Operator::Implies(parts) => pair(parts),
                Operator::All(body, window) => body.segment_count() + window.held().count(),
                Operator::Some(body, window) => body.segment_count() + window.held().count(),
                Operator::Until(parts, window) => pair(parts) + window.held().count(),
                Operator::Throughout(body, tail) => body.segment_count() + tail.kept.len(),
            }
    }
}

/// Goes on with a window over what has become final of a body.
fn slid<A: Algebra, C: Combine<A>>(
    body: &mut Node<A>,
    window: &mut Sliding<A, C>,
    inputs: &[Input],
    mut emit: impl FnMut(Nanos, A),
) -> Nanos {
    body.advance(inputs);
    for (at, value) in body.out.drain(..) {
        window.enter(at, value, &mut emit);
    }
    window.advance(body.frontier, &mut emit)
}
