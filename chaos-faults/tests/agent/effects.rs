//! Each fault does what it says, measures it, and leaves nothing.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use chaos_core::{
    injector::{Direction, Hold, Injector, PacketMatch, Peer, Protocol, Surroundings},
    model::{
        FaultSpec,
        packets::{Blocked, Refusal},
    },
    which::Which,
};

use crate::{
    harness::{BOTH, DEADLINE, World, ask, ask_of, bandwidth, block, delay, fresh_port, jitter, loss},
    pair::{self, blast},
};

const SENT: u32 = 1000;

/// Injects a fault, sends datagrams through it, and returns how many arrived, how many were overtaken, and how many damaged.
async fn through(world: &World, specs: &[FaultSpec]) -> (usize, usize, usize) {
    through_for(world, specs).await.0
}

/// As [`through`], and how long it took, of which 700 ms are waiting for more.
async fn through_for(world: &World, specs: &[FaultSpec]) -> ((usize, usize, usize), Duration) {
    let before = world.dump();
    let undos = world.inject("one", specs).await;
    let port = fresh_port();
    let (sender, receiver) = (world.pair.sender("10.99.0.2", port), world.pair.receiver("10.99.0.2", port));
    let start = Instant::now();
    let (arrived, damaged) = blast(&sender, &receiver, SENT);
    let elapsed = start.elapsed();
    let mut highest = 0;
    let overtaken = |number: &&u32| {
        highest = highest.max(**number);
        **number < highest
    };
    let disorder = arrived.iter().filter(overtaken).count();
    for undo in &undos {
        let effect = world.injector.effect(undo).await.unwrap();
        assert!(effect.met >= u64::from(SENT) / 3, "{specs:?}: {effect:?}");
        println!("{} of {specs:?}: {}", undo.offer.backend, effect.line);
    }
    world.revert(&undos).await;
    for undo in &undos {
        let after = world.injector.effect(undo).await.unwrap();
        assert!(after.met >= u64::from(SENT) / 3, "the effect is forgotten: {after:?}");
    }
    world.assert_as_before(&before).await;
    assert!(world.exchange().is_some(), "nothing passes after {specs:?}");
    ((arrived.len(), disorder, damaged.len()), elapsed)
}

