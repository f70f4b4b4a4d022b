//! Compiling a match into rules a `u32` filter can hold.

use std::net::IpAddr;

use chaos_core::{
    injector::{Direction, PacketMatch, Peer, Ports, Protocol},
    which::Which,
};
use serde::{Deserialize, Serialize};

use crate::netlink::error::{MOST_RULES, Unmatchable};

const ICMPV6: u8 = 58;

/// The ICMPv6 types of neighbour discovery: solicitations and advertisements of routers and neighbours, redirects.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// The address family of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A 32-bit word of the packet, counted in bytes from the start of the IP header, under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Where the word starts.
    pub offset: i32,
    /// Which bits count, most significant first as on the wire.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
}

/// A conjunction of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// The family it looks at.
    pub family: Family,
    /// The words that must all agree, at most one per offset.
    pub keys: Vec<Key>,
}

impl Rule {
    fn any(family: Family) -> Self {
        Self { family, keys: Vec::new() }
    }

    /// Adds a condition; nothing when it contradicts one that is there.
    fn and(mut self, offset: i32, mask: u32, value: u32) -> Option<Self> {
        let value = value & mask;
        match self.keys.iter_mut().find(|key| key.offset == offset) {
            Some(key) if (key.value ^ value) & key.mask & mask != 0 => return None,
            Some(key) => (key.mask, key.value) = (key.mask | mask, key.value | value),
            None if mask != 0 => self.keys.push(Key { offset, mask, value }),
            None => {}
        }
        Some(self)
    }

    /// Tells whether `packet`, from its IP header on, matches, as the kernel would decide.
    pub fn matches(&self, packet: &[u8]) -> bool {
        let version = match self.family {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        packet.first().is_some_and(|byte| byte >> 4 == version)
            && self.keys.iter().all(|key| {
                let word = usize::try_from(key.offset).ok().and_then(|at| packet.get(at..at + 4));
                word.and_then(|word| word.try_into().ok())
                    .is_some_and(|word| u32::from_be_bytes(word) & key.mask == key.value)
            })
    }
}

/// Compiles a match into rules of which any one suffices.
///
/// # Errors
/// [`Unmatchable`] when nothing can match, or too many rules would be needed.
pub fn compile(matches: &PacketMatch, direction: Direction) -> Result<Vec<Rule>, Unmatchable> {
    let any_port = matches.ports.is_any()
        && match &matches.peers {
            Which::Any => true,
            Which::These(peers) => peers.iter().all(|peer| peer.port.is_none()),
        };
    if matches.protocol == Some(Protocol::Icmp) && !any_port {
        return Err(Unmatchable::PortsOfIcmp);
    }
    let mut rules = Vec::new();
    for family in [Family::V4, Family::V6] {
        for (addressed, port) in addressed(matches, family, direction)? {
            if matches.ports.is_any() && port.is_none() {
                rules.extend(with_protocol(&addressed, matches.protocol));
                continue;
            }
            for protocol in [6, 17] {
                let asked = matches.protocol.is_none_or(|asked| number(asked, family) == protocol);
                if asked {
                    rules.extend(with_ports(&addressed, protocol, port, &matches.ports, direction));
                }
            }
        }
    }
    rules.sort();
    rules.dedup();
    if rules.len() > MOST_RULES { Err(Unmatchable::TooMany(rules.len())) } else { Ok(rules) }
}

fn number(protocol: Protocol, family: Family) -> u8 {
    match (protocol, family) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Icmp, Family::V4) => 1,
        (Protocol::Icmp, Family::V6) => ICMPV6,
    }
}

/// The rules for the peers of one family, with the peer's port.
fn addressed(
    matches: &PacketMatch,
    family: Family,
    direction: Direction,
) -> Result<Vec<(Rule, Option<Ports>)>, Unmatchable> {
    let peers = match &matches.peers {
        Which::Any => return Ok(vec![(Rule::any(family), None)]),
        Which::These(peers) => peers,
    };
    let of_family = peers.iter().filter(|peer| peer.network.is_ipv4() == (family == Family::V4));
    let mut found = Vec::new();
    for peer in of_family {
        found.push((with_address(peer, family, direction)?, peer.port));
    }
    Ok(found)
}

fn with_address(peer: &Peer, family: Family, direction: Direction) -> Result<Rule, Unmatchable> {
    let (bytes, start): (Vec<u8>, i32) = match (peer.network, direction) {
        (IpAddr::V4(address), Direction::Egress) => (address.octets().into(), 16),
        (IpAddr::V4(address), Direction::Ingress) => (address.octets().into(), 12),
        (IpAddr::V6(address), Direction::Egress) => (address.octets().into(), 24),
        (IpAddr::V6(address), Direction::Ingress) => (address.octets().into(), 8),
    };
    if usize::from(peer.prefix) > bytes.len() * 8 {
        return Err(Unmatchable::PrefixTooLong { network: peer.network, prefix: peer.prefix });
    }
    let mut rule = Rule::any(family);
    let mut left = u32::from(peer.prefix);
    for (offset, word) in (start..).step_by(4).zip(bytes.chunks_exact(4)) {
        let here = left.min(32);
        left -= here;
        let mask = u32::MAX.checked_shl(32 - here).unwrap_or(0);
        let value = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        rule = rule.and(offset, mask, value).expect("invariant: each offset of an address is named once");
    }
    Ok(rule)
}

