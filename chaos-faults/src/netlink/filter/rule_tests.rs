use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// A packet, and the same as bytes from its IP header on.
#[derive(Clone, Debug)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// Source and destination port; the first byte of the first one is the type of an ICMP message.
    ports: (u16, u16),
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                out.extend([0x45, 0, 0, 40, 0xab, 0xcd, 0x40, 0, 64, self.protocol, 0x12, 0x34]);
                out.extend(source.octets());
                out.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                out.extend([0x60, 1, 2, 3, 0, 20, self.protocol, 64]);
                out.extend(source.octets());
                out.extend(destination.octets());
            }
            _ => unreachable!("both ends are of one family"),
        }
        out.extend(self.ports.0.to_be_bytes());
        out.extend(self.ports.1.to_be_bytes());
        out.extend([0; 16]);
        out
    }

    fn is_neighbour_discovery(&self) -> bool {
        self.source.is_ipv6() && self.protocol == ICMPV6 && (133..=137).contains(&(self.ports.0 >> 8))
    }

    /// What the match means, written without any thought of words and masks.
    fn matches(&self, matches: &PacketMatch, direction: Direction) -> bool {
        let has_ports = matches!(self.protocol, 6 | 17);
        let (remote, remote_port) = match direction {
            Direction::Egress => (self.destination, self.ports.1),
            Direction::Ingress => (self.source, self.ports.0),
        };
        let icmp = if self.source.is_ipv4() { 1 } else { 58 };
        let protocol = matches.protocol.is_none_or(|protocol| match protocol {
            Protocol::Tcp => self.protocol == 6,
            Protocol::Udp => self.protocol == 17,
            Protocol::Icmp => self.protocol == icmp,
        });
        let peer = match &matches.peers {
            Which::Any => true,
            Which::These(peers) => peers.iter().any(|peer| {
                within(remote, peer.network, peer.prefix)
                    && peer.port.is_none_or(|ports| has_ports && ports.contains(remote_port))
            }),
        };
        let ports = match &matches.ports {
            Which::Any => true,
            Which::These(ports) => {
                has_ports
                    && ports.iter().any(|ports| ports.contains(self.ports.0) || ports.contains(self.ports.1))
            }
        };
        protocol && peer && ports && !self.is_neighbour_discovery()
    }
}

fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
    };
    let (address, network) = (bits(address), bits(network));
    address.len() == network.len() && address[..prefix.into()] == network[..prefix.into()]
}

fn v4() -> impl Strategy<Value = IpAddr> {
    (0..2u8, 0..3u8).prop_map(|(net, host)| Ipv4Addr::new(10, 0, net, host).into())
}

fn v6() -> impl Strategy<Value = IpAddr> {
    (0..2u16, 0..3u16).prop_map(|(net, host)| Ipv6Addr::new(0xfd00, 0, 0, net, 0, 0, 0, host).into())
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(80), Just(443), Just(0x8700), any::<u16>()]
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        3 => port().prop_map(Ports::from),
        1 => (port(), port()).prop_map(|(a, b)| Ports::between(a.min(b), a.max(b)).unwrap()),
        1 => (1u16..1000, 0u16..200).prop_map(|(first, more)| Ports::between(first, first + more).unwrap()),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let protocol = prop_oneof![Just(6), Just(17), Just(1), Just(ICMPV6), any::<u8>()];
    let ends = prop_oneof![(v4(), v4()), (v6(), v6())];
    (ends, protocol, port(), port()).prop_map(|((source, destination), protocol, from, to)| Packet {
        source,
        destination,
        protocol,
        ports: (from, to),
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    let of =
        |address: BoxedStrategy<IpAddr>, longest: u8| {
            let prefix = prop_oneof![Just(longest), Just(longest - 8), 0..=longest];
            (address, prefix, proptest::option::weighted(0.3, ports()))
                .prop_map(|(network, prefix, port)| Peer { network, prefix, port })
        };
    prop_oneof![of(v4().boxed(), 32), of(v6().boxed(), 128)]
}

fn which<T: Clone + std::fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Which<T>> {
    proptest::collection::vec(one, 0..3).prop_map(|list| Which::these(list).unwrap_or_default())
}

fn packet_match() -> impl Strategy<Value = PacketMatch> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Icmp)];
    (which(peer()), which(ports()), proptest::option::of(protocol))
        .prop_map(|(peers, ports, protocol)| PacketMatch { peers, ports, protocol })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn rules_match_what_the_match_means(
        matches in packet_match(), packets in proptest::collection::vec(packet(), 8), egress: bool,
    ) {
        let direction = if egress { Direction::Egress } else { Direction::Ingress };
        match compile(&matches, direction) {
            Err(Unmatchable::PortsOfIcmp) => prop_assert_eq!(matches.protocol, Some(Protocol::Icmp)),
            Err(error) => prop_assert!(false, "{}", error),
            Ok(rules) => for packet in packets {
                let got = rules.iter().any(|rule| rule.matches(&packet.bytes()));
                prop_assert_eq!(got, packet.matches(&matches, direction), "{:?} {:?}", packet, rules);
            }
        }
    }
}

