//! `u32` filters: which packets go where.
//!
//! A [`PacketMatch`](chaos_core::injector::PacketMatch) is compiled by [`compile`] into a list of [`Rule`]s, each a
//! conjunction of masked 32-bit words at fixed places of the IP header; a packet matches when one rule does. `u32`
//! knows no "not", so "any IPv6 packet but neighbour discovery" becomes the prefixes of its complement. What fixed
//! places cannot see does not match: ports of IPv4 packets with options or of later fragments, and transport headers
//! behind IPv6 extension headers.

mod rule;

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

pub use rule::{Family, Key, Rule, compile};

use crate::netlink::{Connection, Handle, NetlinkError, QdiscOptions, qdisc};

/// The priority of the first own filter. Filters are asked in rising order, and those without a priority of their own
/// start at 49152, so ours come before them and after the few that ask for the very front.
pub const OWN_PRIORITY: u16 = 0x0c40;

/// How many sets of filters one hook distinguishes.
pub const SLOTS: u16 = 64;

/// From here on the kernel numbers the filters of one priority; the numbers below are free to say something.
const FIRST_FREE: u16 = 0x800;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

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
    /// They are received by another interface of the namespace instead (`mirred ingress redirect`).
    Receive(u32),
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
        self.slot().is_some()
    }

    /// Tells whether it is asked before all of ours, and is none of them.
    pub fn is_ahead(&self) -> bool {
        self.priority < OWN_PRIORITY
    }

    /// Tells whether it says that the `clsact` it hangs on was added for it.
    pub(crate) fn is_with_hook(&self) -> bool {
        self.is_own() && (1..u32::from(FIRST_FREE)).contains(&(self.handle & 0xfff))
    }

    /// Returns which set of filters it is of; none where it is none of ours.
    pub fn slot(&self) -> Option<u16> {
        let slot = self.priority.checked_sub(OWN_PRIORITY)? / 2;
        (slot < SLOTS).then_some(slot)
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
        self.add_numbered(index, hook, slot, rules, verdict, false).await
    }

    /// Adds filters as [`Connection::add_filters`] does; `with_hook` has them say that the `clsact` was added for them, so that it
    /// can go with them although nobody remembers it.
    ///
    /// # Errors
    /// As [`Connection::add_filters`].
    pub(crate) async fn add_numbered(
        &self,
        index: u32,
        hook: Hook,
        slot: u16,
        rules: &[Rule],
        verdict: Verdict,
        with_hook: bool,
    ) -> Result<(), NetlinkError> {
        for (number, rule) in (1..FIRST_FREE).zip(rules) {
            let mut message = qdisc::message(index);
            if with_hook {
                message.header.handle = TcHandle { major: 0, minor: number };
            }
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
                done => {
                    done?;
                }
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
        Verdict::Redirect(target) | Verdict::Receive(target) => {
            let mut mirror = TcMirror::default();
            mirror.generic.action = TcActionType::Stolen;
            mirror.eaction = match verdict {
                Verdict::Receive(_) => TcMirrorActionType::IngressRedir,
                _ => TcMirrorActionType::EgressRedir,
            };
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
