use super::*;
use crate::{
    run::{
        Completion, What,
        record::{AbortKind, PartState, Refusal, Stage as RunStage},
    },
    testing::{Door, Mishap},
};

/// Stops the run once when a stage begins.
async fn stopped_in(wanted: RunStage) -> (Stage, Finished) {
    let stage = Stage::new();
    let control = stage.control.clone();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::StageStarted { stage, .. } if *stage == wanted) {
                control.stop_at_least(1);
            }
        })
        .await;
    assert!(stage.world.is_pristine());
    assert_consistent(&stage, &finished);
    (stage, finished)
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_baseline_refuses() {
    for stage in [RunStage::Setup, RunStage::SteadyState] {
        let (_, finished) = stopped_in(stage).await;
        assert!(matches!(finished.record.completion, Completion::Refused { by: Refusal::Stopped, .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_in_every_stage() {
    let stages = [
        RunStage::Baseline,
        RunStage::Injecting("first".into()),
        RunStage::Injecting("second".into()),
        RunStage::Hold,
        RunStage::Watch,
    ];
    for stage in stages {
        let (world, finished) = stopped_in(stage.clone()).await;
        assert_eq!(finished.record.abort.as_ref().map(|a| a.kind), Some(AbortKind::Stopped), "{stage:?}");
        let (injected, reverted) =
            (world.world.calls(Door::Inject).len(), world.world.calls(Door::Revert).len());
        assert!(reverted >= injected, "{stage:?}");
        let watched = finished.record.stages.iter().find(|s| s.stage == RunStage::Watch);
        assert!(watched.is_none_or(|w| w.end - w.start < 1_000_000_000), "{stage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_an_injection_hangs() {
    let stage = Stage::new();
    stage.world.mishap(Door::Inject, 1..2, Mishap::DoneButHangs);
    let control = stage.control.clone();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::Part { id, state: PartState::Injecting, .. } if id == "second/green/1")
            {
                control.stop_at_least(1);
            }
        })
        .await;
    assert_eq!(finished.record.abort.as_ref().unwrap().kind, AbortKind::Stopped);
    assert!(finished.record.ended < 60_000_000_000);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_future_is_dropped_is_stopped_and_put_back() {
    let stage = Stage::new();
    let held = Arc::new(tokio::sync::Notify::new());
    let seen = held.clone();
    let run = stage.run_watched(move |e| {
        if matches!(&e.what, What::StageStarted { stage: RunStage::Hold, .. }) {
            seen.notify_one();
        }
    });
    tokio::select! {
        _ = run => panic!("the hold is not over yet"),
        () = held.notified() => {}
    }
    assert!(!stage.world.is_pristine(), "nothing is in place, so this test shows nothing");
    tokio::time::timeout(seconds(60), async {
        while !stage.world.is_pristine() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the run goes on unasked and puts everything back");
    assert_eq!(stage.control.stops(), 1);
}

/// Stops once at the hold, and then so often more when reverting begins.
async fn stopped_more(more: u32) -> (Stage, Finished) {
    let stage = Stage::new();
    stage.world.mishap(Door::Revert, 0..u32::MAX, Mishap::Hang);
    let control = stage.control.clone();
    let finished = stage
        .run_watched(move |e| match &e.what {
            What::StageStarted { stage: RunStage::Hold, .. } => control.stop_at_least(1),
            What::Part { state: PartState::Reverting, .. } => control.stop_at_least(1 + more),
            _ => {}
        })
        .await;
    (stage, finished)
}

#[tokio::test(start_paused = true)]
async fn stopping_twice_makes_reverting_hurry_and_thrice_gives_up() {
    let mut took = Vec::new();
    for more in 0..3 {
        let (stage, finished) = stopped_more(more).await;
        let Restoration::NotRestored { what, command } = &finished.record.restoration else { panic!() };
        assert!(what.len() >= 2, "{what:?}");
        assert_eq!(command, "chaos restore r1");
        assert_eq!(stage.world.history().owed().len(), 2);
        let reverting = finished.record.stages.iter().find(|s| s.stage == RunStage::RollingBack).unwrap();
        took.push(crate::time::duration(reverting.end - reverting.start).as_secs());
    }
    assert!(took[0] >= 60 && (4..20).contains(&took[1]) && took[2] == 0, "{took:?}");
}