#[test]
fn one_peer_with_a_port_is_two_rules_at_known_places() {
    let peer = Peer { network: "10.0.0.7".parse().unwrap(), prefix: 32, port: Some(443.into()) };
    let matches = PacketMatch { peers: Which::one(peer), ..PacketMatch::default() };
    let rules = compile(&matches, Direction::Egress).unwrap();
    assert_eq!(rules.len(), 2, "one for tcp, one for udp: {rules:?}");
    for (rule, protocol) in rules.iter().zip([6, 17]) {
        assert_eq!(rule.family, Family::V4);
        assert!(rule.keys.contains(&Key { offset: 16, mask: u32::MAX, value: 0x0a00_0007 }));
        assert!(rule.keys.contains(&Key { offset: 8, mask: 0x00ff_0000, value: protocol << 16 }));
        assert!(rule.keys.contains(&Key { offset: 20, mask: 0xffff, value: 443 }));
    }
}

#[test]
fn later_fragments_and_options_do_not_look_like_ports() {
    let matches =
        PacketMatch { peers: Which::Any, ports: Which::one(80.into()), protocol: Some(Protocol::Udp) };
    let rules = compile(&matches, Direction::Egress).unwrap();
    let packet = Packet {
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        protocol: 17,
        ports: (1, 80),
    };
    let hit = |bytes: &[u8]| rules.iter().any(|rule| rule.matches(bytes));
    let mut bytes = packet.bytes();
    assert!(hit(&bytes));
    bytes[7] = 1;
    assert!(!hit(&bytes), "a later fragment");
    (bytes[7], bytes[0]) = (0, 0x46);
    assert!(!hit(&bytes), "a header with options");
}

#[test]
fn impossible_and_oversized_matches_are_refused() {
    let icmp =
        PacketMatch { peers: Which::Any, ports: Which::one(80.into()), protocol: Some(Protocol::Icmp) };
    assert_eq!(compile(&icmp, Direction::Egress), Err(Unmatchable::PortsOfIcmp));
    let wide = Peer { network: "10.0.0.0".parse().unwrap(), prefix: 33, port: None };
    let wide = PacketMatch { peers: Which::one(wide), ..PacketMatch::default() };
    assert!(matches!(compile(&wide, Direction::Egress), Err(Unmatchable::PrefixTooLong { .. })));
    let many = PacketMatch {
        ports: Which::these((1..=600).map(Ports::from).collect::<Vec<_>>()).unwrap(),
        ..PacketMatch::default()
    };
    assert_eq!(compile(&many, Direction::Egress), Err(Unmatchable::TooMany(4800)));
}

#[test]
fn complements_cover_everything_else_once() {
    for range in [0..=0, 58..=58, 133..=137, 255..=255, 0..=254] {
        let cover = complement(range.clone());
        for byte in 0..=255u8 {
            let times = cover.iter().filter(|(mask, value)| byte & mask == *value).count();
            assert_eq!(times, usize::from(!range.contains(&byte)), "{byte} outside {range:?}: {cover:?}");
        }
    }
}

#[test]
fn a_range_of_ports_is_covered_by_few_prefixes_and_nothing_else() {
    for (first, last, most) in [(80, 80, 1), (8000, 8100, 6), (1, 65534, 30), (0, 65535, 1), (1024, 2047, 1)]
    {
        let pairs = prefixes(Ports::between(first, last).unwrap());
        assert!(pairs.len() <= most, "{first}-{last}: {pairs:?}");
        for port in 0..=u16::MAX {
            let times = pairs.iter().filter(|(mask, value)| port & mask == *value).count();
            assert_eq!(times, usize::from((first..=last).contains(&port)), "{port} in {first}-{last}");
        }
    }
}
