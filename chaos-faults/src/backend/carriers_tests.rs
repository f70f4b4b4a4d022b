//! Layouts as kernels report them, and what is put where.

use chaos_core::{
    injector::{PacketMatch, Ports},
    model::FaultSpec,
};

use super::*;

const MAIN: u32 = 254;
const LOCAL: u32 = 255;

fn link(index: u32, name: &str, kind: Option<&str>, address: &str) -> Link {
    Link {
        index,
        name: name.into(),
        mtu: 1500,
        up: true,
        loopback: name == "lo",
        kind: kind.map(Into::into),
        hardware_address: vec![0; 6],
        ethernet: true,
        addresses: address.split_whitespace().map(|address| (address.parse().unwrap(), 24)).collect(),
        controller: None,
        beneath: None,
        beneath_elsewhere: false,
        remote: None,
    }
}

fn peer(text: &str) -> Peer {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    Peer { network: address.parse().unwrap(), prefix: prefix.parse().unwrap(), port: None }
}

fn route(table: u32, network: &str, indexes: &[u32]) -> Entry {
    let Peer { network, prefix, .. } = peer(network);
    Entry { table, network, prefix, indexes: indexes.to_vec(), local: table == LOCAL }
}

/// A host with two ways out, the default route by the first.
fn two() -> Layout {
    Layout {
        links: vec![
            link(1, "lo", None, "127.0.0.1"),
            link(2, "eth0", Some("veth"), "192.168.70.1"),
            link(3, "eth1", Some("veth"), "192.168.71.1"),
        ],
        routes: vec![
            route(MAIN, "0.0.0.0/0", &[2]),
            route(MAIN, "192.168.70.0/24", &[2]),
            route(MAIN, "192.168.71.0/24", &[3]),
            route(LOCAL, "127.0.0.0/8", &[1]),
            route(LOCAL, "192.168.70.1/32", &[2]),
            route(LOCAL, "192.168.71.1/32", &[3]),
        ],
    }
}

fn packets(peers: &[&str], directions: &[Direction]) -> Packets {
    let peers: Vec<Peer> = peers.iter().map(|text| peer(text)).collect();
    let peers = Which::these(peers).unwrap_or(Which::Any);
    Packets {
        specs: vec![FaultSpec::loss(1.0)],
        directions: directions.to_vec(),
        matches: PacketMatch { peers, ..PacketMatch::default() },
        named: None,
    }
}

const OUT: &[Direction] = &[Direction::Egress];
const BOTH: &[Direction] = &[Direction::Egress, Direction::Ingress];

/// The interfaces on which what is sent to these peers is caught.
fn sent(layout: &Layout, peers: &[&str]) -> Vec<u32> {
    let carriers = layout.carriers(&packets(peers, OUT)).unwrap();
    carriers.into_iter().map(|(index, _)| index).collect()
}

#[test]
fn a_peer_is_caught_on_every_way_that_leads_to_it() {
    let mut layout = two();
    assert_eq!(sent(&layout, &["8.8.8.8"]), [2]);
    assert_eq!(sent(&layout, &["192.168.71.9"]), [3]);
    assert_eq!(sent(&layout, &["192.168.71.9", "8.8.8.8"]), [2, 3]);
    assert_eq!(sent(&layout, &[]), [2, 3]);
    // A more specific route within the network.
    layout.routes.push(route(MAIN, "10.90.0.0/16", &[3]));
    assert_eq!(sent(&layout, &["10.0.0.0/8"]), [2, 3]);
    assert_eq!(sent(&layout, &["10.90.1.1"]), [3]);
    assert_eq!(sent(&layout, &["10.80.1.1"]), [2]);
    // Spread over both, and by a table that some rule chooses.
    layout.routes.push(route(MAIN, "10.1.0.0/16", &[2, 3]));
    layout.routes.push(route(7, "0.0.0.0/0", &[3]));
    assert_eq!(sent(&layout, &["10.1.2.3"]), [2, 3]);
    assert_eq!(sent(&layout, &["10.80.1.1"]), [2, 3]);
}

#[test]
fn what_comes_in_may_come_by_any_way() {
    let layout = two();
    let carriers = layout.carriers(&packets(&["192.168.70.9"], BOTH)).unwrap();
    assert_eq!(carriers, [(2, BOTH.to_vec()), (3, vec![Direction::Ingress])]);
}

#[test]
fn own_addresses_stay_on_the_loopback_and_are_no_part_of_a_network() {
    let layout = two();
    assert_eq!(sent(&layout, &["192.168.70.0/24"]), [2]);
    assert_eq!(sent(&layout, &["192.168.71.1"]), [1]);
    assert_eq!(sent(&layout, &["127.0.0.0/8"]), [1]);
    // Each packet is sent and received there, and counts once.
    let carriers = layout.carriers(&packets(&["127.0.0.1"], BOTH)).unwrap();
    assert_eq!(carriers, [(1, OUT.to_vec())]);
    let mut ported = packets(&["127.0.0.1"], BOTH);
    ported.matches.peers = Which::one(Peer { port: Some(80.into()), ..peer("127.0.0.1") });
    assert_eq!(layout.carriers(&ported).unwrap(), [(1, BOTH.to_vec())]);
}

