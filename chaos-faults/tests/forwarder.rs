//! A forwarder on a real interface of a real kernel: how late packets come, and what happens when it ends.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without may panic")]

#[path = "world/pair.rs"]
mod pair;
#[path = "world/transfer.rs"]
mod transfer;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chaos_core::which::Which;
use chaos_faults::bpf::{Deadline, Device, Direction, Hold, Loss, PacketMatch, Peer, Protocol, link};
use chaos_faults::forwarder::{Forwarder, Rate, Shape, TcxSteering};
use chaos_faults::share::Share;
use nix::sys::signal::Signal;
use pair::{Holder, Pair, blast, one};
use transfer::transfer;

/// Holds datagrams only: what the kernel multicasts on its own must not spoil exact counts.
fn start(device: Device, direction: Direction, shape: Shape) -> Forwarder {
    let matching = PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() };
    start_for(device, direction, shape, matching, None)
}

fn start_for(
    device: Device,
    direction: Direction,
    shape: Shape,
    matching: PacketMatch,
    deadline: Option<Deadline>,
) -> Forwarder {
    let hold = Arc::new(Mutex::new(Hold::open(device.clone(), direction).unwrap()));
    let steering = TcxSteering::new(hold, matching, deadline, 0);
    Forwarder::start(device, direction, shape, Box::new(steering), 42).unwrap()
}

/// How long each of some datagrams takes, one at a time, in milliseconds and sorted.
fn latencies(pair: &Pair, host: &str, count: u32) -> Vec<f64> {
    let (sender, receiver) = (pair.sender(host, 7300), pair.receiver(host, 7300));
    let mut found: Vec<_> = (0..count)
        .map(|_| {
            one(&sender, &receiver, Duration::from_secs(3)).expect("a packet is lost").as_secs_f64() * 1e3
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

#[test]
fn delay_is_what_was_asked_for_in_both_directions_and_families() {
    let Some(pair) = Pair::new() else { return };
    let bare = median(&latencies(&pair, "10.99.0.2", 50));
    for (device, direction) in [(pair.va(), Direction::Egress), (pair.vb(), Direction::Ingress)] {
        for (asked, count) in [(5, 100), (20, 50), (100, 10)] {
            // On a machine that is busy with other things a median may be late; it must not be so every time.
            let exact = (0..4).any(|_| {
                let shape = Shape::delayed(Duration::from_millis(asked));
                let forwarder = start(device.clone(), direction, shape);
                let v4 = median(&latencies(&pair, "10.99.0.2", count));
                let v6 = median(&latencies(&pair, "fd00::2", count));
                let counters = forwarder.stop().unwrap();
                println!("{direction:?} {asked} ms: {v4:.3} v4, {v6:.3} v6, bare {bare:.3}, {counters:?}");
                assert_eq!(
                    (counters.packets, counters.delayed),
                    (u64::from(2 * count), u64::from(2 * count))
                );
                assert!(counters.mean_added_delay >= Duration::from_millis(asked));
                assert_eq!((counters.overflow, counters.unsent), (0, 0));
                [v4, v6].iter().all(|found| (found - bare - asked as f64).abs() < 1.0)
            });
            assert!(exact, "{direction:?} {asked} ms");
        }
    }
}

#[test]
fn jitter_spreads_as_asked_for() {
    let Some(pair) = Pair::new() else { return };
    let (delay, jitter) = (Duration::from_millis(10), Duration::from_millis(5));
    let forwarder = start(pair.va(), Direction::Egress, Shape { delay, jitter, ..Shape::default() });
    let found = latencies(&pair, "10.99.0.2", 200);
    println!("{:.2} to {:.2} ms, median {:.2}", found[0], found[199], median(&found));
    // Quartiles of a uniform distribution from 5 to 15 ms; each strays by some 0.4 ms.
    for (at, expected) in [(50, 7.5), (100, 10.0), (150, 12.5)] {
        assert!((found[at] - expected).abs() < 2.2, "{} instead of {expected}", found[at]);
    }
    assert!(found[0] >= 4.9);
    forwarder.stop().unwrap();
}

#[test]
fn reordered_packets_overtake_and_none_is_lost() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7301), pair.receiver("10.99.0.2", 7301));
    let reorder = Share::new(0.25).unwrap();
    let shape = Shape { reorder, ..Shape::delayed(Duration::from_millis(10)) };
    let forwarder = start(pair.va(), Direction::Egress, shape);
    let (mut arrived, _) = blast(&sender, &receiver, 4000);
    let latest = arrived.iter().scan(0, |latest: &mut u32, number| {
        *latest = (*latest).max(*number);
        Some(*latest)
    });
    let overtaken = arrived.iter().zip(latest).filter(|(number, latest)| *number < latest).count();
    println!("{overtaken} packets came after a later one");
    assert!(overtaken > 50, "{overtaken}");
    arrived.sort_unstable();
    assert_eq!(arrived, (0..4000).collect::<Vec<_>>());
    forwarder.stop().unwrap();
}

