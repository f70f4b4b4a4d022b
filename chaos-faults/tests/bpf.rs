//! Rules on a real interface of a real kernel: what each does to packets, what it leaves alone, and how it ends.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without may panic")]

#[path = "world/pair.rs"]
mod pair;
#[path = "world/transfer.rs"]
mod transfer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chaos_core::which::Which;
use chaos_faults::bpf::action::Action;
use chaos_faults::bpf::{
    Deadline, Device, Direction, Hold, Loss, PacketMatch, Peer, Ports, Protocol, Rule, link,
};
use chaos_faults::share::{Bursts, Share};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use pair::{Holder, Pair, blast, one};
use transfer::transfer;

/// Five standard deviations of a binomial on both sides: wrong about once in two million runs.
fn assert_share(found: usize, of: u32, share: f64) {
    let (expected, deviation) = (f64::from(of) * share, (f64::from(of) * share * (1.0 - share)).sqrt());
    assert!(
        (found as f64 - expected).abs() <= 5.0 * deviation,
        "{found} of {of}, expected {expected:.0} ± {:.0}",
        5.0 * deviation
    );
}

/// About all datagrams: what the kernel multicasts on its own must not spoil exact counts.
fn rule(action: Action) -> Rule {
    let matching = PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() };
    Rule { matching, action, deadline: None, mark: 0 }
}

fn loss(share: f64) -> Action {
    Action::Drop(Loss::Independent(Share::new(share).unwrap()))
}

fn block() -> Action {
    loss(1.0)
}

type Network<'a> = (&'a str, u8, Option<u16>);

fn one_peer((network, prefix, port): Network<'_>) -> Peer {
    Peer { network: network.parse().unwrap(), prefix, port: port.map(Ports::from) }
}

fn peer(network: &str, prefix: u8, port: Option<u16>) -> PacketMatch {
    PacketMatch { peers: Which::one(one_peer((network, prefix, port))), ..PacketMatch::default() }
}

fn both(a: Network<'_>, b: Network<'_>) -> Which<Peer> {
    Which::these([one_peer(a), one_peer(b)]).unwrap()
}

#[test]
fn loss_is_the_share_asked_for_and_every_loss_is_counted() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7100), pair.receiver("10.99.0.2", 7100));
    for (device, direction) in [(pair.va(), Direction::Egress), (pair.vb(), Direction::Ingress)] {
        let mut hold = Hold::open(device, direction).unwrap();
        let id = hold.add(rule(loss(0.1))).unwrap();
        let (arrived, _) = blast(&sender, &receiver, 5000);
        let counters = hold.remove(id).unwrap();
        let lost = 5000 - arrived.len();
        println!("{direction:?}: {lost} of 5000 lost");
        assert_share(lost, 5000, 0.1);
        assert_eq!((counters.seen, counters.hit), (5000, lost as u64));
    }
}

#[test]
fn bursts_have_the_share_and_the_length_asked_for() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7100), pair.receiver("10.99.0.2", 7100));
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    let chain = Loss::Bursts(Bursts::of_length(Share::new(0.1).unwrap(), 5.0).unwrap());
    hold.add(rule(Action::Drop(chain))).unwrap();
    let (arrived, _) = blast(&sender, &receiver, 40_000);
    let gaps: Vec<_> = arrived.windows(2).map(|two| two[1] - two[0] - 1).filter(|gap| *gap > 0).collect();
    let lost: u32 = gaps.iter().sum();
    let mean = f64::from(lost) / gaps.len() as f64;
    println!("{lost} of 40000 lost in {} bursts, {mean:.2} packets each", gaps.len());
    // About 800 bursts: their number and mean length each stray by some 4 %.
    assert!((3200..=4800).contains(&lost), "{lost} lost");
    assert!((4.0..=6.0).contains(&mean), "bursts of {mean}");
}

