//! Abort conditions, watched while the run goes on.
//!
//! A guard's windows are over the instants at which measurements *ended*: a guard acts on what it has been told, and a
//! measurement that timed out ended only after the timeout, by when a shorter window over intended starts would have moved
//! past it and never see a total outage. Windows run straight through the edges of phases.
//!
//! Each evaluation takes time in proportion to the size of the condition, not to what happened: instead of the past it
//! keeps, for each `for`, since when what is inside has been true and until when it was false. It is exact: a test
//! compares it with evaluating the formula over the whole past.

use super::super::{
    Interval, Truth,
    steps::{Nanos, shifted},
    window::{LiveWindow, Observation},
};
use super::{
    limit::{Limit, relation},
    metric::{self, windowed},
    polled::{self, Held, Missing},
    wording::{Measured, lasting},
};
use crate::{
    model::{Comparison, Experiment, Metric, Predicate, formula::Bound},
    probe::Sample,
    run::{judge::Guard, view::Samples},
    time::nanos,
};

/// Watches one abort condition.
pub(super) struct Watcher {
    leaves: Vec<Leaf>,
    node: Node,
    /// The node as it was before the latest instant: of several looks at one instant the last counts.
    before: Node,
    now: Option<Nanos>,
}

/// One comparison.
struct Leaf {
    comparison: Comparison,
    limit: Limit,
    source: Source,
    /// The metric it is compared with, where it is one.
    other: Option<Other>,
    value: Option<Interval>,
    truth: Truth,
    /// Since when it has had this truth.
    since: Nanos,
}

/// Where a comparison's value comes from.
enum Source {
    /// The measurements that ended within the window.
    Window(LiveWindow, Missing),
    /// What was read last.
    Held(Held),
}

/// The right side of a comparison of two metrics.
struct Other {
    metric: Metric,
    source: Source,
    factor: f64,
    offset: f64,
}

impl Source {
    fn new(metric: &Metric, experiment: &Experiment) -> Self {
        if metric.is_gauge() {
            Source::Held(Held::new(metric, experiment))
        } else {
            let length = metric.over.map_or(Nanos::MAX, nanos);
            Source::Window(LiveWindow::new(windowed(metric, length)), Missing::new())
        }
    }

    fn observe(&mut self, metric: &Metric, probe: &str, sample: &Sample) {
        if metric.probe.value != probe {
            return;
        }
        match self {
            Source::Held(held) => {
                if let Some(value) = polled::reading(metric, sample) {
                    held.observe(sample.completed(), value);
                }
            }
            Source::Window(window, missing) => {
                let seen = metric::observation(metric, sample);
                if let Some(seen) = seen.filter(|seen| !metric.field.is_read() || missing.counts(seen)) {
                    window.observe(Observation { intended: seen.completed, ..seen });
                }
            }
        }
    }

    fn at(&mut self, now: Nanos) -> Option<Interval> {
        match self {
            Source::Window(window, _) => window.evaluate(now),
            Source::Held(held) => held.at(now),
        }
    }
}

impl Watcher {
    pub(super) fn new(predicate: &Predicate, experiment: &Experiment) -> Self {
        let mut leaves = Vec::new();
        let node = Node::new(predicate, experiment, &mut leaves);
        Watcher { leaves, before: node.clone(), node, now: None }
    }

    /// Returns how the condition stands at `now`; time goes forward only.
    pub(super) fn evaluate(&mut self, now: Nanos) -> Truth {
        let now = self.now.map_or(now, |latest| latest.max(now));
        if self.now == Some(now) {
            self.node.clone_from(&self.before);
        } else {
            self.before.clone_from(&self.node);
        }
        self.now = Some(now);
        for leaf in &mut self.leaves {
            leaf.read(now);
        }
        let truths: Vec<Truth> = self.leaves.iter().map(|leaf| leaf.truth).collect();
        self.node.advance(now, &truths);
        self.node.truth()
    }

    /// Says what was measured where it speaks for the condition.
    fn said(&self, now: Nanos) -> String {
        let mut witnesses = Vec::new();
        self.node.witnesses(&mut witnesses);
        let said = |index: usize| {
            let Leaf { comparison, limit, value, since, .. } = &self.leaves[index];
            let measured = Measured { comparison, limit, value: *value };
            format!("{measured}{}", lasting(now.saturating_sub(*since)))
        };
        let said: Vec<String> = witnesses.into_iter().map(said).collect();
        said.join(", and ")
    }
}

