//! `fault NAME = KIND … [and KIND …] on TARGET …`.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use chaos_core::{
    model::{
        Action, Comparison, Course, Distribution, Fault, FaultSpec, PacketFault, Selector, Traffic, Unit,
        packets::{Blocked, Destination, Ports, Protocol, Refusal, Way, Who},
    },
    span::{Span, Spanned},
    which::Which,
};

use super::{Checker, Names, target::CLUSTER_SELECTORS};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item, ItemKind, Statement, Symbol},
};

/// Kinds of the language that this version does not do, and whether they need a cluster.
const OTHER_KINDS: &[(&str, bool)] = &[
    ("certificate", true),
    ("detach", true),
    ("drain", true),
    ("evict", true),
    ("flap", false),
    ("gateway", true),
    ("http", false),
    ("networkpolicy", true),
    ("outage", true),
    ("patch", true),
    ("pause", false),
    ("ramp", false),
    ("restart", true),
];

/// The word for what happens to queries for names.
const DNS: &str = "dns";

/// The word for what an injector of the harness does.
const CUSTOM: &str = "custom";

/// Lists the kinds that there are.
fn kinds() -> String {
    let kinds: Vec<&str> = FaultSpec::KINDS.into_iter().chain([DNS, CUSTOM]).collect();
    format!("there is {}", super::join_words(&kinds))
}

/// The words that may follow a fault's kind.
const CLAUSES: &[&str] = &["on", "to", "from", "port", "protocol", "egress", "ingress", "both", "and"];

/// What a reordering holds the other packets for, where the file does not say.
const REORDER_HOLD: Duration = Duration::from_millis(10);

/// What a fault or a change does, and to whom.
pub(super) struct Acting {
    pub(super) action: Action,
    pub(super) on: Selector,
    pub(super) proven_by: Option<Comparison>,
}