/// Sends a datagram for 10.99.0.2:7100 out of `va` as it stands on the wire, with the tag of a VLAN.
#[expect(unsafe_code, reason = "packet sockets have no safe wrapper")]
fn send_tagged(pair: &Pair, vlan: u16) {
    let index = pair.va().index();
    let mut frame = [0xff; 6].to_vec();
    frame.extend([2, 0, 0, 0, 0, 1, 0x81, 0x00]);
    frame.extend(vlan.to_be_bytes());
    frame.extend([0x08, 0x00, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 99, 0, 1, 10, 99, 0, 2]);
    frame.extend([0x1b, 0x58, 0x1b, 0xbc, 0, 12, 0, 0, 1, 2, 3, 4]);
    pair::inside(&pair.a, move || {
        let packet = libc::ETH_P_ALL as u16;
        // SAFETY: plain numbers; the kernel reads the frame and the address, both of which outlive the calls.
        unsafe {
            let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(packet.to_be()));
            assert!(socket >= 0);
            let mut to: libc::sockaddr_ll = std::mem::zeroed();
            (to.sll_family, to.sll_protocol) = (libc::AF_PACKET as u16, 0x8100_u16.to_be());
            to.sll_ifindex = index.cast_signed();
            let sent = libc::sendto(
                socket,
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            );
            assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
            libc::close(socket);
        }
    });
}

#[test]
fn a_packet_of_a_vlan_is_left_to_the_interface_of_that_vlan() {
    let Some(pair) = Pair::new() else { return };
    let mut hold = Hold::open(pair.vb(), Direction::Ingress).unwrap();
    let id = hold.add(rule(block())).unwrap();
    for (vlan, seen) in [(5, 0), (0x6005, 0), (0, 1), (0x6000, 2)] {
        send_tagged(&pair, vlan);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(hold.counters(id).unwrap().seen, seen, "{vlan:#x}");
    }
}

#[test]
fn only_matching_packets_are_blocked() {
    let Some(pair) = Pair::new() else { return };
    let protocol = |protocol| PacketMatch { protocol: Some(protocol), ..PacketMatch::default() };
    let ports = |ports: &[(u16, u16)]| {
        let ports: Vec<_> = ports.iter().map(|(a, b)| Ports::between(*a, *b).unwrap()).collect();
        PacketMatch { ports: Which::these(ports).unwrap(), ..PacketMatch::default() }
    };
    let of_peer = |first, last| {
        let port = Ports::between(first, last);
        PacketMatch {
            peers: Which::one(Peer { port, ..one_peer(("10.99.0.2", 32, None)) }),
            ..PacketMatch::default()
        }
    };
    let two_peers = PacketMatch {
        peers: both(("10.99.0.3", 32, None), ("fd00::2", 128, Some(7002))),
        ..PacketMatch::default()
    };
    let all: &[(&str, u16)] =
        &[("10.99.0.2", 7001), ("10.99.0.3", 7001), ("fd00::2", 7001), ("fd00::2", 7002), ("fd00::3", 7001)];
    let table: &[(PacketMatch, &[(&str, u16)])] = &[
        (PacketMatch::default(), all),
        (peer("10.99.0.3", 32, None), &all[1..2]),
        (peer("10.99.0.2", 31, None), &all[..2]),
        (peer("0.0.0.0", 0, None), &all[..2]),
        (peer("10.99.0.1", 32, None), &[]),
        (peer("fd00::3", 128, None), &all[4..]),
        (peer("fd00::2", 127, None), &all[2..]),
        (peer("fd00::", 33, None), &all[2..]),
        (peer("10.99.0.2", 32, Some(7001)), &all[..1]),
        (peer("10.99.0.2", 32, Some(7002)), &[]),
        (ports(&[(7002, 7002), (80, 80)]), &all[3..4]),
        (ports(&[(7002, 7100), (1, 80)]), &all[3..4]),
        (ports(&[(6990, 7001)]), &[all[0], all[1], all[2], all[4]]),
        (of_peer(6990, 7001), &all[..1]),
        (of_peer(7002, 65535), &[]),
        (two_peers, &[all[1], all[3]]),
        (protocol(Protocol::Udp), all),
        (protocol(Protocol::Tcp), &[]),
        (protocol(Protocol::Icmp), &[]),
    ];
    let sockets: Vec<_> =
        all.iter().map(|(host, port)| (pair.sender(host, *port), pair.receiver(host, *port))).collect();
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    for (matching, blocked) in table {
        let id =
            hold.add(Rule { matching: matching.clone(), action: block(), deadline: None, mark: 0 }).unwrap();
        for (end, (sender, receiver)) in all.iter().zip(&sockets) {
            let passed = one(sender, receiver, Duration::from_millis(60)).is_some();
            assert_eq!(passed, !blocked.contains(end), "{end:?} with {matching:?}");
        }
        let counters = hold.remove(id).unwrap();
        let (seen, expected) = (counters.seen, blocked.len() as u64);
        assert_eq!(seen, counters.hit, "{matching:?}");
        // The kernel's own ICMPv6 multicast may come by at any time.
        let exact = !matching.is_any() && matching.protocol != Some(Protocol::Icmp);
        assert!(seen == expected || seen > expected && !exact, "{seen} instead of {expected}: {matching:?}");
    }
}

