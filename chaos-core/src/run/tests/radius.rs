//! The blast radius, counted once more right before injecting: the world is not what it was when the run was planned.

use super::*;
use crate::{
    model::{
        Pick, Selector, Target,
        scope::{Amount, RadiusLimit, RadiusUnit},
    },
    run::{
        Completion, What,
        record::{AbortKind, Stage as RunStage},
    },
    span::Span,
    testing::Door,
};

/// A run on the first and on the second of the four objects that `blue` finds, where a limit allows this much of them.
fn limited(at_most: Amount) -> Stage {
    let mut stage = Stage::new();
    stage.world.populate("blue", 4);
    for (fault, on) in stage.experiment.faults.iter_mut().zip(["blue-1", "blue-2"]) {
        fault.on = Selector::netns(on);
    }
    let of = RadiusUnit::Of(Selector::netns("blue"));
    stage.experiment.blast_radius = vec![RadiusLimit { at_most, of, span: Span::NONE }];
    stage
}

/// Runs; `blue` finds that many objects from the stage on.
async fn becoming(stage: &Stage, objects: u32, from: RunStage) -> Finished {
    let world = stage.world.clone();
    stage
        .run_watched(move |event| match &event.what {
            What::StageStarted { stage, .. } if *stage == from => world.populate("blue", objects),
            _ => {}
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn what_a_target_has_grown_by_is_not_touched() {
    let mut stage = limited(Amount::Share(0.5));
    let blue = Selector::netns("blue");
    let two = Target { name: "two".into(), selector: blue.clone(), pick: Pick::Count(2) };
    stage.experiment.targets = vec![two];
    stage.experiment.faults[0].on = Selector::Named("two".into());
    // All that there are when planning.
    stage.experiment.faults[1].on = blue;
    stage.experiment.blast_radius[0].at_most = Amount::Count(4);
    let finished = becoming(&stage, 40, RunStage::Baseline).await;
    assert_eq!(finished.record.completion, Completion::Completed, "{:?}", finished.record.abort);
    let faults = finished.record.plan.faults.iter();
    let planned: Vec<String> = faults.flat_map(|f| &f.parts).map(|part| part.id.clone()).collect();
    assert_eq!((planned.len(), stage.world.calls(Door::Inject)), (6, planned));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_greater_share_of_a_target_that_has_shrunk_is_not_touched() {
    for (left, says) in [
        (3, "the blast radius allows at most 50% of netns \"blue\", and the faults would touch 2 of 3"),
        (2, "the blast radius allows at most 50% of netns \"blue\", and the faults would touch 2 of 2"),
        (0, "there is no netns blue"),
    ] {
        let stage = limited(Amount::Share(0.5));
        let finished = becoming(&stage, left, RunStage::Baseline).await;
        let cause = finished.record.abort.clone().unwrap();
        assert_eq!(cause.kind, AbortKind::Inject);
        assert!(cause.reason.starts_with(&format!("nothing more is injected: {says}")), "{cause:?}");
        assert_eq!(stage.world.calls(Door::Prepare), Vec::<String>::new(), "{left} left");
        assert_eq!(finished.record.restoration, Restoration::Restored);
        assert_consistent(&stage, &finished);
    }
}

#[tokio::test(start_paused = true)]
async fn what_shrinks_between_two_faults_keeps_the_second_one_out() {
    let stage = limited(Amount::Share(0.5));
    let finished = becoming(&stage, 2, RunStage::Injecting("second".into())).await;
    let cause = finished.record.abort.clone().unwrap();
    assert_eq!(cause.kind, AbortKind::Inject);
    assert!(stage.world.calls(Door::Inject).iter().all(|id| id.starts_with("first/")), "{cause:?}");
    assert_eq!(finished.record.restoration, Restoration::Restored);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_limit_in_numbers_holds_whatever_becomes_of_the_rest() {
    let stage = limited(Amount::Count(2));
    let finished = becoming(&stage, 2, RunStage::Baseline).await;
    assert_eq!(finished.record.completion, Completion::Completed, "{:?}", finished.record.abort);
    assert_consistent(&stage, &finished);
}
