//! Which packets a rule is about: reads a packet's headers once, then compares them with each rule's [`PacketMatch`].
//!
//! Only IPv4 and IPv6 are ever touched: ARP, other protocols of the link layer, and ICMPv6 neighbour discovery (types
//! 133–137) pass whatever the rules say, or a fault meant for a service would unhinge the whole link. All offsets count
//! from the network header. A later fragment has no ports: rules that ask for
//! ports let it pass, rules that do not match it like any other packet.
//!
//! A packet with the tag of a VLAN passes: it is one of the interface that is made for the VLAN, where it is matched
//! without the tag. Matched here as well it would meet a fault on both twice.

use std::net::IpAddr;

pub use chaos_core::injector::{Direction, PacketMatch, Peer, Ports, Protocol};
use chaos_core::which::Which;

use super::BpfError;
use super::assembler::Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
use super::assembler::{Assembler, Condition, Helper, Label, Operation, Width};

/// The packet's IP header on the stack.
const HEADER: i16 = -40;
/// Source and destination port on the stack, in network order; valid only when [`HAS_PORTS`] is one.
const SOURCE_PORT: i16 = -44;
const DESTINATION_PORT: i16 = -42;
/// Whether this packet has ports.
pub(super) const HAS_PORTS: i16 = -48;
/// Room for one value of up to eight bytes.
pub(super) const SCRATCH: i16 = -56;

/// Fields of `struct __sk_buff`.
const SKB_PROTOCOL: i16 = 16;
const SKB_VLAN_PRESENT: i16 = 20;
const SKB_VLAN_TCI: i16 = 24;
pub(super) const SKB_TC_INDEX: i16 = 44;
/// How many packets it is on the wire, or 0 if it is one.
pub(super) const SKB_SEGMENTS: i16 = 164;

pub(super) const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const ICMPV6: u32 = 58;
const SCTP: u32 = 132;

/// How many IPv6 extension headers are walked; a packet with more is matched as the protocol of the next one.
const EXTENSION_HEADERS: usize = 6;

