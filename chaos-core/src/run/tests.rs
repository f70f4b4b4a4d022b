//! Runs in a scripted world on a paused clock.

mod abort;
mod blind;
mod change;
mod course;
mod failures;
mod load;
mod radius;
mod random;
mod stop;
mod waves;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Control, Finished, Policy, RunEvent, Runner, record::Restoration};
use crate::judge::{
    border::{Guard, Judge},
    view::{Judged, PredicateResult, RunView, Samples, Verdict},
};
use crate::{
    model::{Comparison, Experiment, Predicate},
    probe::{Outcome, Sample},
    testing::{self, World},
    time::Nanos,
};

/// Judges by plain shares of successes, which is all that these tests need.
pub(super) struct PlainJudge;

fn share(samples: &[Sample]) -> Option<f64> {
    let ok = samples.iter().filter(|s| s.observation.outcome == Outcome::Ok).count();
    (!samples.is_empty()).then(|| ok as f64 / samples.len() as f64)
}

struct PlainGuard(Vec<(Nanos, bool)>);

impl Guard for PlainGuard {
    fn observe(&mut self, _probe: &str, sample: &Sample) {
        self.0.push((sample.completed(), sample.observation.outcome == Outcome::Ok));
    }

    fn baseline(&mut self, _samples: &Samples, _from: Nanos, _to: Nanos) {}

    /// More than half of the last 20 measurements failed.
    fn fires(&mut self, _now: Nanos) -> Option<String> {
        let last = &self.0[self.0.len().saturating_sub(20)..];
        let ok = last.iter().filter(|(_, ok)| *ok).count();
        (last.len() == 20 && ok < 10).then(|| format!("{ok} of 20"))
    }
}

impl Judge for PlainJudge {
    fn confident(&self, _comparison: &crate::model::Comparison, _experiment: &Experiment) -> Box<dyn Guard> {
        unreachable!("no test of running has a condition that must be sure")
    }

    fn guard(&self, _predicate: &Predicate, _experiment: &Experiment) -> Box<dyn Guard> {
        Box::new(PlainGuard(Vec::new()))
    }

    fn steady(
        &self,
        experiment: &Experiment,
        samples: &Samples,
        from: Nanos,
        to: Nanos,
    ) -> Vec<PredicateResult> {
        assert!(samples.values().flatten().all(|s| (from..to).contains(&s.intended)));
        let share = share(&samples["get"]);
        let result = |p: &Predicate| PredicateResult {
            text: p.to_string(),
            held: share.map(|s| s >= 0.9),
            measured: format!("{share:?}"),
            span: p.comparisons()[0].span,
        };
        experiment.steady_state.predicates.iter().map(result).collect()
    }

    fn proven(&self, _condition: &Comparison, fault: &str, view: &RunView<'_>) -> Option<bool> {
        let span = view.phase(&crate::model::Phase::Fault(Some(fault.to_owned())))?;
        let during: Vec<Sample> =
            view.samples["get"].iter().filter(|s| s.intended >= span.start).cloned().collect();
        share(&during).map(|s| s < 1.0)
    }

    fn judge(&self, experiment: &Experiment, view: &RunView<'_>) -> Vec<Judged> {
        let verdict = || match (view.aborted, view.exercised.values().all(|e| *e)) {
            (None, true) => Verdict::Passed,
            (Some(_), _) => Verdict::Inconclusive { reasons: vec!["aborted".into()] },
            (None, false) => Verdict::Inconclusive { reasons: vec!["not exercised".into()] },
        };
        let judged = |e: &crate::model::Expectation| Judged {
            name: e.name.value.clone(),
            claim: e.claim.to_string(),
            span: e.span,
            verdict: verdict(),
            measured: String::new(),
            findings: Vec::new(),
        };
        experiment.expectations.iter().map(judged).collect()
    }
}

/// A run about to begin in a scripted world.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) experiment: Experiment,
    pub(super) control: Control,
    pub(super) policy: Policy,
    pub(super) judge: Arc<dyn Judge>,
    pub(super) events: Arc<Mutex<Vec<RunEvent>>>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Stage {
            world: World::new(),
            experiment: testing::experiment(),
            control: Control::new(),
            policy: Policy::default(),
            judge: Arc::new(PlainJudge),
            events: Arc::default(),
        }
    }

    /// Runs to the end, which must come within an hour of the world's time.
    pub(super) async fn run(&self) -> Finished {
        self.run_watched(|_| {}).await
    }

    /// Runs, sending every event to `sink` as well.
    pub(super) async fn run_watched(&self, sink: impl Fn(&RunEvent) + Send + Sync + 'static) -> Finished {
        let plan = testing::plan(&self.experiment, &self.world).await.unwrap();
        let events = self.events.clone();
        let runner = Runner::builder()
            .inventory(Arc::new(self.world.clone()))
            .environment(Arc::new(self.world.clone()))
            .injector(Arc::new(self.world.clone()))
            .probers(Arc::new(self.world.clone()))
            .journal(Arc::new(self.world.clone()))
            .judge(self.judge.clone())
            .policy(self.policy.clone())
            .id("r1")
            .on_event(Arc::new(move |event: &RunEvent| {
                events.lock().unwrap().push(event.clone());
                sink(event);
            }))
            .build()
            .unwrap();
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour, runner.run(&plan, self.control.clone())).await.expect("a run ends")
    }
}

/// What holds after every run, however it went.
pub(super) fn assert_consistent(stage: &Stage, finished: &Finished) {
    let record = &finished.record;
    let restored = record.restoration == Restoration::Restored;
    assert_eq!(
        restored,
        record.parts.iter().all(|p| !p.state.is_owed()) && stage.world.is_pristine(),
        "{record:#?}"
    );
    // Nothing is injected that was not in the journal before, and every debt is in it.
    let history = stage.world.history();
    assert!(
        history.oddities.is_empty() || stage.world.is_scripted(testing::Door::Append),
        "{:?}",
        history.oddities
    );
    let log = stage.world.log();
    for (number, (door, id)) in log.iter().enumerate() {
        if *door == testing::Door::Inject {
            let before = &log[..number];
            assert!(
                before.contains(&(testing::Door::Append, format!("Prepared {id}"))),
                "{id} was not written down"
            );
            assert!(history.parts.iter().any(|p| p.undo.id == *id));
        }
    }
    // Stages follow each other without a gap.
    for pair in record.stages.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    // The record goes through its own format unchanged.
    let mut record = record.clone();
    // Their bounds are computed to the last bit of an f64, which JSON need not keep.
    record.expectations.iter_mut().for_each(|e| e.findings.clear());
    let json = serde_json::to_string(&record).unwrap();
    assert!(serde_json::from_str::<super::Record>(&json).unwrap() == record, "{json}");
    let last = stage.events.lock().unwrap().last().cloned().unwrap();
    assert!(matches!(last.what, super::What::RunEnded { .. }));
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
