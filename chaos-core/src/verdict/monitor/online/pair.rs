//! Two streams side by side.

use std::collections::VecDeque;

use super::{Algebra, input::Input, node::Node};
use crate::verdict::steps::{FOREVER, Nanos, Steps};

/// Two streams that are read side by side.
#[derive(Debug, Clone)]
pub(super) struct Side<T, U> {
    pub(super) left: Option<T>,
    pub(super) right: Option<U>,
}

impl<T: Copy, U: Copy> Side<T, U> {
    pub(super) const NONE: Self = Self { left: None, right: None };

    /// Takes the steps before `limit` off both streams and tells `emit` both values at each.
    pub(super) fn merge(
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
pub(super) struct Pair<A> {
    pub(super) left: Node<A>,
    pub(super) right: Node<A>,
    read: Side<A, A>,
}

impl<A: Algebra> Pair<A> {
    pub(super) fn new(left: Node<A>, right: Node<A>) -> Box<Self> {
        Box::new(Self { left, right, read: Side::NONE })
    }

    /// Goes on as far as both operands are final.
    pub(super) fn advance(&mut self, inputs: &[Input], emit: impl FnMut(Nanos, A, A)) -> Nanos {
        self.left.advance(inputs);
        self.right.advance(inputs);
        let limit = self.left.frontier.min(self.right.frontier);
        self.read.merge(&mut self.left.out, &mut self.right.out, limit, emit);
        limit
    }

    /// Both values from where they have been read on.
    pub(super) fn view<T: Copy + PartialEq>(
        &self,
        inputs: &[Input],
        combine: impl FnMut(A, A) -> T,
    ) -> Steps<T> {
        let left = self.left.rest(self.read.left, inputs);
        left.zip(&self.right.rest(self.read.right, inputs), combine)
    }
}