impl Guard for Watcher {
    fn observe(&mut self, probe: &str, sample: &Sample) {
        for leaf in &mut self.leaves {
            leaf.source.observe(&leaf.comparison.metric, probe, sample);
            if let Some(other) = &mut leaf.other {
                other.source.observe(&other.metric, probe, sample);
            }
        }
    }

    fn baseline(&mut self, samples: &Samples, from: Nanos, to: Nanos) {
        for leaf in &mut self.leaves {
            leaf.limit = Limit::of(&leaf.comparison, samples, Some((from, to)), None);
        }
    }

    fn fires(&mut self, now: Nanos) -> Option<String> {
        let fires = self.evaluate(now) == Truth::True;
        fires.then(|| self.said(self.now.unwrap_or(now)))
    }
}

impl Leaf {
    fn new(comparison: &Comparison, experiment: &Experiment) -> Self {
        let other = match &comparison.bound {
            Bound::Metric { metric, factor, offset } => Some(Other {
                metric: (**metric).clone(),
                source: Source::new(metric, experiment),
                factor: *factor,
                offset: *offset,
            }),
            Bound::Constant(_) | Bound::Baseline { .. } => None,
        };
        Leaf {
            comparison: comparison.clone(),
            limit: Limit::from_baseline(comparison, None),
            source: Source::new(&comparison.metric, experiment),
            other,
            value: None,
            truth: Truth::Unknown,
            since: Nanos::MIN,
        }
    }

    fn read(&mut self, now: Nanos) {
        self.value = self.source.at(now);
        let limit = match &mut self.other {
            None => self.limit.value.map(Interval::exactly),
            Some(other) => {
                let seen = other.source.at(now);
                self.limit.other(&self.comparison, seen, other.factor, other.offset);
                let scaled = seen.map(|seen| seen.scaled(other.factor));
                scaled.map(|seen| Interval { lo: seen.lo + other.offset, hi: seen.hi + other.offset })
            }
        };
        let truth = match (self.value, limit) {
            (Some(value), Some(limit)) => relation(self.comparison.op).truth(value, limit),
            _ => Truth::Unknown,
        };
        if truth != self.truth {
            (self.truth, self.since) = (truth, now);
        }
    }
}

/// A formula over the past with what it must remember.
#[derive(Clone)]
enum Node {
    Leaf { index: usize, truth: Truth },
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    For(Box<Node>, Lasting),
}

/// A change of truth at an instant.
type Change = (Nanos, Truth);

impl Node {
    fn new(predicate: &Predicate, experiment: &Experiment, leaves: &mut Vec<Leaf>) -> Self {
        let mut all =
            |parts: &[Predicate]| parts.iter().map(|part| Node::new(part, experiment, leaves)).collect();
        match predicate {
            Predicate::All(parts) => Node::All(all(parts)),
            Predicate::Any(parts) => Node::Any(all(parts)),
            Predicate::Not(part) => Node::Not(Box::new(Node::new(part, experiment, leaves))),
            Predicate::For { predicate, lasting } => {
                let node = Node::new(predicate, experiment, leaves);
                let lasting = Lasting::new(nanos(*lasting), node.truth());
                Node::For(Box::new(node), lasting)
            }
            Predicate::Compare(comparison) => {
                leaves.push(Leaf::new(comparison, experiment));
                Node::Leaf { index: leaves.len() - 1, truth: Truth::Unknown }
            }
        }
    }

    fn truth(&self) -> Truth {
        match self {
            Node::Leaf { truth, .. } => *truth,
            Node::Not(node) => node.truth().negated(),
            Node::All(nodes) => nodes.iter().map(Node::truth).min().unwrap_or(Truth::True),
            Node::Any(nodes) => nodes.iter().map(Node::truth).max().unwrap_or(Truth::False),
            Node::For(_, lasting) => lasting.truth,
        }
    }

