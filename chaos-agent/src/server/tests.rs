//! An agent with a scripted injector, on a paused clock.

use chaos_core::{
    injector::{Ask, Hold, Offer, Work},
    model::Custom,
    place::{ObjectId, Site},
    testing::{Door, Mishap, World},
    time::nanos,
};

use super::*;

fn undo(deadline: Duration) -> Undo {
    let ask = Ask {
        fault: "slow".into(),
        object: ObjectId::here(),
        work: Work::Custom(Custom::new("scripted")),
        seed: 0,
    };
    let offer = Offer {
        backend: "scripted".into(),
        ask,
        hold: Hold::Agent,
        does: vec![],
        undoes: String::new(),
        because: vec![],
    };
    Undo {
        id: "slow/here/1".into(),
        injector: "scripted".into(),
        offer,
        site: Site::Runner,
        deadline,
        state: serde_json::Value::Null,
        line: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_wait_for_calls_that_keep_coming() {
    let world = World::new();
    world.mishap(Door::Effect, 0..u32::MAX, Mishap::Late(Duration::from_millis(100)));
    let host = Host::new().injector(world.clone());
    let (runner, agent) = tokio::io::duplex(1 << 20);
    let (input, output) = tokio::io::split(agent);
    let (hears, says) = tokio::io::split(runner);
    let mut answers = FramedRead::new(hears, protocol::frames());
    let mut calls = FramedWrite::new(says, protocol::frames());
    let begun = Instant::now();
    // Twice as many calls as there is time for.
    let asking = async {
        let undo = undo(Duration::from_secs(1));
        let hello = Request::Hello { version: VERSION, silence: SILENCE, settings: Settings::new() };
        let inject = Request::Inject { undo: undo.clone() };
        let effects = std::iter::repeat_n(Request::Effect { undo }, 80);
        for (number, request) in (0..).zip([hello, inject].into_iter().chain(effects)) {
            let frame = protocol::encode(&Call { number, sent: nanos(begun.elapsed()), request }).unwrap();
            SinkExt::<Bytes>::send(&mut calls, frame).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending().await
    };
    let ended = async {
        while let Some(frame) = answers.next().await {
            if let Message::Ended { reason, .. } = protocol::decode(&frame.unwrap()).unwrap() {
                return reason;
            }
        }
        panic!("the agent ended first");
    };
    let serving = serve(input, output, |_: &Settings| Ok(host), std::future::pending());
    let reason = tokio::select! {
        stop = serving => panic!("{stop:?}"),
        () = asking => unreachable!("it waits for ever"),
        reason = ended => reason,
    };
    assert!(reason.contains("its deadline of 1s passed"), "{reason}");
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(world.is_pristine());
}
