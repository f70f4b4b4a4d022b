//! Windowed metrics: request samples to signals.
//!
//! The value at `t` comes from the requests that were *meant* to start in `(t - w, t]`: a slow system must not thin out
//! its own bad samples. Windows of expectations restart at phase edges, so that a deadline after the rollback is not
//! judged on the fault; windows of guards run straight through, so that a guard is not blind just after the injection.
//!
//! A window knows the order statistic it is asked for while values enter and leave: each change takes O(log n).

mod ranked;

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::proportion::Trials;
use super::quantile::{Distribution, least_samples};
use super::signal::{Blank, Signal};
use super::steps::shifted;
use crate::time::Nanos;
use ranked::{Ranked, Wanted};

/// What became of one request; the number is the metric judged, such as its latency in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// It succeeded.
    Ok(f64),
    /// It was answered, wrongly or with an error; its latency does not count.
    Failed,
    /// It was given up after so long: a failure, and a latency of at least that.
    TimedOut(f64),
    /// It could not be made: nothing is known.
    NotRun,
    /// Nothing was read where a number was wanted, be it negative: nothing is known.
    Unread,
}

impl Answer {
    /// Returns whether nothing is known.
    #[must_use]
    pub(crate) fn is_unknown(self) -> bool {
        matches!(self, Self::NotRun | Self::Unread)
    }
}

/// One request as judged: three numbers of a sample, so that judging knows nothing of how it was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// When it was meant to start, in nanoseconds since the start of the run.
    pub intended: Nanos,
    /// When its answer, or its timeout, came.
    pub completed: Nanos,
    /// What became of it.
    pub answer: Answer,
}

impl Observation {
    /// Returns what is known of the metric, `None` when the request does not count for it.
    #[must_use]
    pub fn value(&self) -> Option<Interval> {
        match self.answer {
            Answer::Ok(value) if !value.is_nan() => Some(Interval::exactly(value)),
            Answer::Ok(_) | Answer::NotRun => Some(Interval::NON_NEGATIVE),
            Answer::TimedOut(at_least) => Some(Interval::new(at_least, f64::INFINITY)),
            Answer::Unread => Some(Interval::EVERYTHING),
            Answer::Failed => None,
        }
    }

    /// Returns whether it succeeded, `None` when it could not be made.
    #[must_use]
    pub fn succeeded(&self) -> Option<bool> {
        match self.answer {
            Answer::Ok(_) => Some(true),
            Answer::Failed | Answer::TimedOut(_) => Some(false),
            Answer::NotRun | Answer::Unread => None,
        }
    }
}

/// Returns the requests meant to start in `[start, end)`, of a slice in the order of intended starts.
#[must_use]
pub fn within(observations: &[Observation], start: Nanos, end: Nanos) -> &[Observation] {
    let first = observations.partition_point(|o| o.intended < start);
    let last = observations.partition_point(|o| o.intended < end).max(first);
    &observations[first..last]
}

/// Returns the distribution of the metric over the given requests, for claims about a quantile.
#[must_use]
pub fn distribution(observations: &[Observation]) -> Distribution {
    Distribution::new(observations.iter().filter_map(Observation::value))
}

/// Returns how many of the given requests succeeded, for claims about the success rate.
#[must_use]
pub fn trials(observations: &[Observation]) -> Trials {
    Trials::in_order(observations.iter().map(Observation::succeeded))
}

/// One number computed from the requests in a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The quantile of the metric, such as 0.95.
    Quantile(f64),
    /// The share of requests that succeeded, from 0 to 1.
    Success,
    /// The share of requests that failed or timed out, from 0 to 1.
    Errors,
    /// Requests per second.
    Rate,
    /// Requests.
    Count,
    /// The smallest value of the metric.
    Min,
    /// The largest value of the metric.
    Max,
    /// The value of the request meant to start last.
    Last,
}

impl Statistic {
    /// Returns the physical range of the statistic.
    #[must_use]
    pub fn range(self) -> Interval {
        match self {
            Self::Success | Self::Errors => Interval::SHARE,
            _ => Interval::NON_NEGATIVE,
        }
    }

    /// Whether it is about values of the metric rather than about the outcomes of requests, so that a window keeps them.
    fn has_values(self) -> bool {
        matches!(self, Self::Quantile(_) | Self::Min | Self::Max | Self::Last)
    }

