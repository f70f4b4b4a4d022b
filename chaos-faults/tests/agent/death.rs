//! No fault outlives what held it.

use std::time::{Duration, Instant};

use chaos_agent::{
    Agents, ChildProcess, Host, Settings,
    protocol::{self, Answer, Call, Message, Request, SILENCE, VERSION},
    serve,
};
use chaos_core::{
    injector::{Direction, Injector, Surroundings},
    model::packets::Blocked,
    place::Site,
    time::Clock,
    trouble::Trouble,
};
use chaos_faults::{NAME, NetworkInjector, backend::Holding, handles};
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use tokio::time::timeout;
use tokio_util::codec::Framed;

use crate::harness::{DEADLINE, World, ask, bandwidth, block, delay, in_this_process};

fn host(settings: &Settings) -> Result<Host, Trouble> {
    Ok(Host::new().injector(NetworkInjector::of(settings, Holding::Agent)?))
}

/// How long what should happen at once may take on a busy machine.
const SOON: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_ends_what_the_kernel_holds_and_a_fresh_one_proves_it() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    let mut undos = world.inject("block", &[block(Blocked::All)]).await;
    assert_eq!(world.exchange(), None);
    world.signal(Signal::SIGKILL);
    let start = Instant::now();
    while world.exchange().is_none() {
        assert!(start.elapsed() < SOON);
    }
    println!("traffic passes {:?} after the kill", start.elapsed());
    let lost = timeout(SOON, world.injector.lost()).await.unwrap().reason;
    assert!(lost.contains("`block/0`") && lost.contains("signal: 9"), "{lost}");
    world.revert(&undos).await;
    world.assert_as_before(&before).await;
    // And the injector goes on with the new agent.
    undos = world.inject("again", &[block(Blocked::All)]).await;
    assert_eq!(world.exchange(), None);
    world.revert(&undos).await;
    world.assert_as_before(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_goes_takes_its_faults_along() {
    let Some(mut world) = World::new() else { return };
    let before = world.dump();
    world.inject("block", &[block(Blocked::All)]).await;
    world.inject("rate", &[bandwidth(1_000_000)]).await;
    assert_eq!(world.exchange(), None);
    drop(std::mem::replace(&mut world.injector, in_this_process()));
    world.assert_agent_gone().await;
    world.assert_as_before(&before).await;
    assert!(world.exchange().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polite_signal_makes_the_agent_put_everything_back_and_say_so() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let Some(world) = World::new() else { return };
        let before = world.dump();
        world.inject("rate", &[bandwidth(1_000_000)]).await;
        assert_ne!(world.dump(), before);
        world.signal(signal);
        let lost = timeout(SOON, world.injector.lost()).await.unwrap().reason;
        assert!(
            lost.contains(&format!(
                "`rate/0` ended early: the agent got {signal}; the agent put everything back"
            )),
            "{lost}"
        );
        world.assert_as_before(&before).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_agent_leaves_any_other_process_takes_back_from_the_record() {
    let Some(world) = World::with("tbf", &[bandwidth(1_000_000)]).await else { return };
    let before = world.dump();
    let undos = world.inject("rate", &[bandwidth(1_000_000)]).await;
    world.signal(Signal::SIGKILL);
    world.assert_agent_gone().await;
    assert_ne!(world.dump(), before, "nothing holds an own root qdisc, so it stays");
    let text = serde_json::to_string(&undos[0]).unwrap();
    let restore = world.another();
    restore.revert(&serde_json::from_str(&text).unwrap()).await.unwrap();
    world.assert_as_before(&before).await;
    restore.revert(&undos[0]).await.unwrap();
    world.assert_as_before(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_agent_is_no_black_hole_and_is_replaced() {
    let Some(world) = World::with("forwarder", &[delay(100)]).await else { return };
    let before = world.dump();
    let undos = world.inject("slow", &[delay(100)]).await;
    assert!(world.typical() >= Duration::from_millis(100));
    world.signal(Signal::SIGSTOP);
    let start = Instant::now();
    while world.exchange().is_none_or(|time| time >= Duration::from_millis(100)) {
        assert!(start.elapsed() < SOON);
    }
    println!("traffic passes {:?} after the agent hung", start.elapsed());
    let lost = timeout(SOON, world.injector.lost()).await.unwrap().reason;
    assert!(lost.contains("no sign of life for 2 s and was killed"), "{lost}");
    world.revert(&undos).await;
    world.assert_as_before(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_fault_although_everybody_lives() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    for spec in [block(Blocked::All), bandwidth(500_000)] {
        let offer = world.offers(std::slice::from_ref(&spec), &[Direction::Egress]).await.remove(0);
        let short = Duration::from_millis(800);
        let undo = world.injector.prepare("short", &offer, &world.place(), short).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        world.exchange();
        let lost = timeout(SOON, world.injector.lost()).await.unwrap().reason;
        assert!(lost.starts_with("`short` ended early: its deadline of 800ms passed"), "{lost}");
        world.assert_as_before(&before).await;
        assert!(world.exchange().is_some());
        assert!(world.injector.effect(&undo).await.unwrap().met >= 1);
        world.injector.revert(&undo).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reverting_is_right_at_any_time() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    for spec in [block(Blocked::All), delay(10), bandwidth(1_000_000)] {
        let offer = world.offers(std::slice::from_ref(&spec), &[Direction::Egress]).await.remove(0);
        let undo = world.prepare("never", &offer).await.unwrap();
        assert_eq!(world.dump(), before, "preparing changes nothing");
        world.injector.revert(&undo).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        for _ in 0..3 {
            world.injector.revert(&undo).await.unwrap();
        }
        world.assert_as_before(&before).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_hears_nothing_puts_everything_back() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(serve(input, output, host, std::future::pending()));
    let mut frames = Framed::new(ours, protocol::frames());
    let (mut number, clock) = (0, Clock::start());
    let mut call = async |request| {
        number += 1;
        frames.send(protocol::encode(&Call { number, sent: clock.now(), request }).unwrap()).await.unwrap();
        loop {
            let frame = frames.next().await.unwrap().unwrap();
            match protocol::decode::<Message>(&frame).unwrap() {
                Message::Answer { number: answered, answer } if answered == number => return answer,
                other => println!("{other:?}"),
            }
        }
    };
    assert!(matches!(
        call(Request::Hello {
            version: VERSION,
            at: Site::Runner,
            silence: SILENCE,
            settings: Settings::new()
        })
        .await,
        Answer::Hello { .. }
    ));
    let wanted = ask(&[block(Blocked::All)], &[Direction::Egress]);
    let Answer::Offers(mut offers) =
        call(Request::Offer { injector: NAME.into(), ask: wanted, around: Box::default() }).await
    else {
        panic!()
    };
    let request = Request::Prepare {
        injector: NAME.into(),
        id: "x".into(),
        offer: offers.remove(0),
        place: world.place(),
        deadline: DEADLINE,
    };
    let Answer::Prepared(undo) = call(request).await else { panic!() };
    assert!(matches!(call(Request::Inject { undo: *undo }).await, Answer::Injected));
    assert_ne!(world.dump(), before);
    let silent = Instant::now();
    let frame = timeout(SOON, frames.next()).await.unwrap().unwrap().unwrap();
    let Message::Ended { id, reason, failure, .. } = protocol::decode(&frame).unwrap() else { panic!() };
    assert_eq!(
        (id.as_str(), reason.as_str(), failure),
        ("x", "the runner gave no sign of life for 2 s", None)
    );
    assert!(silent.elapsed() >= Duration::from_secs(1), "{:?}", silent.elapsed());
    assert!(serving.await.unwrap().left.is_empty());
    world.assert_as_before(&before).await;
}

#[tokio::test]
async fn garbage_ends_an_agent_in_good_order() {
    for garbage in [&b"\0\0\0\x05hello"[..], &[0xff; 64], b"\0\0\0\x02{}"] {
        let (mut ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let serving = tokio::spawn(serve(input, output, host, std::future::pending()));
        tokio::io::AsyncWriteExt::write_all(&mut ours, garbage).await.unwrap();
        let mut frames = Framed::new(ours, protocol::frames());
        let frame = timeout(SOON, frames.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(protocol::decode(&frame).unwrap(), Message::Garbled { .. }));
        assert!(timeout(SOON, serving).await.unwrap().unwrap().left.is_empty());
    }
}

#[tokio::test]
async fn an_agent_of_another_version_or_without_manners_is_not_used() {
    for request in [
        Request::Hello {
            version: VERSION + 1,
            at: Site::Runner,
            silence: SILENCE,
            settings: Settings::new(),
        },
        Request::Bye,
    ] {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let serving = tokio::spawn(serve(input, output, host, std::future::pending()));
        let mut frames = Framed::new(ours, protocol::frames());
        frames.send(protocol::encode(&Call { number: 1, sent: 0, request }).unwrap()).await.unwrap();
        timeout(SOON, serving).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_agent_is_said_to_be_none() {
    for (program, expected) in
        [("/bin/true", "did not start"), ("/no/such/program", "cannot start the agent")]
    {
        let injector = Agents::new(ChildProcess::new(program, ["agent"])).injector(NAME, handles);
        let denied = injector
            .offer(&ask(&[delay(1)], &[Direction::Egress]), &Surroundings::default())
            .await
            .unwrap_err();
        assert!(denied.message.contains(expected), "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_agent_is_small_and_leads_its_own_session() {
    let Some(world) = World::new() else { return };
    world.injector.evidence(&world.place()).await;
    let pid = world.agent();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap()
    };
    println!("the agent has {} KiB resident, of them anonymous {} KiB", field("VmRSS"), field("RssAnon"));
    assert!(field("RssAnon") < 8 * 1024);
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);
    world.injector.close().await.unwrap();
    world.assert_agent_gone().await;
}
