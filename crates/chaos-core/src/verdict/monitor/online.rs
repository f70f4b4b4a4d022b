//! Evaluating formulas while their signals are still coming.
//!
//! Each operator takes what is final of its operands and hands on what thereby becomes final of its own value; it keeps
//! only what windows still to come can meet. What is not final yet, the value at time 0 above all, is computed from that
//! on demand by the same step functions as offline, so both agree on every prefix.

use std::collections::VecDeque;

use super::super::interval::Interval;
use super::super::steps::{BEGINNING, Combine, FOREVER, Nanos, Sliding, Steps, shifted};
use super::{Algebra, Atom, Clamp, Formula, SignalId, blank};

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
        self.taken = self.root.last.or(self.taken);
        self.root.out.drain(..)
    }

    /// Lets go of final steps that ended before an instant.
    pub fn forget_before(&mut self, instant: Nanos) {
        while self.root.out.front().is_some_and(|(start, _)| *start <= instant) {
            self.taken = self.root.out.pop_front().map(|(_, value)| value);
        }
    }

    /// Returns the number of segments kept at present.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.inputs.iter().map(|input| input.points.len()).sum::<usize>() + self.root.segment_count()
    }
}

/// A signal: the values that no operator has seen yet.
#[derive(Debug, Clone)]
struct Input {
    range: Interval,
    /// In the order of time, neighbours differ.
    points: Vec<(Nanos, Interval)>,
    last: Interval,
    /// The first instant that was not heard of.
    frontier: Nanos,
}

impl Input {
    fn new(range: Interval) -> Self {
        Self { range, points: vec![(BEGINNING, range)], last: range, frontier: BEGINNING }
    }

    fn set(&mut self, at: Nanos, value: Option<Interval>) {
        let value = value.filter(|value| *value != Interval::EVERYTHING);
        let value = value.map_or(self.range, |value| value.clamped(self.range));
        let latest = self.points.last().map_or(BEGINNING, |(at, _)| *at);
        let at = at.max(self.frontier).max(latest);
        if at == latest && self.points.pop().is_some() {
            // Of several values at one instant the last counts.
            match self.points.last() {
                Some((_, before)) => self.last = *before,
                None => {
                    self.points.push((at, value));
                    self.last = value;
                    return;
                }
            }
        }
        if value != self.last {
            self.points.push((at, value));
            self.last = value;
        }
    }

    /// The number of values that are known.
    fn known(&self) -> usize {
        // All of them, as a rule.
        match self.points.last() {
            Some((at, _)) if *at >= self.frontier => {
                self.points.partition_point(|(at, _)| *at < self.frontier)
            }
            _ => self.points.len(),
        }
    }
}

/// One operator with its operands.
#[derive(Debug, Clone)]
struct Node<A> {
    operator: Operator<A>,
    /// Final steps that nobody has taken yet.
    out: VecDeque<(Nanos, A)>,
    /// The latest final step.
    last: Option<A>,
    /// The first instant at which the value is not final.
    frontier: Nanos,
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

/// Two streams that are read side by side.
#[derive(Debug, Clone)]
struct Side<T, U> {
    left: Option<T>,
    right: Option<U>,
}

impl<T: Copy, U: Copy> Side<T, U> {
    const NONE: Self = Self { left: None, right: None };

