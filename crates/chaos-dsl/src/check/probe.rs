//! `probe NAME = KIND … from TARGET { … }`.

use std::time::Duration;

use chaos_core::{
    model::{
        Connections, Probe, ProbeKind, Unit,
        probe::{HeaderValue, Label, LabelSource, Trust},
    },
    span::{Span, Spanned},
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item, ItemKind, Statement, Symbol},
};

const KINDS: &[&str] = &["http", "tcp", "tls", "dns", "grpc", "exec", "prometheus"];
const CLUSTER_KINDS: &[&str] = &["kube", "envoy", "requests"];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const RECORDS: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];
/// What may stand in a probe's block.
pub const SETTINGS: &[&str] = &[
    "connections",
    "rate",
    "every",
    "timeout",
    "header",
    "body",
    "ok",
    "label",
    "server",
    "unit",
    "take",
    "default",
    "trust",
    "name",
    "service",
];

/// The most measurements per second of one probe and place.
const MAX_RATE: f64 = 100_000.0;

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
                    let help = suggest::did_you_mean(word, KINDS.iter().copied());
                    self.error(Code::UnknownKind, kind.span, format!("unknown kind of probe `{word}`"))
                        .help = help.or_else(|| Some(format!("there is {}", super::join_words(KINDS))));
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
        mut parsed: Option<ProbeKind>,
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
        let (mut connections, mut strange) = (None, false);
        let head = Span { end: cursor.previous().end, ..statement.span };
        if let Some(block) = cursor.take_block() {
            let mut seen: Vec<&str> = Vec::new();
            for line in &block.statements {
                let word = line.keyword();
                if !SETTINGS.contains(&word) {
                    let help = suggest::did_you_mean(word, SETTINGS.iter().copied());
                    let help = help.or_else(|| Some(format!("a probe has {}", super::join_words(SETTINGS))));
                    self.error(Code::UnknownStatement, line.span, format!("unknown setting `{word}`")).help =
                        help;
                    // Whatever it was meant to be, it is not missing.
                    strange = true;
                    continue;
                }
                if matches!(word, "rate" | "every")
                    && seen.iter().any(|w| matches!(*w, "rate" | "every") && *w != word)
                {
                    self.error(Code::DuplicateLine, line.span, "`rate` and `every` say the same").help =
                        Some("remove one of them".into());
                    continue;
                }
                if seen.contains(&word) && !matches!(word, "header" | "label") {
                    self.error(Code::DuplicateLine, line.span, format!("`{word}` stands twice")).help =
                        Some("remove one of them".into());
                    continue;
                }
                seen.push(word);
                let mut cursor = line.cursor();
                cursor.take();
                match word {
                    "connections" => {
                        connections = Some(self.connections(&mut cursor).unwrap_or(Connections::Fresh));
                    }
                    "rate" => {
                        if let Some(rate) = self.take_value(&mut cursor, Unit::PerSecond, "the rate") {
                            if rate.value.value <= 0.0 || rate.value.value > MAX_RATE {
                                let message =
                                    format!("the rate must lie above 0/s and not above {MAX_RATE}/s");
                                self.error(Code::OutOfRange, rate.span, message).help =
                                    Some("write `rate 100/s`".into());
                            } else {
                                probe.rate = rate.value.value;
                            }
                        }
                    }
                    "every" => {
                        if let Some(interval) = self.take_duration(&mut cursor, "the time between two", false)
                        {
                            probe.rate = 1.0 / interval.as_secs_f64();
                            if probe.rate > MAX_RATE {
                                let message = format!("that is more often than {MAX_RATE} times a second");
                                self.error(Code::OutOfRange, line.span, message).help =
                                    Some("write `every 1s`".into());
                            }
                        }
                    }
                    "unit" => {
                        let found = self.scale(&mut cursor);
                        match &mut parsed {
                            Some(ProbeKind::Prometheus { scale, .. } | ProbeKind::Exec { scale, .. }) => {
                                *scale = found.unwrap_or(*scale)
                            }
                            None => {}
                            Some(_) => self.misfit(line, "`unit` belongs to a probe that reads a number"),
                        }
                    }
                    "trust" => {
                        let found = self.trust(&mut cursor);
                        let https = |url: &Spanned<String>| url.starts_with("https://");
                        match &mut parsed {
                            Some(ProbeKind::Tls { .. }) | None => {}
                            Some(ProbeKind::Grpc { secure, .. }) => *secure = true,
                            Some(
                                ProbeKind::Http { url, .. }
                                | ProbeKind::Prometheus { url, .. }
                                | ProbeKind::Alerts { url, .. },
                            ) if https(url) => {}
                            Some(_) => self.misfit(line, "`trust` belongs to a probe that speaks TLS"),
                        }
                        probe.trust = found.unwrap_or_default();
                    }
                    "name" => {
                        let found = self.take_string(&mut cursor, "the name in quotes");
                        match &mut parsed {
                            Some(ProbeKind::Tls { name, .. }) => *name = found,
                            None => {}
                            Some(_) => self.misfit(line, "`name` belongs to a tls probe"),
                        }
                    }
                    "service" => {
                        let found = self.take_string(&mut cursor, "the service in quotes");
                        match &mut parsed {
                            Some(ProbeKind::Grpc { service, .. }) => {
                                *service = found.map(|f| f.value).unwrap_or_default();
                            }
                            None => {}
                            Some(_) => self.misfit(line, "`service` belongs to a grpc probe"),
                        }
                    }
                    "take" => {
                        let found = self.taken(&mut cursor);
                        match &mut parsed {
                            Some(ProbeKind::Prometheus { take, .. }) => *take = found,
                            None => {}
                            Some(_) => self.misfit(line, "`take` belongs to a prometheus probe"),
                        }
                    }
                    "default" => {
                        let found = self.take_value(&mut cursor, Unit::Count, "the default");
                        match &mut parsed {
                            Some(ProbeKind::Prometheus { default, .. }) => {
                                *default = found.map(|f| f.value.value)
                            }
                            None => {}
                            Some(_) => self.misfit(line, "`default` belongs to a prometheus probe"),
                        }
                    }
                    "timeout" => {
                        if let Some(timeout) = self.take_duration(&mut cursor, "the timeout", false) {
                            probe.timeout = timeout;
                        }
                    }
                    "ok" => {
                        cursor.take_word("when");
                        match cursor.take_condition() {
                            Some(condition) => probe.ok_when = self.condition(condition),
                            None => {
                                self.expected(&cursor, "a condition").help =
                                    Some("write `ok when status 200 and body contains \"total\"`".into());
                            }
                        }
                    }
                    "label" => self.label(&mut cursor, &mut probe.labels),
                    "server" => {
                        let server = self.take_string(&mut cursor, "the server in quotes");
                        match &mut parsed {
                            Some(ProbeKind::Dns { server: place, .. }) => *place = server,
                            None => {}
                            Some(_) => self.misfit(line, "`server` belongs to a dns probe"),
                        }
                    }
                    "header" => match &mut parsed {
                        Some(ProbeKind::Http { headers, .. }) => {
                            if let Some(header) = self.header(&mut cursor) {
                                headers.push(header);
                            }
                        }
                        None => continue,
                        Some(_) => self.misfit(line, "`header` belongs to an http probe"),
                    },
                    _ => match &mut parsed {
                        Some(ProbeKind::Http { body, .. }) => {
                            if let Some(span) = cursor.take_word("file") {
                                self.not_yet(span, "`body file`").help =
                                    Some("write the body itself: `body \"…\"`".into());
                                cursor.take();
                            } else {
                                *body = self
                                    .take_string(&mut cursor, "the body in quotes")
                                    .map(|b| b.value.into_bytes());
                            }
                        }
                        None => continue,
                        Some(_) => self.misfit(line, "`body` belongs to an http probe"),
                    },
                }
                self.end(&cursor, &[]);
            }
        }
        if polled && let Some(line) = Self::line_of(statement, &["ok", "label"]) {
            self.misfit(line, &format!("`{}` belongs to a probe whose answers are judged", line.keyword()));
        }
        self.end(cursor, &["from"]);
        match (connections, &parsed) {
            (Some(chosen), _) => probe.connections = chosen,
            (None, Some(ProbeKind::Http { .. })) if !strange => {
                self.error(Code::MissingLine, head, "an http probe says how it uses connections").help =
                    Some("add `connections reuse 10`, or `connections fresh`: which of them is often the very question".into());
            }
            _ => {}
        }
        probe.kind = parsed?;
        Some(probe)
    }

    /// Finds the first line of a probe's block that begins with one of these words.
    fn line_of<'s, 'a>(statement: &'s Statement<'a>, words: &[&str]) -> Option<&'s Statement<'a>> {
        statement.block()?.statements.iter().find(|line| words.contains(&line.keyword()))
    }

    fn misfit(&mut self, line: &Statement<'_>, message: &str) {
        self.error(Code::Misplaced, line.span, message).help = Some("remove the line".into());
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
                .help = Some(format!("write `{upper}`"));
                cursor.take();
                upper
            }
            Some(word) if word.text != "from" => {
                let help = suggest::did_you_mean(word.text, METHODS.iter().copied());
                self.error(Code::Misplaced, word.span, format!("unknown method `{}`", word.text)).help =
                    help.or_else(|| Some("write `GET`, `POST` or another method in capitals".into()));
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
                let help = suggest::did_you_mean(word.text, RECORDS.iter().copied());
                self.error(Code::UnknownKind, word.span, format!("unknown record type `{}`", word.text))
                    .help = help.or_else(|| Some(format!("there is {}", super::join_words(RECORDS))));
                cursor.take();
                return None;
            }
            record = word.text.to_owned();
            cursor.take();
        }
        let name = self.take_string(cursor, "the name to ask for, in quotes")?;
        if name.is_empty() || name.len() > 253 || name.split('.').any(|l| l.len() > 63) {
            self.error(Code::BadAddress, name.span, format!("`{name}` is no name that can be asked for"))
                .help = Some("a name has at most 253 characters, and 63 between two dots".into());
            return None;
        }
        Some(ProbeKind::Dns { record, name, server: None })
    }

    fn connections(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Connections> {
        if cursor.take_word("fresh").is_some() {
            return Some(Connections::Fresh);
        }
        if cursor.take_word("reuse").is_some() {
            return self.take_count(cursor, "the number of connections", 1, 100_000).map(Connections::Reuse);
        }
        self.expected(cursor, "`reuse` and a number, or `fresh`").help =
            Some("write `connections reuse 10` or `connections fresh`".into());
        None
    }

    fn header(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<(String, HeaderValue)> {
        let name = self.take_string(cursor, "the header field's name in quotes")?;
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        {
            self.error(Code::BadAddress, name.span, format!("`{name}` cannot be a header field's name"))
                .help = Some("write `header \"authorization\" = \"…\"`".into());
            return None;
        }
        if cursor.take_symbol(Symbol::Equals).is_none() {
            self.expected(cursor, "`=` and its value").help =
                Some("write `header \"accept\" = \"text/html\"`".into());
            return None;
        }
        if cursor.take_words(&["secret", "env"]).is_some() {
            let variable = self.take_string(cursor, "the variable's name in quotes")?;
            return Some((name.value, HeaderValue::SecretEnv(variable.value)));
        }
        let value = self.take_string(cursor, "its value in quotes, or `secret env \"NAME\"`")?;
        Some((name.value, HeaderValue::Plain(value.value)))
    }

    fn label(&mut self, cursor: &mut Cursor<'_, '_>, labels: &mut Vec<Label>) {
        let Some(name) = cursor.take_any_word() else {
            self.expected(cursor, "the label's name").help =
                Some("write `label backend = header \"x-served-by\"`".into());
            return;
        };
        let name = Spanned::new(name.text.to_owned(), name.span);
        cursor.take_symbol(Symbol::Equals);
        let source = if cursor.take_word("header").is_some() {
            self.take_string(cursor, "the header field's name in quotes")
                .map(|n| LabelSource::Header(n.value))
        } else if cursor.take_word("status").is_some() {
            Some(LabelSource::Status)
        } else if cursor.take_word("peer").is_some() {
            Some(LabelSource::Peer)
        } else {
            self.expected(cursor, "`header \"name\"`, `status` or `peer`").help =
                Some("write `label backend = header \"x-served-by\"`".into());
            None
        };
        if let Some(first) = labels.iter().find(|l| l.name == name) {
            let first = first.name.span;
            self.duplicate("label", &name, first);
        } else if let Some(source) = source {
            labels.push(Label { name, source });
        }
    }
}
