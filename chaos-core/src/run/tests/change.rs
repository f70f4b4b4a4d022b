//! Changes: made by a step, not a fault, reverted at the very end.

use super::*;
use crate::{
    model::{Change, Event, FaultSpec, Phase, Program, Selector, Step},
    plan::PlanError,
    run::{
        Completion,
        record::{Role, Stage as RunStage},
    },
    testing::{Door, Mishap},
};

const CHANGE: &str = "slow/red/1";
const LATER: &str = "slower/red/1";

fn changed() -> Stage {
    let mut stage = Stage::new();
    let change = |name: &str| Change::new(name, FaultSpec::delay(seconds(1)), Selector::netns("red"));
    stage.experiment = stage.experiment.clone().with_change(change("slow")).with_change(change("slower"));
    let steps = &mut stage.experiment.timeline.steps;
    // After the baseline, and once more beside the first fault.
    steps.insert(1, Step::make("slow").into());
    steps.insert(3, Step::make("slower").into());
    stage
}

#[tokio::test(start_paused = true)]
async fn a_change_outlasts_the_watch_and_is_taken_back_last_in_first_out() {
    let stage = changed();
    let finished = stage.run().await;
    assert_consistent(&stage, &finished);
    let record = &finished.record;
    assert_eq!(record.completion, Completion::Completed);
    assert_eq!(record.restoration, Restoration::Restored);
    let inject = stage.world.calls(Door::Inject);
    assert_eq!(inject, [CHANGE, "first/blue/1", LATER, "second/green/1"]);
    let revert = stage.world.calls(Door::Revert);
    assert_eq!(revert, ["second/green/1", "first/blue/1", LATER, CHANGE]);
    let watch = record.phases.iter().find(|p| p.phase == Phase::Watch).unwrap();
    for id in [CHANGE, LATER] {
        let part = record.part(id).unwrap();
        assert!(part.role == Role::Change && part.reverting.unwrap() >= watch.end, "{part:?}");
        assert_eq!(record.exercised.get(&part.fault), Some(&true));
    }
    // It is an event, and no fault.
    let made = record.mark(&Event::Made("slow".into())).unwrap();
    let fault = record.phases.iter().find(|p| p.phase == Phase::Fault(None)).unwrap();
    let baseline = record.phases.iter().find(|p| p.phase == Phase::Baseline).unwrap();
    assert!(made <= fault.start && baseline.end <= made);
    assert!(record.phases.iter().all(|p| p.phase != Phase::Fault(Some("slow".into()))));
    assert!(record.stages.iter().any(|s| s.stage == RunStage::Making("slow".into())));
    assert!(
        stage
            .world
            .log()
            .iter()
            .any(|(door, what)| *door == Door::Append && *what == format!("Prepared {CHANGE}"))
    );
    assert!(record.plan.radius.touched.iter().any(|o| o.name == "red"));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_run_takes_it_back_too() {
    let stage = changed();
    stage.world.mishap(Door::Inject, 3..4, Mishap::Fail);
    let finished = stage.run().await;
    assert_consistent(&stage, &finished);
    assert!(matches!(finished.record.completion, Completion::Aborted { .. }));
    assert!(finished.record.is_restored());
    let revert = stage.world.calls(Door::Revert);
    assert_eq!(revert[revert.len() - 2..], [LATER, CHANGE]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reverted_is_owed_and_reported() {
    let stage = changed();
    // The reverts of the faults succeed; from then on none does.
    stage.world.mishap(Door::Revert, 2..10_000, Mishap::Fail);
    let finished = stage.run().await;
    let Restoration::NotRestored { what, .. } = &finished.record.restoration else { panic!("it is not") };
    assert_eq!(what.len(), 2, "{what:?}");
    let owed = stage.world.history().parts.into_iter().filter(|p| p.state.is_owed()).count();
    assert_eq!(owed, 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_ends_the_run() {
    let stage = changed();
    stage.world.mishap(Door::Inject, 0..1, Mishap::Fail);
    let finished = stage.run().await;
    let Completion::Aborted { reason } = &finished.record.completion else {
        panic!("{:?}", finished.record.completion)
    };
    assert!(reason.contains("`slow/red/1` could not be made"), "{reason}");
    assert!(finished.record.is_restored());
    assert_eq!(stage.world.calls(Door::Revert), [CHANGE]);
}

#[tokio::test(start_paused = true)]
async fn another_program_is_asked_of_those_alone_that_exchange_programs() {
    let mut stage = changed();
    stage.experiment.changes[0].action = Program::Dns.into();
    let error = testing::plan(&stage.experiment, &stage.world).await.unwrap_err();
    // The scripted injector offers whatever it is asked for, and was not asked.
    let PlanError::Denied { fault, denied, .. } = error else { panic!("{error}") };
    assert_eq!((fault.as_str(), denied.is_denied()), ("slow", false));
    assert_eq!(denied.message, "no injector that was given to the runner does this");
}
