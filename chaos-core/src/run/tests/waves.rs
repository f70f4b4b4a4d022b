//! Faults on several objects: what is done at once, and what waits for what.

use super::{random::assert_waves, *};
use crate::{
    injector::Hold,
    model::{FaultSpec, Step},
    run::{
        Completion, What,
        record::{AbortKind, PartState},
    },
    testing::{Door, Mishap},
};

/// A run with one fault on this many objects.
fn on(objects: u32) -> Stage {
    let mut stage = Stage::new();
    stage.world.populate("blue", objects);
    stage.experiment.timeline.steps = [
        Step::Baseline(seconds(5)),
        Step::Inject("first".into()),
        Step::Hold(seconds(5)),
        Step::Rollback(None),
        Step::Watch(seconds(1)),
    ]
    .map(Into::into)
    .to_vec();
    stage
}

/// When a part went into a state.
fn when(stage: &Stage, id: &str, wanted: PartState) -> Nanos {
    let events = stage.events.lock().unwrap();
    let at = |e: &RunEvent| match &e.what {
        What::Part { id: of, state, .. } if of == id && *state == wanted => Some(e.at),
        _ => None,
    };
    events.iter().find_map(at).unwrap_or_else(|| panic!("{id} never was {wanted:?}"))
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_waited_for_and_not_for_ever() {
    for (after, whole) in [(4, true), (4_000, false)] {
        let stage = on(2);
        stage.world.recover_after(seconds(after));
        let finished = stage.run().await;
        let record = &finished.record;
        assert_eq!(record.completion, Completion::Completed);
        assert_eq!(record.restoration, crate::run::Restoration::Restored, "it is put back either way");
        let recovered: Vec<_> = record.parts.iter().map(|part| part.recovered.map(|r| r.after)).collect();
        assert_eq!(recovered, [whole.then(|| seconds(after)); 2]);
        let said =
            record.warnings.iter().filter(|line| line.contains("was not whole again 1m later")).count();
        assert_eq!(said, if whole { 0 } else { 2 }, "{:?}", record.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wave_is_worked_on_at_once_and_no_more_of_it_than_allowed() {
    let mut stage = on(10);
    stage.policy.at_once = 4;
    for door in [Door::Place, Door::Prepare, Door::Inject, Door::Revert] {
        stage.world.mishap(door, 0..u32::MAX, Mishap::Late(seconds(1)));
    }
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    let took = |wanted: &str| {
        let stage = finished.record.stages.iter().find(|s| s.stage.to_string() == wanted).unwrap();
        crate::time::duration(stage.end - stage.start).as_secs()
    };
    // Ten by four are three turns; finding a place and preparing there are two seconds each.
    assert_eq!((took("inject first"), took("rollback")), (6 + 3, 3));
    for door in [Door::Place, Door::Prepare, Door::Inject, Door::Revert] {
        assert_eq!(stage.world.most_at_once(door), 4, "{door:?}");
    }
    assert_consistent(&stage, &finished);
    assert_waves(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_wave_is_in_the_journal_before_any_of_it_is_injected() {
    let stage = on(10);
    stage.run().await;
    let log = stage.world.log();
    let written = |(door, what): &(Door, String)| *door == Door::Append && what.starts_with("Prepared");
    let first = log.iter().position(|(door, _)| *door == Door::Inject).unwrap();
    assert_eq!(log[..first].iter().filter(|entry| written(entry)).count(), 10);
    // In the order of the plan, so that a restore goes backwards through it.
    let ids: Vec<String> = stage.world.history().parts.iter().map(|p| p.undo.id.clone()).collect();
    let planned: Vec<String> = (1..=10).map(|n| format!("first/blue-{n}/{n}")).collect();
    assert_eq!(ids, planned);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_one_object_wait_for_each_other() {
    let mut stage = on(3);
    stage.world.split();
    let both = FaultSpec::loss(0.05).and(FaultSpec::delay(seconds(1)));
    stage.experiment.faults[0].action = both.into();
    stage.world.mishap(Door::Inject, 1..2, Mishap::Late(seconds(2)));
    stage.world.mishap(Door::Revert, 0..1, Mishap::Late(seconds(2)));
    let finished = stage.run().await;
    let (one, other) = ([1, 3, 5], [2, 4, 6]);
    let id = |n: usize| format!("first/blue-{}/{n}", n.div_ceil(2));
    for later in other {
        for earlier in one {
            let (a, b) = (id(earlier), id(later));
            assert!(when(&stage, &a, PartState::Active) <= when(&stage, &b, PartState::Prepared), "{a} {b}");
            assert!(
                when(&stage, &b, PartState::Reverted) <= when(&stage, &a, PartState::Reverting),
                "{a} {b}"
            );
        }
    }
    assert_consistent(&stage, &finished);
    assert_waves(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_one_fails_is_waited_for_and_put_back() {
    let mut stage = on(5);
    stage.policy.at_once = 4;
    // The third and the fourth fail, the first two are slow, and the fifth would come after them.
    stage.world.mishap(Door::Inject, 0..2, Mishap::Late(seconds(3)));
    stage.world.mishap(Door::Inject, 2..3, Mishap::Fail);
    stage.world.mishap(Door::Inject, 3..4, Mishap::DoneButFails);
    let finished = stage.run().await;
    let abort = finished.record.abort.as_ref().unwrap();
    assert_eq!(abort.kind, AbortKind::Inject);
    assert_eq!(
        abort.reason,
        "`first/blue-3/3` could not be injected: injecting: scripted failure of Inject for `first/blue-3/3`; 1 more part \
         failed beside it"
    );
    assert_eq!(stage.world.calls(Door::Inject).len(), 4);
    let errors: Vec<bool> = finished.record.parts[..5].iter().map(|p| p.error.is_some()).collect();
    assert_eq!(errors, [false, false, true, true, false]);
    for id in ["first/blue-1/1", "first/blue-2/2"] {
        assert!(when(&stage, id, PartState::Active) <= when(&stage, id, PartState::Reverting));
    }
    // Also what was only prepared is owed.
    assert_eq!(stage.world.calls(Door::Revert).len(), 5);
    assert!(finished.record.is_restored());
    assert_consistent(&stage, &finished);
    assert_waves(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_wave_that_is_not_prepared_as_a_whole_is_not_injected() {
    let stage = on(5);
    stage.world.mishap(Door::Prepare, 1..2, Mishap::Panic);
    let finished = stage.run().await;
    assert_eq!(stage.world.calls(Door::Inject), [] as [&str; 0]);
    let history = stage.world.history();
    let (prepared, reverted) = (history.parts.len(), stage.world.calls(Door::Revert).len());
    assert!(prepared > 0 && prepared == reverted, "{prepared} prepared, {reverted} reverted");
    assert!(finished.record.is_restored());
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_a_wave_hangs() {
    let stage = on(5);
    stage.world.mishap(Door::Inject, 1..4, Mishap::DoneButHangs);
    let control = stage.control.clone();
    let finished = stage
        .run_watched(move |e| {
            if matches!(&e.what, What::Part { id, state: PartState::Injecting, .. } if id == "first/blue-4/4")
            {
                control.stop_at_least(1);
            }
        })
        .await;
    assert_eq!(finished.record.abort.as_ref().unwrap().kind, AbortKind::Stopped);
    let begun = when(&stage, "first/blue-4/4", PartState::Injecting);
    assert!(finished.record.ended - begun < crate::time::nanos(seconds(1)));
    assert!(stage.world.is_pristine());
    assert_consistent(&stage, &finished);
}

#[tokio::test(start_paused = true)]
async fn reverts_that_fail_are_tried_again_when_all_others_had_their_turn() {
    let stage = on(6);
    stage.world.mishap(Door::Revert, 1..2, Mishap::Hang);
    stage.world.mishap(Door::Revert, 2..3, Mishap::Panic);
    stage.world.mishap(Door::Revert, 3..4, Mishap::DoneButFails);
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert_eq!(stage.world.calls(Door::Revert).len(), 6 + 3);
    let attempts: u32 = finished.record.parts[..6].iter().map(|p| p.attempts).sum();
    assert_eq!(attempts, 9);
    assert_consistent(&stage, &finished);
    assert_waves(&stage, &finished);
}

/// Each call of a wave is made to go wrong in turn, in every way, while others are under way.
#[tokio::test(start_paused = true)]
async fn every_call_of_a_wave_goes_wrong_in_turn() {
    let mishaps = [Mishap::Fail, Mishap::DoneButFails, Mishap::Hang, Mishap::DoneButHangs, Mishap::Panic];
    for door in [Door::Place, Door::Prepare, Door::Append, Door::Inject, Door::Revert] {
        for number in [0, 2, 3, 5] {
            for mishap in mishaps {
                let mut stage = on(4);
                stage.policy.at_once = 3;
                stage.world.mishap(door, number..number + 1, mishap);
                let finished = stage.run().await;
                assert!(stage.world.is_pristine(), "{door:?} {number} {mishap:?}");
                assert!(finished.record.is_restored(), "{door:?} {number} {mishap:?}");
                assert_consistent(&stage, &finished);
                assert_waves(&stage, &finished);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_objects_are_ordinary() {
    let stage = on(1000);
    stage.world.mishap(Door::Inject, 0..u32::MAX, Mishap::Late(Duration::from_millis(10)));
    stage.world.mishap(Door::Revert, 0..u32::MAX, Mishap::Late(Duration::from_millis(10)));
    let finished = stage.run().await;
    assert_eq!(finished.record.completion, Completion::Completed);
    assert!(finished.record.is_restored());
    assert_eq!(stage.world.calls(Door::Revert).len(), 1000);
    // A thousand by 64 are 16 turns.
    let rollback = finished.record.stages.iter().find(|s| s.stage.to_string() == "rollback").unwrap();
    assert!(rollback.end - rollback.start < 200_000_000, "{rollback:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_chosen_when_a_fault_is_prepared_is_what_the_record_names() {
    let stage = on(1);
    stage.world.chooses("late", Hold::Kernel);
    let finished = stage.run().await;
    let part = &finished.record.parts[0];
    assert_eq!((part.backend.as_str(), part.hold), ("late", Hold::Kernel));
    let events = stage.events.lock().unwrap();
    let said = |e: &RunEvent| match &e.what {
        What::Part { state: PartState::Active, line, .. } => Some(line.clone()),
        _ => None,
    };
    assert_eq!(events.iter().find_map(said).as_deref(), Some("does it by late"));
}
