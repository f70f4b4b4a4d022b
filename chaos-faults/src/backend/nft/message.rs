//! The few nf_tables messages that a refusal takes.

use std::{io, os::fd::AsRawFd};

use chaos_core::{injector::Direction, model::fault::Blocked};
use chaos_netns::Namespace;
use socket2::{Domain, Socket, Type};

use super::{Refusal, Told};
use crate::netlink::{attribute, filter::Family};

const INET: u8 = 1;
const TCP: u8 = 6;

/// Numbers of messages (`enum nf_tables_msg_types`), below the subsystem's.
const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// `NFT_TABLE_F_OWNER`: the table goes with the socket that made it.
const OWNED: u32 = 2;

/// A table, held by the socket that made it: dropping it removes the table.
#[derive(Debug)]
pub(super) struct Table {
    socket: Socket,
    name: String,
}

impl Table {
    /// Makes a table with chains for each way packets take, and rules in them; all of it or nothing.
    pub(super) fn make(namespace: &Namespace, name: &str, rules: &[Refusal]) -> io::Result<Self> {
        let socket = open(namespace)?;
        let mut batch = message(BATCH_BEGIN, REQUEST, 0, &[]);
        let mut expected = 0;
        let mut add = |kind: u16, flags: u16, attributes: &[u8]| {
            expected += 1;
            batch.extend(message(SUBSYSTEM | kind, REQUEST | ACK | CREATE | flags, INET, attributes));
        };
        let mut table = text(1, name);
        attribute::push(&mut table, 2, &OWNED.to_be_bytes());
        add(NEW_TABLE, EXCLUSIVE, &table);
        for (chain, hook, _) in CHAINS {
            add(NEW_CHAIN, 0, &new_chain(name, chain, hook));
        }
        for rule in rules {
            for (chain, ..) in
                CHAINS.iter().filter(|(.., direction)| direction.is_none_or(|way| way == rule.direction))
            {
                add(NEW_RULE, APPEND, &new_rule(name, chain, rule));
            }
        }
        batch.extend(message(BATCH_END, REQUEST, 0, &[]));
        socket.send(&batch)?;
        acknowledged(&socket, expected)?;
        Ok(Table { socket, name: name.to_owned() })
    }

    /// Returns how many packets each rule met; those on forwarded packets are added to those on the host's own.
    pub(super) fn counted(&self) -> io::Result<Vec<u64>> {
        let mut by_chain = Vec::new();
        for (chain, _, direction) in CHAINS {
            let mut asked = text(1, &self.name);
            asked.extend(text(2, chain));
            self.socket.send(&message(SUBSYSTEM | GET_RULE, REQUEST | DUMP, INET, &asked))?;
            by_chain.push((direction, dumped(&self.socket)?));
        }
        let of = |wanted: Option<Direction>| {
            by_chain
                .iter()
                .filter(move |(direction, _)| *direction == wanted)
                .flat_map(|(_, counted)| counted.clone())
        };
        // The chain of forwarded packets has the rules of both directions, which are the same number as the own ones.
        let own = of(Some(Direction::Egress)).chain(of(Some(Direction::Ingress)));
        Ok(own.zip(of(None).chain(std::iter::repeat(0))).map(|(own, forwarded)| own + forwarded).collect())
    }
}