#[test]
fn on_ingress_the_peer_is_the_source() {
    let Some(pair) = Pair::new() else { return };
    let mut hold = Hold::open(pair.vb(), Direction::Ingress).unwrap();
    let id = hold
        .add(Rule { matching: peer("10.99.0.2", 32, None), action: block(), deadline: None, mark: 0 })
        .unwrap();
    assert!(pair.exchange("10.99.0.2", 7001).is_some());
    hold.remove(id).unwrap();
    hold.add(Rule { matching: peer("10.99.0.1", 32, None), action: block(), deadline: None, mark: 0 })
        .unwrap();
    assert!(pair.exchange("10.99.0.2", 7001).is_none());
    assert!(pair.exchange("fd00::2", 7001).is_some());
}

#[test]
fn a_full_block_leaves_neighbour_resolution_alone() {
    let Some(pair) = Pair::new() else { return };
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    hold.add(Rule { matching: PacketMatch::default(), action: block(), deadline: None, mark: 0 }).unwrap();
    pair.ip_a("neigh flush all");
    assert!(!pair.ip_a("neigh show").contains("lladdr"));
    for host in ["10.99.0.2", "fd00::2"] {
        assert!(pair.exchange(host, 7001).is_none());
        let neighbour = pair.ip_a(&format!("neigh show {host}"));
        assert!(neighbour.contains("lladdr"), "{host}: {neighbour}");
    }
}

#[test]
fn icmp_is_matched_in_both_families() {
    let Some(pair) = Pair::new() else { return };
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    let peers = both(("10.99.0.2", 32, None), ("fd00::2", 128, None));
    let matching = PacketMatch { peers, protocol: Some(Protocol::Icmp), ..PacketMatch::default() };
    let id = hold.add(Rule { matching, action: loss(0.0), deadline: None, mark: 0 }).unwrap();
    for host in ["10.99.0.2", "fd00::2"] {
        pair::run(&pair.a, &format!("ping -q -c 3 -i 0.01 {host}"));
    }
    assert_eq!(hold.counters(id).unwrap().seen, 6);
    assert_eq!(hold.counters(id).unwrap().hit, 0);
}

#[test]
fn later_fragments_match_by_address_but_not_by_port() {
    let Some(pair) = Pair::new() else { return };
    for host in ["10.99.0.2", "fd00::2"] {
        let (sender, receiver) = (pair.sender(host, 7001), pair.receiver(host, 7001));
        receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let prefix = if host.contains(':') { 128 } else { 32 };
        let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
        let mut count =
            |matching| hold.add(Rule { matching, action: loss(0.0), deadline: None, mark: 0 }).unwrap();
        let (by_address, by_port) = (count(peer(host, prefix, None)), count(peer(host, prefix, Some(7001))));
        let by_protocol = count(PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() });
        sender.send(&[7; 4000]).unwrap();
        assert_eq!(receiver.recv(&mut [0; 5000]).unwrap(), 4000);
        let seen = |id| hold.counters(id).unwrap().seen;
        assert_eq!([seen(by_address), seen(by_port), seen(by_protocol)], [3, 1, 3], "{host}");
    }
}

#[test]
fn duplicates_arrive_exactly_twice() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7100), pair.receiver("10.99.0.2", 7100));
    for (device, direction) in [(pair.va(), Direction::Egress), (pair.vb(), Direction::Ingress)] {
        let mut hold = Hold::open(device, direction).unwrap();
        // Both copies meet what stands behind the duplication, once each.
        let id = hold.add(rule(Action::Duplicate(Share::ALL))).unwrap();
        let behind = hold.add(rule(loss(0.0))).unwrap();
        let (mut arrived, _) = blast(&sender, &receiver, 1000);
        arrived.sort_unstable();
        assert_eq!(
            arrived,
            (0..1000).flat_map(|number| [number, number]).collect::<Vec<_>>(),
            "{direction:?}"
        );
        assert_eq!(hold.counters(behind).unwrap().seen, 2000);
        let counters = hold.remove(id).unwrap();
        assert_eq!((counters.seen, counters.hit), (1000, 1000));

        hold.add(rule(Action::Duplicate(Share::new(0.1).unwrap()))).unwrap();
        let (arrived, _) = blast(&sender, &receiver, 5000);
        assert_share(arrived.len() - 5000, 5000, 0.1);
    }
}

