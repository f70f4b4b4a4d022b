//! Takes in every measurement as it ends: keeps it, feeds the abort conditions, knows how each probe is doing.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    abort::Switch,
    event::ProbeProgress,
    record::{AbortCause, AbortKind},
};
use crate::judge::{
    border::{Guard, Judge},
    informs,
    view::Samples,
};
use crate::{
    model::{Abort, Experiment, Function, Metric, quantity::format_seconds},
    probe::{Outcome, Sample},
    span::Span,
    time::{Nanos, duration, nanos},
};

/// What progress looks back on.
const RECENT: Duration = Duration::from_secs(5);
/// The most measurements that progress looks back on; more would make it dear at high rates and no better.
const MOST_RECENT: usize = 2048;
/// The least time without a measurement of use after which an abort condition counts as blind.
const BLIND: Duration = Duration::from_secs(30);

/// The measurements of a run while it lasts.
pub(crate) struct Monitor {
    inner: Mutex<Inner>,
    interrupt: Arc<Switch>,
}

struct Inner {
    probes: Vec<Watched>,
    guards: Vec<Watch>,
    /// Whether guards end the run: from the baseline until the restore is proven.
    armed: bool,
    /// Guards never look back in time, also where samples of several streams end out of order.
    latest: Nanos,
}

/// One probe.
struct Watched {
    name: String,
    samples: Vec<Sample>,
    recent: VecDeque<(Nanos, Outcome, Duration)>,
    /// When a measurement was last taken.
    taken: Nanos,
    /// The longest silence that is still normal.
    patience: Duration,
    /// Which guards look at it.
    guards: Vec<usize>,
}

/// One abort condition.
struct Watch {
    guard: Box<dyn Guard>,
    condition: String,
    span: Span,
    needs: Vec<Need>,
}

/// A metric that a condition needs.
struct Need {
    probe: usize,
    metric: Metric,
    /// When a measurement last said anything about it.
    informed: Nanos,
}

impl Need {
    /// Says what is missing: `nothing was heard of probe `get``.
    fn missing(&self, probe: &Watched, silent: bool) -> String {
        let (name, metric) = (&probe.name, &self.metric);
        if metric.function == Function::Fires {
            format!("probe `{name}` got no answer about which alerts fire")
        } else if metric.field.is_read() {
            format!("probe `{name}` read nothing")
        } else if silent {
            format!("nothing was heard of probe `{name}`")
        } else {
            format!("no measurement of probe `{name}` counted for `{metric}`")
        }
    }
}

impl Monitor {
    pub(crate) fn new(experiment: &Experiment, judge: &dyn Judge, interrupt: Arc<Switch>) -> Self {
        let mut probes: Vec<Watched> = experiment
            .probes
            .iter()
            .map(|p| Watched {
                name: p.name.value.clone(),
                samples: Vec::new(),
                recent: VecDeque::new(),
                taken: 0,
                patience: BLIND
                    .max(Duration::from_secs_f64(3.0 / p.rate.max(1e-9)).saturating_add(p.timeout)),
                guards: Vec::new(),
            })
            .collect();
        let mut guards = Vec::new();
        for abort in &experiment.aborts {
            let comparisons = abort.comparisons();
            let (guard, condition) = match abort {
                Abort::When(predicate) => (judge.guard(predicate, experiment), predicate.to_string()),
                Abort::Confident(comparison) => {
                    (judge.confident(comparison, experiment), format!("confident {comparison}"))
                }
                Abort::Never(_) => continue,
            };
            let mut needs: Vec<Need> = Vec::new();
            for metric in comparisons.iter().flat_map(|c| c.metrics()) {
                let Some(probe) = probes.iter().position(|p| p.name == metric.probe.value) else { continue };
                if needs.iter().all(|need| need.probe != probe) {
                    probes[probe].guards.push(guards.len());
                }
                needs.push(Need { probe, metric: metric.clone(), informed: 0 });
            }
            let span = comparisons.iter().fold(Span::NONE, |span, c| span.to(c.span));
            guards.push(Watch { guard, condition, span, needs });
        }
        Monitor { inner: Mutex::new(Inner { probes, guards, armed: false, latest: 0 }), interrupt }
    }

    /// Takes in a measurement that is over; trips the switch at once if that makes an abort condition hold.
    pub(crate) fn observe(&self, probe: usize, sample: Sample) {
        let mut inner = self.lock();
        let now = inner.latest.max(sample.completed());
        inner.latest = now;
        let Inner { probes, guards, armed, .. } = &mut *inner;
        let watched = &mut probes[probe];
        if watched.recent.len() == MOST_RECENT {
            watched.recent.pop_front();
        }
        watched.recent.push_back((now, sample.observation.outcome, sample.latency));
        if sample.observation.outcome != Outcome::NotRun {
            watched.taken = now;
        }
        for index in &watched.guards {
            let watch = &mut guards[*index];
            let needs = watch.needs.iter_mut().filter(|need| need.probe == probe);
            needs.filter(|need| informs(&need.metric, &sample)).for_each(|need| need.informed = now);
            watch.guard.observe(&watched.name, &sample);
            self.check(watch, *armed, now);
        }
        watched.samples.push(sample);
    }