    /// Returns the fewest samples that give it a meaning: for a quantile, those that bound it at 95 %.
    #[must_use]
    pub fn least_samples(self) -> usize {
        match self {
            Self::Quantile(q) => least_samples(q, 0.05) as usize,
            Self::Rate | Self::Count => 0,
            Self::Success | Self::Errors | Self::Min | Self::Max | Self::Last => 1,
        }
    }
}

/// A statistic over a window of a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Windowed {
    /// What is computed.
    pub statistic: Statistic,
    /// The length of the window in nanoseconds.
    pub length: Nanos,
    /// The fewest samples below which the value is unknown.
    pub least_samples: usize,
    /// The physical range of the value.
    pub range: Interval,
}

impl Windowed {
    /// Returns the statistic over a window, unknown below the fewest samples that give it a meaning.
    #[must_use]
    pub fn new(statistic: Statistic, length: Nanos) -> Self {
        Self { statistic, length, least_samples: statistic.least_samples(), range: statistic.range() }
    }

    /// Returns the same for values of another physical range, such as a number that may be negative.
    #[must_use]
    pub(crate) fn ranging(self, range: Interval) -> Self {
        Self { range, ..self }
    }

    /// Returns the value over the window that ends at `t`, from requests in the order of intended starts.
    #[must_use]
    pub fn at(&self, t: Nanos, observations: &[Observation]) -> Option<Interval> {
        let mut window = LiveWindow::new(*self);
        for observation in within(observations, shifted(t, 1 - self.length), shifted(t, 1)) {
            window.observe(*observation);
        }
        window.evaluate(t)
    }

    /// Returns the signal of an expectation: the value on a grid of ticks and at the edges of phases, where windows
    /// restart.
    ///
    /// `observations` come in the order of intended starts; `edges` are the starts of phases in the order of time;
    /// everything meant to start until `settled` has been answered or given up. Besides the grid and the edges the value
    /// is taken one window after each edge, where obligations begin, and last before each edge, so that no sample is lost.
    #[must_use]
    pub fn signal(
        &self,
        observations: &[Observation],
        edges: &[Nanos],
        tick: Nanos,
        settled: Nanos,
    ) -> Signal {
        let mut signal = Signal::unknown(self.range);
        signal.hear(settled);
        let Some(start) = edges.first().copied() else { return signal };
        let mut window = LiveWindow::new(*self);
        let mut next = observations.partition_point(|o| o.intended < start);
        let mut edge = start;
        for t in instants(edges, self.length, tick.max(1), settled) {
            if edges.binary_search(&t).is_ok() {
                edge = t;
            }
            while let Some(observation) = observations.get(next).filter(|o| o.intended <= t) {
                window.observe(*observation);
                next += 1;
            }
            window.forget_before(edge);
            match window.evaluate(t) {
                Some(value) => signal.set(t, value),
                None => signal.blank(t, Blank::TooFewSamples),
            }
        }
        signal.known_until(settled)
    }

    /// Returns the signal a guard saw, from the instants at which it was evaluated.
    #[cfg(test)]
    pub(crate) fn replay(&self, observations: &[Observation], evaluated: &[Nanos]) -> Signal {
        let mut arrivals = observations.to_vec();
        arrivals.sort_by_key(|observation| observation.completed);
        let mut arrivals = arrivals.into_iter().peekable();
        let mut window = LiveWindow::new(*self);
        let mut signal = Signal::unknown(self.range);
        for now in evaluated {
            while let Some(observation) = arrivals.next_if(|observation| observation.completed <= *now) {
                window.observe(observation);
            }
            match window.evaluate(*now) {
                Some(value) => signal.set(*now, value),
                None => signal.blank(*now, Blank::TooFewSamples),
            }
            signal.hear(*now);
        }
        let heard = signal.heard();
        signal.known_until(heard)
    }
}

/// The instants at which an expectation's window is evaluated.
fn instants(edges: &[Nanos], length: Nanos, tick: Nanos, settled: Nanos) -> Vec<Nanos> {
    let Some(start) = edges.first().copied() else { return Vec::new() };
    let first = start.div_euclid(tick).saturating_add(1).saturating_mul(tick);
    let ticks = std::iter::successors(Some(first), |t| t.checked_add(tick)).take_while(|t| *t <= settled);
    let around = edges.iter().flat_map(|edge| [shifted(*edge, -1), *edge, shifted(*edge, length)]);
    let mut instants: Vec<Nanos> = ticks.chain(around).filter(|t| start <= *t && *t <= settled).collect();
    instants.sort_unstable();
    instants.dedup();
    instants
}

