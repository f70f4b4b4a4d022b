//! `u32` filters: which packets go where.
//!
//! A [`PacketMatch`] is compiled by [`compile`] into a list of [`Rule`]s, each a conjunction of masked 32-bit words at
//! fixed places of the IP header; a packet matches when one rule does. `u32` knows no "not", so "any IPv6 packet but
//! neighbour discovery" becomes the prefixes of its complement. What fixed places cannot see does not match: ports of
//! IPv4 packets with options or of later fragments, and transport headers behind IPv6 extension headers.

use std::net::IpAddr;

use chaos_core::injector::{Direction, PacketMatch, Peer, Protocol};
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        tc::{
            TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption, TcActionType,
            TcAttribute, TcFilterU32Option, TcHandle, TcMirror, TcMirrorActionType, TcOption, TcU32Key,
            TcU32Selector, TcU32SelectorFlags,
        },
    },
};
use serde::{Deserialize, Serialize};

use crate::netlink::{Connection, Handle, NetlinkError, QdiscOptions, qdisc};

/// The priority of the first own filter. Filters are asked in rising order, and those without a priority of their own
/// start at 49152, so ours come before them and after the few that ask for the very front.
pub const OWN_PRIORITY: u16 = 0x0c40;

/// How many sets of filters can be told apart on one hook.
pub const SLOTS: u16 = 64;

/// The most filters one match may become; `u32` numbers 2,047 in a table.
pub const MOST_RULES: usize = 2000;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;

/// The ICMPv6 types of neighbour discovery: solicitations and advertisements of routers and neighbours, redirects.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// A match that no packet, or too many filters, would fulfil.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmatchable {
    /// Ports and ICMP at once.
    #[error("no packet matches both a port and the protocol icmp, which has no ports; leave one of them out")]
    PortsOfIcmp,
    /// A prefix longer than the address.
    #[error("the prefix length {prefix} of `{network}` is longer than the address")]
    PrefixTooLong {
        /// The network's address.
        network: IpAddr,
        /// The length asked for.
        prefix: u8,
    },
    /// More rules than `u32` numbers.
    #[error(
        "the addresses and ports of this fault would take {0} filters, more than the {MOST_RULES} the kernel keeps; \
         name networks instead of single addresses, or fewer ports"
    )]
    TooMany(usize),
}

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
    let any_port = matches.ports.is_empty() && matches.peers.iter().all(|peer| peer.port.is_none());
    if matches.protocol == Some(Protocol::Icmp) && !any_port {
        return Err(Unmatchable::PortsOfIcmp);
    }
    let mut rules = Vec::new();
    for family in [Family::V4, Family::V6] {
        for (addressed, port) in addressed(matches, family, direction)? {
            if matches.ports.is_empty() && port.is_none() {
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
) -> Result<Vec<(Rule, Option<u16>)>, Unmatchable> {
    if matches.peers.is_empty() {
        return Ok(vec![(Rule::any(family), None)]);
    }
    let of_family = matches.peers.iter().filter(|peer| peer.network.is_ipv4() == (family == Family::V4));
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
    remote: Option<u16>,
    either: &[u16],
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
    let source = |port: u16| (0xffff_0000, u32::from(port) << 16);
    let destination = |port: u16| (0x0000_ffff, u32::from(port));
    if let Some(port) = remote {
        let (mask, value) = match direction {
            Direction::Egress => destination(port),
            Direction::Ingress => source(port),
        };
        let Some(narrowed) = rule.and(offset, mask, value) else { return Vec::new() };
        rule = narrowed;
    }
    if either.is_empty() {
        return vec![rule];
    }
    let ends = either.iter().flat_map(|port| [source(*port), destination(*port)]);
    ends.filter_map(|(mask, value)| rule.clone().and(offset, mask, value)).collect()
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

/// Where a filter hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// On arriving packets, below `clsact`.
    Ingress,
    /// On departing packets, below `clsact`.
    Egress,
    /// On the classes of a qdisc.
    Qdisc(Handle),
}

impl Hook {
    const fn parent(self) -> Handle {
        match self {
            Self::Ingress => Handle::CLSACT_INGRESS,
            Self::Egress => Handle::CLSACT_EGRESS,
            Self::Qdisc(handle) => handle,
        }
    }
}

/// What happens to packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// They leave by another interface of the namespace instead (`mirred egress redirect`).
    Redirect(u32),
    /// They go to a class of the qdisc the filter hangs on.
    Class(Handle),
}

/// A filter as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The classifier's name: `u32`, `bpf`, `flower`.
    pub kind: String,
    /// Its priority; lower is asked first.
    pub priority: u16,
    /// The EtherType it is for.
    pub protocol: u16,
    /// The kernel's number of it; 0 for the entry that stands for the whole priority.
    pub handle: u32,
}

impl Filter {
    /// Tells whether the priority is one of ours.
    pub fn is_own(&self) -> bool {
        (OWN_PRIORITY..OWN_PRIORITY + 2 * SLOTS).contains(&self.priority)
    }
}

const fn priority(slot: u16, family: Family) -> u16 {
    OWN_PRIORITY + 2 * (slot % SLOTS) + family as u16
}

const fn ethertype(family: Family) -> u16 {
    match family {
        Family::V4 => ETH_P_IP,
        Family::V6 => ETH_P_IPV6,
    }
}

/// Priority and EtherType share one word, the EtherType in network order.
fn info(priority: u16, ethertype: u16) -> u32 {
    u32::from(TcHandle { major: priority, minor: ethertype.to_be() })
}

