//! The combination of all that a moving window meets, one segment after another.

use std::collections::VecDeque;

use super::{FOREVER, shifted};
use crate::time::Nanos;

/// An associative combination that does not care how much of a segment lies in the window: minimum, maximum, the
/// composition of clamps.
pub(crate) trait Combine<T> {
    /// Combines an earlier value with a later one.
    fn combine(&self, earlier: T, later: T) -> T;
}

impl<T, F: Fn(T, T) -> T> Combine<T> for F {
    fn combine(&self, earlier: T, later: T) -> T {
        self(earlier, later)
    }
}

/// A window `[t + from, t + to]` that slides over segments as they come.
///
/// The window is a queue made of two stacks, which aggregates any associative operation in constant amortised time
/// (K. Tangwongsan et al., "General incremental sliding-window aggregation", VLDB 2015) and so serves `until` as well as
/// minimum and maximum. It holds the segments that windows still to come can meet and that can matter there, and no others:
/// of the minimum of three truths a handful, however often they change and however long the window is.
#[derive(Debug, Clone)]
pub(crate) struct Sliding<T, C> {
    from: Nanos,
    to: Nanos,
    combine: C,
    /// The segments in the window by their starts, each up to the next.
    held: VecDeque<(Nanos, T)>,
    /// Of the oldest segments, each with the combination of itself and all newer ones in this stack; the oldest on top.
    front: Vec<T>,
    /// The combination of the segments that are not in `front`.
    back: Option<T>,
}

impl<T: Copy + PartialEq, C: Combine<T>> Sliding<T, C> {
    /// Returns the window that has met nothing.
    pub(crate) fn new(from: Nanos, to: Nanos, combine: C) -> Self {
        debug_assert!(from <= to, "a window must not end before it starts");
        Self { from, to, combine, held: VecDeque::new(), front: Vec::new(), back: None }
    }

    /// Takes the next segment, which begins where the one before it ends; hands `emit` each instant at which what the
    /// window meets changes before that, and the combination from there on.
    pub(crate) fn enter(&mut self, start: Nanos, value: T, mut emit: impl FnMut(Nanos, T)) {
        let instant = shifted(start, self.to.saturating_neg());
        self.leave_before(instant, &mut emit);
        let start = self.absorb(start, value);
        self.held.push_back((start, value));
        self.back = Some(self.back.map_or(value, |total| self.combine.combine(total, value)));
        while self.leaves() <= instant {
            self.leave();
        }
        emit(instant, self.aggregate());
    }

    /// Drops the newest segments that the next one absorbs, and returns where what takes their place begins: every window
    /// to come that meets them meets it, too.
    fn absorb(&mut self, mut start: Nanos, value: T) -> Nanos {
        while self.held.len() > self.front.len() {
            let absorbed = |held: &mut (Nanos, T)| self.combine.combine(held.1, value) == value;
            let Some((earlier, _)) = self.held.pop_back_if(absorbed) else { break };
            start = earlier;
        }
        start
    }

    /// Goes on to an instant: no segment begins before it any more. Returns up to where the combination is final.
    pub(crate) fn advance(&mut self, frontier: Nanos, mut emit: impl FnMut(Nanos, T)) -> Nanos {
        let limit = shifted(frontier, self.to.saturating_neg());
        self.leave_before(limit, &mut emit);
        limit
    }

    /// Returns the nearer end of the window.
    pub(crate) fn from(&self) -> Nanos {
        self.from
    }

    /// Returns the farther end of the window.
    pub(crate) fn to(&self) -> Nanos {
        self.to
    }

    /// Returns the segments that the windows still to come can meet; those that cannot matter are part of a later one.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Nanos, T)> + '_ {
        self.held.iter().copied()
    }

    fn leave_before(&mut self, limit: Nanos, emit: &mut impl FnMut(Nanos, T)) {
        loop {
            let instant = self.leaves();
            if instant >= limit {
                return;
            }
            while self.leaves() == instant {
                self.leave();
            }
            emit(instant, self.aggregate());
        }
    }

    /// When the oldest segment leaves the window: once its end, the start of the next, is behind it.
    fn leaves(&self) -> Nanos {
        self.held.get(1).map_or(FOREVER, |(end, _)| shifted(*end, self.from.saturating_neg()))
    }

    fn leave(&mut self) {
        if self.front.is_empty() {
            let mut total: Option<T> = None;
            for (_, value) in self.held.iter().rev() {
                let next = total.map_or(*value, |later| self.combine.combine(*value, later));
                total = Some(next);
                self.front.push(next);
            }
            self.back = None;
        }
        self.front.pop();
        self.held.pop_front();
    }

    fn aggregate(&self) -> T {
        let whole = match (self.front.last().copied(), self.back) {
            (Some(older), Some(newer)) => Some(self.combine.combine(older, newer)),
            (older, newer) => older.or(newer),
        };
        whole.expect("invariant: a window holds the segment that it lies in")
    }
}
