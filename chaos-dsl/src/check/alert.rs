//! `alerts from alertmanager "…"`, and claims that an alert fires.

use chaos_core::{
    model::{
        Comparison, Field, Function, Metric, Predicate, Probe, ProbeKind, Quantity, Unit,
        formula::{Bound, Op},
        metric::{ALERT, Filter},
        probe::AlertSource,
    },
    span::{Span, Spanned},
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest,
    syntax::{Item, Statement, Term},
};

/// What the question for alerts goes by among the probes.
pub(super) const ALERTS: &str = "alerts";

const SHAPE: &str =
    "write `alerts from alertmanager \"http://am:9093\" from client { every 1s, timeout 2s }`";

/// Returns whether a claim on its own speaks of an alert.
pub(super) fn is_alert(term: &Term<'_>) -> bool {
    matches!(term, Term::Phrase(items) if items.first().is_some_and(|item| item.is_word("alert")))
}

impl Checker {
    /// Reads where alerts are asked for.
    pub(super) fn alerts(&mut self, line: &Statement<'_>, names: &Names) -> Option<Probe> {
        let mut cursor = line.cursor();
        cursor.take();
        let head = cursor.previous();
        if cursor.take_word("from").is_none() {
            self.expected(&cursor, "`from` and who knows of alerts").help = Some(SHAPE.into());
            return None;
        }
        let sources = [AlertSource::Alertmanager, AlertSource::Prometheus];
        let word = cursor.take_any_word();
        let Some(source) = word.and_then(|word| sources.into_iter().find(|s| s.as_str() == word.text)) else {
            let (text, span) = word.map_or(("", cursor.span()), |word| (word.text, word.span));
            let near = suggest::did_you_mean(text, sources.map(AlertSource::as_str));
            self.error(Code::UnknownKind, span, "expected `alertmanager` or `prometheus`")
                .advise(near.unwrap_or_else(|| SHAPE.into()));
            return None;
        };
        let url = self.take_string(&mut cursor, "its URL in quotes")?;
        self.web_address(&url, names)?;
        let kind = ProbeKind::Alerts { source, url };
        self.measured(line, &mut cursor, Spanned::new(ALERTS.to_owned(), head), Some(kind), names)
    }

    /// Reads `alert "CheckoutErrors" fires`.
    pub(super) fn fires(&mut self, term: &Term<'_>, span: Span, names: &Names) -> Option<Predicate> {
        let Term::Phrase(items) = term else { return None };
        let name = match items.as_slice() {
            [_, name, fires] if fires.is_word("fires") => name.as_text(),
            _ => None,
        };
        let Some(name) = name else {
            let meant =
                items.get(1).and_then(Item::as_text).map_or("CheckoutErrors".to_owned(), |t| self.text(t));
            self.error(Code::NotAMetric, term.span(), "this is not a claim about an alert").help =
                Some(format!("write `alert \"{meant}\" fires`"));
            return None;
        };
        let name = self.text(name);
        if !names.probes.iter().any(|probe| probe.value == ALERTS) {
            self.error(Code::UnknownName, term.span(), "no server is asked which alerts fire").help = Some(
                "add `alerts from alertmanager \"http://am:9093\" from client { every 1s }` to the experiment".into(),
            );
            return None;
        }
        let filter = Filter { label: ALERT.into(), values: vec![name], negated: false, variable: None };
        let metric = Metric {
            function: Function::Fires,
            probe: Spanned::new(ALERTS.to_owned(), term.span()),
            field: Field::Latency,
            filter: vec![filter],
            over: None,
            span: term.span(),
        };
        let bound = Bound::Constant(Quantity::new(1.0, Unit::Count));
        Some(Predicate::Compare(Comparison { metric, op: Op::AtLeast, bound, span }))
    }
}