impl Connection {
    /// Makes sure interface `index` has a `clsact` qdisc; returns whether this call added it.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`], also when an `ingress` qdisc of somebody else is at its place.
    pub async fn ensure_clsact(&self, index: u32) -> Result<bool, NetlinkError> {
        let there = async || {
            let qdiscs = self.qdiscs(index).await?;
            Ok::<_, NetlinkError>(qdiscs.iter().any(|qdisc| qdisc.kind == "clsact"))
        };
        if there().await? {
            return Ok(false);
        }
        match self.add_qdisc(index, Handle::CLSACT, Handle::qdisc(0xffff), &QdiscOptions::Clsact).await {
            // Somebody was faster.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) && there().await? => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    /// Removes the `clsact` qdisc of interface `index` unless filters hang on it; returns whether it is gone.
    ///
    /// BPF programs attached as links (TCX) do not hang on it and stay.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn delete_clsact_if_unused(&self, index: u32) -> Result<bool, NetlinkError> {
        if !self.qdiscs(index).await?.iter().any(|qdisc| qdisc.kind == "clsact") {
            return Ok(true);
        }
        for hook in [Hook::Ingress, Hook::Egress] {
            if !self.filters(index, hook).await?.is_empty() {
                return Ok(false);
            }
        }
        self.delete_qdisc(index, Handle::CLSACT, Handle::qdisc(0xffff)).await?;
        Ok(true)
    }

    /// Adds filters for `rules` at a hook; `slot` (below [`SLOTS`]) keeps several sets on one hook apart.
    ///
    /// Either all are added or, after an error, none remains.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`]: `ENOENT` means that the kernel has no `u32` or no `mirred`.
    pub async fn add_filters(
        &self,
        index: u32,
        hook: Hook,
        slot: u16,
        rules: &[Rule],
        verdict: Verdict,
    ) -> Result<(), NetlinkError> {
        for rule in rules {
            let mut message = qdisc::message(index);
            message.header.parent = hook.parent().into();
            message.header.info = info(priority(slot, rule.family), ethertype(rule.family));
            message.attributes =
                vec![TcAttribute::Kind("u32".into()), TcAttribute::Options(u32_options(rule, verdict))];
            let action = format!("add a filter to interface {index}");
            let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
            if let Err(error) =
                self.request(RouteNetlinkMessage::NewTrafficFilter(message), flags, &action).await
            {
                self.delete_filters(index, hook, slot).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes the filters of `slot` at a hook, and no others; succeeds when there are none.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn delete_filters(&self, index: u32, hook: Hook, slot: u16) -> Result<(), NetlinkError> {
        for family in [Family::V4, Family::V6] {
            let mut message = qdisc::message(index);
            message.header.parent = hook.parent().into();
            message.header.info = info(priority(slot, family), ethertype(family));
            let action = format!("remove own filters from interface {index}");
            match self.request(RouteNetlinkMessage::DelTrafficFilter(message), NLM_F_ACK, &action).await {
                Err(error) if error.is_absent() => {}
                // The hook's qdisc is gone, and its filters with it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    let left = self.filters(index, hook).await.unwrap_or_default();
                    if left.iter().any(|filter| filter.priority == priority(slot, family)) {
                        return Err(error);
                    }
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Lists the filters at a hook; none when the hook's qdisc is not there.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn filters(&self, index: u32, hook: Hook) -> Result<Vec<Filter>, NetlinkError> {
        let mut message = qdisc::message(index);
        message.header.parent = hook.parent().into();
        let action = format!("list the filters of interface {index}");
        let request = RouteNetlinkMessage::GetTrafficFilter(message);
        let mut found = Vec::new();
        for answer in self.request(request, NLM_F_DUMP, &action).await? {
            let RouteNetlinkMessage::NewTrafficFilter(message) = answer else { continue };
            let info = TcHandle::from(message.header.info);
            let kind = message.attributes.iter().find_map(|attribute| match attribute {
                TcAttribute::Kind(kind) => Some(kind.clone()),
                _ => None,
            });
            found.push(Filter {
                kind: kind.unwrap_or_default(),
                priority: info.major,
                protocol: u16::from_be(info.minor),
                handle: message.header.handle.into(),
            });
        }
        Ok(found)
    }
}

fn u32_options(rule: &Rule, verdict: Verdict) -> Vec<TcOption> {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.keys = rule
        .keys
        .iter()
        .map(|key| {
            let mut raw = TcU32Key::default();
            (raw.off, raw.mask, raw.val) = (key.offset, key.mask, key.value);
            raw
        })
        .collect();
    if selector.keys.is_empty() {
        // A selector needs a key; one without a mask agrees with everything.
        selector.keys.push(TcU32Key::default());
    }
    selector.nkeys =
        u8::try_from(selector.keys.len()).expect("invariant: a rule has at most one key per header word");
    let outcome = match verdict {
        Verdict::Class(class) => TcFilterU32Option::ClassId(class.into()),
        Verdict::Redirect(target) => {
            let mut mirror = TcMirror::default();
            mirror.generic.action = TcActionType::Stolen;
            mirror.eaction = TcMirrorActionType::EgressRedir;
            mirror.ifindex = target;
            let mut action = TcAction::default();
            action.attributes = vec![
                TcActionAttribute::Kind(TcActionMirror::KIND.into()),
                TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))]),
            ];
            TcFilterU32Option::Action(vec![action])
        }
    };
    vec![TcOption::U32(TcFilterU32Option::Selector(selector)), TcOption::U32(outcome)]
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
