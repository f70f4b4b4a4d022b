//! Which interfaces carry the packets of a fault, so that every packet passes the fault once, whichever way it takes.
//!
//! Rules match addresses, so they stand on every interface that can carry a peer:
//!
//! - What is sent leaves by the routes of any table that lead to the peer, or to a part of its network. Spread routes, tables for
//!   policies and routes that wait for another to fail count.
//! - What is received may arrive anywhere, as the other end has routes of its own.
//! - An interface that is a part of a bridge or a bond carries no packets of its own; the bridge or the bond does.
//! - A tunnel puts packets into packets that leave by another interface. Where both are meant, the outer ones are taken.
//! - An interface made on top of another (`macvlan`, `ipvlan`) hands it the same packets, which are taken there. VLANs are told
//!   apart by their tags.
//! - What an address of this namespace is sent stays on the loopback, where it is sent and received at once.

use std::{collections::BTreeSet, net::IpAddr};

use chaos_core::{
    injector::{Direction, Packets, Peer, Protocol},
    trouble::Trouble,
    which::Which,
};

use crate::netlink::{Link, routes::Entry};

/// The interfaces and routes of a namespace.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) links: Vec<Link>,
    pub(crate) routes: Vec<Entry>,
}

/// Whether what a tunnel sends matches as well as what it is given.
#[derive(Debug, PartialEq, Eq)]
enum Outer {
    /// All of it.
    Always,
    /// None of it.
    Never,
    /// Some of it may, which nobody can say beforehand.
    Perhaps,
}

/// Kinds of interfaces that put packets into packets.
const TUNNELS: [&str; 22] = [
    "vxlan",
    "geneve",
    "bareudp",
    "gtp",
    "amt",
    "wireguard",
    "tun",
    "ppp",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
    "ovpn",
    "l2tp",
];

/// Kinds of tunnels whose outer packets are UDP.
const OVER_UDP: [&str; 6] = ["vxlan", "geneve", "bareudp", "gtp", "amt", "wireguard"];

/// Kinds of interfaces that hand the same packets to the one they are made on top of.
const TRANSPARENT: [&str; 4] = ["macvlan", "macvtap", "ipvlan", "ipvtap"];

fn is_one_of(link: &Link, kinds: &[&str]) -> bool {
    link.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
}

fn is_tunnel(link: &Link) -> bool {
    // Whose outer packets are in another namespace is an ordinary interface here.
    is_one_of(link, &TUNNELS) && !link.beneath_elsewhere
}

fn is_whole(peer: &Peer) -> bool {
    peer.prefix >= if peer.network.is_ipv4() { 32 } else { 128 }
}

fn network(entry: &Entry) -> Peer {
    Peer { network: entry.network, prefix: entry.prefix, port: None }
}

