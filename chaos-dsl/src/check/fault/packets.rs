//! `fault NAME = EFFECT … [and EFFECT …] on TARGET …`: what is done to packets, and to which.

use chaos_core::{
    model::{
        Action, FaultSpec, PacketFault, Traffic,
        packets::{Ports, Protocol, Way},
    },
    span::{Span, Spanned},
    which::Which,
};

use super::Acting;
use crate::{
    check::{Checker, Names},
    codes::Code,
    diagnostic::Label,
    suggest::Advice,
    syntax::{Cursor, Item, Statement},
};

/// The words that may follow a fault's kind.
const CLAUSES: &[&str] = &["on", "to", "from", "port", "protocol", "egress", "ingress", "both", "and"];

impl Checker {
    /// Checks what is done to packets.
    pub(super) fn packets(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
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
                        error.secondary.push(Label { span: first, message: "here first".into() });
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
        if on.is_none() {
            self.target_behind_from(statement, &ways)?;
        }
        self.way(&mut traffic, &ways)?;
        let proven_by = self.proven_by(&mut cursor, names);
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

    /// Reports `delay 200ms from web to app`: the first of the two is the target, as other tools write it.
    fn target_behind_from(&mut self, statement: &Statement<'_>, ways: &[(&str, Span)]) -> Option<()> {
        let [("from", from), ("to", _)] = ways else { return Some(()) };
        let behind = |word: &str| {
            let at = statement.items.iter().position(|item| item.is_word(word))?;
            statement.items.get(at + 1)?.as_word().map(|word| word.text)
        };
        let help = match (behind("from"), behind("to")) {
            (Some(target), Some(peer)) => format!("did you mean `on {target} to {peer}`?"),
            _ => "write `on TARGET to PEER`".to_owned(),
        };
        self.error(Code::MissingLine, *from, "what a fault is put on stands behind `on`")
            .advise(Advice::replace(help, "on"));
        None
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
                error.secondary.push(Label { span: *first, message: "here first".into() });
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