fn with_number(rule: &Rule, mask: u8, number: u8) -> Option<Rule> {
    match rule.family {
        Family::V4 => rule.clone().and(8, u32::from(mask) << 16, u32::from(number) << 16),
        Family::V6 => rule.clone().and(4, u32::from(mask) << 8, u32::from(number) << 8),
    }
}

fn with_protocol(rule: &Rule, protocol: Option<Protocol>) -> Vec<Rule> {
    let icmpv6 = || {
        let icmpv6 = with_number(rule, 0xff, ICMPV6);
        icmpv6.into_iter().flat_map(|rule| {
            let types = complement(NEIGHBOUR_DISCOVERY);
            types.into_iter().filter_map(move |(mask, kind)| {
                rule.clone().and(40, u32::from(mask) << 24, u32::from(kind) << 24)
            })
        })
    };
    match (protocol, rule.family) {
        (None, Family::V4) => vec![rule.clone()],
        (None, Family::V6) => {
            let others = complement(ICMPV6..=ICMPV6);
            others
                .into_iter()
                .filter_map(|(mask, number)| with_number(rule, mask, number))
                .chain(icmpv6())
                .collect()
        }
        (Some(Protocol::Icmp), Family::V6) => icmpv6().collect(),
        (Some(protocol), family) => with_number(rule, 0xff, number(protocol, family)).into_iter().collect(),
    }
}

/// The rules for packets of one transport protocol whose remote port is `remote` and one of whose ports is in `either`.
fn with_ports(
    rule: &Rule,
    protocol: u8,
    remote: Option<Ports>,
    either: &Which<Ports>,
    direction: Direction,
) -> Vec<Rule> {
    let Some(mut rule) = with_number(rule, 0xff, protocol) else { return Vec::new() };
    let offset = match rule.family {
        Family::V4 => {
            // Ports stand at byte 20 only of a first (or only) fragment with a plain 20-byte header.
            let plain = rule.and(0, 0x0f00_0000, 0x0500_0000).and_then(|rule| rule.and(4, 0x0000_1fff, 0));
            let Some(plain) = plain else { return Vec::new() };
            rule = plain;
            20
        }
        Family::V6 => 40,
    };
    let source = |(mask, port): (u16, u16)| (u32::from(mask) << 16, u32::from(port) << 16);
    let destination = |(mask, port): (u16, u16)| (u32::from(mask), u32::from(port));
    let narrowed = match remote {
        None => vec![rule],
        Some(ports) => prefixes(ports)
            .into_iter()
            .filter_map(|prefix| {
                let (mask, value) = match direction {
                    Direction::Egress => destination(prefix),
                    Direction::Ingress => source(prefix),
                };
                rule.clone().and(offset, mask, value)
            })
            .collect(),
    };
    let either = match either {
        Which::Any => return narrowed,
        Which::These(ports) => ports,
    };
    let ends: Vec<(u32, u32)> = either
        .iter()
        .flat_map(|ports| prefixes(*ports))
        .flat_map(|prefix| [source(prefix), destination(prefix)])
        .collect();
    let with_end = |rule: &Rule| -> Vec<Rule> {
        ends.iter().filter_map(|(mask, value)| rule.clone().and(offset, *mask, *value)).collect()
    };
    narrowed.iter().flat_map(with_end).collect()
}

/// Covers these ports, and no others, with (mask, value) pairs: the fewest prefixes, at most 30.
fn prefixes(ports: Ports) -> Vec<(u16, u16)> {
    let (mut low, last) = (u32::from(ports.first()), u32::from(ports.last()));
    let mut found = Vec::new();
    while low <= last {
        // As many as begin here on a boundary of their number, and do not reach beyond the end.
        let mut size = if low == 0 { 1 << 16 } else { 1 << low.trailing_zeros() };
        while low + size - 1 > last {
            size /= 2;
        }
        found.push((0u16.wrapping_sub(size as u16), low as u16));
        low += size;
    }
    found
}

/// Covers all bytes outside `range` with (mask, value) pairs: the fewest prefixes, found by halving.
fn complement(range: std::ops::RangeInclusive<u8>) -> Vec<(u8, u8)> {
    fn cover(low: u16, size: u16, range: &std::ops::RangeInclusive<u8>, found: &mut Vec<(u8, u8)>) {
        let (first, last) = (u16::from(*range.start()), u16::from(*range.end()));
        if low > last || low + size <= first {
            found.push((0u16.wrapping_sub(size) as u8, low as u8));
        } else if low < first || low + size - 1 > last {
            cover(low, size / 2, range, found);
            cover(low + size / 2, size / 2, range, found);
        }
    }
    let mut found = Vec::new();
    cover(0, 256, &range, &mut found);
    found
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