impl Layout {
    /// Returns the interfaces on which the packets of a fault pass once, each with the directions that count there.
    ///
    /// # Errors
    /// Some packets would pass twice, and nobody can say which.
    pub(crate) fn carriers(&self, packets: &Packets) -> Result<Vec<(u32, Vec<Direction>)>, Trouble> {
        let mut carriers: Vec<(u32, Vec<Direction>)> = Vec::new();
        for direction in &packets.directions {
            for index in self.once(self.candidates(packets, *direction), packets)? {
                match carriers.iter_mut().find(|(known, _)| *known == index) {
                    Some((_, directions)) => directions.push(*direction),
                    None => carriers.push((index, vec![*direction])),
                }
            }
        }
        for (index, directions) in &mut carriers {
            if self.link(*index).is_some_and(|link| link.loopback) {
                *directions = on_loopback(packets);
            }
        }
        carriers.sort();
        Ok(carriers)
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Returns the interfaces that carry packets of the namespace itself.
    fn carrying(&self) -> BTreeSet<u32> {
        let routed = |index| self.routes.iter().any(|entry| !entry.local && entry.indexes.contains(&index));
        let enslaved = |link: &Link| {
            let controller = link.controller.and_then(|index| self.link(index));
            // What belongs to a VRF still carries its own packets; the VRF itself only passes them on.
            controller.is_some_and(|controller| controller.kind.as_deref() != Some("vrf"))
        };
        let carries = |link: &&Link| {
            link.up
                && !link.loopback
                && link.kind.as_deref() != Some("vrf")
                && !enslaved(link)
                && (!link.addresses.is_empty() || routed(link.index))
        };
        self.links.iter().filter(carries).map(|link| link.index).collect()
    }

    /// Returns all interfaces by which such packets may come or go.
    fn candidates(&self, packets: &Packets, direction: Direction) -> BTreeSet<u32> {
        let Which::These(peers) = &packets.matches.peers else { return self.carrying() };
        let mut found = BTreeSet::new();
        for peer in peers {
            if self.is_own(peer) {
                found.extend(self.links.iter().filter(|link| link.loopback).map(|link| link.index));
            } else if direction == Direction::Ingress {
                found.extend(self.carrying());
            } else {
                found.extend(self.towards(peer));
            }
        }
        found
    }

    /// Returns whether a peer is within the addresses of the namespace itself, whose packets stay on the loopback. A network
    /// that has other addresses as well means those: an object is never its own peer.
    pub(super) fn is_own(&self, peer: &Peer) -> bool {
        let own = |entry: &Entry| {
            entry.local && entry.prefix <= peer.prefix && contains(&network(entry), peer.network)
        };
        self.routes.iter().any(own)
    }

    /// Returns the interfaces by which packets to a peer may leave, whatever rules choose the table.
    fn towards(&self, peer: &Peer) -> BTreeSet<u32> {
        let carrying = self.carrying();
        if peer.prefix == 0 {
            return carrying;
        }
        let mut found = BTreeSet::new();
        let tables: BTreeSet<u32> = self.routes.iter().map(|entry| entry.table).collect();
        for table in tables {
            let of_table = || self.routes.iter().filter(move |entry| entry.table == table && !entry.local);
            let around = |entry: &&Entry| {
                entry.prefix <= peer.prefix
                    && entry.network.is_ipv4() == peer.network.is_ipv4()
                    && contains(&network(entry), peer.network)
            };
            let within = |entry: &&Entry| entry.prefix > peer.prefix && contains(peer, entry.network);
            let closest = of_table().filter(around).map(|entry| entry.prefix).max();
            found.extend(
                of_table()
                    .filter(|entry| (around(entry) && Some(entry.prefix) == closest) || within(entry))
                    .flat_map(|entry| &entry.indexes),
            );
        }
        found.intersection(&carrying).copied().collect()
    }

    /// Leaves out interfaces whose packets pass another one of these as well.
    fn once(&self, all: BTreeSet<u32>, packets: &Packets) -> Result<BTreeSet<u32>, Trouble> {
        let mut kept = all.clone();
        for link in all.iter().filter_map(|index| self.link(*index)) {
            if is_one_of(link, &TRANSPARENT)
                && !link.beneath_elsewhere
                && link.beneath.is_some_and(|beneath| all.contains(&beneath))
            {
                kept.remove(&link.index);
            }
            if !is_tunnel(link) {
                continue;
            }
            let beneath = self.beneath(link, &all);
            let Some(first) = beneath.first().and_then(|index| self.link(*index)) else { continue };
            match self.outer(link, &beneath, packets) {
                Outer::Always => {
                    kept.remove(&link.index);
                }
                Outer::Never => {}
                Outer::Perhaps => {
                    return Err(Trouble::unable(format!(
                        "`{}` puts packets into others, which may leave by `{}` to addresses that are meant too: those packets would \
                         meet the fault twice",
                        link.name, first.name
                    ))
                    .with_help(format!(
                        "name as destinations only networks that are reached through `{}`, or only such that are not",
                        link.name
                    )));
                }
            }
        }
        Ok(kept)
    }

    /// Returns by which of these interfaces the outer packets of a tunnel may leave.
    fn beneath(&self, tunnel: &Link, all: &BTreeSet<u32>) -> BTreeSet<u32> {
        let others = |index: &u32| *index != tunnel.index && all.contains(index);
        match tunnel.remote {
            Some((address, port)) => {
                let prefix = if address.is_ipv4() { 32 } else { 128 };
                let towards = self.towards(&Peer { network: address, prefix, port: Some(port.into()) });
                towards.into_iter().filter(others).collect()
            }
            None => {
                let plain =
                    |index: &u32| self.link(*index).is_some_and(|link| !is_tunnel(link) && !link.loopback);
                all.iter().copied().filter(|index| others(index) && plain(index)).collect()
            }
        }
    }

    /// Says whether the outer packets of a tunnel match as well.
    fn outer(&self, tunnel: &Link, beneath: &BTreeSet<u32>, packets: &Packets) -> Outer {
        let matches = &packets.matches;
        match (matches.protocol, is_one_of(tunnel, &OVER_UDP)) {
            (None | Some(Protocol::Udp), _) => {}
            (Some(Protocol::Tcp | Protocol::Icmp), _) => return Outer::Never,
        }
        let port = tunnel.remote.map(|(_, port)| port);
        if let Which::These(ports) = &matches.ports
            && port.is_none_or(|port| !ports.iter().any(|some| some.contains(port)))
        {
            return Outer::Never;
        }
        let Which::These(peers) = &matches.peers else { return Outer::Always };
        let reaches = |peer: &Peer, remote: IpAddr| {
            contains(peer, remote)
                && peer.port.is_none_or(|ports| port.is_some_and(|port| ports.contains(port)))
        };
        if let Some((remote, _)) = tunnel.remote {
            let meant = peers.iter().any(|peer| reaches(peer, remote));
            return if meant { Outer::Always } else { Outer::Never };
        }
        if peers.iter().any(|peer| peer.prefix == 0 && peer.port.is_none()) {
            return Outer::Always;
        }
        let covers_both = |peer: &&Peer| {
            let towards = self.towards(peer);
            !is_whole(peer)
                && peer.port.is_none()
                && towards.contains(&tunnel.index)
                && towards.intersection(beneath).next().is_some()
        };
        if peers.iter().any(|peer| covers_both(&peer)) { Outer::Perhaps } else { Outer::Never }
    }
}

/// Returns the directions that count on the loopback, where each packet is sent and received: those that are sent, unless the
/// ports of the peers tell the two ways apart.
pub(crate) fn on_loopback(packets: &Packets) -> Vec<Direction> {
    let both = packets.directions.len() > 1;
    let apart = match &packets.matches.peers {
        Which::Any => false,
        Which::These(peers) => peers.iter().all(|peer| peer.port.is_some()),
    };
    if both && !apart { vec![Direction::Egress] } else { packets.directions.clone() }
}

/// Returns whether an address is one of a peer's.
pub(super) fn contains(peer: &Peer, address: IpAddr) -> bool {
    let (network, address, length) = match (peer.network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let ignored = length - u32::from(peer.prefix).min(length);
    (network ^ address).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
#[path = "carriers_tests.rs"]
mod tests;
