//! The outer form of nf_tables messages, and a drain that takes two of them.

use std::{io, os::fd::AsRawFd};

use chaos_netns::Namespace;
use socket2::{Domain, Socket, Type};

use crate::netlink::attribute;

/// Numbers of messages (`enum nf_tables_msg_types`), below the subsystem's.
pub(crate) const SUBSYSTEM: u16 = 10 << 8;
pub(crate) const NEW_TABLE: u16 = 0;
pub(crate) const NEW_CHAIN: u16 = 3;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

/// `NFT_TABLE_F_OWNER`: the table goes with the socket that made it.
pub(crate) const OWNED: u32 = 2;

/// Drops everything that an interface receives, once packet sockets have seen it, for as long as this lives.
///
/// It keeps packets that are led to a socket on the interface from being taken in a second time by the namespace itself.
#[derive(Debug)]
pub(crate) struct Drain {
    _owner: Socket,
}

impl Drain {
    /// Drains the interface `device` by a table of the same name.
    pub(crate) fn open(namespace: &Namespace, device: &str) -> io::Result<Self> {
        const NETDEV: u8 = 5;
        let socket = open(namespace)?;
        let mut chain = text(1, device);
        chain.extend(text(3, "drain"));
        let mut hook = Vec::new();
        // The only hook of this family before Linux 5.17, where packets come in.
        number(&mut hook, 1, 0);
        number(&mut hook, 2, 0);
        hook.extend(text(3, device));
        nested(&mut chain, 4, &hook);
        // The policy: drop.
        number(&mut chain, 5, 0);
        chain.extend(text(7, "filter"));
        let mut batch = Batch::new(NETDEV);
        batch.add(NEW_TABLE, EXCLUSIVE, &new_table(device, OWNED));
        batch.add(NEW_CHAIN, 0, &chain);
        batch.send(&socket)?;
        Ok(Drain { _owner: socket })
    }
}

/// Messages that take effect together or not at all.
pub(crate) struct Batch {
    family: u8,
    bytes: Vec<u8>,
    expected: usize,
}

impl Batch {
    pub(crate) fn new(family: u8) -> Self {
        Batch { family, bytes: message(BATCH_BEGIN, REQUEST, 0, &[]), expected: 0 }
    }

    /// Adds the making of something.
    pub(crate) fn add(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.expected += 1;
        let flags = REQUEST | ACK | CREATE | flags;
        self.bytes.extend(message(SUBSYSTEM | kind, flags, self.family, attributes));
    }

    /// Adds the removal of something.
    pub(crate) fn remove(&mut self, kind: u16, attributes: &[u8]) {
        self.expected += 1;
        self.bytes.extend(message(SUBSYSTEM | kind, REQUEST | ACK, self.family, attributes));
    }

    /// Sends it and waits until the kernel has agreed to all of it.
    pub(crate) fn send(mut self, socket: &Socket) -> io::Result<()> {
        self.bytes.extend(message(BATCH_END, REQUEST, 0, &[]));
        socket.send(&self.bytes)?;
        acknowledged(socket, self.expected)
    }
}

pub(crate) fn new_table(name: &str, flags: u32) -> Vec<u8> {
    let mut table = text(1, name);
    number(&mut table, 2, flags);
    table
}

pub(crate) fn open(namespace: &Namespace) -> io::Result<Socket> {
    const NETFILTER: i32 = 12;
    let socket =
        namespace.run(|| Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(NETFILTER.into())));
    let socket = socket.map_err(io::Error::from)??;
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    connect(&socket)?;
    Ok(socket)
}

/// Addresses all that is sent to the kernel.
fn connect(socket: &Socket) -> io::Result<()> {
    let kernel = nix::sys::socket::NetlinkAddr::new(0, 0);
    nix::sys::socket::connect(socket.as_raw_fd(), &kernel).map_err(io::Error::from)
}

pub(crate) fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    const HEADERS: usize = 20;
    let length = u32::try_from(HEADERS + attributes.len()).expect("invariant: a message of ours is short");
    let resource = if kind < SUBSYSTEM { 10_u16 } else { 0 };
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port: answers come in the order of the questions, to the only socket that asked.
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

pub(crate) fn text(kind: u16, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    attribute::push(&mut out, kind, &[text.as_bytes(), &[0]].concat());
    out
}

pub(crate) fn number(out: &mut Vec<u8>, kind: u16, number: u32) {
    attribute::push(out, kind, &number.to_be_bytes());
}

pub(crate) fn nested(out: &mut Vec<u8>, kind: u16, inner: &[u8]) {
    const NESTED: u16 = 0x8000;
    attribute::push(out, kind | NESTED, inner);
}

/// Reads messages of one datagram, as kind and content.
pub(crate) fn receive(socket: &Socket) -> io::Result<Vec<(u16, Vec<u8>)>> {
    let mut buffer = vec![0; 1 << 16];
    let length = std::io::Read::read(&mut &*socket, &mut buffer)?;
    let mut rest = buffer.get(..length).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((header, _)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let content = rest.get(16..length).ok_or_else(|| io::Error::other("a message is cut short"))?;
        found.push((u16::from_ne_bytes([header[4], header[5]]), content.to_vec()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;

/// Returns the error number of an answer; zero acknowledges.
pub(crate) fn error_of(content: &[u8]) -> io::Result<()> {
    let code = content.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

pub(crate) fn acknowledged(socket: &Socket, mut expected: usize) -> io::Result<()> {
    while expected > 0 {
        for (kind, content) in receive(socket)? {
            if kind == ERROR {
                error_of(&content)?;
                expected = expected.saturating_sub(1);
            }
        }
    }
    Ok(())
}
