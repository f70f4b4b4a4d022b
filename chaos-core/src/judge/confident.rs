//! Abort conditions that must be sure: they weigh evidence tick by tick instead of believing every window.

use super::{metric, show::show};
use crate::verdict::sequential::ConfidentGuard;
use crate::{
    judge::{border::Guard, view::Samples},
    model::{Comparison, Experiment, Function, Unit, formula::Bound},
    probe::Sample,
    time::Nanos,
    verdict::window::Answer,
};

/// The chance, at most, that a confident condition ends a run although the share never broke its limit.
pub(crate) const FALSE_ALARM: f64 = 0.01;

/// How often evidence is weighed.
pub(crate) const TICK: Nanos = 1_000_000_000;

/// Watches one share.
pub(super) struct Confident {
    comparison: Comparison,
    limit: f64,
    guard: ConfidentGuard,
    /// The end of the tick under way; none before the first measurement.
    until: Option<Nanos>,
    requests: u64,
    misses: u64,
    /// What was seen since the evidence last was nothing: since when, and how many of how many missed.
    since: Nanos,
    seen: (u64, u64),
    fires: bool,
}

/// Returns how often the condition may be looked at in the planned time: once in each second, in which it is armed.
#[must_use]
pub(crate) fn planned_ticks(experiment: &Experiment) -> u64 {
    let planned = experiment.timeline.planned() + 2 * experiment.steady_state.over;
    planned.as_secs() + 1
}

/// Returns the share of errors from which on the condition should fire.
#[must_use]
pub(crate) fn tolerated(comparison: &Comparison) -> f64 {
    let Bound::Constant(limit) = &comparison.bound else { return 0.0 };
    match comparison.metric.function {
        Function::Success => 1.0 - limit.value,
        Function::Errors
        | Function::Rate
        | Function::Count
        | Function::Quantile(_)
        | Function::Min
        | Function::Max
        | Function::Last
        | Function::Value
        | Function::Fires => limit.value,
    }
}

impl Confident {
    pub(super) fn new(comparison: &Comparison, experiment: &Experiment) -> Self {
        let limit = tolerated(comparison);
        Confident {
            comparison: comparison.clone(),
            limit,
            guard: ConfidentGuard::new(limit, planned_ticks(experiment), FALSE_ALARM),
            until: None,
            requests: 0,
            misses: 0,
            since: 0,
            seen: (0, 0),
            fires: false,
        }
    }

    fn weigh(&mut self, tick: Nanos) {
        if self.guard.evidence() <= 0.0 {
            (self.since, self.seen) = (tick - TICK, (0, 0));
        }
        self.seen.0 += self.misses;
        self.seen.1 += self.requests;
        self.fires = self.guard.update(self.requests, self.misses);
        (self.requests, self.misses) = (0, 0);
    }
}

impl Guard for Confident {
    fn observe(&mut self, probe: &str, sample: &Sample) {
        if self.comparison.metric.probe.value != probe {
            return;
        }
        let Some(seen) = metric::observation(&self.comparison.metric, sample) else { return };
        let missed = match seen.answer {
            Answer::Ok(_) => false,
            Answer::Failed | Answer::TimedOut(_) => true,
            Answer::NotRun | Answer::Unread => return,
        };
        let until = *self.until.get_or_insert_with(|| seen.completed.div_euclid(TICK) * TICK + TICK);
        // Each measurement belongs to the tick in which it ended; one reported late, to the one under way.
        if seen.completed >= until {
            self.weigh(until);
            self.until = Some(seen.completed.div_euclid(TICK) * TICK + TICK);
        }
        self.requests += 1;
        self.misses += u64::from(missed);
    }

    fn baseline(&mut self, _: &Samples, _: Nanos, _: Nanos) {}

    fn fires(&mut self, now: Nanos) -> Option<String> {
        if let Some(until) = self.until.filter(|until| *until <= now) {
            self.weigh(until);
            self.until = Some(now.div_euclid(TICK) * TICK + TICK);
        }
        let (missed, all) = self.seen;
        self.fires.then(|| {
            format!(
                "{missed} of {all} requests of {} failed in the last {}, more than {} with {} confidence",
                self.comparison.metric.probe,
                crate::model::quantity::format_seconds((now - self.since) as f64 / 1e9),
                show(self.limit, Unit::Ratio),
                show(1.0 - FALSE_ALARM, Unit::Ratio),
            )
        })
    }
}

/// Returns how many seconds the condition typically takes from the moment that errors jump to a share; `None` if the share
/// is not above what is tolerated. `requests` come each second.
#[must_use]
pub(crate) fn typical_delay(tolerated: f64, planned_ticks: u64, requests: f64, share: f64) -> Option<f64> {
    let p0 = tolerated.clamp(1e-9, 1.0 - 1e-9);
    let p1 = (2.0 * p0).min(p0.midpoint(1.0));
    let gain = share * (p1 / p0).ln() + (1.0 - share) * ((1.0 - p1) / (1.0 - p0)).ln();
    let threshold = (planned_ticks.max(1) as f64 / FALSE_ALARM).ln();
    (gain > 0.0 && requests > 0.0).then(|| (threshold / (gain * requests)).ceil().max(1.0))
}

#[cfg(test)]
mod tests;