    /// Goes on to `now`, where comparisons get new truths; returns how the node's own truth changed on the way.
    fn advance(&mut self, now: Nanos, truths: &[Truth]) -> Vec<Change> {
        match self {
            Node::Leaf { index, truth } => {
                *truth = truths[*index];
                vec![(now, *truth)]
            }
            Node::Not(node) => {
                node.advance(now, truths).into_iter().map(|(at, truth)| (at, truth.negated())).collect()
            }
            Node::All(nodes) => together(nodes, now, truths, |all| all.iter().copied().min(), Truth::True),
            Node::Any(nodes) => together(nodes, now, truths, |any| any.iter().copied().max(), Truth::False),
            Node::For(node, lasting) => {
                let changes = node.advance(now, truths);
                lasting.advance(now, &changes)
            }
        }
    }

    /// Collects the comparisons that speak for the present truth.
    fn witnesses(&self, found: &mut Vec<usize>) {
        match self {
            Node::Leaf { index, .. } => found.push(*index),
            Node::Not(node) | Node::For(node, _) => node.witnesses(found),
            Node::All(nodes) => nodes.iter().for_each(|node| node.witnesses(found)),
            Node::Any(nodes) => {
                let truth = self.truth();
                nodes.iter().filter(|node| node.truth() == truth).for_each(|node| node.witnesses(found));
            }
        }
    }
}

/// Advances all parts and combines their truths at each instant at which one changed.
fn together(
    nodes: &mut [Node],
    now: Nanos,
    truths: &[Truth],
    combine: fn(&[Truth]) -> Option<Truth>,
    empty: Truth,
) -> Vec<Change> {
    let mut present: Vec<Truth> = nodes.iter().map(Node::truth).collect();
    let mut changes: Vec<(Nanos, usize, Truth)> = Vec::new();
    for (index, node) in nodes.iter_mut().enumerate() {
        changes.extend(node.advance(now, truths).into_iter().map(|(at, truth)| (at, index, truth)));
    }
    changes.sort_by_key(|(at, ..)| *at);
    let mut out: Vec<Change> = Vec::new();
    for (at, index, truth) in changes {
        present[index] = truth;
        let whole = combine(&present).unwrap_or(empty);
        match out.last_mut() {
            Some(last) if last.0 == at => last.1 = whole,
            _ => out.push((at, whole)),
        }
    }
    out
}

/// `p for T`: whether p was true on all of `[t - T, t]`.
#[derive(Clone)]
struct Lasting {
    length: Nanos,
    /// The truth of p, and since when it has been so.
    inner: Truth,
    since: Nanos,
    /// The instant at which p was last no longer false.
    false_until: Option<Nanos>,
    /// The truth of the whole, and up to where it is known.
    truth: Truth,
    at: Nanos,
}

impl Lasting {
    fn new(length: Nanos, inner: Truth) -> Self {
        let truth = inner;
        Lasting { length, inner, since: Nanos::MIN, false_until: None, truth, at: Nanos::MIN }
    }

    /// The truth at an instant at or after the last change of p.
    fn at(&self, instant: Nanos) -> Truth {
        // A stretch that ends at `e` meets the closed window `[t - T, t]` when `e > t - T`.
        let start = shifted(instant, self.length.saturating_neg());
        if self.inner == Truth::False || self.false_until.is_some_and(|until| until > start) {
            Truth::False
        } else if self.inner == Truth::True && self.since <= start {
            Truth::True
        } else {
            Truth::Unknown
        }
    }

    fn advance(&mut self, now: Nanos, changes: &[Change]) -> Vec<Change> {
        let mut out = Vec::new();
        let last = changes.last().map_or(self.inner, |(_, truth)| *truth);
        for (at, truth) in changes.iter().copied().chain([(now, last)]) {
            // Between changes of p, what was false, or not yet true, leaves the window.
            let mut leaving = [self.false_until, (self.inner == Truth::True).then_some(self.since)]
                .map(|end| end.filter(|end| *end > Nanos::MIN).map(|end| shifted(end, self.length)));
            leaving.sort_unstable();
            for instant in leaving.into_iter().flatten().filter(|i| self.at < *i && *i < at) {
                out.push((instant, self.at(instant)));
            }
            if truth != self.inner {
                if self.inner == Truth::False {
                    self.false_until = Some(at);
                }
                (self.inner, self.since) = (truth, at);
            }
            out.push((at, self.at(at)));
            self.at = at;
        }
        self.truth = self.at(now);
        out
    }
}

#[cfg(test)]
mod tests;
