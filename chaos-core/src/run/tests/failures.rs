use super::*;
use crate::{
    run::{Completion, record::Refusal},
    testing::{Door, Mishap},
};

const MISHAPS: [Mishap; 6] = [
    Mishap::Fail,
    Mishap::DoneButFails,
    Mishap::Hang,
    Mishap::DoneButHangs,
    Mishap::Panic,
    Mishap::Late(Duration::from_secs(3)),
];

/// Every call is made to go wrong in turn, in every way; the world is pristine each time, or the record says it is not.
#[tokio::test(start_paused = true)]
async fn every_call_goes_wrong_in_turn() {
    let rehearsal = Stage::new();
    rehearsal.run().await;
    for door in Door::ALL {
        if door == Door::Once {
            continue;
        }
        // Effects are measured once a second; the first and the last say as much as all of them.
        let calls = rehearsal.world.calls(door).len().min(12) as u32;
        assert!(calls > 0, "{door:?} was never used");
        for number in 0..calls {
            for mishap in MISHAPS {
                let stage = Stage::new();
                stage.world.mishap(door, number..number + 1, mishap);
                let finished = stage.run().await;
                let case = format!("{door:?} {number} {mishap:?}: {:#?}", finished.record.completion);
                assert!(stage.world.is_pristine(), "{case} {:?}", stage.world.in_place());
                assert!(finished.record.is_restored(), "{case}");
                if matches!(mishap, Mishap::Late(_))
                    || matches!(door, Door::Revert | Door::Effect | Door::Down)
                {
                    assert_eq!(finished.record.completion, Completion::Completed, "{case}");
                }
                assert_consistent(&stage, &finished);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reverting_is_harmless_when_it_already_ran() {
    let stage = Stage::new();
    // Each revert works and says that it failed, so each is done twice.
    stage.world.mishap(Door::Revert, 0..2, Mishap::DoneButFails);
    let finished = stage.run().await;
    assert!(finished.record.is_restored());
    assert_eq!(stage.world.calls(Door::Revert).len(), 4);
    assert!(finished.record.parts.iter().all(|p| p.attempts == 2));
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_injected_that_cannot_be_written_down() {
    let stage = Stage::new();
    stage.world.mishap(Door::Append, 1..u32::MAX, Mishap::Fail);
    let finished = stage.run().await;
    assert!(
        matches!(&finished.record.completion, Completion::Aborted { reason } if reason.contains("nothing was injected"))
    );
    assert_eq!(stage.world.calls(Door::Inject), [] as [&str; 0]);
    assert!(finished.record.is_restored());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_begin_refuses_the_run() {
    let stage = Stage::new();
    stage.world.mishap(Door::Append, 0..1, Mishap::Fail);
    let finished = stage.run().await;
    assert!(matches!(&finished.record.completion, Completion::Refused { by: Refusal::Journal, .. }));
    assert_eq!(stage.world.calls(Door::Up), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_never_stops_the_unwinding() {
    let stage = Stage::new();
    // The header and both parts of the first fault are in; from then on every append hangs for good.
    stage.world.mishap(Door::Append, 8..u32::MAX, Mishap::Hang);
    let finished = stage.run().await;
    assert!(stage.world.is_pristine());
    assert!(finished.record.is_restored());
    assert!(
        finished.record.warnings.iter().any(|w| w.contains("is not in its journal")),
        "{:?}",
        finished.record.warnings
    );
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_never_works_is_said_with_its_command() {
    let stage = Stage::new();
    stage.world.mishap(Door::Revert, 0..u32::MAX, Mishap::Fail);
    let finished = stage.run().await;
    let Restoration::NotRestored { what, command } = &finished.record.restoration else { panic!() };
    assert_eq!(what.len(), 2);
    assert!(what[0].contains("first/blue/1 on netns blue: scripted failure"), "{what:?}");
    assert_eq!(command, "chaos restore r1");
    assert_eq!(stage.world.in_place(), ["first/blue/1", "second/green/1"]);
    // What is owed stands in the journal, the last injected first.
    let history = stage.world.history();
    let owed: Vec<&str> = history.owed().iter().map(|p| p.undo.id.as_str()).collect();
    assert_eq!(owed, ["second/green/1", "first/blue/1"]);
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn one_revert_that_never_works_does_not_keep_the_other_in_place() {
    let stage = Stage::new();
    // The second fault is reverted first; every other attempt is its.
    stage.world.mishap(Door::Revert, 0..1, Mishap::Hang);
    stage.world.mishap(Door::Revert, 2..u32::MAX, Mishap::Panic);
    let finished = stage.run().await;
    assert_eq!(stage.world.in_place(), ["second/green/1"]);
    assert!(!finished.record.is_restored());
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_stays_is_said() {
    let stage = Stage::new();
    stage.world.mishap(Door::Down, 0..u32::MAX, Mishap::Fail);
    let finished = stage.run().await;
    let Restoration::NotRestored { what, .. } = &finished.record.restoration else { panic!() };
    assert!(what[0].starts_with("the environment: scripted failure"), "{what:?}");
    assert_eq!(finished.record.completion, Completion::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_panics_is_a_measurement_that_could_not_be_taken() {
    let stage = Stage::new();
    stage.world.mishap(Door::Once, 150..160, Mishap::Panic);
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    let not_run: Vec<&Sample> =
        finished.samples["get"].iter().filter(|s| s.observation.outcome == Outcome::NotRun).collect();
    assert_eq!(not_run.len(), 10);
    assert!(not_run[0].observation.error.as_deref().unwrap().starts_with("the prober panicked: scripted"));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_keeps_nothing_in_place() {
    let stage = Stage::new();
    let finished = stage.run_watched(|_| std::panic::resume_unwind(Box::new("the terminal is gone"))).await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert!(stage.world.is_pristine());
}
