//! `probe NAME = KIND … from TARGET { … }`.

mod setting;

use std::time::Duration;

use chaos_core::{
    model::{Connections, Probe, ProbeKind, probe::Trust},
    span::{Span, Spanned},
};

pub use self::setting::SETTINGS;
use self::setting::{Draft, line_of};
use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest::{self, Advice},
    syntax::{Cursor, Item, ItemKind, Statement},
};

const KINDS: &[&str] = &["http", "tcp", "tls", "dns", "grpc", "exec", "prometheus"];
const CLUSTER_KINDS: &[&str] = &["kube", "envoy", "requests"];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const RECORDS: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];
impl Checker {
    /// Checks one probe.
    pub(super) fn probe(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Probe> {
        let name = statement.name()?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let Some(kind) = cursor.take_any_word() else {
            self.expected(&cursor, "a kind of probe").help =
                Some(format!("write {}", super::join_words(KINDS)));
            return None;
        };
        let parsed = match kind.text {
            "http" => self.http(&mut cursor, names),
            "tcp" => self.take_string(&mut cursor, "a host and port in quotes").and_then(|address| {
                self.host_and_port(&address, names).then_some(ProbeKind::Tcp { address })
            }),
            "tls" => self.tls(&mut cursor, names),
            "dns" => self.dns(&mut cursor),
            "grpc" => self.grpc(&mut cursor, names),
            "exec" => self.exec(&mut cursor),
            "prometheus" => self.prometheus(&mut cursor, names),
            word => {
                if CLUSTER_KINDS.contains(&word) {
                    self.needs_cluster(kind.span, &format!("a probe of kind `{word}`"));
                } else {
                    let near = suggest::did_you_mean(word, KINDS.iter().copied());
                    let kinds = || format!("there is {}", super::join_words(KINDS)).into();
                    self.error(Code::UnknownKind, kind.span, format!("unknown kind of probe `{word}`"))
                        .advise(near.unwrap_or_else(kinds));
                }
                return None;
            }
        };
        if parsed.is_none() {
            // The mistake has been told; go on behind it.
            while cursor.peek().is_some_and(|i| !i.is_word("from") && !matches!(i.kind, ItemKind::Block(_))) {
                cursor.take();
            }
        }
        self.measured(statement, &mut cursor, name, parsed, names)
    }

    /// Reads where and how something is measured: what stands behind its kind.
    pub(super) fn measured(
        &mut self,
        statement: &Statement<'_>,
        cursor: &mut Cursor<'_, '_>,
        name: Spanned<String>,
        parsed: Option<ProbeKind>,
        names: &Names,
    ) -> Option<Probe> {
        let mut from = None;
        if cursor.take_word("from").is_some() {
            from = self.selector(cursor, names);
        } else if cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_))) {
            // Told at the end of the statement; its block is read all the same.
            self.end(cursor, &["from"]);
            while cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_))) {
                cursor.take();
            }
        } else if names.lab.is_some() {
            self.error(
                Code::MissingLine,
                Span { end: cursor.previous().end, ..statement.span },
                format!("the probe `{name}` does not say where it is sent from"),
            )
            .help = Some("add `from HOST`; the runner itself is not on the lab's network".into());
        }
        let mut probe = Probe {
            name,
            kind: parsed.clone().unwrap_or(ProbeKind::Custom { prober: String::new() }),
            from,
            rate: 10.0,
            timeout: Duration::from_secs(5),
            connections: Connections::Fresh,
            ok_when: None,
            labels: Vec::new(),
            trust: Trust::default(),
            span: statement.span,
        };
        let polled = matches!(parsed, Some(ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. }));
        if polled {
            (probe.rate, probe.connections) = (1.0, Connections::Reuse(1));
        }
        if matches!(parsed, Some(ProbeKind::Tls { .. } | ProbeKind::Exec { .. })) {
            probe.rate = 1.0;
        }
        if polled {
            self.read_at_one_place(probe.from.as_ref(), names);
        }
        let head = Span { end: cursor.previous().end, ..statement.span };
        let mut draft = Draft { probe, kind: parsed, connections: None };
        let strange = cursor.take_block().is_some_and(|block| self.probe_settings(block, &mut draft));
        let Draft { mut probe, kind, connections } = draft;
        if polled && let Some(line) = line_of(statement, &["ok", "label"]) {
            self.misfit(line, &format!("`{}` belongs to a probe whose answers are judged", line.keyword()));
        }
        self.end(cursor, &["from"]);
        match (connections, &kind) {
            (Some(chosen), _) => probe.connections = chosen,
            (None, Some(ProbeKind::Http { .. })) if !strange => {
                self.error(Code::MissingLine, head, "an http probe says how it uses connections").help =
                    Some("add `connections reuse 10`, or `connections fresh`: which of them is often the very question".into());
            }
            _ => {}
        }
        probe.kind = kind?;
        Some(probe)
    }

    fn http(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let method = match cursor.peek().and_then(Item::as_word) {
            Some(word) if METHODS.contains(&word.text) => {
                cursor.take();
                word.text.to_owned()
            }
            Some(word) if METHODS.contains(&word.text.to_uppercase().as_str()) => {
                let upper = word.text.to_uppercase();
                self.error(
                    Code::Misplaced,
                    word.span,
                    format!("the method `{}` is written in capitals", word.text),
                )
                .advise(Advice::write(&*upper));
                cursor.take();
                upper
            }
            Some(word) if word.text != "from" => {
                let near = suggest::did_you_mean(word.text, METHODS.iter().copied());
                self.error(Code::Misplaced, word.span, format!("unknown method `{}`", word.text)).advise(
                    near.unwrap_or_else(|| "write `GET`, `POST` or another method in capitals".into()),
                );
                cursor.take();
                return None;
            }
            _ => "GET".to_owned(),
        };
        let url = self.take_string(cursor, "a URL in quotes")?;
        self.web_address(&url, names)?;
        Some(ProbeKind::Http { method, url, headers: Vec::new(), body: None })
    }

    fn dns(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<ProbeKind> {
        let mut record = "A".to_owned();
        if let Some(word) = cursor.peek().and_then(Item::as_word) {
            if !RECORDS.contains(&word.text) {
                let near = suggest::did_you_mean(word.text, RECORDS.iter().copied());
                let records = || format!("there is {}", super::join_words(RECORDS)).into();
                self.error(Code::UnknownKind, word.span, format!("unknown record type `{}`", word.text))
                    .advise(near.unwrap_or_else(records));
                cursor.take();
                return None;
            }
            record = word.text.to_owned();
            cursor.take();
        }
        let name = self.take_string(cursor, "the name to ask for, in quotes")?;
        if name.is_empty() || name.len() > 253 || name.split('.').any(|l| l.len() > 63) {
            self.error(
                Code::BadAddress,
                name.span,
                format!("`{name}` is not a name that can be asked for"),
            )
            .help = Some("a name has at most 253 characters, and 63 between two dots".into());
            return None;
        }
        Some(ProbeKind::Dns { record, name, server: None })
    }
}
