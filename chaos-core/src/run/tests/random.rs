use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    model::{FaultSpec, Step},
    run::{
        What,
        record::{PartState, Role, Stage as RunStage},
    },
    testing::{Door, Mishap},
};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = prop_oneof![Just("first"), Just("second")];
    let step = prop_oneof![
        (1..20_u64).prop_map(|n| Step::Hold(seconds(n))),
        name.clone().prop_map(|n| Step::Inject(n.into())),
        name.prop_map(|n| Step::Rollback(Some(n.into()))),
        Just(Step::Rollback(None)),
        (1..10_u64).prop_map(|n| Step::Watch(seconds(n))),
    ];
    proptest::collection::vec(step, 0..12)
}

fn mishaps() -> impl Strategy<Value = Vec<(Door, u32, u32, Mishap)>> {
    let door = prop_oneof![
        Just(Door::Prepare),
        Just(Door::Inject),
        Just(Door::Revert),
        Just(Door::Effect),
        Just(Door::Append),
        Just(Door::Place),
        Just(Door::Down),
        Just(Door::Up),
        Just(Door::Open),
    ];
    let mishap = prop_oneof![
        Just(Mishap::Fail),
        Just(Mishap::DoneButFails),
        Just(Mishap::Hang),
        Just(Mishap::DoneButHangs),
        Just(Mishap::Panic),
        (0..5_u64).prop_map(|n| Mishap::Late(seconds(n))),
    ];
    proptest::collection::vec((door, 0..24_u32, 1..4_u32, mishap), 0..6)
}

/// How many objects the two faults are on, whether each effect is a part of its own, and how much is done at once.
fn sizes() -> impl Strategy<Value = (u32, u32, bool, usize)> {
    (1..6_u32, 1..6_u32, any::<bool>(), 1..5_usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the timeline, whatever goes wrong, whenever it is stopped: what is prepared is reverted, the last wave first.
    #[test]
    fn every_debt_is_paid(
        steps in steps(),
        mishaps in mishaps(),
        stop in proptest::option::of(0..60_000_u64),
        (first, second, split, at_once) in sizes(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new();
            // Injecting what is in place already is not a plan; the rest of the timeline is as it comes.
            let mut active = BTreeSet::new();
            stage.experiment.timeline.steps = steps
                .into_iter()
                .filter(|step| match step {
                    Step::Inject(name) => active.insert(name.value.clone()),
                    Step::Rollback(Some(name)) => active.remove(&name.value),
                    Step::Rollback(None) => {
                        active.clear();
                        true
                    }
                    _ => true,
                })
                .map(Into::into)
                .collect();
            stage.world.populate("blue", first);
            stage.world.populate("green", second);
            stage.policy.at_once = at_once;
            // Once more than all mishaps of one door together: an environment that never goes down stays, as is reported.
            stage.policy.down_attempts = 16;
            if split {
                stage.world.split();
                for fault in &mut stage.experiment.faults {
                    fault.action = FaultSpec::loss(0.05).and(FaultSpec::delay(seconds(1))).into();
                }
            }
            for (door, number, calls, mishap) in mishaps {
                stage.world.mishap(door, number..number + calls, mishap);
            }
            let control = stage.control.clone();
            let stopper = tokio::spawn(async move {
                if let Some(after) = stop {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    control.stop();
                }
            });
            let finished = stage.run().await;
            stopper.abort();
            assert!(stage.world.is_pristine(), "{:?}", stage.world.in_place());
            assert!(finished.record.parts.iter().all(|p| matches!(p.state, PartState::Planned | PartState::Reverted)));
            assert_consistent(&stage, &finished);
            assert_waves(&stage, &finished);
            for door in [Door::Place, Door::Prepare, Door::Inject, Door::Revert, Door::Effect] {
                let most = stage.world.most_at_once(door);
                assert!(most <= at_once, "{most} of {door:?} at once, and {at_once} are allowed");
            }
        });
    }
}

/// Which injection of the run, and which wave of it.
type Wave = (usize, usize);

/// A wave is prepared when the one before it is in place, and injected when it is in the journal as a whole; reverting goes
/// backwards, and no wave is begun while another one is under way.
pub(super) fn assert_waves(stage: &Stage, finished: &Finished) {
    let (mut turns, mut had) = (BTreeMap::new(), BTreeMap::<_, usize>::new());
    for part in &finished.record.parts {
        let turn = had.entry((part.fault.clone(), part.object.clone())).or_default();
        turns.insert(part.id.clone(), *turn);
        *turn += 1;
    }
    let mut injection = 0;
    let mut standing = BTreeMap::<String, (Wave, PartState)>::new();
    let (mut all, mut attempted) = (false, BTreeSet::new());
    for event in stage.events.lock().unwrap().iter() {
        match &event.what {
            What::StageStarted { stage: RunStage::Injecting(_) | RunStage::Making(_), .. } => injection += 1,
            What::Mark { event: crate::model::Event::RollbackStarts } => all = true,
            What::StageStarted { stage: RunStage::RollingBack, .. } => attempted.clear(),
            What::StageEnded { stage: RunStage::RollingBack, .. } => all = false,
            What::Part { id, fault, role: Role::Fault, state, .. } => {
                let wave = (injection, turns[id]);
                match state {
                    PartState::Prepared => {
                        let mut earlier = standing.values().filter(|(w, _)| w.0 == wave.0 && w.1 < wave.1);
                        assert!(earlier.all(|(_, state)| *state == PartState::Active), "{id}: {standing:?}");
                        standing.insert(id.clone(), (wave, *state));
                    }
                    PartState::Reverting => {
                        let own = standing[id].0;
                        for (other, (wave, state)) in &standing {
                            let same = other.split('/').next() == Some(fault);
                            assert!(*state != PartState::Reverting || *wave == own, "{id} beside {other}");
                            assert!(
                                *wave <= own || !(same || all) || attempted.contains(other),
                                "{id} before {other}"
                            );
                        }
                        attempted.insert(id.clone());
                        standing.get_mut(id).unwrap().1 = *state;
                    }
                    PartState::Reverted => {
                        standing.remove(id);
                    }
                    _ => standing.get_mut(id).unwrap().1 = *state,
                }
            }
            _ => {}
        }
    }
    assert!(standing.is_empty(), "{standing:?}");
}
