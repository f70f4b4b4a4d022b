//! `probe NAME = KIND … from TARGET { … }`.

mod setting;

use std::time::Duration;

use chaos_core::{
    model::{Connections, Probe, ProbeKind, Selector, Vantage, probe::Trust},
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

/// A kind of probe, as a file declares it.
pub(super) struct Kind {
    /// The word for it.
    word: &'static str,
    /// Reads what stands behind the word.
    read: fn(&mut Checker, &mut Cursor<'_, '_>, &Names) -> Option<ProbeKind>,
    /// What it reads, as far as the word says.
    pub(super) reads: Reads,
}

/// What a kind of probe reads.
pub(super) enum Reads {
    /// Nothing.
    Nothing,
    /// For how long a certificate is valid.
    DaysLeft,
    /// A number, whose unit its block may say.
    Number,
}

const KINDS: &[Kind] = &[
    Kind { word: "http", read: Checker::http, reads: Reads::Nothing },
    Kind { word: "tcp", read: Checker::tcp, reads: Reads::Nothing },
    Kind { word: "tls", read: Checker::tls, reads: Reads::DaysLeft },
    Kind { word: "dns", read: Checker::dns, reads: Reads::Nothing },
    Kind { word: "grpc", read: Checker::grpc, reads: Reads::Nothing },
    Kind { word: "exec", read: Checker::exec, reads: Reads::Number },
    Kind { word: "prometheus", read: Checker::prometheus, reads: Reads::Number },
    Kind { word: "kube", read: Checker::kube, reads: Reads::Number },
    Kind { word: "custom", read: Checker::prober, reads: Reads::Number },
];
const CLUSTER_KINDS: &[&str] = &["envoy", "requests"];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const RECORDS: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// Finds the kind of probe that a word stands for.
pub(super) fn kind_of(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

fn kinds() -> String {
    super::join_words(&KINDS.iter().map(|kind| kind.word).collect::<Vec<_>>())
}

impl Checker {
    /// Checks one probe.
    pub(super) fn probe(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Probe> {
        let name = statement.name()?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let Some(word) = cursor.take_any_word() else {
            self.expected(&cursor, "a kind of probe").help = Some(format!("write {}", kinds()));
            return None;
        };
        let Some(kind) = kind_of(word.text) else {
            if CLUSTER_KINDS.contains(&word.text) {
                self.needs_cluster(word.span, &format!("a probe of kind `{}`", word.text));
            } else {
                let near = suggest::did_you_mean(word.text, KINDS.iter().map(|kind| kind.word));
                self.error(Code::UnknownKind, word.span, format!("unknown kind of probe `{}`", word.text))
                    .advise(near.unwrap_or_else(|| format!("there is {}", kinds()).into()));
            }
            return None;
        };
        let parsed = (kind.read)(self, &mut cursor, names);
        if parsed.is_none() {
            // The mistake has been reported; go on behind it.
            while cursor.peek().is_some_and(|i| !i.is_word("from") && !matches!(i.kind, ItemKind::Block(_))) {
                cursor.take();
            }
        }
        self.measured(statement, &mut cursor, name, parsed, names)
    }

    /// Reports what stands behind a probe's kind and place where its block should; returns whether it is a setting.
    fn end_of_head(&mut self, cursor: &Cursor<'_, '_>) -> bool {
        if cursor.peek().is_none_or(|item| matches!(item.kind, ItemKind::Block(_))) {
            return false;
        }
        let Some(word) =
            cursor.peek().and_then(Item::as_word).filter(|word| setting::SETTINGS.contains(&word.text))
        else {
            self.end(cursor, &["from"]);
            return false;
        };
        let message = format!("`{}` stands behind the probe, and not in its block", word.text);
        self.error(Code::Misplaced, word.span, message).help =
            Some(format!("write it in braces: `{{ {} … }}`", word.text));
        true
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
        let before = self.out.len();
        let mut from = None;
        let from_word = cursor.take_word("from");
        if from_word.is_some() {
            self.probing = true;
            from = self.selector(cursor, names);
            self.probing = false;
            if let Some(place) = &from {
                self.counted(place)?;
            }
        } else if cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_))) {
            // Told at the end of the statement; its block is read all the same.
            self.end_of_head(cursor);
            while cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_))) {
                cursor.take();
            }
        } else if !names.scope.includes_runner() {
            self.error(
                Code::MissingLine,
                Span { end: cursor.previous().end, ..statement.span },
                format!("the probe `{name}` does not say where it is sent from"),
            )
            .help = Some("add `from HOST`; the runner itself is not on the lab's network".into());
        }
        let kind = statement.definition().first().and_then(Item::as_word);
        let watched = kind.is_some_and(|kind| kind.text == "kube");
        if watched
            && parsed.is_some()
            && let Some(word) = from_word
        {
            self.error(Code::Misplaced, word.to(cursor.previous()), "a kube probe is sent from nowhere")
                .help = Some("remove `from`: the runner asks the API server".into());
        }
        if from.is_none() && self.in_cluster && !watched && self.out.len() == before {
            let message = format!("the probe `{name}` does not say from where");
            self.error(Code::MissingLine, name.span, message).help = Some(
                "add `from TARGET`, measured in its pods, or `from here`, the machine of the runner".into(),
            );
        }
        let polled = parsed.as_ref().is_some_and(ProbeKind::is_polled);
        if polled {
            self.read_at_one_place(from.as_ref(), names);
        }
        let head = Span { end: cursor.previous().end, ..statement.span };
        let mut draft = Draft {
            rate: parsed.as_ref().map_or(10.0, ProbeKind::usual_rate),
            kind: parsed,
            timeout: Duration::from_secs(5),
            connections: None,
            ok_when: None,
            labels: Vec::new(),
            trust: Trust::default(),
        };
        // A setting that stands before the block, or without one, is reported and is not missing.
        let mut strange = self.end_of_head(cursor);
        while cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_))) {
            cursor.take();
        }
        strange |= cursor.take_block().is_some_and(|block| self.probe_settings(block, &mut draft));
        if polled && let Some(line) = line_of(statement, &["ok", "label"]) {
            self.misfit(line, &format!("`{}` belongs to a probe whose answers are judged", line.keyword()));
        }
        self.end(cursor, &["from"]);
        if draft.connections.is_none() && !strange && matches!(draft.kind, Some(ProbeKind::Http { .. })) {
            self.error(Code::MissingLine, head, "an http probe says how it uses connections").help =
                Some("add `connections reuse 10`, or `connections fresh`: which of them is often the very question".into());
        }
        let usual = if polled { Connections::Reuse(1) } else { Connections::Fresh };
        Some(Probe {
            name,
            kind: draft.kind?,
            from: match from {
                // A cluster's runner is none of its objects.
                Some(Selector::Here(_)) if self.in_cluster => Vantage::Runner,
                Some(place) => Vantage::Each(place),
                None => Vantage::Runner,
            },
            rate: draft.rate,
            timeout: draft.timeout,
            connections: draft.connections.unwrap_or(usual),
            ok_when: draft.ok_when,
            labels: draft.labels,
            trust: draft.trust,
            span: statement.span,
        })
    }

    fn tcp(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let address = self.take_string(cursor, "a host and port in quotes")?;
        self.host_and_port(&address, names).then_some(ProbeKind::Tcp { address })
    }

    /// Reads the name of a prober of the harness, which may stand for whatever it likes.
    fn prober(&mut self, cursor: &mut Cursor<'_, '_>, _names: &Names) -> Option<ProbeKind> {
        let prober = self.take_string(cursor, "the name of a prober in quotes")?;
        if prober.is_empty() {
            self.error(Code::Misplaced, prober.span, "the name of a prober is empty").help =
                Some("write the name that the program which runs this gave it: `custom \"queue\"`".into());
            return None;
        }
        Some(ProbeKind::Custom { prober: prober.value })
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

    fn dns(&mut self, cursor: &mut Cursor<'_, '_>, _names: &Names) -> Option<ProbeKind> {
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