#[test]
fn bulk_data_counts_as_the_packets_that_it_is_on_the_wire() {
    let Some(pair) = Pair::new() else { return };
    for (device, direction) in [(pair.va(), Direction::Egress), (pair.vb(), Direction::Ingress)] {
        let mut hold = Hold::open(device, direction).unwrap();
        let matching = PacketMatch { ports: Which::one(7310.into()), ..PacketMatch::default() };
        let id = hold.add(Rule { matching, action: loss(0.0), deadline: None, mark: 0 }).unwrap();
        let bytes = transfer(&pair, Duration::from_millis(300)).0;
        let seen = hold.remove(id).unwrap().seen;
        let least = bytes / 1448;
        println!("{direction:?}: {seen} packets for {bytes} bytes");
        assert!((least..least * 2 + 100).contains(&seen), "{seen} packets for {bytes} bytes");
    }
}

#[test]
fn dropping_openings_spares_established_connections() {
    use std::io::{Read, Write};
    let Some(pair) = Pair::new() else { return };
    let listener = pair::inside(&pair.b, || std::net::TcpListener::bind("10.99.0.2:7200").unwrap());
    let connect = || {
        pair::inside(&pair.a, || {
            let to = "10.99.0.2:7200".parse().unwrap();
            std::net::TcpStream::connect_timeout(&to, Duration::from_millis(300))
        })
    };
    let mut established = connect().unwrap();
    let (mut served, _) = listener.accept().unwrap();
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    let matching = PacketMatch { ports: Which::one(7200.into()), ..PacketMatch::default() };
    let id = hold.add(Rule { matching, action: Action::DropOpening, deadline: None, mark: 0 }).unwrap();
    assert_eq!(connect().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    established.write_all(b"still here").unwrap();
    served.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    served.read_exact(&mut [0; 10]).unwrap();
    assert!(hold.remove(id).unwrap().hit >= 1);
    connect().unwrap();
}

#[test]
fn rules_come_and_go_without_losing_a_packet_or_a_count() {
    let Some(pair) = Pair::new() else { return };
    let (sender, receiver) = (pair.sender("10.99.0.2", 7100), pair.receiver("10.99.0.2", 7100));
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    let kept = hold.add(rule(loss(0.0))).unwrap();
    let swapping = std::thread::spawn(move || {
        for _ in 0..50 {
            let matching = peer("10.99.0.3", 32, None);
            let id = hold.add(Rule { matching, action: block(), deadline: None, mark: 0 }).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            hold.remove(id).unwrap();
        }
        hold
    });
    let (arrived, _) = blast(&sender, &receiver, 8000);
    let hold = swapping.join().unwrap();
    assert_eq!(arrived.len(), 8000);
    assert_eq!(hold.counters(kept).unwrap().seen, 8000);
}

#[test]
fn the_program_ends_its_rule_at_the_deadline() {
    let Some(pair) = Pair::new() else { return };
    let mut hold = Hold::open(pair.va(), Direction::Egress).unwrap();
    let start = Instant::now();
    let deadline = Some(Deadline::after(Duration::from_millis(800)));
    hold.add(Rule { matching: PacketMatch::default(), action: block(), deadline, mark: 0 }).unwrap();
    assert!(pair.exchange("10.99.0.2", 7001).is_none());
    let back = recovery(&pair, start);
    println!("back after {back:?}");
    assert!((Duration::from_millis(750)..Duration::from_secs(2)).contains(&back), "{back:?}");
}

#[test]
fn a_killed_holder_blocks_no_longer() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, "block");
    assert!(pair.exchange("10.99.0.2", 7001).is_none());
    let start = Instant::now();
    holder.signal(Signal::SIGKILL);
    let back = recovery(&pair, start);
    println!("back after {back:?}");
    assert!(back < Duration::from_secs(1), "{back:?}");
    assert_eq!(link::attached(&pair.va(), Direction::Egress).unwrap(), []);
}

