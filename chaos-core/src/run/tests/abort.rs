use super::*;
use crate::{
    model::Event,
    place::ObjectId,
    run::{
        Completion, What,
        record::{AbortKind, Stage as RunStage},
    },
    testing::{Door, Mishap, Reply},
    time::{duration, nanos},
};

#[tokio::test(start_paused = true)]
async fn a_condition_takes_the_fault_away_at_once() {
    let stage = Stage::new();
    stage.world.serve(|in_place| match in_place {
        [_, _, _] => Reply::failed(Duration::from_millis(1)),
        _ => Reply::ok(Duration::from_millis(1)),
    });
    let finished = stage.run().await;
    let cause = finished.record.abort.clone().unwrap();
    assert_eq!(cause.kind, AbortKind::Condition);
    assert!(cause.condition.unwrap().starts_with("success(get, over 5s) < 50%"));
    let begun = finished.record.mark(&Event::RollbackStarts).unwrap();
    // No measurable time lies between the observation and the first revert, on a clock that only stands still or jumps.
    assert!(begun - cause.at <= 2_000_000, "{}", begun - cause.at);
    assert!(duration(begun - finished.record.mark(&Event::Starts("second".into())).unwrap()) < seconds(2));
    assert!(stage.world.is_pristine());
    // The recovery is watched as planned, and the steady state judged again.
    let watch = finished.record.stages.iter().find(|s| s.stage == RunStage::Watch).unwrap();
    assert_eq!(watch.end - watch.start, nanos(seconds(10)));
    assert!(finished.record.steady[1].held);
    assert!(matches!(&finished.record.expectations[0].verdict, Verdict::Inconclusive { .. }));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_holds_in_the_baseline_keeps_everything_out() {
    let stage = Stage::new();
    let count = std::sync::atomic::AtomicU32::new(0);
    stage.world.serve(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..150 => Reply::ok(Duration::from_millis(1)),
        _ => Reply::failed(Duration::from_millis(1)),
    });
    let finished = stage.run().await;
    assert!(
        matches!(&finished.record.completion, Completion::Aborted { reason } if reason.contains("came true"))
    );
    assert_eq!(stage.world.calls(Door::Prepare), [] as [&str; 0]);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_lost_fault_ends_the_run() {
    let stage = Stage::new();
    let world = stage.world.clone();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::StageStarted { stage: RunStage::Hold, .. }) {
                world.lose("the agent on green died");
            }
        })
        .await;
    assert_eq!(finished.record.abort.as_ref().unwrap().kind, AbortKind::Lost);
    assert_eq!(finished.record.completion, Completion::Aborted { reason: "the agent on green died".into() });
    // It is reverted all the same, through whatever holds it next.
    assert_eq!(stage.world.calls(Door::Revert).len(), 2);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_broken_environment_ends_the_run_without_a_watch() {
    let stage = Stage::new();
    let world = stage.world.clone();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::StageStarted { stage: RunStage::Hold, .. }) {
                world.break_environment("`redis` on db ended");
            }
        })
        .await;
    assert_eq!(finished.record.abort.as_ref().unwrap().kind, AbortKind::Environment);
    assert!(!finished.record.stages.iter().any(|s| s.stage == RunStage::Watch));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ends_where_the_run_kills_is_a_consequence_and_before_that_it_is_not() {
    for (when, breaks) in [(RunStage::Baseline, true), (RunStage::Hold, false)] {
        let mut stage = Stage::new();
        let killed = crate::model::ProcessFault::named(crate::model::ProcessEffect::Kill, "redis");
        stage.experiment.faults[1].action = crate::model::Action::Processes(killed);
        let on = stage.experiment.faults[1].on.clone();
        let crate::model::Selector::Netns(name) = on else { panic!("{on}") };
        let object = ObjectId::netns(name.value);
        let world = stage.world.clone();
        let finished = stage
            .run_watched(move |e| {
                if matches!(&e.what, What::StageStarted { stage, .. } if *stage == when) {
                    world.end_program_on(&object, "`redis` ended");
                }
            })
            .await;
        let kind = finished.record.abort.as_ref().map(|cause| cause.kind);
        assert_eq!(kind, breaks.then_some(AbortKind::Environment), "breaks: {breaks}");
        assert_consistent(&stage, &finished);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_nothing_proves_is_stopped_early() {
    let mut stage = Stage::new();
    stage.experiment.timeline.steps[3] = crate::model::Step::Hold(seconds(120)).into();
    let crate::model::Abort::When(predicate) = stage.experiment.aborts[0].clone() else { panic!() };
    stage.experiment.faults[1].proven_by = Some(predicate.comparisons()[0].clone());
    let finished = stage.run().await;
    let cause = finished.record.abort.clone().unwrap();
    assert_eq!(cause.kind, AbortKind::Unproven);
    let held = cause.at - finished.record.mark(&Event::Starts("second".into())).unwrap();
    assert!((30..32).contains(&duration(held).as_secs()));
    assert!(finished.record.exercised["first"]);
    assert!(!finished.record.exercised["second"]);
    assert!(stage.events.lock().unwrap().iter().any(|e| matches!(&e.what, What::Unproven { .. })));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_proven_fault_stays() {
    let mut stage = Stage::new();
    stage.experiment.timeline.steps[3] = crate::model::Step::Hold(seconds(60)).into();
    let crate::model::Abort::When(predicate) = stage.experiment.aborts[0].clone() else { panic!() };
    stage.experiment.faults[1].proven_by = Some(predicate.comparisons()[0].clone());
    stage.world.mishap(Door::Once, 350..351, Mishap::Fail);
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert!(finished.record.exercised["second"]);
}

/// Runs the usual experiment, on a clock that jumps when a stage is on for some time, as for a runner that was stopped.
async fn stalled(at: RunStage, after: Duration, by: Duration) -> (Stage, Finished) {
    let stage = Stage::new();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::StageStarted { stage, .. } if *stage == at) {
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    tokio::time::advance(by).await;
                });
            }
        })
        .await;
    (stage, finished)
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_stood_still_while_a_fault_was_in_place_claims_nothing() {
    // In the middle of the hold, and past its end.
    for (after, by) in [(2, 3), (1, 50)] {
        let (stage, finished) = stalled(RunStage::Hold, seconds(after), seconds(by)).await;
        let cause = finished.record.abort.clone().unwrap();
        assert_eq!(cause.kind, AbortKind::Stalled, "{cause}");
        assert!(cause.reason.starts_with(&format!("the runner stood still for {by}")), "{cause}");
        assert!(matches!(&finished.record.expectations[0].verdict, Verdict::Inconclusive { .. }));
        assert!(stage.world.is_pristine());
        assert_consistent(&stage, &finished);
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_stood_still_without_a_fault_says_so() {
    let (_, finished) = stalled(RunStage::Watch, seconds(2), seconds(5)).await;
    assert_eq!(finished.record.abort, None);
    let warned = |line: &String| line.starts_with("the runner stood still for 5");
    assert!(finished.record.warnings.iter().any(warned), "{:?}", finished.record.warnings);
}
