//! What happened when: stages for people, phases and marks for formulas.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    emit::Emitter,
    event::What,
    record::{Mark, PhaseSpan, Stage, StageSpan},
};
use crate::{
    model::{Event, Phase},
    time::{Nanos, duration},
};

/// Writes down the timeline of a run, and reports it.
pub(crate) struct Chronicle {
    inner: Mutex<Inner>,
    emitter: Emitter,
}

#[derive(Default)]
struct Inner {
    stages: Vec<StageSpan>,
    current: Option<(Stage, Nanos)>,
    marks: Vec<Mark>,
    /// When the baseline began, and ended.
    baseline: Option<(Nanos, Option<Nanos>)>,
    /// Each time that a fault was in place: from its confirmation to the beginning of its revert.
    faults: Vec<(String, Nanos, Option<Nanos>)>,
    first_rollback: Option<Nanos>,
    /// The end of the planned waits, if nothing more takes time.
    until: Nanos,
}

impl Chronicle {
    pub(crate) fn new(emitter: Emitter) -> Self {
        Chronicle { inner: Mutex::default(), emitter }
    }

    /// Ends the current stage and begins the next; `left` is all planned waiting from here on.
    pub(crate) fn enter(&self, stage: Stage, now: Nanos, planned: Option<std::time::Duration>, left: Nanos) {
        self.leave(now);
        let mut inner = self.lock();
        if stage == Stage::Baseline {
            inner.baseline.get_or_insert((now, None));
        }
        inner.current = Some((stage.clone(), now));
        inner.until = now.saturating_add(left);
        drop(inner);
        self.emitter.emit(What::StageStarted { stage, planned });
    }

    /// Ends the current stage.
    pub(crate) fn leave(&self, now: Nanos) {
        let mut inner = self.lock();
        let Some((stage, start)) = inner.current.take() else { return };
        inner.stages.push(StageSpan { stage: stage.clone(), start, end: now });
        drop(inner);
        self.emitter.emit(What::StageEnded { stage, took: duration(now - start) });
    }

    /// Ends the baseline; returns it the first time.
    pub(crate) fn end_baseline(&self, now: Nanos) -> Option<(Nanos, Nanos)> {
        match &mut self.lock().baseline {
            Some((start, end @ None)) => {
                *end = Some(now);
                Some((*start, now))
            }
            _ => None,
        }
    }

    /// A fault is in place, confirmed.
    pub(crate) fn fault_starts(&self, fault: &str, now: Nanos) {
        self.lock().faults.push((fault.to_owned(), now, None));
        self.mark(Event::Starts(fault.to_owned()), now);
    }

    /// The revert of faults begins; `all` says that none stays in place.
    pub(crate) fn rollback_starts(&self, faults: &[String], all: bool, now: Nanos) {
        let mut inner = self.lock();
        inner.first_rollback.get_or_insert(now);
        for (fault, _, end) in &mut inner.faults {
            if faults.contains(fault) {
                end.get_or_insert(now);
            }
        }
        drop(inner);
        if all {
            self.mark(Event::RollbackStarts, now);
        }
    }

    /// An instant that formulas speak of has come.
    pub(crate) fn mark(&self, event: Event, at: Nanos) {
        self.lock().marks.push(Mark { event: event.clone(), at });
        self.emitter.emit(What::Mark { event });
    }

    /// Returns how much of the planned waits is left.
    pub(crate) fn left(&self, now: Nanos) -> std::time::Duration {
        duration(self.lock().until - now)
    }

    /// Returns when the last rollback was done.
    pub(crate) fn rolled_back(&self) -> Option<Nanos> {
        self.lock().marks.iter().rev().find(|m| m.event == Event::Rollback).map(|m| m.at)
    }

    /// Returns the marks so far.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.lock().marks.clone()
    }

    /// Returns the stages so far.
    pub(crate) fn stages(&self) -> Vec<StageSpan> {
        self.lock().stages.clone()
    }

    /// Returns the phases up to `end`; those that have not ended end there.
    pub(crate) fn phases(&self, end: Nanos) -> Vec<PhaseSpan> {
        let inner = self.lock();
        let span = |phase, start: Nanos, until: Option<Nanos>| PhaseSpan {
            phase,
            start,
            end: until.unwrap_or(end).max(start),
        };
        let mut phases = Vec::new();
        if let Some((start, until)) = inner.baseline {
            phases.push(span(Phase::Baseline, start, until));
        }
        if let Some((_, start, _)) = inner.faults.first() {
            phases.push(span(Phase::Fault(None), *start, inner.first_rollback.filter(|at| at >= start)));
        }
        for (fault, start, until) in &inner.faults {
            phases.push(span(Phase::Fault(Some(fault.clone())), *start, *until));
        }
        let rolled_back = inner.marks.iter().rev().find(|m| m.event == Event::Rollback);
        // A fault that was put in place again after the rollback ends the watch.
        if let Some(mark) = rolled_back.filter(|m| inner.faults.iter().all(|(_, start, _)| *start <= m.at)) {
            phases.push(span(Phase::Watch, mark.at, None));
        }
        if let Some((start, _)) = inner.baseline {
            phases.push(span(Phase::WholeRun, start, None));
        }
        phases
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
