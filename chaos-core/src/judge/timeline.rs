//! The timeline of a run as claims see it: phases and events as they were, what an abort cut short, which faults met nothing.

use std::rc::Rc;

use super::{
    About, Period,
    cache::{Cache, Selected},
    limit::Limit,
    metric::{self, Least},
    polled, wording,
};
use crate::verdict::{
    Leaning, Outcome,
    confidence::Reason,
    quantile::Distribution,
    signal::{Blank, Signal},
    steps::shifted,
    window::Observation,
};
use crate::{
    judge::view::RunView,
    model::{Claim, Comparison, Event, Experiment, Metric, Phase, formula::Bound},
    soundness,
    time::{Nanos, nanos},
};

/// The most values that a signal is made of, so that no run, however long, exhausts the memory.
const MOST_TICKS: i64 = 100_000;
/// The finest grid of a signal.
const FINEST: Nanos = 10_000_000;
/// The coarsest grid of a signal.
const COARSEST: Nanos = 1_000_000_000;

/// One run to be judged.
pub(super) struct RunTimeline<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) view: &'a RunView<'a>,
    cache: Cache,
}

impl<'a> RunTimeline<'a> {
    pub(super) fn new(experiment: &'a Experiment, view: &'a RunView<'a>) -> Self {
        RunTimeline { experiment, view, cache: Cache::default() }
    }

    /// Returns what a metric looks at of the whole run, in the order of intended starts.
    pub(super) fn observations(&self, metric: &Metric) -> Rc<Vec<Observation>> {
        self.cache.observations(metric, self.view)
    }

    /// Returns the metric over a sliding window; windows restart at `edges`, in the order of time, and everything meant to
    /// start before `end` is known.
    ///
    /// Where the probe took no measurement at all for a whole window, and for longer than its schedule explains, nothing is
    /// known, also not that there was nothing to count.
    pub(super) fn signal(&self, metric: &Metric, edges: &[Nanos]) -> Signal {
        let (experiment, samples, end) = (self.experiment, self.view.samples, self.view.end);
        if metric.is_gauge() {
            return polled::signal(metric, experiment, samples, end);
        }
        let window = metric.over.map_or(Nanos::MAX / 4, nanos);
        let settled = shifted(end, -1);
        let first = edges.first().copied().unwrap_or(settled);
        let tick =
            (window / 10).clamp(FINEST, COARSEST).max(settled.saturating_sub(first).max(0) / MOST_TICKS);
        let seen = self.observations(metric);
        let mut signal = metric::windowed(metric, window).signal(&seen, edges, tick, settled);
        let every = experiment.probe(&metric.probe).map_or(0.0, |p| 2.5e9 / p.rate.max(1e-9)) as Nanos;
        let patience = window.max(every);
        let taken = self.taken(&metric.probe.value);
        let inside = taken.iter().copied().skip(taken.partition_point(|at| *at < first));
        let mut last = first;
        for instant in inside.take_while(|at| *at < end).chain([end]) {
            if instant.saturating_sub(last) > patience {
                signal = signal.blanked(shifted(last, patience), instant, Blank::Gap);
            }
            last = instant;
        }
        signal
    }

    /// Returns what a metric looks at of some periods, each observation once, in order.
    pub(super) fn within(&self, metric: &Metric, periods: &[Period]) -> Selected {
        self.cache.within(metric, periods, self.view)
    }

    /// Returns the distribution of what a metric looks at of some periods.
    pub(super) fn values(&self, metric: &Metric, periods: &[Period]) -> Rc<Distribution> {
        self.cache.values(metric, periods, self.view)
    }

    /// Returns when the measurements of a probe that were taken were meant to start, in order.
    pub(super) fn taken(&self, probe: &str) -> Rc<Vec<Nanos>> {
        self.cache.taken(probe, self.view)
    }

    /// Resolves a comparison's right side as [`Limit::of`] does, from at least this number of samples of the baseline.
    pub(super) fn limit(&self, comparison: &Comparison, length: Option<Nanos>, least: Least) -> Limit {
        let baseline = self.baseline().filter(|_| matches!(comparison.bound, Bound::Baseline { .. }));
        let number = baseline.and_then(|period| {
            let metric = &comparison.metric;
            let seen = self.within(metric, &[period]);
            metric::number_before(metric, &seen, period, metric.over.map(nanos).or(length), least)
        });
        Limit::from_baseline(comparison, number)
    }

    /// Returns each time that a phase took place, up to the end, in the order of time.
    pub(super) fn periods(&self, phase: &Phase) -> Vec<Period> {
        let spans = self.view.phases.iter().filter(|span| span.phase == *phase);
        let mut periods: Vec<Period> =
            spans.map(|span| (span.start, span.end.min(self.view.end).max(span.start))).collect();
        periods.sort_unstable();
        periods
    }

    /// Returns the baseline.
    pub(super) fn baseline(&self) -> Option<Period> {
        self.periods(&Phase::Baseline).first().copied()
    }

    /// Returns the phase cut at its edges, where windows restart: the whole run has those of all its phases.
    pub(super) fn pieces(&self, phase: &Phase) -> Vec<Period> {
        let whole = self.periods(phase);
        if *phase != Phase::WholeRun {
            return whole;
        }
        let mut edges: Vec<Nanos> = [Phase::Baseline, Phase::Fault(None), Phase::Watch]
            .iter()
            .flat_map(|phase| self.periods(phase))
            .flat_map(|(start, end)| [start, end])
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let cut = |(start, end): Period| {
            let inside = edges.iter().copied().filter(move |edge| start < *edge && *edge < end);
            let starts: Vec<Nanos> = std::iter::once(start).chain(inside).collect();
            let ends: Vec<Nanos> = starts.iter().skip(1).copied().chain([end]).collect();
            starts.into_iter().zip(ends)
        };
        whole.into_iter().flat_map(cut).collect()
    }