#[test]
fn nothing_leads_where_nothing_is_up() {
    let mut layout = two();
    layout.links[2].up = false;
    assert_eq!(sent(&layout, &["192.168.71.9"]), [0; 0]);
    assert_eq!(sent(&layout, &[]), [2]);
}

#[test]
fn a_bridge_carries_what_its_ports_do() {
    let mut layout = two();
    layout.links.push(link(9, "br0", Some("bridge"), "192.168.9.1"));
    layout.links[2].controller = Some(9);
    layout.routes.push(route(MAIN, "192.168.9.0/24", &[9]));
    assert_eq!(sent(&layout, &[]), [2, 9]);
    // But for what belongs to a VRF, which passes packets on and has none.
    layout.links[3].kind = Some("vrf".into());
    assert_eq!(sent(&layout, &[]), [2, 3]);
}

fn with_tunnel(kind: &str, remote: Option<(IpAddr, u16)>) -> Layout {
    let mut layout = two();
    layout.links.push(Link { remote, ..link(9, "t0", Some(kind), "10.98.0.1") });
    layout.routes.push(route(MAIN, "10.98.0.0/24", &[9]));
    layout
}

#[test]
fn what_goes_in_a_tunnel_is_caught_once() {
    let remote = Some(("192.168.71.2".parse().unwrap(), 4789));
    let layout = with_tunnel("vxlan", remote);
    assert_eq!(sent(&layout, &[]), [2, 3]);
    // Inside only, outside only, and both at once: then it is caught outside.
    assert_eq!(sent(&layout, &["10.98.0.2"]), [9]);
    assert_eq!(sent(&layout, &["192.168.71.2"]), [3]);
    assert_eq!(sent(&layout, &["10.98.0.2", "192.168.71.2"]), [3]);
    assert_eq!(sent(&layout, &["10.98.0.2", "192.168.71.3"]), [3, 9]);
    let ported = |ports: &[u16]| {
        let mut ported = packets(&[], OUT);
        ported.matches.ports =
            Which::these(ports.iter().map(|port| (*port).into()).collect::<Vec<Ports>>()).unwrap();
        layout.carriers(&ported).unwrap().into_iter().map(|(index, _)| index).collect::<Vec<_>>()
    };
    assert_eq!(ported(&[443]), [2, 3, 9]);
    assert_eq!(ported(&[443, 4789]), [2, 3]);
    let mut tcp = packets(&[], OUT);
    tcp.matches.protocol = Some(Protocol::Tcp);
    assert_eq!(layout.carriers(&tcp).unwrap().len(), 3);
}

#[test]
fn a_tunnel_that_says_not_where_it_leads_is_refused_where_that_matters() {
    for kind in ["wireguard", "tun", "gre"] {
        let layout = with_tunnel(kind, None);
        assert_eq!(sent(&layout, &[]), [2, 3], "{kind}");
        assert_eq!(sent(&layout, &["10.98.0.2", "8.8.8.8"]), [2, 9], "{kind}");
        assert_eq!(sent(&layout, &["10.98.0.0/24"]), [9], "{kind}");
        let refused = layout.carriers(&packets(&["10.0.0.0/8"], OUT)).unwrap_err().message;
        assert!(refused.contains("`t0`") && refused.contains("`eth0`"), "{refused}");
    }
    // It is the only way, or its outer packets are in another namespace.
    let mut alone = with_tunnel("tun", None);
    alone.links.retain(|link| link.loopback || link.index == 9);
    assert_eq!(sent(&alone, &[]), [9]);
    let mut elsewhere = with_tunnel("vxlan", None);
    elsewhere.links[3].beneath_elsewhere = true;
    assert_eq!(sent(&elsewhere, &["10.0.0.0/8"]), [2, 9]);
}

#[test]
fn what_stands_on_another_interface_is_caught_below() {
    for kind in TRANSPARENT {
        let mut layout = two();
        layout.links.push(Link { beneath: Some(2), ..link(9, "mv0", Some(kind), "192.168.70.7") });
        assert_eq!(sent(&layout, &[]), [2, 3], "{kind}");
        // Where nothing is caught below, it is caught above; so where the interface below is elsewhere.
        layout.routes.push(route(MAIN, "10.7.0.0/16", &[9]));
        assert_eq!(sent(&layout, &["10.7.0.1"]), [9], "{kind}");
        layout.links[3].beneath_elsewhere = true;
        assert_eq!(sent(&layout, &[]), [2, 3, 9], "{kind}");
    }
    // A tag tells the two apart.
    let mut layout = two();
    layout.links.push(Link { beneath: Some(2), ..link(9, "eth0.5", Some("vlan"), "192.168.5.1") });
    assert_eq!(sent(&layout, &[]), [2, 3, 9]);
}

#[test]
fn networks_contain_their_addresses() {
    let peer = |network: &str, prefix| Peer { network: network.parse().unwrap(), prefix, port: None };
    assert!(contains(&peer("10.1.0.0", 16), "10.1.255.3".parse().unwrap()));
    assert!(!contains(&peer("10.1.0.0", 16), "10.2.0.3".parse().unwrap()));
    assert!(contains(&peer("::", 0), "fe80::1".parse().unwrap()));
    assert!(!contains(&peer("::", 0), "1.2.3.4".parse().unwrap()));
    assert!(!contains(&peer("fe80::1", 128), "fe80::2".parse().unwrap()));
}
