use proptest::prelude::*;

use super::*;
use crate::{
    model::Step,
    run::record::PartState,
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

fn mishaps() -> impl Strategy<Value = Vec<(Door, u32, Mishap)>> {
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
    proptest::collection::vec((door, 0..8_u32, mishap), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the timeline, whatever goes wrong, whenever it is stopped: what is prepared is reverted, the last first.
    #[test]
    fn every_debt_is_paid(steps in steps(), mishaps in mishaps(), stop in proptest::option::of(0..60_u64)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new();
            // Injecting what is in place already is not a plan; the rest of the timeline is as it comes.
            let mut active = std::collections::BTreeSet::new();
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
            for (door, number, mishap) in mishaps {
                stage.world.mishap(door, number..number + 1, mishap);
            }
            let control = stage.control.clone();
            let stopper = tokio::spawn(async move {
                if let Some(after) = stop {
                    tokio::time::sleep(seconds(after)).await;
                    control.stop();
                }
            });
            let finished = stage.run().await;
            stopper.abort();
            assert!(stage.world.is_pristine(), "{:?}", stage.world.in_place());
            assert!(finished.record.parts.iter().all(|p| matches!(p.state, PartState::Planned | PartState::Reverted)));
            assert_consistent(&stage, &finished);
            assert_reverse_order(&stage);
        });
    }
}

/// First attempts of one unwinding go backwards through what was prepared.
fn assert_reverse_order(stage: &Stage) {
    let mut standing: Vec<String> = Vec::new();
    let mut events: Vec<(PartState, String)> = Vec::new();
    for event in stage.events.lock().unwrap().iter() {
        if let crate::run::What::Part { id, state, .. } = &event.what {
            events.push((*state, id.clone()));
        }
    }
    let mut failed = false;
    for (state, id) in events {
        match state {
            PartState::Prepared => {
                standing.push(id);
                failed = false;
            }
            PartState::RevertFailed => failed = true,
            PartState::Reverted => {
                let fault = |id: &String| id.split('/').next().unwrap().to_owned();
                let later_of_same_fault = standing
                    .iter()
                    .skip_while(|s| **s != id)
                    .skip(1)
                    .filter(|s| fault(s) == fault(&id))
                    .count();
                assert!(failed || later_of_same_fault == 0, "{id} before {standing:?}");
                standing.retain(|s| *s != id);
            }
            _ => {}
        }
    }
    assert_eq!(standing, [] as [String; 0]);
}