#[test]
fn a_fixed_delay_keeps_the_order() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7302), pair.receiver("10.99.0.2", 7302));
    let forwarder = start(pair.va(), Direction::Egress, Shape::delayed(Duration::from_millis(10)));
    let (arrived, _) = blast(&sender, &receiver, 4000);
    assert_eq!(arrived, (0..4000).collect::<Vec<_>>());
    forwarder.stop().unwrap();
}

#[test]
fn loss_duplication_and_damage_happen_and_are_counted() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7303), pair.receiver("10.99.0.2", 7303));
    let share = Share::new(0.1).unwrap();
    let shape =
        Shape { loss: Some(Loss::Independent(share)), duplicate: share, corrupt: share, ..Shape::default() };
    let forwarder = start(pair.va(), Direction::Egress, shape);
    let before = refused(&pair, "Udp:");
    let (whole, damaged) = blast(&sender, &receiver, 5000);
    let (counters, refused) = (forwarder.stop().unwrap(), refused(&pair, "Udp:") - before);
    println!("{} whole, {refused} refused, {counters:?}", whole.len());
    assert_eq!(counters.packets, 5000);
    // The receiver's kernel finds the damage by the checksum.
    assert_eq!((damaged.len(), refused), (0, counters.corrupted));
    assert_eq!(whole.len() as u64 + refused, 5000 - counters.lost + counters.duplicated);
    // Five standard deviations of a binomial.
    for (found, of) in [(counters.lost, 5000.0), (counters.duplicated, 4500.0), (counters.corrupted, 4500.0)]
    {
        assert!((found as f64 - of * 0.1).abs() < 5.0 * (of * 0.09_f64).sqrt(), "{found} of {of}");
    }
}

fn megabits((bytes, took): (u64, Duration)) -> f64 {
    bytes as f64 * 8.0 / took.as_secs_f64() / 1e6
}

#[test]
fn a_rate_is_kept() {
    let Some(pair) = Pair::new() else { return };
    let rate =
        Rate { bits_per_second: 20_000_000, burst_bytes: 20_000, longest_wait: Duration::from_millis(100) };
    let any = PacketMatch { protocol: Some(Protocol::Tcp), ..PacketMatch::default() };
    let shape = Shape { rate: Some(rate), ..Shape::default() };
    let forwarder = start_for(pair.va(), Direction::Egress, shape, any, None);
    let megabits = megabits(transfer(&pair, Duration::from_secs(2)));
    println!("{megabits:.1} Mbit/s of 20, {:?}", forwarder.counters());
    assert!((14.0..=20.5).contains(&megabits), "{megabits}");
    forwarder.stop().unwrap();
}

#[test]
fn large_segments_pass_whole() {
    let Some(pair) = Pair::new() else { return };
    let any = PacketMatch { protocol: Some(Protocol::Tcp), ..PacketMatch::default() };
    let shape = Shape::delayed(Duration::from_millis(1));
    let forwarder = start_for(pair.va(), Direction::Egress, shape, any, None);
    let megabits = megabits(transfer(&pair, Duration::from_secs(1)));
    let counters = forwarder.stop().unwrap();
    println!("{megabits:.0} Mbit/s, {} bytes a packet", counters.bytes / counters.packets);
    // They are counted as what they are on the wire all the same.
    assert!(counters.bytes / counters.packets < 1600, "{counters:?}");
    assert!(megabits > 100.0, "{megabits}");
}

