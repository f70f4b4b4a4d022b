//! Abort conditions, watched while the run goes on.
//!
//! A guard's windows are over the instants at which measurements *ended*: a guard acts on what it has heard, and a
//! measurement that timed out ended only after the timeout, by when a shorter window over intended starts would have moved
//! past it and never see a total outage. Windows run straight through the edges of phases.
//!
//! What is measured becomes signals here: the number of a window that is still open, the last reading, the limit that the
//! baseline gave. The condition is the formula that an expectation would make of it, and [`monitor::Guard`] evaluates it
//! over these signals, in time and memory that do not grow with what happened. A test compares it with evaluating the
//! formula over the whole past. [`confident`](super::confident) conditions are another thing: they sum up the evidence of
//! single requests, which is not a formula over signals.

use super::{
    limit::Limit,
    metric::{self, windowed},
    polled::{self, Held, Missing},
    show::lasting,
    temporal::formula,
    wording::Measured,
};
use crate::{
    judge::{border::Guard, view::Samples},
    model::{Comparison, Experiment, Metric, Predicate, formula::Bound},
    probe::Sample,
    time::nanos,
};
use crate::{
    time::Nanos,
    verdict::{
        Interval, Truth,
        monitor::{self, SignalId, Witness},
        window::{LiveWindow, Observation},
    },
};

/// Watches one abort condition.
pub(super) struct Watcher {
    leaves: Vec<Leaf>,
    guard: monitor::Guard,
}

/// One comparison.
struct Leaf {
    comparison: Comparison,
    limit: Limit,
    source: Source,
    /// The metric it is compared with, where it is one.
    other: Option<Other>,
    value: Option<Interval>,
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
        let comparisons = predicate.comparisons();
        let mut leaves: Vec<Leaf> = comparisons.iter().map(|c| Leaf::new(c, experiment)).collect();
        let moving = leaves.iter_mut().filter(|leaf| leaf.is_moving());
        for (signal, leaf) in (comparisons.len()..).zip(moving) {
            leaf.limit.signal = Some(SignalId(signal));
        }
        let limits: Vec<Limit> = leaves.iter().map(|leaf| leaf.limit.clone()).collect();
        let signals = limits.len() + limits.iter().filter(|limit| limit.signal.is_some()).count();
        // What is not known never makes a condition true, not even one that every value would make true.
        let ranges = vec![Interval::EVERYTHING; signals];
        Watcher { guard: monitor::Guard::new(&formula(predicate, &limits, &mut 0), &ranges), leaves }
    }

    /// Returns how the condition stands at `now`; time goes forward only.
    pub(super) fn evaluate(&mut self, now: Nanos) -> Truth {
        let now = self.guard.now().map_or(now, |latest| latest.max(now));
        let mut values: Vec<Option<Interval>> = self.leaves.iter_mut().map(|leaf| leaf.read(now)).collect();
        let moving = self.leaves.iter_mut().filter(|leaf| leaf.is_moving());
        values.extend(moving.map(|leaf| leaf.bound(now)));
        self.guard.update(now, &values)
    }

    /// Says what was measured where it speaks for the condition.
    fn said(&self, now: Nanos) -> String {
        let said = |Witness { atom, since }| {
            let Leaf { comparison, limit, value, .. } = &self.leaves[atom as usize];
            let measured = Measured { comparison, limit, value: *value };
            format!("{measured}{}", lasting(now.saturating_sub(since)))
        };
        let said: Vec<String> = self.guard.witnesses().into_iter().map(said).collect();
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
            let signal = leaf.limit.signal;
            leaf.limit = Limit { signal, ..Limit::of(&leaf.comparison, samples, Some((from, to)), None) };
        }
    }

    fn fires(&mut self, now: Nanos) -> Option<String> {
        let fires = self.evaluate(now) == Truth::True;
        fires.then(|| self.said(self.guard.now().unwrap_or(now)))
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
        }
    }

    /// Whether its right side is a signal, too: another metric, or a number that only the baseline will give.
    fn is_moving(&self) -> bool {
        !matches!(self.comparison.bound, Bound::Constant(_))
    }

    /// Returns what is compared.
    fn read(&mut self, now: Nanos) -> Option<Interval> {
        self.value = self.source.at(now);
        self.value
    }

    /// Returns what it is compared with.
    fn bound(&mut self, now: Nanos) -> Option<Interval> {
        let Some(Other { source, factor, offset, .. }) = &mut self.other else {
            return self.limit.value.map(Interval::exactly);
        };
        let seen = source.at(now);
        self.limit.other(&self.comparison, seen, *factor, *offset);
        seen.map(|seen| seen.scaled(*factor).shifted(*offset))
    }
}

#[cfg(test)]
mod tests;
