//! When each step of a run begins, counted from its start.

use std::time::Duration;

use crate::model::{Event, Experiment, Phase, Step};

/// Writes an instant of a run as a clock does: `0:12`, `1:02:03`, `0:00.5`.
pub(super) fn clock(at: Duration) -> String {
    let (whole, thousandths) = (at.as_secs(), at.subsec_millis());
    let (h, m, s) = (whole / 3600, whole % 3600 / 60, whole % 60);
    let mut out = if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") };
    if thousandths > 0 {
        out.push_str(format!(".{thousandths:03}").trim_end_matches('0'));
    }
    out
}

/// The planned course of a run.
#[derive(Debug)]
pub(super) struct Schedule {
    steps: Vec<(Duration, Step)>,
    marks: Vec<(Event, Duration)>,
    injected: Vec<String>,
    baseline: Duration,
    last: Duration,
    again: Duration,
}

impl Schedule {
    /// Computes the course of an experiment: first its steady state, then each step, at last the steady state again.
    pub(super) fn new(experiment: &Experiment) -> Self {
        let over = experiment.steady_state.over;
        let mut schedule = Schedule {
            steps: Vec::new(),
            marks: Vec::new(),
            injected: Vec::new(),
            baseline: over,
            last: over,
            again: Duration::ZERO,
        };
        let (mut at, mut active, mut healthy_since): (_, Vec<String>, _) = (over, Vec::new(), over);
        for step in &experiment.timeline.steps {
            schedule.steps.push((at, step.value.clone()));
            match &step.value {
                Step::Baseline(d) | Step::Hold(d) | Step::Watch(d) => at += *d,
                Step::Make(name) => schedule.marks.push((Event::Made(name.value.clone()), at)),
                Step::Inject(name) => {
                    schedule.marks.push((Event::Starts(name.value.clone()), at));
                    active.push(name.value.clone());
                    schedule.injected.push(name.value.clone());
                }
                Step::Rollback(name) => {
                    let gone = |f: &String| name.as_ref().is_none_or(|n| n.value == *f);
                    if active.iter().all(gone) && !active.is_empty() {
                        schedule.marks.push((Event::RollbackStarts, at));
                        schedule.marks.push((Event::Rollback, at));
                        healthy_since = at;
                    }
                    for fault in active.iter().filter(|f| gone(f)) {
                        schedule.marks.push((Event::Ends(fault.clone()), at));
                    }
                    active.retain(|f| !gone(f));
                }
            }
        }
        schedule.last = at;
        schedule.again = over.saturating_sub(at.saturating_sub(healthy_since));
        schedule
    }

    /// Returns the start of the run.
    pub(super) fn start(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the end of the run, the steady state seen again.
    pub(super) fn end(&self) -> Duration {
        self.last + self.again
    }

    /// Returns how long the end of the run waits for the steady state, beyond the timeline.
    pub(super) fn again(&self) -> Duration {
        self.again
    }

    /// Returns each step and when it begins.
    pub(super) fn steps(&self) -> &[(Duration, Step)] {
        &self.steps
    }

    /// Returns the faults in the order of their injection.
    pub(super) fn injected(&self) -> Vec<&str> {
        self.injected.iter().map(String::as_str).collect()
    }

    /// Returns when an event happens.
    pub(super) fn instants(&self, event: &Event) -> Vec<Duration> {
        self.marks.iter().filter(|(e, _)| e == event).map(|(_, at)| *at).collect()
    }

    /// Returns the start and end of a phase, where it takes place.
    pub(super) fn phase(&self, phase: &Phase) -> Option<(Duration, Duration)> {
        let first =
            |wanted: &dyn Fn(&Event) -> bool| self.marks.iter().find(|(e, _)| wanted(e)).map(|(_, at)| *at);
        let injected = first(&|e| matches!(e, Event::Starts(_)));
        match phase {
            Phase::Baseline => Some((self.baseline, injected.unwrap_or(self.last))),
            Phase::Fault(None) => Some((injected?, first(&|e| matches!(e, Event::Ends(_)))?)),
            Phase::Fault(Some(name)) => Some((
                first(&|e| matches!(e, Event::Starts(n) if n == name))?,
                first(&|e| matches!(e, Event::Ends(n) if n == name))?,
            )),
            Phase::Watch => {
                let rolled_back = self.marks.iter().rev().find(|(e, _)| *e == Event::Rollback);
                Some((rolled_back?.1, self.last))
            }
            Phase::WholeRun => Some((self.baseline, self.last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_like_a_clock() {
        for (ms, text) in
            [(0, "0:00"), (12_000, "0:12"), (500, "0:00.5"), (61_250, "1:01.25"), (3_723_000, "1:02:03")]
        {
            assert_eq!(clock(Duration::from_millis(ms)), text);
        }
    }
}
