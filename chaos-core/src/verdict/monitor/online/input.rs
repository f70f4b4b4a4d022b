//! Signals as they come.

use crate::{
    time::Nanos,
    verdict::{interval::Interval, steps::BEGINNING},
};

/// A signal: the values that no operator has seen yet.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) range: Interval,
    /// In the order of time, neighbours differ.
    pub(super) points: Vec<(Nanos, Interval)>,
    last: Interval,
    /// The first instant that was not heard of.
    pub(super) frontier: Nanos,
}

impl Input {
    pub(super) fn new(range: Interval) -> Self {
        Self { range, points: vec![(BEGINNING, range)], last: range, frontier: BEGINNING }
    }

    pub(super) fn set(&mut self, at: Nanos, value: Option<Interval>) {
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
    pub(super) fn known(&self) -> usize {
        // All of them, as a rule.
        match self.points.last() {
            Some((at, _)) if *at >= self.frontier => {
                self.points.partition_point(|(at, _)| *at < self.frontier)
            }
            _ => self.points.len(),
        }
    }
}
