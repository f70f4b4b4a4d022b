use std::{collections::BTreeSet, time::Duration};

use chaos_core::{
    injector::{PacketMatch, Peer},
    which::Which,
};
use chaos_faults::{
    netlink::{
        Distribution, Handle, Loss, Netem, Probability, QdiscOptions,
        netem::{Rate, Reorder},
        tree::{Branch, Root, Tree},
    },
    share::{Bursts, Share},
};

use crate::two_hosts::{A4, B4, B4_OTHER, TwoHosts, drain, echo, round_trip, run, socket, two_hosts};

const NEEDS: [&str; 2] = ["veth", "netem"];

fn share(fraction: f64) -> Share {
    Share::new(fraction).unwrap()
}

/// How far a measured time may lie from the one asked for: exact under virtual time, else what a busy machine needs.
fn tolerance() -> Duration {
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if command_line.contains("time-travel=inf-cpu") {
        Duration::from_micros(100)
    } else {
        Duration::from_secs(1)
    }
}

async fn add(hosts: &TwoHosts, netem: &Netem) {
    hosts.a.add_qdisc(hosts.left.index, Handle::ROOT, Handle::OWN_ROOT, &netem.clone().into()).await.unwrap();
}

async fn remove(hosts: &TwoHosts) {
    hosts.a.delete_qdisc(hosts.left.index, Handle::ROOT, Handle::OWN_ROOT).await.unwrap();
}

async fn read_back(hosts: &TwoHosts) -> Netem {
    let root = hosts.a.root_qdisc(hosts.left.index).await.unwrap().unwrap();
    let Some(QdiscOptions::Netem(netem)) = root.decoded else { panic!("{root:?}") };
    *netem
}

#[tokio::test]
async fn delays_are_what_was_asked_to_a_tenth_of_a_millisecond() {
    let Some(hosts) = two_hosts(&NEEDS).await else { return };
    let server = socket(&hosts.b, B4, 4000);
    let to = server.local_addr().unwrap();
    let server = echo(server);
    let client = socket(&hosts.a, A4, 0);
    round_trip(&client, to, 0).unwrap(); // finds the neighbour
    let undisturbed = round_trip(&client, to, 0).unwrap();
    for millis in [5, 20, 100] {
        let delay = Duration::from_millis(millis);
        let netem = Netem { delay, ..Netem::default() }.with_sufficient_limit();
        add(&hosts, &netem).await;
        assert!(netem.matches(&read_back(&hosts).await));
        let shown = run(&hosts.a, "tc -s qdisc show dev left");
        assert!(shown.contains(&format!("delay {millis}ms")), "{shown}");
        for number in 1..=20 {
            let added = round_trip(&client, to, number).unwrap().saturating_sub(undisturbed);
            assert!(added.abs_diff(delay) <= tolerance(), "{added:?} instead of {delay:?}");
            if number == 20 {
                println!("asked {delay:?}, last of 20 measured {added:?}");
            }
        }
        let root = hosts.a.root_qdisc(hosts.left.index).await.unwrap().unwrap();
        assert!(root.statistics.packets >= 20 && root.statistics.drops == 0, "{root:?}");
        remove(&hosts).await;
        assert!(round_trip(&client, to, 99).unwrap() <= undisturbed + tolerance());
    }
    client.send_to(b"stop", to).unwrap();
    server.join().unwrap();
}

#[tokio::test]
async fn every_parameter_reads_back_and_is_what_tc_understands() {
    let Some(hosts) = two_hosts(&NEEDS).await else { return };
    let p = |ratio| Probability::of(share(ratio));
    let full = Netem {
        delay: Duration::from_nanos(1_234_567),
        jitter: Duration::from_micros(320),
        delay_correlation: p(0.25),
        distribution: Distribution::Normal,
        loss: Loss::Random { probability: p(0.0001), correlation: p(0.5) },
        duplicate: p(0.02),
        duplicate_correlation: p(0.1),
        corrupt: p(0.03),
        corrupt_correlation: p(0.2),
        reorder: Some(Reorder { probability: p(0.25), correlation: p(0.5), gap: 5 }),
        rate: Some(Rate {
            bytes_per_second: 6_000_000_000,
            packet_overhead: 8,
            cell_size: 48,
            cell_overhead: 5,
        }),
        limit: 12_345,
        ecn: true,
        seed: Some(7),
    };
    add(&hosts, &full).await;
    let back = read_back(&hosts).await;
    assert!(full.matches(&back), "{full:?}\n{back:?}");
    let shown = run(&hosts.a, "tc qdisc show dev left");
    for part in [
        "limit 12345",
        "delay 1.23ms",
        "320us 25%",
        "loss 0.01% 50%",
        "duplicate 2% 10%",
        "reorder 25% 50%",
        "corrupt 3% 20%",
        "rate 48Gbit packetoverhead 8 cellsize 48 celloverhead 5",
        "gap 5",
        "ecn",
    ] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    remove(&hosts).await;
    let bursts = Netem { loss: Bursts::of_length(share(0.1), 5.0).unwrap().into(), ..Netem::default() };
    add(&hosts, &bursts).await;
    assert!(bursts.matches(&read_back(&hosts).await));
    let shown = run(&hosts.a, "tc qdisc show dev left");
    assert!(shown.contains("loss gemodel p 2.22222% r 20% 1-h 100% 1-k 0%"), "{shown}");
    remove(&hosts).await;
    assert_eq!(hosts.a.root_qdisc(hosts.left.index).await.unwrap().unwrap().kind, "noqueue");
}