#[test]
fn damage_never_reaches_the_application() {
    let Some(pair) = Pair::new() else { return };
    let any = PacketMatch { protocol: Some(Protocol::Tcp), ..PacketMatch::default() };
    for (device, direction) in [(pair.va(), Direction::Egress), (pair.vb(), Direction::Ingress)] {
        let shape = Shape { corrupt: Share::new(0.02).unwrap(), ..Shape::default() };
        let before = refused(&pair, "Tcp:");
        let forwarder = start_for(device, direction, shape, any.clone(), None);
        let (bytes, _) = transfer(&pair, Duration::from_secs(1));
        let (counters, refused) = (forwarder.stop().unwrap(), refused(&pair, "Tcp:") - before);
        println!("{direction:?}: {bytes} bytes, {refused} refused, {counters:?}");
        assert!(counters.corrupted > 10, "{counters:?}");
        assert_eq!(refused, counters.corrupted);
        assert!(counters.packets >= bytes / 1448, "{counters:?}");
    }
}

/// How many packets of a protocol the kernel of the receiver has refused because of a wrong checksum.
fn refused(pair: &Pair, protocol: &str) -> u64 {
    let table = pair::run(&pair.b, "cat /proc/thread-self/net/snmp");
    let mut rows = table.lines().filter_map(|line| line.strip_prefix(protocol));
    let (names, numbers) = (rows.next().unwrap(), rows.next().unwrap());
    let place = names.split_whitespace().position(|name| name == "InCsumErrors").unwrap();
    numbers.split_whitespace().nth(place).unwrap().parse().unwrap()
}

#[test]
fn a_loss_hits_packets_of_the_wire() {
    let Some(pair) = Pair::new() else { return };
    let any = PacketMatch { protocol: Some(Protocol::Tcp), ..PacketMatch::default() };
    let loss = Some(Loss::Independent(Share::new(0.01).unwrap()));
    let forwarder = start_for(pair.va(), Direction::Egress, Shape { loss, ..Shape::default() }, any, None);
    let (bytes, _) = transfer(&pair, Duration::from_secs(1));
    let counters = forwarder.stop().unwrap();
    println!("{bytes} bytes, {counters:?}");
    let expected = bytes as f64 / 1448.0 * 0.01;
    assert!(counters.lost as f64 > expected - 5.0 * expected.sqrt(), "{counters:?}");
    assert!(counters.bytes / counters.packets < 1600, "{counters:?}");
}

#[test]
fn what_is_held_beyond_the_limit_is_counted() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7304), pair.receiver("10.99.0.2", 7304));
    // 142 bytes of frame and 10 in front of them, for 100 packets and a bit.
    let shape = Shape { limit_bytes: 15_300, ..Shape::delayed(Duration::from_millis(400)) };
    let forwarder = start(pair.va(), Direction::Egress, shape);
    let (arrived, _) = blast(&sender, &receiver, 300);
    assert_eq!((arrived.len(), forwarder.counters().overflow), (100, 200));
    forwarder.stop().unwrap();
}

#[test]
fn stopping_sends_what_is_held_in_order_and_leaves_nothing() {
    let Some(pair) = Pair::new() else { return };
    let before = pair.ip_a("-o link show");
    let (sender, receiver) = (pair.sender("10.99.0.2", 7305), pair.receiver("10.99.0.2", 7305));
    let forwarder = start(pair.va(), Direction::Egress, Shape::delayed(Duration::from_secs(30)));
    assert_eq!(pair.ip_a("-o link show").lines().count(), before.lines().count() + 1);
    let arriving = std::thread::spawn({
        let receiver = receiver.try_clone().unwrap();
        move || {
            receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let mut buffer = [0; 4];
            (0..200)
                .map(|_| {
                    receiver.recv(&mut buffer).unwrap();
                    u32::from_ne_bytes(buffer)
                })
                .collect::<Vec<_>>()
        }
    });
    for number in 0..200_u32 {
        sender.send(&number.to_ne_bytes()).unwrap();
    }
    let counters = forwarder.stop().unwrap();
    assert_eq!(arriving.join().unwrap(), (0..200).collect::<Vec<_>>());
    assert_eq!(counters.delayed, 200);
    assert_eq!(pair.ip_a("-o link show"), before);
    assert_eq!(link::attached(&pair.va(), Direction::Egress).unwrap(), []);
    assert!(!pair::run(&pair.a, "tc qdisc show").contains("clsact"));
}