#[test]
fn a_stopped_holder_blocks_until_its_deadline() {
    let Some(pair) = Pair::new() else { return };
    let start = Instant::now();
    let holder = Holder::start(&pair, "block until 1500 ms");
    holder.signal(Signal::SIGSTOP);
    assert!(pair.exchange("10.99.0.2", 7001).is_none());
    let back = recovery(&pair, start);
    println!("back after {back:?}");
    assert!((Duration::from_millis(1400)..Duration::from_secs(4)).contains(&back), "{back:?}");
}

#[test]
fn nothing_is_left_after_the_hold() {
    let Some(pair) = Pair::new() else { return };
    let (va, before) = (pair.va(), pair.ip_a("-d link show"));
    let hold = Hold::open(va.clone(), Direction::Egress).unwrap();
    assert_eq!(link::attached(&va, Direction::Egress).unwrap().len(), 1);
    assert_eq!(link::attached(&va, Direction::Ingress).unwrap(), []);
    drop(hold);
    assert_eq!(link::attached(&va, Direction::Egress).unwrap(), []);
    assert_eq!(pair.ip_a("-d link show"), before);
}

#[test]
fn a_refusal_says_what_and_why() {
    let Some(pair) = Pair::new() else { return };
    let missing = Device::find(Some(pair.a.clone()), "eth7").unwrap_err();
    assert!(missing.to_string().starts_with("no interface `eth7` in that network namespace"), "{missing}");
    let va = pair.va();
    let mut hold = Hold::open(va.clone(), Direction::Egress).unwrap();
    pair.ip_a("link del va");
    let gone = hold.add(rule(block())).unwrap_err();
    assert!(
        gone.to_string().contains("`va`") && gone.to_string().contains("the interface is gone"),
        "{gone}"
    );
    assert!(hold.is_empty());
    assert!(Hold::open(va, Direction::Egress).is_err());
}

/// Sends until something arrives, for five seconds at most, and says when that was.
fn recovery(pair: &Pair, start: Instant) -> Duration {
    let (sender, receiver) = (pair.sender("10.99.0.2", 7009), pair.receiver("10.99.0.2", 7009));
    while start.elapsed() < Duration::from_secs(5) {
        if one(&sender, &receiver, Duration::from_millis(2)).is_some() {
            return start.elapsed();
        }
    }
    panic!("no packet passed within five seconds");
}

#[test]
#[ignore = "a process that other tests start"]
fn holder() {
    pair::hold(|device, task| {
        let deadline = task.contains("until").then(|| Deadline::after(Duration::from_millis(1500)));
        let mut hold = Hold::open(device, Direction::Egress).unwrap();
        hold.add(Rule { matching: PacketMatch::default(), action: block(), deadline, mark: 0 }).unwrap();
        Box::new(hold)
    });
}

#[test]
fn programs_are_loaded_although_signals_come() {
    if !chaos_faults::bpf::probe().is_yes() {
        println!("skipped: no BPF program can be loaded here");
        return;
    }
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, and the kernel runs it anywhere.
    #[expect(unsafe_code, reason = "a handler runs wherever it interrupts")]
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    // The threads that this test starts have its name until they take another.
    let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
    let over = AtomicBool::new(false);
    let signalled = std::thread::scope(|scope| {
        let sending = std::thread::Builder::new().name("signals".into());
        let sending = sending.spawn_scoped(scope, || {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
                    let ours =
                        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm == name);
                    let thread: libc::pid_t = task.file_name().to_str().unwrap().parse().unwrap();
                    if ours {
                        #[expect(unsafe_code, reason = "tgkill(2) has no safe wrapper")]
                        // SAFETY: three numbers; a thread that has ended is refused.
                        let answer = unsafe {
                            libc::syscall(libc::SYS_tgkill, std::process::id(), thread, libc::SIGUSR1)
                        };
                        sent += u32::from(answer == 0);
                    }
                }
            }
            sent
        });
        for round in 0..40 {
            let support = chaos_faults::bpf::probe();
            if !support.is_yes() {
                over.store(true, Ordering::Relaxed);
                panic!("round {round}: {support:?}");
            }
        }
        over.store(true, Ordering::Relaxed);
        sending.unwrap().join().unwrap()
    });
    assert!(signalled > 100, "{signalled} signals came");
}
