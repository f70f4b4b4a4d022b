//! What one effect on packets is: its kind and its settings.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use chaos_core::{
    model::{
        Distribution, FaultSpec, Selector, Traffic, Unit,
        packets::{Blocked, Refusal, Way},
    },
    span::Spanned,
};

use super::{CUSTOM, DNS, OBJECTS, PROCESSES};
use crate::{
    check::{Checker, Names, join_words},
    codes::Code,
    suggest,
    syntax::{Cursor, Item},
};

/// Kinds of the language that this version does not do, and whether they need a cluster.
const OTHER_KINDS: &[(&str, bool)] = &[
    ("certificate", true),
    ("flap", false),
    ("gateway", true),
    ("http", false),
    ("networkpolicy", true),
    ("ramp", false),
];

/// Lists the kinds that there are, in a cluster or elsewhere.
fn kinds(in_cluster: bool) -> String {
    let of_scope = if in_cluster { &OBJECTS[..] } else { &PROCESSES[..] };
    let kinds: Vec<&str> =
        FaultSpec::KINDS.into_iter().chain([DNS, CUSTOM]).chain(of_scope.iter().copied()).collect();
    format!("there is {}", join_words(&kinds))
}

/// What a reordering holds the other packets for, where the file does not say.
const REORDER_HOLD: Duration = Duration::from_millis(10);

impl Checker {
    /// Reads one kind with its settings; `block A to B` and `partition A from B` name their target as well.
    pub(super) fn spec(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        names: &Names,
        on: &mut Option<Selector>,
        traffic: &mut Traffic,
    ) -> Option<Spanned<FaultSpec>> {
        let Some(kind) = cursor.take_any_word() else {
            self.expected(cursor, "a kind of fault").help = Some(kinds(self.in_cluster));
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
                let known = known.chain([DNS, CUSTOM]).chain(OBJECTS).chain(PROCESSES);
                match OTHER_KINDS.iter().find(|(k, _)| *k == word) {
                    Some((_, true)) => self.needs_cluster(kind.span, &format!("the fault `{word}`")),
                    Some((_, false)) => {
                        self.not_yet(kind.span, &format!("the fault `{word}`")).help =
                            Some(kinds(self.in_cluster));
                    }
                    None if word == "run" => {
                        let message =
                            "another program on a host is not a fault: it stays to the end of the run";
                        self.error(Code::UnknownKind, kind.span, message).help = Some(
                            "write `change NAME = run … on HOST`, and `make NAME` in the timeline".into(),
                        );
                    }
                    None => {
                        let (near, in_cluster) = (suggest::did_you_mean(word, known), self.in_cluster);
                        self.error(Code::UnknownKind, kind.span, format!("unknown kind of fault `{word}`"))
                            .advise(near.unwrap_or_else(|| kinds(in_cluster).into()));
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
        let mut ordered = false;
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
                Some("in") => {
                    cursor.take();
                    if cursor.take_word("order").is_none() {
                        self.expected(cursor, "`order`").help =
                            Some("write `delay 20ms jitter 5ms in order`".into());
                        return None;
                    }
                    ordered = true;
                }
                _ => break,
            }
        }
        if jitter.is_zero() && (correlation > 0.0 || distribution != Distribution::Uniform || ordered) {
            self.error(
                Code::MissingLine,
                cursor.previous(),
                "without `jitter` every packet is delayed alike",
            )
            .help = Some("add `jitter 10ms`, or remove what is about its deviations".into());
            return None;
        }
        Some(FaultSpec::Delay { delay, jitter, correlation, distribution, ordered })
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
}