    /// Judges every abort condition at an instant without a measurement, and whether anything still informs it.
    pub(crate) fn tick(&self, now: Nanos) {
        let mut inner = self.lock();
        let now = inner.latest.max(now);
        inner.latest = now;
        let Inner { probes, guards, armed, .. } = &mut *inner;
        for watch in guards {
            self.check(watch, *armed, now);
            let too_long =
                |since: Nanos, probe: usize| duration(now.saturating_sub(since)) > probes[probe].patience;
            let Some(need) = watch.needs.iter().find(|need| too_long(need.informed, need.probe)) else {
                continue;
            };
            if *armed {
                let silence = format_seconds(duration(now - need.informed).as_secs_f64());
                let probe = &probes[need.probe];
                let nothing = need.missing(probe, too_long(probe.taken, need.probe));
                self.interrupt.trip(&AbortCause {
                    kind: AbortKind::Blind,
                    at: now,
                    reason: format!("{nothing} for {silence}, and an abort condition needs it"),
                    condition: Some(watch.condition.clone()),
                    span: Some(watch.span),
                });
            }
        }
    }

    fn check(&self, watch: &mut Watch, armed: bool, now: Nanos) {
        // Asked also while not armed: a guard's memory of how long something has held starts with the load.
        let Some(measured) = watch.guard.fires(now) else { return };
        if armed {
            self.interrupt.trip(&AbortCause {
                kind: AbortKind::Condition,
                at: now,
                reason: format!("abort condition `{}` came true: {measured}", watch.condition),
                condition: Some(watch.condition.clone()),
                span: Some(watch.span),
            });
        }
    }

    /// Begins to listen: silence counts from now.
    pub(crate) fn begin(&self, now: Nanos) {
        let mut inner = self.lock();
        inner.probes.iter_mut().for_each(|probe| probe.taken = now);
        inner.guards.iter_mut().flat_map(|watch| &mut watch.needs).for_each(|need| need.informed = now);
    }

    /// Lets abort conditions end the run, or not any more.
    pub(crate) fn arm(&self, armed: bool) {
        self.lock().armed = armed;
    }

    /// Shows the baseline to the abort conditions; returns how many measurements it holds.
    pub(crate) fn freeze_baseline(&self, from: Nanos, to: Nanos) -> u64 {
        let samples = self.samples(from, to);
        for watch in &mut self.lock().guards {
            watch.guard.baseline(&samples, from, to);
        }
        samples.values().map(|s| s.len() as u64).sum()
    }

    /// Returns a copy of the samples that were meant to start in `[from, to)` and are over, in that order.
    pub(crate) fn samples(&self, from: Nanos, to: Nanos) -> Samples {
        let within = |s: &&Sample| (from..to).contains(&s.intended);
        let mut copy: Samples = self
            .lock()
            .probes
            .iter()
            .map(|p| (p.name.clone(), p.samples.iter().filter(within).cloned().collect()))
            .collect();
        copy.values_mut().for_each(|s| s.sort_by_key(|s| s.intended));
        copy
    }

    /// Takes all samples out, in the order of their intended starts.
    pub(crate) fn take(&self) -> Samples {
        let mut samples: Samples =
            self.lock().probes.iter_mut().map(|p| (p.name.clone(), std::mem::take(&mut p.samples))).collect();
        samples.values_mut().for_each(|s| s.sort_by_key(|s| s.intended));
        samples
    }

    /// Returns how each probe is doing.
    pub(crate) fn progress(&self, now: Nanos) -> Vec<ProbeProgress> {
        let since = now - nanos(RECENT);
        self.lock()
            .probes
            .iter_mut()
            .map(|p| {
                while p.recent.front().is_some_and(|(at, ..)| *at < since) {
                    p.recent.pop_front();
                }
                let count = |outcome| p.recent.iter().filter(|(_, o, _)| *o == outcome).count();
                let (ok, not_run) = (count(Outcome::Ok), count(Outcome::NotRun));
                let taken = p.recent.len() - not_run;
                let mut latencies: Vec<Duration> = p
                    .recent
                    .iter()
                    .filter(|(_, outcome, _)| matches!(outcome, Outcome::Ok | Outcome::TimedOut))
                    .map(|(.., latency)| *latency)
                    .collect();
                ProbeProgress {
                    probe: p.name.clone(),
                    sent: p.samples.len() as u64,
                    success: (taken > 0).then(|| ok as f64 / taken as f64),
                    p95: quantile(&mut latencies, 0.95),
                    over: RECENT,
                }
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A guard that panicked has ended its worker, which the director sees; what was measured is still right.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the order statistic of rank `ceil(q n)`, as judging uses it; reorders the values.
pub(crate) fn quantile(values: &mut [Duration], q: f64) -> Option<Duration> {
    if values.is_empty() {
        return None;
    }
    let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
    Some(*values.select_nth_unstable(rank - 1).1)
}
