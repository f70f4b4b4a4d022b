use chaos_netns::Namespace;
use std::{io::Read, net::UdpSocket, time::Duration};

use chaos_core::{
    injector::{Direction, PacketMatch, Protocol},
    which::Which,
};
use chaos_faults::netlink::{
    Connection,
    filter::{self, Hook, Verdict},
    link::VethPair,
};
use socket2::{Domain, Socket, Type};

use crate::two_hosts::{B4, B6, TwoHosts, drain, run, socket, two_hosts};

/// A second cable out of host `a` to send packets into, and a socket at its end that sees what comes.
async fn siding(hosts: &TwoHosts) -> (u32, Socket) {
    let nowhere = Namespace::create().unwrap();
    let pair = VethPair {
        name: "aside".into(),
        peer: "end".into(),
        peer_namespace: Some(nowhere.clone()),
        mtu: 1500,
    };
    let near = hosts.a.add_veth_pair(&pair).await.unwrap();
    let there = Connection::open(&nowhere).await.unwrap();
    let far = there.link_by_name("end").await.unwrap();
    hosts.a.set_link_up(near.index, true).await.unwrap();
    there.set_link_up(far.index, true).await.unwrap();
    let socket = nowhere.run(|| {
        let everything = (libc::ETH_P_ALL as u16).to_be();
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(everything).into())).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    });
    (near.index, socket.unwrap())
}

/// Counts the frames to UDP port 4000 or 4001, and not what IPv6 sends on its own on any new link.
fn frames(mut socket: &Socket) -> usize {
    let matches = PacketMatch {
        ports: Which::these([4000.into(), 4001.into()]).unwrap(),
        protocol: Some(Protocol::Udp),
        ..PacketMatch::default()
    };
    let rules = filter::compile(&matches, Direction::Egress).unwrap();
    let mut buffer = [0; 2048];
    let frames = std::iter::from_fn(|| {
        let length = socket.read(&mut buffer).ok()?;
        Some(buffer[14..length].to_vec())
    });
    frames.filter(|packet| rules.iter().any(|rule| rule.matches(packet))).count()
}

fn sender(connection: &Connection, to: &UdpSocket) -> UdpSocket {
    let any = if to.local_addr().unwrap().is_ipv4() { "0.0.0.0" } else { "::" };
    socket(connection, any, 0)
}

#[tokio::test]
async fn matched_packets_are_redirected_and_others_are_not() {
    let Some(hosts) = two_hosts(&["veth", "clsact", "u32", "mirred", "packet-socket"]).await else { return };
    let index = hosts.left.index;
    let before = hosts.a.qdiscs(index).await.unwrap();
    let (aside, seen) = siding(&hosts).await;
    assert!(hosts.a.ensure_clsact(index).await.unwrap());
    assert!(!hosts.a.ensure_clsact(index).await.unwrap(), "added only once");
    let matches = PacketMatch {
        ports: Which::one(4000.into()),
        protocol: Some(Protocol::Udp),
        ..PacketMatch::default()
    };
    let rules = filter::compile(&matches, Direction::Egress).unwrap();
    hosts.a.add_filters(index, Hook::Egress, 3, &rules, Verdict::Redirect(aside)).await.unwrap();
    let listed = hosts.a.filters(index, Hook::Egress).await.unwrap();
    assert!(!listed.is_empty() && listed.iter().all(filter::Filter::is_own), "{listed:?}");

    for address in [B4, B6] {
        for (port, arrive, turned) in [(4000, 0, 10), (4001, 10, 0)] {
            let receiver = socket(&hosts.b, address, port);
            let sender = sender(&hosts.a, &receiver);
            for number in 0..10u8 {
                sender.send_to(&[number], receiver.local_addr().unwrap()).unwrap();
            }
            assert_eq!(drain(&receiver, Duration::from_millis(300)).len(), arrive, "{address} {port}");
            assert_eq!(frames(&seen), turned, "{address} {port}");
        }
    }

    assert!(!hosts.a.delete_clsact_if_unused(index).await.unwrap(), "a filter still hangs there");
    for _ in 0..2 {
        hosts.a.delete_filters(index, Hook::Egress, 3).await.unwrap();
        assert_eq!(hosts.a.filters(index, Hook::Egress).await.unwrap(), []);
    }
    for _ in 0..2 {
        assert!(hosts.a.delete_clsact_if_unused(index).await.unwrap());
    }
    hosts.a.delete_filters(index, Hook::Egress, 3).await.unwrap();
    assert_eq!(hosts.a.qdiscs(index).await.unwrap(), before);
}

#[tokio::test]
async fn redirecting_everything_leaves_neighbours_findable() {
    let Some(hosts) = two_hosts(&["veth", "clsact", "u32", "mirred", "packet-socket"]).await else { return };
    let index = hosts.left.index;
    let (aside, _seen) = siding(&hosts).await;
    hosts.a.ensure_clsact(index).await.unwrap();
    let rules = filter::compile(&PacketMatch::default(), Direction::Egress).unwrap();
    hosts.a.add_filters(index, Hook::Egress, 0, &rules, Verdict::Redirect(aside)).await.unwrap();
    for address in [B4, B6] {
        let receiver = socket(&hosts.b, address, 4000);
        sender(&hosts.a, &receiver).send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        assert!(drain(&receiver, Duration::from_millis(300)).is_empty());
        let neighbours = run(&hosts.a, &format!("ip neigh show {address}"));
        assert!(neighbours.contains("lladdr"), "not found: {neighbours}");
    }
}

#[tokio::test]
async fn filters_of_others_and_of_other_slots_stay() {
    let Some(hosts) = two_hosts(&["veth", "clsact", "u32", "mirred"]).await else { return };
    let index = hosts.left.index;
    let (aside, _seen) = siding(&hosts).await;
    run(&hosts.a, "tc qdisc add dev left clsact");
    run(&hosts.a, "tc filter add dev left egress protocol ip pref 5 u32 match ip dport 9 0xffff classid 1:1");
    assert!(!hosts.a.ensure_clsact(index).await.unwrap());
    let rules = filter::compile(&PacketMatch::default(), Direction::Egress).unwrap();
    for slot in [0, 1] {
        hosts.a.add_filters(index, Hook::Egress, slot, &rules, Verdict::Redirect(aside)).await.unwrap();
    }
    let own = async || {
        let filters = hosts.a.filters(index, Hook::Egress).await.unwrap();
        let own = filters.iter().filter(|filter| filter.is_own()).count();
        (own, filters.len() - own)
    };
    let (both, foreign) = own().await;
    hosts.a.delete_filters(index, Hook::Egress, 0).await.unwrap();
    assert_eq!(own().await, (both / 2, foreign));
    hosts.a.delete_filters(index, Hook::Egress, 1).await.unwrap();
    assert_eq!(own().await, (0, foreign));
    assert!(!hosts.a.delete_clsact_if_unused(index).await.unwrap(), "somebody else uses it");
}
