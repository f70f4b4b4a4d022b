//! The lines of a probe's block.

use std::time::Duration;

use chaos_core::{
    model::{
        Connections, ProbeKind, Unit,
        probe::{Condition, HeaderValue, Label, LabelSource, Trust},
    },
    span::Spanned,
};

use crate::{
    check::{Checker, join_words},
    codes::Code,
    suggest::{self, Advice},
    syntax::{Block, Cursor, Statement, Symbol},
};

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

/// What is known of a probe while the lines of its block are read.
pub(super) struct Draft {
    /// None where its kind has a mistake, which was reported already.
    pub(super) kind: Option<ProbeKind>,
    pub(super) rate: f64,
    pub(super) timeout: Duration,
    /// What it says of connections.
    pub(super) connections: Option<Connections>,
    pub(super) ok_when: Option<Condition>,
    pub(super) labels: Vec<Label>,
    pub(super) trust: Trust,
}

/// Finds the first line of a probe's block that begins with one of these words.
pub(super) fn line_of<'s, 'a>(statement: &'s Statement<'a>, words: &[&str]) -> Option<&'s Statement<'a>> {
    statement.block()?.statements.iter().find(|line| words.contains(&line.keyword()))
}

/// Returns where what a line is about stands, for words that other tools have in their blocks.
fn instead_of(word: &str, draft: &Draft) -> Option<Advice> {
    let http = matches!(draft.kind, Some(ProbeKind::Http { .. }) | None);
    Some(match word {
        "method" | "verb" if http => {
            "the method stands before the URL: `probe NAME = http POST \"http://host/path\"`".into()
        }
        "url" | "uri" | "path" if http => {
            "the URL stands behind the method: `probe NAME = http GET \"http://host/path\"`".into()
        }
        "headers" => "write `header \"NAME\" = \"VALUE\"`, once for each".into(),
        "expect" | "assert" | "status" => "what an answer has to be is `ok when status 200`".into(),
        "from" | "in" => "where it measures stands before the block: `from HOST { … }`".into(),
        _ => return None,
    })
}