fn near(found: usize, expected: usize) {
    assert!(found.abs_diff(expected) <= SENT as usize / 10, "{found}, expected about {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_does_what_it_says_and_leaves_nothing() {
    let Some(world) = World::new() else { return };
    near(through(&world, &[loss(0.5)]).await.0, 500);
    near(through(&world, &[FaultSpec::Loss { ratio: 0.3, burst: Some(3) }]).await.0, 700);
    near(through(&world, &[FaultSpec::Duplicate { ratio: 0.5 }]).await.0, 1500);
    // What is damaged after its checksum was finished, the receiver's kernel drops.
    let (whole, _, damaged) = through(&world, &[FaultSpec::Corrupt { ratio: 0.5 }]).await;
    near(whole, 500);
    assert_eq!(damaged, 0);
    assert_eq!(through(&world, &[block(Blocked::All)]).await.0, 0);
    assert_eq!(through(&world, &[delay(20)]).await, (SENT as usize, 0, 0));
    assert!(through(&world, &[jitter(20, 5)]).await.1 > 50);
    let hold = Duration::from_millis(20);
    assert!(through(&world, &[FaultSpec::Reorder { ratio: 0.2, hold }]).await.1 > 50);
    // 1000 packets are 142,000 bytes on the wire, of which 3,000 pass at once.
    let ((limited, ..), elapsed) = through_for(&world, &[bandwidth(4_000_000)]).await;
    assert!((300..=1000).contains(&limited), "{limited}");
    assert!(elapsed > Duration::from_millis(700 + limited as u64 / 4), "{limited} in {elapsed:?}");
    near(through(&world, &[loss(0.5), delay(20)]).await.0, 500);
    let (both, ..) = through(&world, &[delay(20), bandwidth(4_000_000)]).await;
    assert!((300..=1000).contains(&both), "{both}");
    near(through(&world, &[loss(0.5), FaultSpec::Duplicate { ratio: 0.5 }, delay(5)]).await.0, 750);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_is_as_long_as_asked_and_measured() {
    let Some(world) = World::new() else { return };
    let plain = world.typical();
    let undos = world.inject("slow", &[delay(60)]).await;
    let delayed = world.typical();
    println!("{plain:?} without, {delayed:?} with 60 ms by {}", undos[0].offer.backend);
    assert!(delayed >= Duration::from_millis(60), "{delayed:?}");
    if let Some(added) = world.injector.effect(&undos[0]).await.unwrap().delay {
        assert!((Duration::from_millis(60)..Duration::from_secs(1)).contains(&added), "{added:?}");
    }
    world.revert(&undos).await;
    assert!(world.typical() < Duration::from_millis(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_received_can_be_late_too_and_a_partition_is_both() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    for (specs, directions) in
        [(vec![delay(30)], &[Direction::Ingress][..]), (vec![FaultSpec::Partition], &BOTH[..])]
    {
        let offer = world.offers(&specs, directions).await.remove(0);
        let undo = world.prepare("in", &offer).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        let receiver = pair::inside(&world.pair.a, || std::net::UdpSocket::bind("10.99.0.1:4002").unwrap());
        let sender = pair::inside(&world.pair.b, || {
            let socket = std::net::UdpSocket::bind("10.99.0.2:0").unwrap();
            socket.connect("10.99.0.1:4002").unwrap();
            socket
        });
        let times = (0..3).filter_map(|_| pair::one(&sender, &receiver, Duration::from_millis(300)));
        match times.min() {
            Some(time) => assert!(specs == [delay(30)] && time >= Duration::from_millis(30), "{time:?}"),
            None => assert!(specs == [FaultSpec::Partition] && world.exchange().is_none()),
        }
        assert!(world.injector.effect(&undo).await.unwrap().met >= 3);
        world.injector.revert(&undo).await.unwrap();
        world.assert_as_before(&before).await;
    }
}

/// Connects to `b` and says one word there and back.
fn talk(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_and_established_connections_are_distinguished() {
    let Some(world) = World::new() else { return };
    let listener = pair::inside(&world.pair.b, || TcpListener::bind("10.99.0.2:4003").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut reading, mut writing) = (stream.try_clone().unwrap(), stream);
                std::io::copy(&mut reading, &mut writing)
            });
        }
    });
    let connect = || {
        pair::inside(&world.pair.a, || {
            let patience = Duration::from_millis(700);
            let stream = TcpStream::connect_timeout(&"10.99.0.2:4003".parse().unwrap(), patience).ok()?;
            stream.set_read_timeout(Some(patience)).unwrap();
            Some(stream)
        })
    };
    for (connections, new_passes, old_passes) in
        [(Blocked::New, false, true), (Blocked::Established, true, false), (Blocked::All, false, false)]
    {
        let mut old = connect().unwrap();
        assert!(talk(&mut old));
        let matches = PacketMatch { protocol: Some(Protocol::Tcp), ..PacketMatch::default() };
        let wanted = ask_of(matches, &[block(connections)], &[Direction::Egress]);
        let offer = world.injector.offer(&wanted, &Surroundings::default()).await.unwrap().remove(0);
        let undo = world.prepare("block", &offer).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        assert_eq!(connect().is_some(), new_passes, "new connections under {connections:?}");
        assert_eq!(talk(&mut old), old_passes, "old connections under {connections:?}");
        world.injector.revert(&undo).await.unwrap();
        assert!(talk(&mut connect().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_sender_gets_an_answer_at_once() {
    let refusal = |connections| FaultSpec::Block { connections, answer: Refusal::Reject };
    let Some(world) = World::with("nft", &[refusal(Blocked::All)]).await else { return };
    let before = (world.dump(), pair::run(&world.pair.a, "nft list ruleset"));
    let _listener = pair::inside(&world.pair.b, || TcpListener::bind("10.99.0.2:4005").unwrap());
    let _datagrams = world.pair.receiver("10.99.0.2", 4005);
    let _other = pair::inside(&world.pair.b, || TcpListener::bind("10.99.0.2:4006").unwrap());
    let connect = |port: u16| {
        pair::inside(&world.pair.a, move || {
            TcpStream::connect_timeout(&([10, 99, 0, 2], port).into(), Duration::from_secs(1))
                .map(drop)
                .map_err(|error| error.kind())
        })
    };
    for connections in [Blocked::All, Blocked::New] {
        let peer = Peer { network: "10.99.0.0".parse().unwrap(), prefix: 24, port: Some(4005.into()) };
        let matches = PacketMatch { peers: Which::one(peer), ..PacketMatch::default() };
        let wanted = ask_of(matches, &[refusal(connections)], &[Direction::Egress]);
        let offer = world.injector.offer(&wanted, &Surroundings::default()).await.unwrap().remove(0);
        let undo = world.prepare("reject", &offer).await.unwrap();
        world.injector.inject(&undo).await.unwrap();
        assert_eq!(connect(4005), Err(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(connect(4006), Ok(()));
        let datagram = world.pair.sender("10.99.0.2", 4005);
        datagram.send(b"x").ok();
        let refused = datagram.send(b"x").is_err() || datagram.send(b"x").is_err();
        assert_eq!(refused, connections == Blocked::All);
        assert!(world.injector.effect(&undo).await.unwrap().met >= 1);
        world.injector.revert(&undo).await.unwrap();
        world.injector.revert(&undo).await.unwrap();
        assert_eq!(connect(4005), Ok(()));
        assert_eq!((world.dump(), pair::run(&world.pair.a, "nft list ruleset")), before);
        world.injector.inject(&undo).await.unwrap();
        assert!(connect(4005).is_err());
        world.signal(nix::sys::signal::Signal::SIGKILL);
        world.assert_agent_gone().await;
        // Its last thread takes the table along, a little after the first is gone.
        let end = Instant::now() + Duration::from_secs(5);
        while connect(4005).is_err() {
            assert!(Instant::now() < end, "the table outlived its agent");
        }
        world.injector.revert(&undo).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_lead_to_the_forwarder_where_there_is_no_bpf() {
    let Some(world) = World::with("forwarder", &[delay(30)]).await else { return };
    let before = world.dump();
    let mut offer = world.offers(&[delay(30)], &[Direction::Egress]).await.remove(0);
    offer.hold = Hold::Agent;
    let undo = world.prepare("filters", &offer).await.unwrap();
    world.injector.inject(&undo).await.unwrap();
    let delayed = world.typical();
    assert!(delayed >= Duration::from_millis(30), "{delayed:?}");
    assert!(pair::run(&world.pair.a, "tc filter show dev va egress").contains("mirred"));
    assert!(world.injector.effect(&undo).await.unwrap().met >= 3);
    world.injector.revert(&undo).await.unwrap();
    world.assert_as_before(&before).await;
    // What a dead agent left is found by its own marks.
    world.injector.inject(&undo).await.unwrap();
    world.signal(nix::sys::signal::Signal::SIGKILL);
    world.assert_agent_gone().await;
    world.another().revert(&undo).await.unwrap();
    world.assert_as_before(&before).await;
    assert!(world.exchange().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harness_without_an_executable_gets_what_the_kernel_holds() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    let injector = crate::harness::in_this_process();
    let mut undos = Vec::new();
    let offers = injector
        .offer(&ask(&[loss(1.0), delay(20)], &[Direction::Egress]), &Surroundings::default())
        .await
        .unwrap();
    for (number, offer) in offers.iter().enumerate() {
        assert_eq!(offer.hold, Hold::Kernel);
        let undo = injector.prepare(&format!("own/{number}"), offer, &world.place(), DEADLINE).await.unwrap();
        injector.inject(&undo).await.unwrap();
        undos.push(undo);
    }
    assert_eq!(world.exchange(), None);
    for undo in undos.iter().rev() {
        injector.revert(undo).await.unwrap();
    }
    assert!(world.exchange().is_some());
    injector.inject(&undos[0]).await.unwrap();
    assert_eq!(world.exchange(), None);
    drop(injector);
    world.assert_as_before(&before).await;
    assert!(world.exchange().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_shows_what_a_fault_adds() {
    let Some(world) = World::new() else { return };
    let without = world.injector.evidence(&world.place()).await;
    assert!(without.iter().any(|line| line.contains(" va mtu 1500 up veth 10.99.0.1/24")), "{without:?}");
    let undos = world.inject("seen", &[block(Blocked::All)]).await;
    let with = world.injector.evidence(&world.place()).await;
    let added: Vec<_> = with.iter().filter(|line| !without.contains(line)).collect();
    assert!(added.iter().any(|line| line.starts_with("tcx va Egress program")), "{added:?}");
    world.revert(&undos).await;
}