/// Writes the instructions that read a packet's headers, or jump to `pass` if no rule may touch it.
///
/// Expects the context in `R6`. Leaves the IP version (4 or 6) in `R7`, the transport protocol in `R8`, the offset of the
/// transport header from the network header in `R9`, and header and ports on the stack.
pub(super) fn read_headers(asm: &mut Assembler, pass: Label) {
    let (version_6, transport, no_ports, ready) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.set(R0, 0).store(Width::Word, R10, HAS_PORTS, R0);
    let untagged = asm.label();
    asm.load(Width::Word, R0, R6, SKB_VLAN_PRESENT).jump_if(Condition::Equal, R0, 0, untagged);
    // The VLAN with number 0 is none, only a priority.
    asm.load(Width::Word, R0, R6, SKB_VLAN_TCI).compute_u32(Operation::And, R0, 0xfff);
    asm.jump_if(Condition::NotEqual, R0, 0, pass);
    asm.place(untagged);
    asm.load(Width::Word, R0, R6, SKB_PROTOCOL);
    asm.jump_if(Condition::Equal, R0, network_order(0x86dd), version_6);
    asm.jump_if(Condition::NotEqual, R0, network_order(0x0800), pass);

    asm.set(R2, 0);
    load_bytes(asm, HEADER, 20, pass);
    asm.set(R7, 4);
    asm.load(Width::Byte, R8, R10, HEADER + 9);
    asm.load(Width::Byte, R9, R10, HEADER).compute_u32(Operation::And, R9, 15).compute_u32(
        Operation::ShiftLeft,
        R9,
        2,
    );
    asm.load(Width::Half, R0, R10, HEADER + 6).compute_u32(Operation::And, R0, network_order(0x1fff));
    asm.jump_if(Condition::NotEqual, R0, 0, ready).jump(transport);

    asm.place(version_6);
    asm.set(R2, 0);
    load_bytes(asm, HEADER, 40, pass);
    asm.set(R7, 6);
    asm.load(Width::Byte, R8, R10, HEADER + 6);
    asm.set(R9, 40);
    let mut walked = asm.label();
    for _ in 0..EXTENSION_HEADERS {
        let (extension, fragment, next) = (asm.label(), asm.label(), asm.label());
        for header in [0, 43, 60] {
            asm.jump_if(Condition::Equal, R8, header, extension);
        }
        asm.jump_if(Condition::Equal, R8, 44, fragment).jump(walked);
        asm.place(extension);
        asm.copy(R2, R9);
        load_bytes(asm, SCRATCH, 2, pass);
        asm.load(Width::Byte, R8, R10, SCRATCH).load(Width::Byte, R0, R10, SCRATCH + 1);
        asm.compute(Operation::Add, R0, 1).compute(Operation::ShiftLeft, R0, 3).compute_with(
            Operation::Add,
            R9,
            R0,
        );
        asm.jump(next);
        asm.place(fragment);
        asm.copy(R2, R9);
        load_bytes(asm, SCRATCH, 4, pass);
        asm.load(Width::Byte, R8, R10, SCRATCH).compute(Operation::Add, R9, 8);
        asm.load(Width::Half, R0, R10, SCRATCH + 2).compute_u32(Operation::And, R0, network_order(0xfff8));
        asm.jump_if(Condition::NotEqual, R0, 0, ready);
        asm.place(next);
    }
    asm.place(walked);
    walked = asm.label();
    asm.jump_if(Condition::NotEqual, R8, ICMPV6, walked);
    asm.copy(R2, R9);
    load_bytes(asm, SCRATCH, 1, pass);
    asm.load(Width::Byte, R0, R10, SCRATCH).compute_u32(Operation::Subtract, R0, 133);
    asm.jump_if(Condition::Less, R0, 5, pass).jump(ready);
    asm.place(walked);

    asm.place(transport);
    let with_ports = asm.label();
    for protocol in [TCP, UDP, SCTP] {
        asm.jump_if(Condition::Equal, R8, protocol, with_ports);
    }
    asm.jump(ready);
    asm.place(with_ports);
    asm.copy(R2, R9);
    load_bytes(asm, SOURCE_PORT, 4, no_ports);
    asm.set(R0, 1).store(Width::Word, R10, HAS_PORTS, R0);
    asm.place(no_ports);
    asm.place(ready);
}

/// Writes the instructions that jump to `miss` unless the packet whose headers were read matches.
///
/// # Errors
/// A prefix is longer than its address.
pub(super) fn require(
    asm: &mut Assembler,
    direction: Direction,
    matching: &PacketMatch,
    miss: Label,
) -> Result<(), BpfError> {
    match matching.protocol {
        None => {}
        Some(Protocol::Tcp) => {
            asm.jump_if(Condition::NotEqual, R8, TCP, miss);
        }
        Some(Protocol::Udp) => {
            asm.jump_if(Condition::NotEqual, R8, UDP, miss);
        }
        Some(Protocol::Icmp) => {
            // Either number means something else, or nothing, under the other version.
            let (version_6, icmp) = (asm.label(), asm.label());
            asm.jump_if(Condition::Equal, R7, 6, version_6);
            asm.jump_if(Condition::NotEqual, R8, ICMP, miss).jump(icmp);
            asm.place(version_6).jump_if(Condition::NotEqual, R8, ICMPV6, miss).place(icmp);
        }
    }
    if let Which::These(ports) = &matching.ports {
        let found = asm.label();
        require_ports(asm, miss);
        for end in [SOURCE_PORT, DESTINATION_PORT] {
            asm.load(Width::Half, R0, R10, end).from_network_order(R0);
            for ports in ports {
                let other = asm.label();
                require_one_of(asm, *ports, other);
                asm.jump(found).place(other);
            }
        }
        asm.jump(miss).place(found);
    }
    if let Which::These(peers) = &matching.peers {
        let (found, (last, others)) = (asm.label(), peers.split_last());
        for peer in others {
            let other = asm.label();
            require_peer(asm, direction, peer, other)?;
            asm.jump(found).place(other);
        }
        require_peer(asm, direction, last, miss)?;
        asm.place(found);
    }
    Ok(())
}