#[test]
fn only_steered_packets_are_held() {
    let Some(pair) = Pair::new() else { return };
    let network = "10.99.0.3".parse().unwrap();
    let peers = Which::one(Peer { network, prefix: 32, port: Some(7300.into()) });
    let matching = PacketMatch { peers, ..PacketMatch::default() };
    let shape = Shape::delayed(Duration::from_millis(50));
    let forwarder = start_for(pair.va(), Direction::Egress, shape, matching, None);
    assert!(median(&latencies(&pair, "10.99.0.2", 5)) < 25.0);
    assert!(median(&latencies(&pair, "10.99.0.3", 5)) > 49.0);
    assert_eq!(forwarder.stop().unwrap().packets, 5);
}

#[test]
fn the_deadline_ends_the_delay() {
    let Some(pair) = Pair::new() else { return };
    let shape = Shape::delayed(Duration::from_millis(100));
    let deadline = Some(Deadline::after(Duration::from_millis(700)));
    let start = Instant::now();
    let forwarder = start_for(pair.va(), Direction::Egress, shape, PacketMatch::default(), deadline);
    let back = undelayed(&pair, start);
    println!("back after {back:?}");
    assert!((Duration::from_millis(650)..Duration::from_secs(2)).contains(&back), "{back:?}");
    forwarder.stop().unwrap();
}

#[test]
fn a_killed_forwarder_delays_no_longer() {
    let Some(pair) = Pair::new() else { return };
    for task in ["delay egress", "delay ingress"] {
        let before = pair.ip_a("-o link show").lines().count();
        let holder = Holder::start(&pair, task);
        assert_eq!(pair.ip_a("-o link show").lines().count(), before + 1);
        let start = Instant::now();
        holder.signal(Signal::SIGKILL);
        let back = undelayed(&pair, start);
        println!("{task}: back after {back:?}");
        assert!(back < Duration::from_secs(1), "{task}: {back:?}");
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            pair.ip_a("-o link show").lines().count() == before
        });
        assert!(gone, "the pair of interfaces outlived its process");
        for direction in [Direction::Egress, Direction::Ingress] {
            assert_eq!(link::attached(&pair.va(), direction).unwrap(), []);
        }
    }
}

#[test]
fn a_stopped_forwarder_lets_traffic_pass_after_its_heartbeat() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, "delay egress");
    let start = Instant::now();
    holder.signal(Signal::SIGSTOP);
    let back = undelayed(&pair, start);
    println!("back after {back:?}");
    // 250 ms and a beat, on a machine that may be busy with other things.
    assert!((Duration::from_millis(200)..Duration::from_millis(1200)).contains(&back), "{back:?}");
}

#[test]
fn a_forwarder_that_goes_on_takes_traffic_again() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, "delay egress");
    holder.signal(Signal::SIGSTOP);
    undelayed(&pair, Instant::now());
    holder.signal(Signal::SIGCONT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(median(&latencies(&pair, "10.99.0.2", 3)) > 99.0);
}

/// Sends until something arrives undelayed, for five seconds at most, and says when that was.
fn undelayed(pair: &Pair, start: Instant) -> Duration {
    // A port for each try, or a packet held from an earlier one would be taken for one that was not.
    for port in 8000.. {
        if start.elapsed() > Duration::from_secs(5) {
            break;
        }
        let (sender, receiver) = (pair.sender("10.99.0.2", port), pair.receiver("10.99.0.2", port));
        if one(&sender, &receiver, Duration::from_millis(20)).is_some() {
            return start.elapsed();
        }
    }
    panic!("no packet passed undelayed within five seconds");
}

#[test]
#[ignore = "a process that other tests start"]
fn holder() {
    pair::hold(|device, task| {
        let direction = if task.ends_with("ingress") { Direction::Ingress } else { Direction::Egress };
        let shape = Shape::delayed(Duration::from_millis(100));
        Box::new(start_for(device, direction, shape, PacketMatch::default(), None))
    });
}