    /// Takes the steps before `limit` off both streams and tells `emit` both values at each.
    fn merge(
        &mut self,
        left: &mut VecDeque<(Nanos, T)>,
        right: &mut VecDeque<(Nanos, U)>,
        limit: Nanos,
        mut emit: impl FnMut(Nanos, T, U),
    ) {
        loop {
            let next_left = left.front().map_or(FOREVER, |(at, _)| *at);
            let next_right = right.front().map_or(FOREVER, |(at, _)| *at);
            let at = next_left.min(next_right);
            if at >= limit {
                return;
            }
            if next_left == at {
                self.left = left.pop_front().map(|(_, value)| value);
            }
            if next_right == at {
                self.right = right.pop_front().map(|(_, value)| value);
            }
            if let (Some(left), Some(right)) = (self.left, self.right) {
                emit(at, left, right);
            }
        }
    }
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

/// A comparison of two signals.
#[derive(Debug, Clone)]
struct Relation {
    atom: Atom,
    other: SignalId,
    read: Side<Interval, Interval>,
    left: VecDeque<(Nanos, Interval)>,
    right: VecDeque<(Nanos, Interval)>,
}

impl Relation {
    /// Both signals from where they have been read on; what was not heard of is unknown.
    fn view<A: Algebra>(&self, inputs: &[Input]) -> Steps<A> {
        let rest = |read: Option<Interval>, queue: &VecDeque<(Nanos, Interval)>, input: &Input| {
            let known = read.into_iter().map(|value| (BEGINNING, value)).chain(queue.iter().copied());
            joined(known, input.frontier, &Steps::constant(input.range))
        };
        let left = rest(self.read.left, &self.left, &inputs[self.atom.signal.0]);
        let right = rest(self.read.right, &self.right, &inputs[self.other.0]);
        let pairs = left.zip(&right, |value, other| (value, self.atom.limit(&|_| other)));
        pairs.map_segments(|segment| A::atom(&self.atom, segment.value.0, segment.value.1, segment.start))
    }
}

/// The combination of everything from each instant to a fixed end.
#[derive(Debug, Clone)]
struct Tail<A> {
    after: Nanos,
    end: Option<Nanos>,
    /// What it is where the stretch is empty.
    nothing: A,
    /// The steps of the body; one that a later one makes irrelevant is merged with it.
    kept: Vec<(Nanos, A)>,
    done: bool,
}

impl<A: Algebra> Tail<A> {
    fn push(&mut self, mut start: Nanos, value: A) {
        while let Some((earlier, _)) = self.kept.pop_if(|(_, kept)| kept.meet(value) == value) {
            start = earlier;
        }
        self.kept.push((start, value));
    }

    fn steps(&self, body: &Steps<A>) -> Steps<A> {
        body.accumulate_to(self.after, self.end.unwrap_or(FOREVER), self.nothing, A::meet)
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

impl<A: Algebra> Node<A> {
    fn new(formula: &Formula, ranges: &[Interval]) -> Self {
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
                Some(other) => Operator::Relation(Box::new(Relation {
                    atom: atom.clone(),
                    other,
                    read: Side::NONE,
                    left: VecDeque::new(),
                    right: VecDeque::new(),
                })),
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
    fn advance(&mut self, inputs: &[Input]) {
        let Self { operator, out, last, frontier } = self;
        let mut emit = |at: Nanos, value: A| {
            if *last != Some(value) {
                out.push_back((at, value));
                *last = Some(value);
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
            Operator::Relation(relation) => {
                let Relation { atom, other, read, left, right } = &mut **relation;
                let (value, limit) = (&inputs[atom.signal.0], &inputs[other.0]);
                left.extend(&value.points[..value.known()]);
                right.extend(&limit.points[..limit.known()]);
                let known = value.frontier.min(limit.frontier);
                read.merge(left, right, known, |at, value, other| {
                    emit(at, A::atom(atom, value, atom.limit(&|_| other), at));
                });
                known
            }
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
    fn view(&self, inputs: &[Input]) -> Steps<A> {
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
    fn rest(&self, read: Option<A>, inputs: &[Input]) -> Steps<A> {
        let known = read.into_iter().map(|value| (BEGINNING, value)).chain(self.out.iter().copied());
        joined(known, self.frontier, &self.view(inputs))
    }

    fn segment_count(&self) -> usize {
        let pair = |pair: &Pair<A>| pair.left.segment_count() + pair.right.segment_count();
        self.out.len()
            + match &self.operator {
                Operator::Constant(_) | Operator::Atom(..) => 0,
                Operator::Relation(relation) => relation.left.len() + relation.right.len(),
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
