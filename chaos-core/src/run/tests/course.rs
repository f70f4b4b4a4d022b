use super::*;
use crate::{
    model::{Event, Phase, Step},
    run::{Completion, What, record::Stage as RunStage},
    testing::{Door, Reply},
    time::{duration, nanos},
};

const FIRST: &str = "first/blue/1";
const SECOND: &str = "second/green/1";

#[tokio::test(start_paused = true)]
async fn a_run_goes_through_its_timeline_and_puts_everything_back() {
    let stage = Stage::new();
    let Finished { record, samples } = stage.run().await;
    assert_eq!(record.completion, Completion::Completed);
    assert_eq!(record.restoration, Restoration::Restored);
    assert!(matches!(record.expectations[0].verdict, Verdict::Passed));
    assert_eq!(stage.world.calls(Door::Inject), [FIRST, SECOND]);
    assert_eq!(stage.world.calls(Door::Revert), [SECOND, FIRST]);
    let stages: Vec<RunStage> = record.stages.iter().map(|s| s.stage.clone()).collect();
    assert_eq!(
        stages,
        [
            RunStage::Setup,
            RunStage::SteadyState,
            RunStage::Baseline,
            RunStage::Injecting("first".into()),
            RunStage::Injecting("second".into()),
            RunStage::Hold,
            RunStage::RollingBack,
            RunStage::Watch,
            RunStage::Draining,
            RunStage::Judging,
            RunStage::Teardown
        ]
    );
    let length = |phase| {
        let span = record.phases.iter().find(|p| p.phase == phase).unwrap();
        duration(span.end - span.start).as_secs()
    };
    assert_eq!(length(Phase::Baseline), 10);
    assert_eq!(length(Phase::Fault(None)), 20);
    assert_eq!(length(Phase::Fault(Some("second".into()))), 20);
    assert_eq!(length(Phase::Watch), 10);
    assert_eq!(length(Phase::WholeRun), 40);
    let marks: Vec<Event> = record.marks.iter().map(|m| m.event.clone()).collect();
    assert_eq!(
        marks,
        [
            Event::Starts("first".into()),
            Event::Starts("second".into()),
            Event::RollbackStarts,
            Event::Ends("first".into()),
            Event::Ends("second".into()),
            Event::Rollback
        ]
    );
    assert_eq!(record.steady.len(), 2);
    assert!(record.steady.iter().all(|s| s.held));
    // 45 s of steady state and timeline at 20 a second, each one once.
    assert!((899..=901).contains(&samples["get"].len()), "{}", samples["get"].len());
    assert_eq!(record.probes[0].phases[0].count, 200);
    assert!(record.exercised["first"]);
    assert!(stage.world.history().ended);
    assert_consistent(&stage, &Finished { record, samples });
}