impl Checker {
    /// Checks the lines of a probe's block; returns whether one of them is none that a probe has.
    pub(super) fn probe_settings(&mut self, block: &Block<'_>, draft: &mut Draft) -> bool {
        let mut strange = false;
        let mut seen: Vec<&str> = Vec::new();
        for line in &block.statements {
            let word = line.keyword();
            if !SETTINGS.contains(&word) {
                let near =
                    instead_of(word, draft).or_else(|| suggest::did_you_mean(word, SETTINGS.iter().copied()));
                let advice = near.unwrap_or_else(|| format!("a probe has {}", join_words(SETTINGS)).into());
                self.error(Code::UnknownStatement, line.span, format!("unknown setting `{word}`"))
                    .advise_on(line.head(), advice);
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
            self.probe_setting(word, line, draft);
        }
        strange
    }

    /// Checks one line, which begins with a word of [`SETTINGS`].
    fn probe_setting(&mut self, word: &str, line: &Statement<'_>, draft: &mut Draft) {
        let mut cursor = line.cursor();
        cursor.take();
        match word {
            "connections" => {
                draft.connections = Some(self.connections(&mut cursor).unwrap_or(Connections::Fresh));
            }
            "rate" => {
                if let Some(rate) = self.take_value(&mut cursor, Unit::PerSecond, "the rate") {
                    if rate.value.value <= 0.0 || rate.value.value > MAX_RATE {
                        let message = format!("the rate must lie above 0/s and not above {MAX_RATE}/s");
                        self.error(Code::OutOfRange, rate.span, message).help =
                            Some("write `rate 100/s`".into());
                    } else {
                        draft.rate = rate.value.value;
                    }
                }
            }
            "every" => {
                if let Some(interval) = self.take_duration(&mut cursor, "the time between two", false) {
                    draft.rate = 1.0 / interval.as_secs_f64();
                    if draft.rate > MAX_RATE {
                        let message = format!("that is more often than {MAX_RATE} times a second");
                        self.error(Code::OutOfRange, line.span, message).help =
                            Some("write `every 1s`".into());
                    }
                }
            }
            "unit" => {
                let found = self.scale(&mut cursor);
                match &mut draft.kind {
                    Some(ProbeKind::Prometheus { scale, .. } | ProbeKind::Exec { scale, .. }) => {
                        *scale = found.unwrap_or(*scale)
                    }
                    None => {}
                    Some(ProbeKind::Kube(_)) => {
                        self.misfit(line, "what a kube probe reads is a plain number")
                    }
                    Some(_) => self.misfit(line, "`unit` belongs to a probe that reads a number"),
                }
            }
            "trust" => {
                let found = self.trust(&mut cursor);
                let https = |url: &Spanned<String>| url.starts_with("https://");
                match &mut draft.kind {
                    Some(ProbeKind::Tls { .. }) | None => {}
                    Some(ProbeKind::Grpc { secure, .. }) => *secure = true,
                    Some(
                        ProbeKind::Http { url, .. }
                        | ProbeKind::Prometheus { url, .. }
                        | ProbeKind::Alerts { url, .. },
                    ) if https(url) => {}
                    Some(_) => self.misfit(line, "`trust` belongs to a probe that speaks TLS"),
                }
                draft.trust = found.unwrap_or_default();
            }
            "name" => {
                let found = self.take_string(&mut cursor, "the name in quotes");
                match &mut draft.kind {
                    Some(ProbeKind::Tls { name, .. }) => *name = found,
                    None => {}
                    Some(_) => self.misfit(line, "`name` belongs to a tls probe"),
                }
            }
            "service" => {
                let found = self.take_string(&mut cursor, "the service in quotes");
                match &mut draft.kind {
                    Some(ProbeKind::Grpc { service, .. }) => {
                        *service = found.map(|f| f.value).unwrap_or_default();
                    }
                    None => {}
                    Some(_) => self.misfit(line, "`service` belongs to a grpc probe"),
                }
            }
            "take" => {
                let found = self.taken(&mut cursor);
                match &mut draft.kind {
                    Some(ProbeKind::Prometheus { take, .. }) => *take = found,
                    None => {}
                    Some(_) => self.misfit(line, "`take` belongs to a prometheus probe"),
                }
            }
            "default" => {
                let found = self.take_value(&mut cursor, Unit::Count, "the default");
                match &mut draft.kind {
                    Some(ProbeKind::Prometheus { default, .. }) => *default = found.map(|f| f.value.value),
                    None => {}
                    Some(_) => self.misfit(line, "`default` belongs to a prometheus probe"),
                }
            }
            "timeout" => {
                if let Some(timeout) = self.take_duration(&mut cursor, "the timeout", false) {
                    draft.timeout = timeout;
                }
            }
            "ok" => {
                cursor.take_word("when");
                match cursor.take_condition() {
                    Some(condition) => draft.ok_when = self.condition(condition),
                    None => {
                        self.expected(&cursor, "a condition").help =
                            Some("write `ok when status 200 and body contains \"total\"`".into());
                    }
                }
            }
            "label" => self.label(&mut cursor, &mut draft.labels),
            "server" => {
                let server = self.take_string(&mut cursor, "the server in quotes");
                match &mut draft.kind {
                    Some(ProbeKind::Dns { server: place, .. }) => *place = server,
                    None => {}
                    Some(_) => self.misfit(line, "`server` belongs to a dns probe"),
                }
            }
            "header" => match &mut draft.kind {
                Some(ProbeKind::Http { headers, .. }) => {
                    if let Some(header) = self.header(&mut cursor) {
                        headers.push(header);
                    }
                }
                None => return,
                Some(_) => self.misfit(line, "`header` belongs to an http probe"),
            },
            _ => match &mut draft.kind {
                Some(ProbeKind::Http { body, .. }) => {
                    if let Some(span) = cursor.take_word("file") {
                        self.not_yet(span, "`body file`").help =
                            Some("write the body itself: `body \"…\"`".into());
                        cursor.take();
                    } else {
                        *body =
                            self.take_string(&mut cursor, "the body in quotes").map(|b| b.value.into_bytes());
                    }
                }
                None => return,
                Some(_) => self.misfit(line, "`body` belongs to an http probe"),
            },
        }
        self.end(&cursor, &[]);
    }

    pub(super) fn misfit(&mut self, line: &Statement<'_>, message: &str) {
        self.error(Code::Misplaced, line.span, message).help = Some("remove the line".into());
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
