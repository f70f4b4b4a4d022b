//! Probes that read a number of another system, and what their numbers count.

use chaos_core::model::{
    Field, ProbeKind, Selector, Unit,
    probe::{Scale, Take, Taken},
};

use super::{
    Checker, Names,
    probe::{Reads, kind_of},
};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item, Statement, Word},
};

/// What one of a probe's numbers may be, in the base of its unit.
const SCALES: &[(&str, Unit, f64)] = &[
    ("ns", Unit::Seconds, 1e-9),
    ("us", Unit::Seconds, 1e-6),
    ("ms", Unit::Seconds, 1e-3),
    ("s", Unit::Seconds, 1.0),
    ("m", Unit::Seconds, 60.0),
    ("h", Unit::Seconds, 3600.0),
    ("d", Unit::Seconds, 86_400.0),
    ("ratio", Unit::Ratio, 1.0),
    ("percent", Unit::Ratio, 0.01),
    ("per_second", Unit::PerSecond, 1.0),
    ("bytes", Unit::Bytes, 1.0),
    ("bits_per_second", Unit::BitsPerSecond, 1.0),
];

fn scale(word: &str) -> Option<Scale> {
    let (_, unit, factor) = SCALES.iter().find(|(name, ..)| *name == word)?;
    Some(Scale { unit: *unit, factor: *factor })
}

/// Returns what a probe reads, as far as its declaration alone says; `None` where it reads nothing.
pub(super) fn reads(probe: &Statement<'_>) -> Option<Field> {
    let kind = probe.definition().first()?.as_word()?;
    let lines = probe.block().into_iter().flat_map(|block| &block.statements);
    let unit = lines
        .filter(|line| line.keyword() == "unit")
        .find_map(|line| scale(line.items.get(1)?.as_word()?.text));
    match kind_of(kind.text)?.reads {
        Reads::Nothing => None,
        Reads::DaysLeft => Some(Field::DaysLeft),
        Reads::Number => Some(Field::Value(unit.unwrap_or(Scale::PLAIN).unit)),
    }
}

impl Checker {
    /// Reads `prometheus "query" at "http://host:port"`.
    pub(super) fn prometheus(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let query = self.take_string(cursor, "the query in quotes")?;
        if query.trim().is_empty() {
            self.error(Code::Misplaced, query.span, "the query is empty").help =
                Some("write it in PromQL: `prometheus \"sum(queue_depth)\" at \"http://prom:9090\"`".into());
            return None;
        }
        if cursor.take_word("at").is_none() {
            self.expected(cursor, "`at` and the server's URL").help =
                Some("write `prometheus \"sum(queue_depth)\" at \"http://prom:9090\"`".into());
            return None;
        }
        let url = self.take_string(cursor, "the server's URL in quotes")?;
        self.web_address(&url, names)?;
        Some(ProbeKind::Prometheus { query, url, take: None, scale: Scale::PLAIN, default: None })
    }

    /// Refuses several places where one number is read: which of them would it be?
    pub(super) fn read_at_one_place(&mut self, from: Option<&Selector>, names: &Names) {
        let Some(Selector::Hosts(host)) = from else { return };
        let places = names.hosts_matching(host).len();
        if places > 1 {
            let message = format!("one number is read, and `{host}` is {places} places");
            self.error(Code::Misplaced, host.span, message).help = Some("read it from one host".into());
        }
    }

    /// Reads what stands behind `unit`.
    pub(super) fn scale(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Scale> {
        let words = || SCALES.iter().map(|(name, ..)| *name);
        let known = format!("there is {}", super::join_words(&words().collect::<Vec<_>>()));
        let Some(word) = cursor.take_any_word() else {
            self.expected(cursor, "a unit").help = Some(known);
            return None;
        };
        let found = scale(word.text);
        if found.is_none() {
            let near = suggest::did_you_mean(word.text, words());
            self.error(Code::UnknownUnit, word.span, format!("`{}` is not a unit of a reading", word.text))
                .advise(near.unwrap_or_else(|| known.into()));
        }
        found
    }

    /// Reads `max over 5m step 15s`.
    pub(super) fn taken(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Take> {
        const SHAPE: &str = "write `take max over 5m step 15s`";
        let kinds = [Taken::Min, Taken::Max, Taken::Mean];
        let word = cursor.take_any_word();
        let which = word.and_then(|word: Word<'_>| kinds.into_iter().find(|k| k.as_str() == word.text));
        let Some(which) = which else {
            let span = word.map_or(cursor.span(), |word| word.span);
            self.error(Code::Misplaced, span, "expected `min`, `max` or `mean`").help = Some(SHAPE.into());
            return None;
        };
        if cursor.take_word("over").is_none() {
            self.expected(cursor, "`over` and a duration").help = Some(SHAPE.into());
            return None;
        }
        let over = self.take_duration(cursor, "the stretch", false)?;
        if cursor.take_word("step").is_none() {
            self.expected(cursor, "`step` and a duration").help = Some(SHAPE.into());
            return None;
        }
        let at = cursor.peek().map_or(cursor.span(), |item: &Item<'_>| item.span);
        let step = self.take_duration(cursor, "the step", false)?;
        if step > over {
            self.error(Code::OutOfRange, at, "the step is longer than the stretch").help = Some(SHAPE.into());
            return None;
        }
        Some(Take { which, over, step })
    }
}
