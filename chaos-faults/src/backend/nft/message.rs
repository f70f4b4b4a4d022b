//! The few nf_tables messages that a refusal takes.

use std::{io, time::SystemTime};

use chaos_core::{injector::Direction, model::packets::Blocked};
use chaos_netns::Namespace;
use socket2::Socket;

use super::{Answer, Refusal};
use crate::{
    holder,
    netlink::{
        attribute,
        filter::Family,
        nftables::{
            Batch, DONE, ERROR, EXCLUSIVE, NEW_CHAIN, NEW_TABLE, OWNED, REQUEST, SUBSYSTEM, error_of,
            message, nested, new_table, number, open, receive, text,
        },
    },
};

const INET: u8 = 1;
const TCP: u8 = 6;

const GET_TABLE: u16 = 1;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;

const DUMP: u16 = 0x300;
const APPEND: u16 = 0x800;

/// `NFT_TABLE_F_DORMANT`: its chains are attached to nothing.
const DORMANT: u32 = 1;

/// A table, held by the socket that made it: dropping it removes the table.
#[derive(Debug)]
pub(super) struct Table {
    socket: Socket,
    name: String,
}

impl Table {
    /// Makes a table with chains for each way packets take, and rules in them that match until a time; all of it or nothing.
    pub(super) fn make(
        namespace: &Namespace,
        name: &str,
        rules: &[Refusal],
        until: SystemTime,
    ) -> io::Result<Self> {
        Self::with(OWNED, namespace, name, rules, until)
    }

    /// Makes one that no packet meets, for trying whether it can be made among the traffic of others.
    pub(super) fn make_dormant(
        namespace: &Namespace,
        name: &str,
        rules: &[Refusal],
        until: SystemTime,
    ) -> io::Result<Self> {
        Self::with(OWNED | DORMANT, namespace, name, rules, until)
    }

    fn with(
        flags: u32,
        namespace: &Namespace,
        name: &str,
        rules: &[Refusal],
        until: SystemTime,
    ) -> io::Result<Self> {
        let socket = open(namespace)?;
        let mut batch = Batch::new(INET);
        batch.add(NEW_TABLE, EXCLUSIVE, &new_table(name, flags));
        for (chain, hook, _) in CHAINS {
            batch.add(NEW_CHAIN, 0, &new_chain(name, chain, hook));
        }
        fill(&mut batch, name, rules, until);
        batch.send(&socket)?;
        Ok(Table { socket, name: name.to_owned() })
    }

    /// Puts other rules in the place of all; all of it or nothing, and no packet sees the table without any.
    pub(super) fn refill(&self, rules: &[Refusal], until: SystemTime) -> io::Result<()> {
        let mut batch = Batch::new(INET);
        for (chain, ..) in CHAINS {
            let mut all = text(1, &self.name);
            all.extend(text(2, chain));
            batch.remove(DELETE_RULE, &all);
        }
        fill(&mut batch, &self.name, rules, until);
        batch.send(&self.socket)
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

fn fill(batch: &mut Batch, name: &str, rules: &[Refusal], until: SystemTime) {
    for rule in rules {
        for (chain, ..) in
            CHAINS.iter().filter(|(.., direction)| direction.is_none_or(|way| way == rule.direction))
        {
            batch.add(NEW_RULE, APPEND, &new_rule(name, chain, rule, until));
        }
    }
}

/// What is known of a table.
pub(super) enum Found {
    /// There is none of that name.
    Absent,
    /// It is there.
    Standing {
        /// The netlink port of the socket that made it and holds it.
        owner: Option<u32>,
    },
}

/// Looks for a table by name.
pub(super) fn find(namespace: &Namespace, name: &str) -> io::Result<Found> {
    let socket = open(namespace)?;
    socket.send(&message(SUBSYSTEM | GET_TABLE, REQUEST, INET, &text(1, name)))?;
    let answer = receive(&socket)?.into_iter().next();
    let (kind, content) = answer.ok_or_else(|| io::Error::other("the kernel said nothing about a table"))?;
    if kind == ERROR {
        match error_of(&content) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Found::Absent),
            refused => refused?,
        }
    }
    Ok(Found::Standing { owner: described(&content)?.1 })
}