    /// Returns each time that an event came, in the order of time.
    pub(super) fn instants(&self, event: &Event) -> Vec<Nanos> {
        let marks = self.view.marks.iter().filter(|mark| mark.event == *event);
        let mut instants: Vec<Nanos> = marks.map(|mark| mark.at).collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    /// Returns when the next fault began after an event, as [`RunView::next_fault_after`].
    pub(super) fn next_fault(&self, at: Nanos, event: &Event) -> Option<Nanos> {
        self.view.next_fault_after(at, event)
    }

    /// Returns the abort that cut a period of this phase short.
    pub(super) fn cut(&self, phase: &Phase, (start, end): Period) -> Option<Nanos> {
        let at = self.view.aborted?;
        // Faults are taken away at the very instant of the abort where nothing takes time.
        let inside = if *phase == Phase::Baseline { at < end } else { at <= end };
        (start <= at && inside).then_some(at)
    }

    /// Returns the faults that a claim is about and that tested nothing of its probes, each with the reason where one is known,
    /// and whether that is all of them.
    fn idle(&self, about: About<'_>, probes: &[&str]) -> (Vec<(&'a str, Option<String>)>, bool) {
        let only = match about {
            About::Phase(Phase::Baseline) => return (Vec::new(), false),
            About::Phase(Phase::Fault(Some(name)))
            | About::Event(Event::Starts(name) | Event::Ends(name) | Event::Made(name)) => Some(name),
            About::Phase(Phase::Fault(None) | Phase::Watch | Phase::WholeRun)
            | About::Event(Event::Rollback | Event::RollbackStarts) => None,
        };
        let concerned = || {
            let all = self.view.exercised.iter().map(|(name, exercised)| (name.as_str(), *exercised));
            all.filter(|(name, _)| only.is_none_or(|only| only == name))
        };
        let mut idle: Vec<(&str, Option<String>)> = concerned()
            .filter(|(_, exercised)| !exercised)
            .map(|(name, _)| (name, self.view.idle.get(name).cloned()))
            .collect();
        // What is done to others does not test these, unless one of several faults is done to them.
        let (mut apart, mut reached) = (Vec::new(), false);
        for (name, _) in concerned().filter(|(_, exercised)| *exercised) {
            if self.passes_by(name, probes) && !self.is_compared(name) {
                let whose = probes.iter().map(|probe| format!("`{probe}`")).collect::<Vec<_>>().join(" and ");
                apart.push((name, Some(format!("matches no request of {whose}"))));
            } else {
                reached = true;
            }
        }
        if !reached {
            idle.append(&mut apart);
        }
        let all = !reached && !idle.is_empty();
        (idle, all)
    }

    /// Whether the experiment also claims something of requests that a fault may match: then a claim about others says that the
    /// fault does not spread to them, which it is a test of.
    fn is_compared(&self, fault: &str) -> bool {
        let claims = self.experiment.expectations.iter().map(|expectation| &expectation.claim);
        let mut probes =
            claims.flat_map(Claim::comparisons).map(|comparison| comparison.metric.probe.as_str());
        probes.any(|probe| !self.passes_by(fault, &[probe]))
    }

    /// Whether a fault matches no request of any of these probes, as far as the experiment itself says.
    fn passes_by(&self, fault: &str, probes: &[&str]) -> bool {
        let Some(fault) = self.experiment.fault(fault) else { return false };
        let apart = |probe: &&str| {
            let probe = self.experiment.probe(probe);
            probe.is_some_and(|probe| soundness::reaches(self.experiment, probe, fault) == Some(false))
        };
        !probes.is_empty() && probes.iter().all(apart)
    }

    /// Returns the verdict with what the run adds to it: a claim that passed while a fault did nothing, or over a
    /// phase that was cut short, was not tested. A claim that failed has failed, unless no fault did anything: then it is not
    /// the fault that it failed by.
    pub(super) fn tested(
        &self,
        outcome: Outcome,
        about: About<'_>,
        cut: bool,
        probes: &[&str],
    ) -> (Outcome, Vec<String>) {
        let (idle, all) = self.idle(about, probes);
        let mut more = Vec::new();
        if cut {
            more.push(Reason::Aborted);
        }
        if !idle.is_empty() {
            more.push(Reason::NotExercised);
        }
        let outcome = match outcome {
            Outcome::Failed if all => Outcome::inconclusive(Leaning::Failed, Reason::NotExercised, None),
            Outcome::Failed => Outcome::Failed,
            outcome if more.is_empty() => outcome,
            Outcome::Passed => {
                more.sort();
                Outcome::Inconclusive { leaning: Leaning::Passed, reasons: more, need: None }
            }
            Outcome::Inconclusive { leaning, mut reasons, need } => {
                reasons.extend(more);
                reasons.sort();
                reasons.dedup();
                Outcome::Inconclusive { leaning, reasons, need }
            }
        };
        let lines = wording::reasons(&outcome, about, &idle, self.view);
        (outcome, lines)
    }

    /// Returns the verdict on a claim about something that never came.
    pub(super) fn absent(&self) -> Outcome {
        let reason = if self.view.aborted.is_some() { Reason::Aborted } else { Reason::NotExercised };
        Outcome::inconclusive(Leaning::None, reason, None)
    }
}