fn require_ports(asm: &mut Assembler, miss: Label) {
    asm.load(Width::Word, R0, R10, HAS_PORTS).jump_if(Condition::Equal, R0, 0, miss);
}

fn require_peer(asm: &mut Assembler, direction: Direction, peer: &Peer, miss: Label) -> Result<(), BpfError> {
    let (version, longest, octets, source, destination) = match peer.network {
        IpAddr::V4(address) => (4, 32, address.octets().to_vec(), 12, 16),
        IpAddr::V6(address) => (6, 128, address.octets().to_vec(), 8, 24),
    };
    if peer.prefix > longest {
        return Err(BpfError::OutOfRange {
            what: "the prefix length of a peer",
            value: format!("{}/{}", peer.network, peer.prefix),
            expected: if longest == 32 { "0 to 32" } else { "0 to 128" },
        });
    }
    let (address, port) = match direction {
        Direction::Egress => (destination, DESTINATION_PORT),
        Direction::Ingress => (source, SOURCE_PORT),
    };
    asm.jump_if(Condition::NotEqual, R7, version, miss);
    let mut left = u32::from(peer.prefix);
    for (word, bytes) in octets.chunks_exact(4).enumerate() {
        let bits = left.min(32);
        left -= bits;
        if bits == 0 {
            break;
        }
        let mask = (u32::MAX << (32 - bits)).to_be();
        let wanted = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & mask;
        asm.load(Width::Word, R0, R10, HEADER + address + 4 * word as i16);
        if bits < 32 {
            asm.compute_u32(Operation::And, R0, mask);
        }
        asm.jump_if(Condition::NotEqual, R0, wanted, miss);
    }
    if let Some(ports) = peer.port {
        require_ports(asm, miss);
        asm.load(Width::Half, R0, R10, port).from_network_order(R0);
        require_one_of(asm, ports, miss);
    }
    Ok(())
}

/// Writes the instructions that jump to `miss` unless the port in `R0` is one of these.
fn require_one_of(asm: &mut Assembler, ports: Ports, miss: Label) {
    if ports.first() == ports.last() {
        asm.jump_if(Condition::NotEqual, R0, ports.first().into(), miss);
    } else {
        asm.jump_if(Condition::Less, R0, ports.first().into(), miss);
        asm.jump_if(Condition::Greater, R0, ports.last().into(), miss);
    }
}

/// Copies bytes from `R2` bytes behind the network header to the stack, or jumps to `missing`.
pub(super) fn load_bytes(asm: &mut Assembler, to: i16, length: i32, missing: Label) {
    const FROM_NETWORK_HEADER: i32 = 1;
    asm.copy(R1, R6).copy(R3, R10).compute(Operation::Add, R3, to.into());
    asm.set(R4, length).set(R5, FROM_NETWORK_HEADER).call(Helper::SkbLoadBytesRelative);
    asm.jump_if(Condition::NotEqual, R0, 0, missing);
}

/// A 16-bit number as a load of two bytes of the packet would see it.
fn network_order(number: u16) -> u32 {
    u32::from(number.to_be())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_longer_than_the_address_is_refused() {
        let mut asm = Assembler::new();
        let miss = asm.label();
        let peer = Peer { network: "10.0.0.0".parse().unwrap(), prefix: 33, port: None };
        let matching = PacketMatch { peers: Which::one(peer), ..PacketMatch::default() };
        let error = require(&mut asm, Direction::Egress, &matching, miss).unwrap_err();
        assert_eq!(error.to_string(), "the prefix length of a peer is `10.0.0.0/33`, but must be 0 to 32");
    }

    #[test]
    fn an_empty_match_costs_nothing() {
        let mut asm = Assembler::new();
        let miss = asm.label();
        require(&mut asm, Direction::Egress, &PacketMatch::default(), miss).unwrap();
        assert!(asm.is_empty());
    }
}