#[tokio::test(start_paused = true)]
async fn progress_comes_several_times_a_second_and_counts_down() {
    let stage = Stage::new();
    stage.run().await;
    let events = stage.events.lock().unwrap();
    let left: Vec<Duration> = events
        .iter()
        .filter_map(|e| if let What::Progress { left, .. } = &e.what { Some(*left) } else { None })
        .collect();
    assert!((200..260).contains(&left.len()), "{}", left.len());
    assert!(left.is_sorted_by(|a, b| a >= b));
    assert!(events.iter().is_sorted_by_key(|e| e.at));
    let p95 = events.iter().rev().find_map(|e| match &e.what {
        What::Progress { probes, .. } => probes[0].p95,
        _ => None,
    });
    assert!(p95.unwrap() < Duration::from_millis(4));
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_system_is_left_alone() {
    let stage = Stage::new();
    stage.world.serve(|_| Reply::failed(Duration::from_millis(1)));
    let finished = stage.run().await;
    let Completion::Refused { by, reason, .. } = &finished.record.completion else { panic!("{finished:?}") };
    assert_eq!(*by, crate::run::record::Refusal::SteadyState);
    assert!(reason.contains("success(get, over 5s) >= 90%"), "{reason}");
    assert_eq!(stage.world.calls(Door::Prepare), [] as [&str; 0]);
    assert_eq!(finished.record.expectations, []);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn faults_can_be_taken_back_one_by_one_and_put_in_place_again() {
    let mut stage = Stage::new();
    stage.experiment.timeline.steps = [
        Step::Baseline(seconds(5)),
        Step::Inject("first".into()),
        Step::Hold(seconds(5)),
        Step::Inject("second".into()),
        Step::Hold(seconds(5)),
        Step::Rollback(Some("first".into())),
        Step::Hold(seconds(5)),
        Step::Rollback(None),
        Step::Hold(seconds(5)),
        Step::Inject("first".into()),
        Step::Hold(seconds(5)),
    ]
    .map(Into::into)
    .to_vec();
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert_eq!(stage.world.calls(Door::Revert), [FIRST, SECOND, FIRST]);
    let first: Vec<u64> = finished
        .record
        .phases
        .iter()
        .filter(|p| p.phase == Phase::Fault(Some("first".into())))
        .map(|p| duration(p.end - p.start).as_secs())
        .collect();
    assert_eq!(first, [10, 5]);
    // No watch: the steady state is watched once more for as long as it needs.
    assert!(
        finished
            .record
            .stages
            .iter()
            .any(|s| s.stage == RunStage::SteadyAgain && s.end - s.start == nanos(seconds(5)))
    );
    assert_eq!(finished.record.steady.len(), 2);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_met_nothing_proves_nothing() {
    let stage = Stage::new();
    stage.world.meet(0);
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert!(!finished.record.exercised["first"]);
    assert!(matches!(finished.record.expectations[0].verdict, Verdict::Inconclusive { .. }));
    assert!(finished.record.warnings.iter().any(|w| w.contains("`first` matched no traffic")));
}

/// Whether the service did well or not: nothing was tested.
#[tokio::test(start_paused = true)]
async fn a_fault_that_changed_nothing_decides_nothing() {
    for (met, changed, said) in
        [(0, 0, "matched no traffic"), (252, 0, "matched 252 packets and changed none of them")]
    {
        for failing in [false, true] {
            let mut stage = Stage::new();
            stage.judge = Arc::new(crate::judge::Standard::new());
            stage.experiment.aborts.clear();
            stage.world.meet(met);
            stage.world.change(changed);
            stage.world.serve(move |in_place| match in_place {
                [_, _, ..] if failing => Reply::failed(Duration::from_millis(1)),
                _ => Reply::ok(Duration::from_millis(1)),
            });
            let finished = stage.run().await;
            let record = &finished.record;
            assert_eq!(record.completion, Completion::Completed);
            assert!(!record.exercised["first"]);
            assert_eq!(record.idle["first"], said);
            let Verdict::Inconclusive { reasons } = &record.expectations[0].verdict else {
                panic!("{:?}", record.expectations)
            };
            assert!(
                reasons[0].starts_with("not exercised: `first` ") && reasons[0].contains(said),
                "{reasons:?}"
            );
            assert_eq!(crate::outcome::result(record).verdict, crate::outcome::Verdict::Inconclusive);
            assert_consistent(&stage, &finished);
        }
    }
    // A system that broke on its own does not say that a fault broke it.
    let mut stage = Stage::new();
    stage.judge = Arc::new(crate::judge::Standard::new());
    stage.experiment.aborts.clear();
    stage.world.change(0);
    let count = std::sync::atomic::AtomicU32::new(0);
    stage.world.serve(move |in_place| {
        let injected = in_place.len() > 1;
        let seen = count.fetch_add(injected.into(), std::sync::atomic::Ordering::Relaxed);
        let broken = seen > 0 || injected;
        if broken { Reply::failed(Duration::from_millis(1)) } else { Reply::ok(Duration::from_millis(1)) }
    });
    let overall = crate::outcome::result(&stage.run().await.record);
    assert_eq!(overall.verdict, crate::outcome::Verdict::Inconclusive, "{overall:?}");
    let lost = "the steady state was lost, but no fault did what was asked for";
    assert!(overall.reasons.iter().any(|reason| reason == lost), "{overall:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_is_watched_with_all_its_timeouts() {
    let stage = Stage::new();
    stage.world.serve(|in_place| match in_place {
        [_, _, ..] => Reply::ok(seconds(60)),
        _ => Reply::ok(Duration::from_millis(1)),
    });
    let mut stage = stage;
    stage.experiment.aborts.clear();
    let finished = stage.run().await;
    let timed_out =
        finished.samples["get"].iter().filter(|s| s.observation.outcome == Outcome::TimedOut).count();
    assert!((399..=402).contains(&timed_out), "{timed_out}");
    assert!(finished.samples["get"].iter().all(|s| s.latency <= seconds(1)));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_puts_everything_back() {
    let stage = Stage::new();
    let cut = tokio::time::timeout(seconds(30), stage.run()).await;
    assert!(cut.is_err());
    assert_eq!(stage.world.in_place().len(), 3);
    tokio::time::sleep(seconds(60)).await;
    assert!(stage.world.is_pristine());
}

#[tokio::test(start_paused = true)]
async fn the_standard_judge_sees_what_the_run_saw() {
    let mut stage = Stage::new();
    stage.judge = Arc::new(crate::judge::Standard::new());
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed, "{:#?}", finished.record.steady);
    assert_eq!(
        finished.record.expectations[0].verdict,
        Verdict::Passed,
        "{:?}",
        finished.record.expectations
    );
    assert!(finished.record.steady.iter().all(|s| s.held));
    assert_consistent(&stage, &finished);

    // One measurement in five is lost while a fault is in place: the expectation fails, the abort condition stays quiet.
    let mut stage = Stage::new();
    stage.judge = Arc::new(crate::judge::Standard::new());
    let count = std::sync::atomic::AtomicU32::new(0);
    stage.world.serve(move |in_place| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let lost = in_place.len() > 1 && number.is_multiple_of(5);
        if lost { Reply::failed(Duration::from_millis(1)) } else { Reply::ok(Duration::from_millis(1)) }
    });
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert_eq!(finished.record.expectations[0].verdict, Verdict::Failed);

    // All of them are: the abort condition takes the fault away.
    let mut stage = Stage::new();
    stage.judge = Arc::new(crate::judge::Standard::new());
    stage.world.serve(|in_place| match in_place {
        [_, _, ..] => Reply::failed(Duration::from_millis(1)),
        _ => Reply::ok(Duration::from_millis(1)),
    });
    let finished = stage.run().await;
    let cause = finished.record.abort.clone().unwrap();
    assert_eq!(cause.kind, crate::run::record::AbortKind::Condition);
    let held = cause.at - finished.record.mark(&Event::Starts("first".into())).unwrap();
    assert!(duration(held) < seconds(4), "{held}");
    assert_consistent(&stage, &finished);
}