/// Whether a table of this name is there.
pub(super) fn exists(namespace: &Namespace, name: &str) -> io::Result<bool> {
    let socket = open(namespace)?;
    socket.send(&message(SUBSYSTEM | GET_TABLE, REQUEST | ACK, INET, &text(1, name)))?;
    match acknowledged(&socket, 1) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The chains: their names, hooks, and which packets come by; what is passed on for others is sent and received at once.
const CHAINS: [(&str, u32, Option<Direction>); 3] =
    [("output", 3, Some(Direction::Egress)), ("input", 1, Some(Direction::Ingress)), ("forward", 2, None)];

fn open(namespace: &Namespace) -> io::Result<Socket> {
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

fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
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

fn text(kind: u16, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    attribute::push(&mut out, kind, &[text.as_bytes(), &[0]].concat());
    out
}

fn number(out: &mut Vec<u8>, kind: u16, number: u32) {
    attribute::push(out, kind, &number.to_be_bytes());
}

fn nested(out: &mut Vec<u8>, kind: u16, inner: &[u8]) {
    const NESTED: u16 = 0x8000;
    attribute::push(out, kind | NESTED, inner);
}

fn new_chain(table: &str, chain: &str, hook: u32) -> Vec<u8> {
    let mut out = text(1, table);
    out.extend(text(3, chain));
    let mut place = Vec::new();
    number(&mut place, 1, hook);
    // Just before ordinary filters, whose rules must not hide the refusal.
    number(&mut place, 2, (-1_i32).cast_unsigned());
    nested(&mut out, 4, &place);
    out.extend(text(7, "filter"));
    out
}

fn new_rule(table: &str, chain: &str, rule: &Refusal) -> Vec<u8> {
    let mut expressions = Vec::new();
    let protocol = match rule.packets.family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    meta(&mut expressions, 15);
    compare(&mut expressions, true, &[protocol]);
    meta(&mut expressions, 16);
    compare(&mut expressions, matches!(rule.told, Told::Reset(_)), &[TCP]);
    for key in &rule.packets.keys {
        payload(&mut expressions, 1, key.offset.cast_unsigned(), 4);
        mask(&mut expressions, &key.mask.to_be_bytes());
        compare(&mut expressions, true, &key.value.to_be_bytes());
    }
    if let Told::Reset(connections @ (Blocked::New | Blocked::Established)) = rule.told {
        const FLAGS: u32 = 13;
        payload(&mut expressions, 2, FLAGS, 1);
        mask(&mut expressions, &[0x12]);
        compare(&mut expressions, connections == Blocked::New, &[0x02]);
    }
    expression(&mut expressions, "counter", &[]);
    let mut reject = Vec::new();
    match rule.told {
        Told::Reset(_) => number(&mut reject, 1, 1),
        Told::Unreachable => {
            number(&mut reject, 1, 2);
            attribute::push(&mut reject, 2, &[1]);
        }
    }
    expression(&mut expressions, "reject", &reject);
    let mut out = text(1, table);
    out.extend(text(2, chain));
    nested(&mut out, 4, &expressions);
    out
}

fn expression(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut inner = text(1, name);
    nested(&mut inner, 2, data);
    nested(out, 1, &inner);
}

/// The register that everything is loaded into.
const REGISTER: u32 = 1;

fn meta(out: &mut Vec<u8>, key: u32) {
    let mut data = Vec::new();
    number(&mut data, 2, key);
    number(&mut data, 1, REGISTER);
    expression(out, "meta", &data);
}

fn payload(out: &mut Vec<u8>, base: u32, offset: u32, length: u32) {
    let mut data = Vec::new();
    for (kind, value) in [(1, REGISTER), (2, base), (3, offset), (4, length)] {
        number(&mut data, kind, value);
    }
    expression(out, "payload", &data);
}

fn value(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    attribute::push(&mut out, 1, bytes);
    out
}

fn mask(out: &mut Vec<u8>, mask: &[u8]) {
    let mut data = Vec::new();
    number(&mut data, 1, REGISTER);
    number(&mut data, 2, REGISTER);
    number(&mut data, 3, mask.len() as u32);
    nested(&mut data, 4, &value(mask));
    nested(&mut data, 5, &value(&vec![0; mask.len()]));
    expression(out, "bitwise", &data);
}

fn compare(out: &mut Vec<u8>, equal: bool, bytes: &[u8]) {
    let mut data = Vec::new();
    number(&mut data, 1, REGISTER);
    number(&mut data, 2, u32::from(!equal));
    nested(&mut data, 3, &value(bytes));
    expression(out, "cmp", &data);
}

/// Reads messages of one datagram, as kind and content.
fn receive(socket: &Socket) -> io::Result<Vec<(u16, Vec<u8>)>> {
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

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Returns the error number of an answer; zero acknowledges.
fn error_of(content: &[u8]) -> io::Result<()> {
    let code = content.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

fn acknowledged(socket: &Socket, mut expected: usize) -> io::Result<()> {
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

/// Reads a dump of rules to its end and returns the packets each one counted.
fn dumped(socket: &Socket) -> io::Result<Vec<u64>> {
    let mut counted = Vec::new();
    loop {
        for (kind, content) in receive(socket)? {
            match kind {
                DONE => return Ok(counted),
                ERROR => error_of(&content)?,
                _ => counted.push(packets(content.get(4..).unwrap_or_default()).unwrap_or(0)),
            }
        }
    }
}

/// Finds the counter among a rule's expressions.
fn packets(rule: &[u8]) -> Option<u64> {
    let find = |bytes: &[u8], wanted: u16| -> Option<Vec<u8>> {
        let all = attribute::parse(bytes).ok()?;
        all.into_iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec())
    };
    let expressions = find(rule, 4)?;
    attribute::parse(&expressions).ok()?.into_iter().find_map(|(_, expression)| {
        (find(expression, 1)?.starts_with(b"counter\0")).then_some(())?;
        let packets = find(&find(expression, 2)?, 2)?;
        packets.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
    })
}