/// A window that requests enter as they are answered and leave as time goes on.
#[derive(Debug, Clone)]
pub struct LiveWindow {
    windowed: Windowed,
    /// In the order of intended starts.
    held: VecDeque<Observation>,
    /// The lower ends of the values.
    lower: Box<Ranked>,
    /// The upper ones, from the first that differs from the lower one.
    upper: Option<Box<Ranked>>,
    succeeded: usize,
    unsuccessful: usize,
    not_run: usize,
}

impl LiveWindow {
    /// Returns an empty window.
    #[must_use]
    pub fn new(windowed: Windowed) -> Self {
        let wanted = match windowed.statistic {
            Statistic::Quantile(q) => Wanted::Quantile(q),
            Statistic::Min => Wanted::Least,
            _ => Wanted::Greatest,
        };
        Self {
            windowed,
            held: VecDeque::new(),
            lower: Box::new(Ranked::new(wanted)),
            upper: None,
            succeeded: 0,
            unsuccessful: 0,
            not_run: 0,
        }
    }

    /// Takes a request that was answered or given up, in any order of intended starts.
    pub fn observe(&mut self, observation: Observation) {
        if self.held.back().is_none_or(|last| last.intended <= observation.intended) {
            self.held.push_back(observation);
        } else {
            let place = self.held.partition_point(|held| held.intended <= observation.intended);
            self.held.insert(place, observation);
        }
        *self.tally(&observation) += 1;
        if let Some(value) = observation.value().filter(|_| self.windowed.statistic.has_values()) {
            if self.upper.is_none() && !value.is_exact() {
                self.upper = Some(self.lower.clone());
            }
            self.lower.insert(value.lo);
            self.upper.iter_mut().for_each(|upper| upper.insert(value.hi));
        }
    }

    /// Lets go of everything meant to start before an instant.
    pub(crate) fn forget_before(&mut self, instant: Nanos) {
        while let Some(observation) = self.held.pop_front_if(|held| held.intended < instant) {
            *self.tally(&observation) -= 1;
            if let Some(value) = observation.value().filter(|_| self.windowed.statistic.has_values()) {
                self.lower.remove(value.lo);
                self.upper.iter_mut().for_each(|upper| upper.remove(value.hi));
            }
        }
    }

    /// Returns the statistic over the window that ends now, `None` when there are too few samples. Time goes forward only.
    pub fn evaluate(&mut self, now: Nanos) -> Option<Interval> {
        self.forget_before(shifted(now, 1 - self.windowed.length));
        let made = self.succeeded + self.unsuccessful;
        let all = made + self.not_run;
        let least = self.windowed.least_samples;
        let ratio = |part: usize, whole: usize| part as f64 / whole as f64;
        let per = |unit: f64| Some(Interval::new(made as f64 / unit, all as f64 / unit));
        // Requests that were not made may have had any value, yet do not make up for samples that are missing.
        let enough = self.lower.len() > 0 && self.lower.len().saturating_sub(self.not_run) >= least;
        match self.windowed.statistic {
            Statistic::Count => per(1.0),
            Statistic::Rate => per(self.windowed.length as f64 / 1e9),
            Statistic::Success | Statistic::Errors if made < least.max(1) => None,
            Statistic::Success => {
                Some(Interval::new(ratio(self.succeeded, all), ratio(self.succeeded + self.not_run, all)))
            }
            Statistic::Errors => Some(Interval::new(
                ratio(self.unsuccessful, all),
                ratio(self.unsuccessful + self.not_run, all),
            )),
            Statistic::Quantile(_) | Statistic::Min | Statistic::Max | Statistic::Last if !enough => None,
            Statistic::Quantile(_) | Statistic::Min | Statistic::Max => {
                Some(Interval::new(self.lower.get()?, self.upper.as_ref().unwrap_or(&self.lower).get()?))
            }
            Statistic::Last => self.held.iter().rev().find_map(Observation::value),
        }
    }

    fn tally(&mut self, observation: &Observation) -> &mut usize {
        match observation.succeeded() {
            Some(true) => &mut self.succeeded,
            Some(false) => &mut self.unsuccessful,
            None => &mut self.not_run,
        }
    }
}

#[cfg(test)]
mod tests;
