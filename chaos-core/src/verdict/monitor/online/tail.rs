//! Stretches with an end of their own.

use super::Algebra;
use crate::{
    time::Nanos,
    verdict::steps::{FOREVER, Steps},
};

/// The combination of everything from each instant to a fixed end.
#[derive(Debug, Clone)]
pub(super) struct Tail<A> {
    pub(super) after: Nanos,
    pub(super) end: Option<Nanos>,
    /// What it is where the stretch is empty.
    pub(super) nothing: A,
    /// The steps of the body; one that a later one makes irrelevant is merged with it.
    pub(super) kept: Vec<(Nanos, A)>,
    pub(super) done: bool,
}

impl<A: Algebra> Tail<A> {
    pub(super) fn push(&mut self, mut start: Nanos, value: A) {
        while let Some((earlier, _)) = self.kept.pop_if(|(_, kept)| kept.meet(value) == value) {
            start = earlier;
        }
        self.kept.push((start, value));
    }

    pub(super) fn steps(&self, body: &Steps<A>) -> Steps<A> {
        body.accumulate_to(self.after, self.end.unwrap_or(FOREVER), self.nothing, A::meet)
    }
}