/// Lists the names of all tables of the family, with the ports of their owners.
pub(super) fn all(namespace: &Namespace) -> io::Result<Vec<(String, Option<u32>)>> {
    let socket = open(namespace)?;
    socket.send(&message(SUBSYSTEM | GET_TABLE, REQUEST | DUMP, INET, &[]))?;
    let mut found = Vec::new();
    loop {
        for (kind, content) in receive(&socket)? {
            match kind {
                DONE => return Ok(found),
                ERROR => error_of(&content)?,
                _ => found.push(described(&content)?),
            }
        }
    }
}

/// Reads a table's name and the port of its owner.
fn described(content: &[u8]) -> io::Result<(String, Option<u32>)> {
    const OWNER: u16 = 7;
    let attributes = attribute::parse(content.get(4..).unwrap_or_default()).map_err(io::Error::other)?;
    let find = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let name = find(1).map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
    let owner = find(OWNER).and_then(|port| port.first_chunk::<4>().map(|port| u32::from_be_bytes(*port)));
    Ok((name.unwrap_or_default(), owner))
}

/// Finds the process that has the netfilter socket of this port open, by the list of sockets in its namespace.
pub(super) fn process(namespace: &Namespace, port: u32) -> Option<u32> {
    const NETFILTER: &str = "12";
    let list = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/netlink")).ok()?.ok()?;
    let inode = list.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = fields.get(1) == Some(&NETFILTER) && fields.get(2)?.parse() == Ok(port);
        is_it.then(|| fields.last()?.parse().ok())?
    })?;
    holder::of_socket(inode)
}

/// The chains: their names, hooks, and which packets come by; what is passed on for others is sent and received at once.
const CHAINS: [(&str, u32, Option<Direction>); 3] =
    [("output", 3, Some(Direction::Egress)), ("input", 1, Some(Direction::Ingress)), ("forward", 2, None)];

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

fn new_rule(table: &str, chain: &str, rule: &Refusal, until: SystemTime) -> Vec<u8> {
    let mut expressions = Vec::new();
    let protocol = match rule.packets.family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    meta(&mut expressions, 15);
    compare(&mut expressions, true, &[protocol]);
    meta(&mut expressions, 16);
    compare(&mut expressions, matches!(rule.answer, Answer::Reset(_)), &[TCP]);
    for key in &rule.packets.keys {
        payload(&mut expressions, 1, key.offset.cast_unsigned(), 4);
        mask(&mut expressions, &key.mask.to_be_bytes());
        compare(&mut expressions, true, &key.value.to_be_bytes());
    }
    if let Answer::Reset(connections @ (Blocked::New | Blocked::Established)) = rule.answer {
        const FLAGS: u32 = 13;
        payload(&mut expressions, 2, FLAGS, 1);
        mask(&mut expressions, &[0x12]);
        compare(&mut expressions, connections == Blocked::New, &[0x02]);
    }
    before(&mut expressions, until);
    expression(&mut expressions, "counter", &[]);
    let mut reject = Vec::new();
    match rule.answer {
        Answer::Reset(_) => number(&mut reject, 1, 1),
        Answer::Unreachable => {
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

/// Goes on only before a moment of the wall clock, the one clock that rules can read.
fn before(out: &mut Vec<u8>, until: SystemTime) {
    const TIME_NS: u32 = 30;
    const LESS: u32 = 2;
    let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
    meta(out, TIME_NS);
    // Comparing goes byte by byte, the most significant one first.
    let mut order = Vec::new();
    for (kind, value) in [(1, REGISTER), (2, REGISTER), (3, 1), (4, 8), (5, 8)] {
        number(&mut order, kind, value);
    }
    expression(out, "byteorder", &order);
    let mut data = Vec::new();
    number(&mut data, 1, REGISTER);
    number(&mut data, 2, LESS);
    nested(&mut data, 3, &value(&until.to_be_bytes()));
    expression(out, "cmp", &data);
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
