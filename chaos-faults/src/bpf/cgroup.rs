//! Refuses connections of one group of processes with an error number of choice, by a link on its cgroup.
//!
//! This is the one answer a program can give: the sender's `connect(2)` fails at once, as it would after a reset or an
//! ICMP error, without a packet being sent.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::BpfError;
use super::action::{HIT, SEEN, WORDS, count};
use super::assembler::Register::{R0, R1, R6};
use super::assembler::{Assembler, Condition, Helper, Operation, Width};
use super::hold::{Counters, Deadline};
use super::link;
use super::matching::{PacketMatch, Peer, Protocol};
use super::program::{Kind, Program, Words};

/// Which error a refused `connect(2)` reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Refusal {
    /// Nobody listens.
    ConnectionRefused = libc::ECONNREFUSED,
    /// No route to the host.
    HostUnreachable = libc::EHOSTUNREACH,
    /// A network on the way is gone.
    NetworkUnreachable = libc::ENETUNREACH,
}

/// Connections of a cgroup that are refused for as long as this lives.
#[derive(Debug)]
pub struct ConnectBlock {
    words: Words,
    _links: [OwnedFd; 2],
}

impl ConnectBlock {
    /// Refuses every `connect(2)` to a matching peer by a process of the version 2 cgroup at `path` or below it.
    ///
    /// Ports are those of the other end; a protocol other than TCP and UDP matches nothing.
    ///
    /// # Errors
    /// The path is no version 2 cgroup, or the kernel refuses; setting the error number needs Linux 5.18.
    pub fn open(
        path: &Path,
        matching: &PacketMatch,
        refusal: Refusal,
        deadline: Option<Deadline>,
    ) -> Result<Self, BpfError> {
        const CONNECT4: u32 = 10;
        const CONNECT6: u32 = 11;
        let refused = |source: io::Error| BpfError::Link {
            what: "refuse connections",
            target: path.display().to_string(),
            source,
            remedy: "a directory of a version 2 cgroup hierarchy, CAP_BPF and CAP_NET_ADMIN are needed",
        };
        let directory = File::open(path).map_err(refused)?;
        let words = Words::new(WORDS)?;
        let hook = |version: u8, attach| {
            let code = write(matching, version, refusal, deadline, &words)?;
            let program = Program::load(Kind::CgroupSockAddr, attach, "chaos_connect", &code)?;
            link::create(program.as_raw_fd(), directory.as_raw_fd().cast_unsigned(), attach, 0)
                .map_err(refused)
        };
        let links = [hook(4, CONNECT4)?, hook(6, CONNECT6)?];
        Ok(Self { words, _links: links })
    }

    /// Returns how many connects matched and were refused.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn counters(&self) -> Result<Counters, BpfError> {
        let read = self.words.read()?;
        Ok(Counters { seen: read[(SEEN / 8) as usize], hit: read[(HIT / 8) as usize] })
    }
}

/// Fields of `struct bpf_sock_addr`.
const USER_IP4: i16 = 4;
const USER_IP6: i16 = 8;
const USER_PORT: i16 = 24;
const PROTOCOL: i16 = 36;

fn write(
    matching: &PacketMatch,
    version: u8,
    refusal: Refusal,
    deadline: Option<Deadline>,
    words: &Words,
) -> Result<Vec<u64>, BpfError> {
    const REFUSE: i32 = 0;
    const ALLOW: i32 = 1;
    let mut asm = Assembler::new();
    let (allow, found) = (asm.label(), asm.label());
    asm.copy(R6, R1);
    if let Some(deadline) = deadline {
        asm.call(Helper::KtimeGetNs).set_u64(R1, deadline.monotonic_ns());
        asm.jump_if_u64(Condition::AtLeast, R0, R1, allow);
    }
    if let Some(protocol) = matching.protocol {
        let number = match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmp if version == 4 => 1,
            Protocol::Icmp => 58,
        };
        asm.load(Width::Word, R0, R6, PROTOCOL).jump_if(Condition::NotEqual, R0, number, allow);
    }
    if !matching.ports.is_empty() {
        let port_found = asm.label();
        asm.load(Width::Word, R0, R6, USER_PORT);
        for port in &matching.ports {
            asm.jump_if(Condition::Equal, R0, u32::from(port.to_be()), port_found);
        }
        asm.jump(allow).place(port_found);
    }
    let peers: Vec<_> =
        matching.peers.iter().filter(|peer| peer.network.is_ipv4() == (version == 4)).collect();
    if peers.is_empty() && !matching.peers.is_empty() {
        asm.jump(allow);
    } else {
        for (at, peer) in peers.iter().enumerate() {
            let last = at + 1 == peers.len();
            let miss = if last { allow } else { asm.label() };
            require_peer(&mut asm, peer, miss)?;
            if !last {
                asm.jump(found).place(miss);
            }
        }
        asm.place(found);
        count(&mut asm, words, SEEN);
        count(&mut asm, words, HIT);
        asm.set(R1, -(refusal as i32)).call(Helper::SetRetval).set(R0, REFUSE).exit();
    }
    asm.place(allow).set(R0, ALLOW).exit();
    asm.finish()
}

fn require_peer(asm: &mut Assembler, peer: &Peer, miss: super::assembler::Label) -> Result<(), BpfError> {
    let (octets, field) = match peer.network {
        IpAddr::V4(address) => (address.octets().to_vec(), USER_IP4),
        IpAddr::V6(address) => (address.octets().to_vec(), USER_IP6),
    };
    if usize::from(peer.prefix) > octets.len() * 8 {
        return Err(BpfError::OutOfRange {
            what: "the prefix length of a peer",
            value: format!("{}/{}", peer.network, peer.prefix),
            expected: "at most the length of its address",
        });
    }
    let mut left = u32::from(peer.prefix);
    for (word, bytes) in octets.chunks_exact(4).enumerate() {
        let bits = left.min(32);
        left -= bits;
        if bits == 0 {
            break;
        }
        let mask = (u32::MAX << (32 - bits)).to_be();
        let wanted = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & mask;
        asm.load(Width::Word, R0, R6, field + 4 * word as i16).compute_u32(Operation::And, R0, mask);
        asm.jump_if(Condition::NotEqual, R0, wanted, miss);
    }
    if let Some(port) = peer.port {
        asm.load(Width::Word, R0, R6, USER_PORT).jump_if(
            Condition::NotEqual,
            R0,
            u32::from(port.to_be()),
            miss,
        );
    }
    Ok(())
}