impl Checker {
    /// Checks one fault.
    pub(super) fn fault(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Fault> {
        let name = statement.name()?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        let Acting { action, on, proven_by } = self.acting(statement, names)?;
        Some(Fault { name, action, on, course: Course::Steady, proven_by, span: statement.span })
    }

    /// Checks what stands behind the `=` of a fault, or of a change that is written as one.
    pub(super) fn acting(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let family = statement.definition().first().and_then(Item::as_word).map(|word| word.text);
        let acting = match family {
            Some(CUSTOM) => self.custom(statement, names),
            Some(DNS) => self.queries(statement, names),
            _ => self.packets(statement, names),
        }?;
        self.counted(&acting.on)?;
        Some(acting)
    }

    /// Checks what is done to packets.
    fn packets(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let mut specs: Vec<Spanned<FaultSpec>> = Vec::new();
        let mut on = None;
        let mut traffic = Traffic::default();
        let mut ways: Vec<(&str, Span)> = Vec::new();
        let mut whole = true;
        loop {
            let known =
                cursor.peek().and_then(Item::as_word).is_some_and(|w| FaultSpec::KINDS.contains(&w.text));
            let spec = self.spec(&mut cursor, names, &mut on, &mut traffic);
            match spec {
                Some(spec) => {
                    if let Some(first) = specs.iter().find(|s| s.kind() == spec.kind()) {
                        let message = format!("`{}` stands twice in one fault", spec.kind());
                        let first = first.span;
                        let error = self.error(Code::DuplicateLine, spec.span, message);
                        error
                            .secondary
                            .push(crate::diagnostic::Label { span: first, message: "here first".into() });
                        error.help = Some("write two faults and inject both".into());
                    }
                    specs.push(spec);
                }
                None => {
                    whole = false;
                    if known {
                        self.rest_of_fault(cursor.clone(), names);
                    }
                    break;
                }
            }
            if cursor.take_word("and").is_none() {
                break;
            }
        }
        if !whole {
            return None;
        }
        let mut good = true;
        while good {
            match cursor.peek().and_then(Item::as_word).map(|w| w.text) {
                Some("on") if on.is_none() => {
                    cursor.take();
                    on = self.selector(&mut cursor, names);
                    good = on.is_some();
                }
                Some("to" | "from") => {
                    let span = cursor.span();
                    let from = cursor.take_word("from").is_some();
                    if !from {
                        cursor.take();
                    }
                    match self.destinations(&mut cursor, names) {
                        Some(all) => all.into_iter().for_each(|one| traffic.peers.add(one)),
                        None => good = false,
                    }
                    ways.push((if from { "from" } else { "to" }, span));
                }
                Some("port") => {
                    cursor.take();
                    match self.take_ports(&mut cursor) {
                        Some(all) => all.into_iter().for_each(|ports| traffic.ports.add(ports)),
                        None => good = false,
                    }
                }
                Some("protocol") => {
                    cursor.take();
                    traffic.protocol = match cursor.take_any_word().map(|w| w.text) {
                        Some("tcp") => Some(Protocol::Tcp),
                        Some("udp") => Some(Protocol::Udp),
                        Some("icmp") => Some(Protocol::Icmp),
                        _ => {
                            let span = cursor.previous();
                            self.error(Code::Misplaced, span, "a protocol is `tcp`, `udp` or `icmp`").help =
                                Some("write one of them, or leave out `protocol` for all".into());
                            good = false;
                            None
                        }
                    };
                }
                Some(word @ ("egress" | "ingress" | "both")) => {
                    let span = cursor.span();
                    cursor.take();
                    ways.push((word, span));
                }
                _ => break,
            }
        }
        if !good {
            return None;
        }
        self.way(&mut traffic, &ways)?;
        let mut proven_by = None;
        if let Some(block) = cursor.take_block() {
            for line in &block.statements {
                match (line.keyword(), line.formula()) {
                    ("proven", Some(formula)) => proven_by = self.proof(formula, names),
                    _ => {
                        let message = "a fault's block holds only `proven by`";
                        self.error(Code::UnknownStatement, line.span, message).help =
                            Some("write `proven by p50(probe.latency) >= baseline + 50ms`".into());
                    }
                }
            }
        }
        let before = self.out.len();
        self.end(&cursor, CLAUSES);
        let Some(on) = on else {
            // A word that does not belong here may be the target without its `on`.
            if self.out.len() > before {
                return None;
            }
            self.without_target(statement);
            return None;
        };
        if let Some(port) = a_port(&traffic)
            && traffic.protocol == Some(Protocol::Icmp)
        {
            let message = format!("icmp has no ports, and the fault names port {port}");
            self.error(Code::Misplaced, statement.span, message).help =
                Some("remove the port, or name `tcp` or `udp`".into());
            return None;
        }
        Some(Acting { action: Action::Packets(PacketFault { specs, traffic }), on, proven_by })
    }

    /// Says that a fault has no `on`.
    pub(super) fn without_target(&mut self, statement: &Statement<'_>) {
        let name = statement.name().map_or("", |word| word.text);
        self.error(Code::MissingLine, statement.span, format!("the fault `{name}` does not say on what"))
            .help = Some("add `on HOST`, or `on here`".into());
    }

    /// Settles which way the traffic goes: `to` speaks of what the target sends, `from` of what it receives.
    fn way(&mut self, traffic: &mut Traffic, ways: &[(&str, Span)]) -> Option<()> {
        for (i, (word, span)) in ways.iter().enumerate() {
            let opposite = |other: &&(&str, Span)| {
                matches!(
                    (other.0, *word),
                    ("to" | "egress", "from" | "ingress") | ("from" | "ingress", "to" | "egress")
                ) || (matches!(other.0, "egress" | "ingress" | "both")
                    && other.0 != *word
                    && *word != "to"
                    && *word != "from")
            };
            if let Some((other, first)) = ways.iter().take(i).find(opposite) {
                let message =
                    format!("`{word}` stands beside `{other}`, and both say which way the traffic goes");
                let error = self.error(Code::Misplaced, *span, message);
                error.secondary.push(crate::diagnostic::Label { span: *first, message: "here first".into() });
                error.help = Some("write `to X both` for both ways of one peer, or two faults".into());
                return None;
            }
        }
        let says = |word: &str| ways.iter().any(|(w, _)| *w == word);
        if says("both") {
            traffic.direction = Way::Both;
        } else if (says("from") || says("ingress")) && traffic.direction == Way::Egress {
            traffic.direction = Way::Ingress;
        }
        Some(())
    }

    /// Checks what a fault is on where its kind is wrong, so that one look tells both mistakes.
    pub(super) fn rest_of_fault(&mut self, mut cursor: Cursor<'_, '_>, names: &Names) {
        while let Some(item) = cursor.take() {
            if item.is_word("on") {
                self.selector(&mut cursor, names);
                return;
            }
        }
    }

    /// Reads one kind with its settings; `block A to B` and `partition A from B` name their target as well.
    fn spec(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        names: &Names,
        on: &mut Option<Selector>,
        traffic: &mut Traffic,
    ) -> Option<Spanned<FaultSpec>> {
        let Some(kind) = cursor.take_any_word() else {
            self.expected(cursor, "a kind of fault").help = Some(kinds());
            return None;
        };
        let spec = match kind.text {
            "delay" => self.delay(cursor)?,
            "loss" => {
                let ratio = self.take_share(cursor, "the loss", false)?;
                let mut burst = None;
                if cursor.take_words(&["in", "bursts", "of"]).is_some() {
                    burst = Some(self.take_count(cursor, "the mean length of a burst", 2, 10_000)?);
                    if cursor.take_word("packets").is_none() {
                        self.expected(cursor, "`packets`").help =
                            Some("write `loss 5% in bursts of 8 packets`".into());
                        return None;
                    }
                    if ratio >= 1.0 {
                        self.error(Code::OutOfRange, cursor.previous(), "a loss of 100% has no bursts")
                            .help = Some("leave out the bursts, or lose less".into());
                        return None;
                    }
                }
                FaultSpec::Loss { ratio, burst }
            }
            "duplicate" => {
                FaultSpec::Duplicate { ratio: self.take_share(cursor, "the share of duplicates", false)? }
            }
            "corrupt" => {
                FaultSpec::Corrupt { ratio: self.take_share(cursor, "the share of damaged packets", false)? }
            }
            "reorder" => {
                let ratio = self.take_share(cursor, "the share of overtaking packets", false)?;
                let mut hold = REORDER_HOLD;
                if ratio >= 1.0 {
                    let message = "when all packets overtake, none does";
                    self.error(Code::OutOfRange, cursor.previous(), message).help =
                        Some("write a share below 100%".into());
                    return None;
                }
                if cursor.take_word("hold").is_some() {
                    hold = self.take_duration(cursor, "the time that others are held", false)?;
                }
                FaultSpec::Reorder { ratio, hold }
            }
            "bandwidth" => self.bandwidth(cursor)?,
            "block" => {
                let mut connections = Blocked::All;
                let mut answer = Refusal::Drop;
                if !cursor.peek().is_some_and(|i| i.is_word("on")) {
                    *on = Some(self.selector(cursor, names)?);
                }
                loop {
                    match cursor.peek().and_then(Item::as_word).map(|w| w.text) {
                        Some("to") => {
                            cursor.take();
                            self.destinations(cursor, names)?
                                .into_iter()
                                .for_each(|one| traffic.peers.add(one));
                            continue;
                        }
                        Some("new") => connections = Blocked::New,
                        Some("established") => connections = Blocked::Established,
                        Some("all") => connections = Blocked::All,
                        Some("drop") => answer = Refusal::Drop,
                        Some("reject") => answer = Refusal::Reject,
                        _ => break,
                    }
                    cursor.take();
                }
                FaultSpec::Block { connections, answer }
            }
            "partition" => {
                *on = Some(self.selector(cursor, names)?);
                if cursor.take_word("from").is_some() {
                    self.destinations(cursor, names)?.into_iter().for_each(|one| traffic.peers.add(one));
                }
                traffic.direction = Way::Both;
                FaultSpec::Partition
            }
            word => {
                let known = FaultSpec::KINDS.iter().copied().chain(OTHER_KINDS.iter().map(|(k, _)| *k));
                let known = known.chain([DNS, CUSTOM]);
                match OTHER_KINDS.iter().find(|(k, _)| *k == word) {
                    Some((_, true)) => self.needs_cluster(kind.span, &format!("the fault `{word}`")),
                    Some((_, false)) => {
                        self.not_yet(kind.span, &format!("the fault `{word}`")).help = Some(kinds());
                    }
                    None if word == "run" => {
                        let message =
                            "another program on a host is not a fault: it stays to the end of the run";
                        self.error(Code::UnknownKind, kind.span, message).help = Some(
                            "write `change NAME = run … on HOST`, and `make NAME` in the timeline".into(),
                        );
                    }
                    None if matches!(word, "kill") => self.needs_cluster(kind.span, "the fault `kill`"),
                    None => {
                        let near = suggest::did_you_mean(word, known);
                        self.error(Code::UnknownKind, kind.span, format!("unknown kind of fault `{word}`"))
                            .advise(near.unwrap_or_else(|| kinds().into()));
                    }
                }
                return None;
            }
        };
        Some(Spanned::new(spec, kind.span.to(cursor.previous())))
    }

    fn delay(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<FaultSpec> {
        let delay = self.take_duration(cursor, "the delay", true)?;
        let (mut jitter, mut correlation, mut distribution) = (Duration::ZERO, 0.0, Distribution::Uniform);
        loop {
            match cursor.peek().and_then(Item::as_word).map(|w| w.text) {
                Some("jitter") => {
                    cursor.take();
                    jitter = self.take_duration(cursor, "the jitter", true)?;
                    if jitter > delay {
                        let message =
                            "the jitter is larger than the delay, and nothing arrives before it was sent";
                        self.error(Code::OutOfRange, cursor.previous(), message).help =
                            Some("make the jitter at most the delay".into());
                        return None;
                    }
                }
                Some("correlation") => {
                    cursor.take();
                    correlation = self.take_share(cursor, "the correlation", true)?;
                }
                Some("distribution") => {
                    cursor.take();
                    distribution = match cursor.take_any_word() {
                        Some(w) if w.text == "normal" => Distribution::Normal,
                        Some(w) if w.text == "pareto" => Distribution::Pareto,
                        Some(w) if w.text == "uniform" => Distribution::Uniform,
                        _ => {
                            let span = cursor.previous();
                            let message = "a distribution is `normal`, `pareto` or `uniform`";
                            self.error(Code::Misplaced, span, message).help =
                                Some("write `distribution normal`, or leave it out for `uniform`".into());
                            return None;
                        }
                    };
                }
                _ => break,
            }
        }
        if jitter.is_zero() && (correlation > 0.0 || distribution != Distribution::Uniform) {
            self.error(
                Code::MissingLine,
                cursor.previous(),
                "without `jitter` every packet is delayed alike",
            )
            .help = Some("add `jitter 10ms`, or remove the correlation and the distribution".into());
            return None;
        }
        Some(FaultSpec::Delay { delay, jitter, correlation, distribution })
    }

    fn bandwidth(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<FaultSpec> {
        let rate = self.take_value(cursor, Unit::BitsPerSecond, "the bandwidth")?;
        if !(8_000.0..=1e12).contains(&rate.value.value) {
            self.error(Code::OutOfRange, rate.span, "the bandwidth must lie between 8kbit and 1000gbit")
                .help = Some("for no traffic at all write `block A to B`".into());
            return None;
        }
        let rate = rate.value.value as u64;
        // 10 ms worth of bytes, and never less than what one large segment needs.
        let mut burst = (rate / 800).max(32 * 1024);
        if cursor.take_word("burst").is_some() {
            let size = self.take_value(cursor, Unit::Bytes, "the burst")?;
            if !(1_600.0..=1e9).contains(&size.value.value) {
                let message = "the burst must hold at least one packet: 1600 bytes or more";
                self.error(Code::OutOfRange, size.span, message).help = Some("write `burst 32kb`".into());
                return None;
            }
            burst = size.value.value as u64;
        }
        Some(FaultSpec::Bandwidth { rate, burst })
    }

    /// Reads who the other end is: one, or several in a list, with their ports.
    fn destinations(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Vec<Destination>> {
        let start = cursor.span();
        let all = match cursor.peek().map(|item| &item.kind) {
            Some(ItemKind::List(list)) => {
                cursor.take();
                let mut all = Vec::new();
                for item in list {
                    let mut one = Cursor::new(std::slice::from_ref(item), item.span);
                    all.push(self.who(&mut one, names)?);
                }
                if all.is_empty() {
                    self.error(Code::BadAddress, start, "a list of destinations without any").help =
                        Some("write `to [10.0.0.1, fd71::2]`, or leave out `to` for all".into());
                    return None;
                }
                all
            }
            _ => vec![self.who(cursor, names)?],
        };
        let ports = match cursor.take_symbol(Symbol::Colon) {
            Some(_) => self.take_ports(cursor)?.into_iter().map(Some).collect(),
            None => vec![None],
        };
        let span = start.to(cursor.previous());
        let of_one = |who: &Who| -> Vec<Destination> {
            ports.iter().map(|port| Destination { who: who.clone(), port: *port, span }).collect()
        };
        Some(all.iter().flat_map(of_one).collect())
    }

    /// Reads who the other end is.
    fn who(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Who> {
        let start = cursor.span();
        Some(match cursor.peek().map(|i| &i.kind) {
            Some(ItemKind::Address(address, prefix)) => {
                let whole = if address.is_ipv4() { 32 } else { 128 };
                let (address, prefix) = (*address, prefix.unwrap_or(whole));
                cursor.take();
                Who::Network { address, prefix }
            }
            Some(ItemKind::Word(word))
                if CLUSTER_SELECTORS.contains(word)
                    && !self.in_cluster
                    && !names.hosts().iter().any(|h| h == word) =>
            {
                self.needs_cluster(start, &format!("`{word}`"));
                return None;
            }
            _ => match self.selector(cursor, names)? {
                Selector::Here(_) | Selector::Netns(_) | Selector::Process(_) => {
                    self.error(Code::Misplaced, start, "the other end is an address here").help =
                        Some("write `to 10.0.0.0/8`, or `to 192.0.2.1:443`".into());
                    return None;
                }
                selector @ (Selector::Hosts(_)
                | Selector::Pods(_)
                | Selector::Service(_)
                | Selector::Named(_)) => Who::Objects(selector),
            },
        })
    }
}

/// Returns a port that the traffic is narrowed to, where there is one.
fn a_port(traffic: &Traffic) -> Option<Ports> {
    let own = match &traffic.ports {
        Which::Any => None,
        Which::These(ports) => Some(*ports.first()),
    };
    own.or_else(|| match &traffic.peers {
        Which::Any => None,
        Which::These(peers) => peers.iter().find_map(|peer| peer.port),
    })
}