/// Sends numbered packets and returns the numbers that arrive. Nothing else passes meanwhile, since every packet takes
/// its own draws from netem's random numbers: no IPv6, and no searching for the neighbour.
async fn survivors(hosts: &TwoHosts, netem: &Netem, count: u32) -> Vec<u32> {
    run(&hosts.a, "sysctl -q -w net.ipv6.conf.left.disable_ipv6=1");
    let mac = &hosts.b.link_by_name("right").await.unwrap().hardware_address;
    let mac = mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    run(&hosts.a, &format!("ip neigh replace {B4} lladdr {mac} dev left nud permanent"));
    let receiver = socket(&hosts.b, B4, 4000);
    let sender = socket(&hosts.a, A4, 0);
    sender.send_to(b"warm", receiver.local_addr().unwrap()).unwrap();
    receiver.recv_from(&mut [0; 8]).unwrap();
    add(hosts, netem).await;
    let mut found = Vec::new();
    for start in (0..count).step_by(100) {
        for number in start..(start + 100).min(count) {
            sender.send_to(&number.to_be_bytes(), receiver.local_addr().unwrap()).unwrap();
        }
        found.extend(drain(&receiver, Duration::from_millis(50)));
    }
    remove(hosts).await;
    found.iter().map(|packet| u32::from_be_bytes(packet[..4].try_into().unwrap())).collect()
}

#[tokio::test]
async fn loss_meets_its_share_and_repeats_with_its_seed() {
    let Some(hosts) = two_hosts(&NEEDS).await else { return };
    let netem = |seed| Netem { loss: Loss::random(share(0.1)), seed: Some(seed), ..Netem::default() };
    let first = survivors(&hosts, &netem(1), 5000).await;
    let lost = 1.0 - first.len() as f64 / 5000.0;
    println!("asked 10%, lost {:.2}%", lost * 100.0);
    // Five standard deviations of 5,000 draws.
    assert!((lost - 0.1).abs() < 5.0 * (0.1f64 * 0.9 / 5000.0).sqrt(), "lost {lost}");
    add(&hosts, &netem(1)).await;
    let seeded = read_back(&hosts).await.seed == Some(1);
    remove(&hosts).await;
    if seeded {
        assert!(survivors(&hosts, &netem(1), 5000).await == first, "the same seed lost other packets");
        assert!(survivors(&hosts, &netem(2), 5000).await != first, "another seed lost the same packets");
    } else {
        println!("skipped: this kernel's netem takes no seed (Linux 6.6 does)");
    }
}

#[tokio::test]
async fn burst_loss_meets_its_share_and_length() {
    let Some(hosts) = two_hosts(&NEEDS).await else { return };
    let netem =
        Netem { loss: Bursts::of_length(share(0.2), 5.0).unwrap().into(), seed: Some(3), ..Netem::default() };
    const COUNT: u32 = 10_000;
    let arrived: BTreeSet<u32> = survivors(&hosts, &netem, COUNT).await.into_iter().collect();
    let lost = f64::from(COUNT) - arrived.len() as f64;
    let starts = (0..COUNT)
        .filter(|number| !arrived.contains(number) && (*number == 0 || arrived.contains(&(number - 1))));
    let length = lost / starts.count() as f64;
    println!(
        "asked 20% in bursts of 5, lost {:.2}% in bursts of {length:.2}",
        lost / f64::from(COUNT) * 100.0
    );
    assert!((lost / f64::from(COUNT) - 0.2).abs() < 0.05);
    assert!((length - 5.0).abs() < 1.25);
}

#[tokio::test]
async fn duplicates_and_overtaking_arrive() {
    let Some(hosts) = two_hosts(&NEEDS).await else { return };
    let twice = Netem { duplicate: Probability::ALWAYS, ..Netem::default() };
    assert_eq!(survivors(&hosts, &twice, 100).await.len(), 200);
    let reorder = Reorder { probability: Probability::ALWAYS, correlation: Probability::NEVER, gap: 5 };
    let overtaking = Netem { delay: Duration::from_millis(5), reorder: Some(reorder), ..Netem::default() };
    let order = survivors(&hosts, &overtaking, 100).await;
    assert_eq!(order.len(), 100);
    assert!(!order.is_sorted(), "every fifth packet overtakes: {order:?}");
}

#[tokio::test]
async fn only_the_matched_peer_is_delayed() {
    let Some(hosts) = two_hosts(&["veth", "netem", "prio", "u32"]).await else { return };
    let index = hosts.left.index;
    let client = socket(&hosts.a, A4, 0);
    let servers = [B4, B4_OTHER].map(|address| {
        let server = socket(&hosts.b, address, 4000);
        (server.local_addr().unwrap(), echo(server))
    });
    let peer = Peer { network: B4.parse().unwrap(), prefix: 32, port: Some(4000.into()) };
    let delay = Duration::from_millis(50);
    let tree = Tree {
        root: Root::Prio,
        branches: vec![Branch {
            matches: PacketMatch { peers: Which::one(peer), ..PacketMatch::default() },
            qdisc: Netem { delay, ..Netem::default() }.into(),
        }],
    };
    for (to, _) in &servers {
        round_trip(&client, *to, 0).unwrap();
    }
    hosts.a.install_tree(index, &tree).await.unwrap();
    for (number, ((to, _), expected)) in (1..).zip(servers.iter().zip([delay, Duration::ZERO])) {
        let took = round_trip(&client, *to, number).unwrap();
        assert!(took.abs_diff(expected) <= tolerance(), "{to}: {took:?}");
    }
    assert_eq!(hosts.a.branch_statistics(index, 0).await.unwrap().unwrap().packets, 1);
    hosts.a.remove_tree(index).await.unwrap();
    for (to, server) in servers {
        client.send_to(b"stop", to).unwrap();
        server.join().unwrap();
    }
}
