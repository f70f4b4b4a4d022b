//! What is read from the world now and then: a reading holds until the next, and no longer than it is fresh.
//!
//! A reading that could not be taken says nothing on its own: the one before it still holds, up to [`FRESH`] times the time
//! between two. After that the signal is unknown, and so is a statistic of a phase that such a gap falls into.

use std::collections::BTreeMap;

use super::filter::matches;
use crate::verdict::{
    Interval,
    signal::Signal,
    steps::shifted,
    window::{Answer, Observation},
};
use crate::{
    judge::view::Samples,
    model::{Experiment, Field, Function, Metric, metric::ALERT, probe::FRESH},
    probe::{Outcome, Sample},
    time::Nanos,
};

/// How many readings in a row may be missing so that the one before them still holds when the next is due.
const FORGIVEN: usize = FRESH as usize - 1;

/// Returns how long a reading of a probe holds.
pub(super) fn fresh(experiment: &Experiment, probe: &str) -> Nanos {
    experiment.probe(probe).map_or(0.0, |p| FRESH * 1e9 / p.rate.max(1e-9)) as Nanos
}

/// Returns the physical range of what is read.
pub(super) fn range(metric: &Metric) -> Interval {
    if metric.function == Function::Fires { Interval::BOOLEAN } else { Interval::EVERYTHING }
}

/// Returns what one sample read, or `None` if it read nothing.
pub(super) fn reading(metric: &Metric, sample: &Sample) -> Option<f64> {
    let seen = &sample.observation;
    let (named, others): (Vec<_>, Vec<_>) = metric.filter.iter().partition(|f| f.label.value == ALERT);
    if !others.iter().all(|filter| matches(filter, sample)) {
        return None;
    }
    match metric.function {
        Function::Fires if seen.outcome != Outcome::Ok => None,
        Function::Fires => Some(f64::from(u8::from(named.iter().all(|filter| matches(filter, sample))))),
        Function::Success
        | Function::Errors
        | Function::Rate
        | Function::Count
        | Function::Quantile(_)
        | Function::Min
        | Function::Max
        | Function::Last
        | Function::Value => seen.value.filter(|value| !value.is_nan()),
    }
}

/// Returns what was read over time; a reading counts from when its measurement was over, as for an abort condition.
pub(super) fn signal(metric: &Metric, experiment: &Experiment, samples: &Samples, end: Nanos) -> Signal {
    let of_probe = samples.get(&metric.probe.value).into_iter().flatten().filter(|s| s.intended < end);
    let mut readings: Vec<(Nanos, f64)> =
        of_probe.filter_map(|s| Some((s.completed(), reading(metric, s)?))).collect();
    readings.sort_by_key(|(at, _)| *at);
    // Of several at one instant the last counts.
    readings.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    Signal::from_polls(range(metric), readings, fresh(experiment, &metric.probe), shifted(end, -1))
}

/// Tells which readings that could not be taken count: those after the reading before them has ceased to hold.
#[derive(Clone, Debug)]
pub(super) struct Missing(usize);

impl Missing {
    /// Before the first reading nothing holds.
    pub(super) fn new() -> Self {
        Missing(FORGIVEN)
    }

    /// Returns whether an observation counts; they come in order.
    pub(super) fn counts(&mut self, observation: &Observation) -> bool {
        self.0 = if observation.answer == Answer::Unread { self.0.saturating_add(1) } else { 0 };
        self.0 == 0 || self.0 > FORGIVEN
    }
}

/// Returns the least and the greatest of what was read in `[from, to)`; `None` if nothing was.
///
/// What holds of both has held all the time.
pub(super) fn extent(metric: &Metric, samples: &Samples, (from, to): (Nanos, Nanos)) -> Option<Interval> {
    let of_probe = samples.get(&metric.probe.value).into_iter().flatten();
    let readings = of_probe.filter(|s| (from..to).contains(&s.intended)).filter_map(|s| reading(metric, s));
    readings.fold(None, |extent: Option<Interval>, value| {
        let (lo, hi) = extent.map_or((value, value), |e| (e.lo.min(value), e.hi.max(value)));
        Some(Interval::new(lo, hi))
    })
}

/// Returns the error that the most readings in `[from, to)` could not be taken for, with how many these are.
///
/// Of measurements that are not readings it says nothing: what they failed with is what was measured.
pub(super) fn unread<'a>(
    metric: &Metric,
    samples: &'a Samples,
    (from, to): (Nanos, Nanos),
) -> Option<(usize, &'a str)> {
    if !metric.is_gauge() && !matches!(metric.field, Field::Value(_)) {
        return None;
    }
    let of_probe = samples.get(&metric.probe.value).into_iter().flatten();
    let mut errors: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in of_probe.filter(|s| (from..to).contains(&s.intended) && reading(metric, s).is_none()) {
        if let Some(error) = &sample.observation.error {
            *errors.entry(error).or_default() += 1;
        }
    }
    errors.into_iter().map(|(error, count)| (count, error)).max_by_key(|(count, _)| *count)
}

/// The last reading, while an abort condition watches.
#[derive(Clone, Debug)]
pub(super) struct Held {
    fresh: Nanos,
    range: Interval,
    last: Option<(Nanos, f64)>,
}

impl Held {
    /// Knows nothing yet; readings hold for `fresh`.
    pub(super) fn new(metric: &Metric, experiment: &Experiment) -> Self {
        Held { fresh: fresh(experiment, &metric.probe), range: range(metric), last: None }
    }

    /// Takes in a reading.
    pub(super) fn observe(&mut self, at: Nanos, value: f64) {
        if self.last.is_none_or(|(last, _)| last <= at) {
            self.last = Some((at, value));
        }
    }

    /// Returns what holds at an instant.
    pub(super) fn at(&self, now: Nanos) -> Option<Interval> {
        let (_, value) = self.last.filter(|(at, _)| now < shifted(*at, self.fresh))?;
        Some(Interval::exactly(value).clamped(self.range))
    }
}

#[cfg(test)]
mod tests;
