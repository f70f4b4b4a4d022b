//! An agent with a scripted injector, on a paused clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use chaos_core::{
    injector::{Ask, Hold, Offer, Surroundings, Undo, Work},
    model::Custom,
    place::{Kind, Namespace, ObjectId, Place, Site},
    testing::{Door, Mishap, World},
    time::nanos,
};
use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::*;
use crate::protocol::{self, Message};

fn undo(deadline: Duration) -> Undo {
    undo_of("slow", deadline)
}

fn undo_of(fault: &str, deadline: Duration) -> Undo {
    let ask = Ask {
        fault: fault.into(),
        object: ObjectId::host(fault),
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
        takes: vec![],
    };
    Undo {
        id: format!("{fault}/here/1"),
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
        let hello = hello(Site::Runner);
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

/// The first call to an agent, which it serves at this site.
fn hello(at: Site) -> Request {
    Request::Hello { version: VERSION, at, silence: SILENCE, settings: Settings::new() }
}

/// Asks an agent everything at once, and returns what it answered to each, and when; then it ends.
async fn asked(host: Host, requests: Vec<Request>) -> (BTreeMap<u64, (Answer, Duration)>, Stop) {
    let (runner, agent) = tokio::io::duplex(1 << 20);
    let (input, output) = tokio::io::split(agent);
    let (hears, says) = tokio::io::split(runner);
    let mut heard = FramedRead::new(hears, protocol::frames());
    let mut calls = FramedWrite::new(says, protocol::frames());
    let begun = Instant::now();
    let runner = async {
        let count = requests.len();
        for (number, request) in (0..).zip([hello(Site::Runner)].into_iter().chain(requests)) {
            let frame = protocol::encode(&Call { number, sent: 0, request }).unwrap();
            SinkExt::<Bytes>::send(&mut calls, frame).await.unwrap();
        }
        let mut answers = BTreeMap::new();
        while answers.len() <= count {
            let frame = heard.next().await.expect("the agent goes on").unwrap();
            if let Message::Answer { number, answer } = protocol::decode(&frame).unwrap() {
                answers.insert(number, (answer, begun.elapsed()));
            }
        }
        drop((calls, heard));
        answers
    };
    let serving = serve(input, output, |_: &Settings| Ok(host), std::future::pending());
    tokio::join!(runner, serving)
}

/// Returns what an agent answers to requests that are all asked at once.
async fn answers(host: Host, requests: Vec<Request>) -> (Vec<Answer>, Stop) {
    let (answers, stop) = asked(host, requests).await;
    (answers.into_values().skip(1).map(|(answer, _)| answer).collect(), stop)
}

/// Returns when an agent answers each of the requests that are all asked at once.
async fn times(host: Host, requests: Vec<Request>) -> (BTreeMap<u64, Duration>, Stop) {
    let (answers, stop) = asked(host, requests).await;
    (answers.into_iter().map(|(number, (_, time))| (number, time)).collect(), stop)
}

const SLOW: Duration = Duration::from_millis(300);

#[tokio::test(start_paused = true)]
async fn faults_are_put_in_place_at_the_same_time() {
    let world = World::new();
    world.mishap(Door::Inject, 0..u32::MAX, Mishap::Late(SLOW));
    let inject = |number| Request::Inject { undo: undo_of(&format!("f{number}"), Duration::from_secs(60)) };
    let (times, stop) = times(Host::new().injector(world.clone()), (0..20).map(inject).collect()).await;
    assert!(times.values().all(|time| *time < 2 * SLOW), "{times:?}");
    assert_eq!(stop.left, Vec::<String>::new());
    assert!(world.is_pristine());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_worked_on_at_once_than_there_is_room_for() {
    let world = World::new();
    world.mishap(Door::Inject, 0..u32::MAX, Mishap::Late(SLOW));
    let inject = |number| Request::Inject { undo: undo_of(&format!("f{number}"), Duration::from_secs(60)) };
    let (times, _) = times(Host::new().injector(world.clone()), (0..65).map(inject).collect()).await;
    assert_eq!(times.values().filter(|time| **time < 2 * SLOW).count(), 1 + 64);
    assert!(world.is_pristine());
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_about_one_fault_is_done_in_order() {
    let world = World::new();
    world.mishap(Door::Inject, 0..u32::MAX, Mishap::Late(SLOW));
    let undo = undo(Duration::from_secs(60));
    let (inject, revert) = (Request::Inject { undo: undo.clone() }, Request::Revert { undo });
    let other = Request::Effect { undo: undo_of("other", Duration::from_secs(60)) };
    let (times, _) = times(Host::new().injector(world.clone()), vec![inject, revert, other]).await;
    assert!(times[&2] >= times[&1] && times[&3] < SLOW, "{times:?}");
    assert!(world.is_pristine());
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_being_put_in_place_when_the_runner_goes_is_taken_back() {
    let world = World::new();
    world.mishap(Door::Inject, 0..u32::MAX, Mishap::Late(SLOW));
    let (runner, agent) = tokio::io::duplex(1 << 20);
    let (input, output) = tokio::io::split(agent);
    let mut calls = FramedWrite::new(runner, protocol::frames());
    let host = Host::new().injector(world.clone());
    let goes = async {
        let hello = hello(Site::Runner);
        let inject = Request::Inject { undo: undo(Duration::from_secs(60)) };
        for (number, request) in (0..).zip([hello, inject]) {
            let frame = protocol::encode(&Call { number, sent: 0, request }).unwrap();
            SinkExt::<Bytes>::send(&mut calls, frame).await.unwrap();
        }
        tokio::time::sleep(SLOW / 3).await;
        drop(calls);
    };
    let serving = serve(input, output, |_: &Settings| Ok(host), std::future::pending());
    let ((), stop) = tokio::join!(goes, serving);
    assert_eq!(stop.left, Vec::<String>::new());
    assert!(world.is_pristine());
}

/// Asks an agent that was started for a place, and returns what it answers.
async fn asked_at(at: Site, host: Host, requests: Vec<Request>) -> Vec<protocol::Answer> {
    let (runner, agent) = tokio::io::duplex(1 << 20);
    let (input, output) = tokio::io::split(agent);
    let (hears, says) = tokio::io::split(runner);
    let mut answers = FramedRead::new(hears, protocol::frames());
    let mut calls = FramedWrite::new(says, protocol::frames());
    let runner = async {
        let hello = hello(at);
        let mut heard = Vec::new();
        for (number, request) in (0..).zip([hello].into_iter().chain(requests)) {
            let frame = protocol::encode(&Call { number, sent: 0, request }).unwrap();
            SinkExt::<Bytes>::send(&mut calls, frame).await.unwrap();
            let frame = answers.next().await.unwrap().unwrap();
            let Message::Answer { answer, .. } = protocol::decode(&frame).unwrap() else {
                panic!("{frame:?}")
            };
            heard.push(answer);
        }
        drop((calls, answers));
        heard
    };
    let serving = serve(input, output, |_: &Settings| Ok(host), std::future::pending());
    tokio::join!(runner, serving).0
}

#[tokio::test(start_paused = true)]
async fn an_agent_at_a_place_acts_at_that_place_only() {
    let pod = |name: &str| Site::Agent { of: ObjectId::new(Kind::try_from("pod".to_owned()).unwrap(), name) };
    let at = |site: Site| Undo { site, ..undo(Duration::from_secs(60)) };
    let foreign = [Site::Runner, pod("other"), Site::Api, Namespace::new("/run/netns/x").into()];
    for site in foreign {
        let world = World::new();
        let host = Host::new().injector(world.clone());
        let requests = vec![Request::Inject { undo: at(site.clone()) }];
        let answers = asked_at(pod("own"), host, requests).await;
        let protocol::Answer::Failed(trouble) = &answers[1] else { panic!("{site:?}: {answers:?}") };
        assert!(trouble.message.contains("own, and was asked to act at another place"), "{trouble:?}");
        assert!(world.is_pristine() && world.calls(Door::Inject).is_empty(), "{site:?}");
        let answers = asked_at(pod("own"), Host::new().injector(world), vec![offer_at(site.clone())]).await;
        assert!(matches!(answers[1], protocol::Answer::Failed(_)), "{site:?}: {answers:?}");
    }
    // Its own place is where it is already: injectors need no way in. The record keeps the runner's name of it.
    let world = World::new();
    let host = Host::new().injector(world.clone());
    let asked = at(pod("own"));
    let place = Place { site: asked.site.clone(), ..Place::runner() };
    let prepare = Request::Prepare {
        injector: "scripted".into(),
        id: asked.id.clone(),
        offer: asked.offer.clone(),
        place,
        deadline: asked.deadline,
    };
    let requests = vec![offer_at(pod("own")), prepare, Request::Inject { undo: asked.clone() }];
    let answers = asked_at(pod("own"), host, requests).await;
    assert!(matches!(&answers[1], protocol::Answer::Offers(offers) if offers.len() == 1), "{answers:?}");
    let protocol::Answer::Prepared(undo) = &answers[2] else { panic!("{answers:?}") };
    assert_eq!(undo.site, asked.site);
    assert!(matches!(answers[3], protocol::Answer::Injected), "{answers:?}");
}

/// Asks what could be done at a place.
fn offer_at(site: Site) -> Request {
    let place = Some(Place { site, ..Place::runner() });
    let around = Box::new(Surroundings { place, below: Vec::new() });
    Request::Offer { injector: "scripted".into(), ask: undo(Duration::from_secs(60)).offer.ask, around }
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_this_machine_refuses_places_elsewhere() {
    for site in [Site::Api, Site::Agent { of: ObjectId::host("elsewhere") }] {
        let world = World::new();
        let host = Host::new().injector(world.clone());
        let request = Request::Inject { undo: Undo { site, ..undo(Duration::from_secs(60)) } };
        let answers = asked_at(Site::Runner, host, vec![request]).await;
        assert!(matches!(answers[1], protocol::Answer::Failed(_)), "{answers:?}");
        assert!(world.is_pristine());
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_clock_can_hold_is_refused_and_all_else_goes_on() {
    let world = World::new();
    let fine = undo_of("fine", Duration::from_secs(60));
    let absurd = [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 62)];
    let stream = |rate: f64, first, timeout| Request::Measure {
        feed: 1,
        stream: chaos_core::probe::Stream { from: "here".into(), first, rate, timeout, limit: usize::MAX },
    };
    let mut requests = vec![Request::Inject { undo: fine.clone() }];
    requests.extend(absurd.map(|deadline| Request::Inject { undo: undo_of("absurd", deadline) }));
    requests.extend([
        stream(0.0, 0, Duration::from_secs(1)),
        stream(-1.0, 0, Duration::from_secs(1)),
        stream(1e300, 0, Duration::from_secs(1)),
        stream(1.0, i64::MIN, Duration::from_secs(1)),
        stream(1.0, i64::MAX, Duration::from_secs(1)),
        stream(1.0, 0, Duration::MAX),
    ]);
    requests.push(Request::Effect { undo: fine });
    let (answers, stop) = answers(Host::new().injector(world.clone()), requests).await;
    let (ends, refused) = (answers.len() - 1, &answers[1..answers.len() - 1]);
    assert!(matches!(answers[0], Answer::Injected), "{:?}", answers[0]);
    assert!(matches!(answers[ends], Answer::Effect(_)), "what is in place stays: {:?}", answers[ends]);
    for answer in refused {
        let Answer::Failed(trouble) = answer else { panic!("{answer:?}") };
        assert!(trouble.help.is_some(), "{trouble}");
    }
    assert_eq!(world.calls(Door::Inject).len(), 1);
    assert!(!stop.reason.contains("failed within the agent"), "{}", stop.reason);
    assert!(world.is_pristine());
}
