//! Metrics, comparisons and predicates.

use std::time::Duration;

use chaos_core::{
    model::{
        Comparison, Field, Function, Metric, Predicate, Quantity, Unit,
        formula::{Bound, Op},
        metric::Filter,
    },
    span::{Span, Spanned},
};

use super::{Checker, Names, alert::is_alert};
use crate::{
    codes::Code,
    suggest,
    syntax::{
        Baseline, Call, ClauseKind, Compare, CompareOp, Condition, Formula, FormulaKind, Item, ItemKind,
        Logic, Prefix, Relation, Sign, Term, Word,
    },
};

/// What a formula can make of a probe's samples; any percentile may stand for those named.
pub const FUNCTIONS: &[&str] = &[
    "success", "errors", "rate", "count", "p50", "p90", "p95", "p99", "p99.9", "min", "max", "last", "value",
];
const FIELDS: &[&str] = &["latency", "dns", "connect", "tls", "ttfb"];

/// What a formula may use where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    /// The window of calls that have none of their own.
    pub(super) over: Option<Duration>,
    /// Whether a call must have a window.
    pub(super) windows: bool,
    /// Whether there is a baseline to compare with.
    pub(super) baseline: bool,
}

/// The place of a condition.
fn place(condition: &Condition<'_>) -> Span {
    match condition {
        Condition::Test(test) => test.span,
        Condition::Group(inner) => place(inner),
        Condition::Join(_, all) => all.iter().map(place).fold(Span::NONE, Span::to),
    }
}

impl Checker {
    /// Checks something that is true or false at each instant.
    pub(super) fn predicate(
        &mut self,
        formula: &Formula<'_>,
        names: &Names,
        place: Where,
    ) -> Option<Predicate> {
        let predicate = match &formula.kind {
            FormulaKind::Compare(compare) => {
                if let Some(settles) = &compare.settles {
                    self.error(Code::ClauseMisfit, settles.span, "`settles` is a claim for `expect`").help =
                        Some("write the comparison itself: `p95(probe.latency, over 10s) <= 250ms`".into());
                    return None;
                }
                Predicate::Compare(self.comparison(compare, formula, names, place)?)
            }
            FormulaKind::Group(inner) => self.predicate(inner, names, place)?,
            FormulaKind::Prefix(prefix, inner) if prefix.value == Prefix::Not => {
                Predicate::Not(Box::new(self.predicate(inner, names, place)?))
            }
            FormulaKind::Prefix(prefix, _) if prefix.value == Prefix::Confident => {
                let message = "`confident` is a whole abort condition by itself";
                self.error(Code::ClauseMisfit, prefix.span, message).help = Some(
                    "write `abort when confident errors(probe) > 5%`; several `abort` lines may stand".into(),
                );
                return None;
            }
            FormulaKind::Prefix(prefix, _) => {
                let message = format!("`{}` is a claim for `expect`", prefix.value.as_str());
                self.error(Code::ClauseMisfit, prefix.span, message).help =
                    Some("here stands what is true or false at each instant: `success(probe, over 10s) < 95% for 10s`".into());
                return None;
            }
            FormulaKind::Join(logic, all) => {
                let all: Vec<Option<Predicate>> =
                    all.iter().map(|f| self.predicate(f, names, place)).collect();
                let all: Vec<Predicate> = all.into_iter().collect::<Option<_>>()?;
                match logic {
                    Logic::And => Predicate::All(all),
                    Logic::Or => Predicate::Any(all),
                }
            }
            FormulaKind::Holds(term) if is_alert(term) => self.fires(term, formula.span, names)?,
            FormulaKind::Holds(term) => {
                self.bare(term);
                return None;
            }
            FormulaKind::Given(_) | FormulaKind::ForEach(_) => {
                let word = if matches!(formula.kind, FormulaKind::Given(_)) { "given" } else { "for each" };
                self.error(Code::ClauseMisfit, formula.span, format!("`{word}` is a claim for `expect`"))
                    .help = Some(
                    "here stands what is true or false at each instant: `success(probe, over 10s) < 95%`"
                        .into(),
                );
                return None;
            }
        };
        self.lasting(predicate, formula, names)
    }

    /// Applies `for 10s`; other clauses do not belong to a predicate.
    fn lasting(
        &mut self,
        mut predicate: Predicate,
        formula: &Formula<'_>,
        _names: &Names,
    ) -> Option<Predicate> {
        for clause in &formula.clauses {
            match &clause.kind {
                ClauseKind::For(item) => {
                    let value = self.value(item, Unit::Seconds, "the time behind `for`")?;
                    let lasting = self.duration(value, "the time behind `for`", false)?;
                    predicate = Predicate::For { predicate: Box::new(predicate), lasting };
                }
                other => {
                    let message = format!("`{}` does not belong to a condition", other.keyword());
                    self.error(Code::ClauseMisfit, clause.span, message).help = Some(
                        "conditions are judged at each instant; phases and deadlines belong to `expect`"
                            .into(),
                    );
                    return None;
                }
            }
        }
        Some(predicate)
    }

    /// Reports a claim that is no comparison.
    pub(super) fn bare(&mut self, term: &Term<'_>) {
        match term {
            Term::Phrase(items) if items.first().is_some_and(|i| i.is_word("completes")) => {
                self.error(Code::Misplaced, term.span(), "`completes` speaks of single requests").help = Some(
                    "write `for each request of PROBE open when FAULT starts: completes ok within 30s`"
                        .into(),
                );
            }
            _ => {
                self.error(Code::NotAMetric, term.span(), "this is compared with nothing").help =
                    Some("write a comparison: `success(probe) >= 99%`".into());
            }
        }
    }

    /// Checks a comparison of a metric with a bound.
    pub(super) fn comparison(
        &mut self,
        compare: &Compare<'_>,
        formula: &Formula<'_>,
        names: &Names,
        place: Where,
    ) -> Option<Comparison> {
        let op = match compare.op.value {
            CompareOp::Less => Op::Less,
            CompareOp::AtMost => Op::AtMost,
            CompareOp::Greater => Op::Greater,
            CompareOp::AtLeast => Op::AtLeast,
            CompareOp::Equal | CompareOp::NotEqual => {
                let message = format!("`{}` compares measured numbers exactly", compare.op.value.as_str());
                self.error(Code::ClauseMisfit, compare.op.span, message).help =
                    Some("write `<=` or `>=`".into());
                return None;
            }
        };
        let Term::Call(call) = &compare.left else {
            let message = "a comparison has its metric on the left";
            self.error(Code::NotAMetric, compare.left.span(), message).help =
                Some(match (&compare.left, &compare.right) {
                    (_, Term::Call(_)) => "turn it round: `p95(probe.latency) <= 250ms`".into(),
                    (Term::Item(item), _) => match item.as_word() {
                        Some(word) => format!(
                            "say what of it: `p95({})`, `success({})`",
                            word.text,
                            word.text.split('.').next().unwrap_or("probe")
                        ),
                        None => "write `p95(probe.latency) <= 250ms`".into(),
                    },
                    _ => "write `p95(probe.latency) <= 250ms`".into(),
                });
            return None;
        };
        let metric = self.metric(call, names, place);
        let unit = match &metric {
            Some(metric) => metric.unit(),
            None => return None,
        };
        let metric = metric?;
        let bound = match &compare.right {
            Term::Item(item) => {
                Bound::Constant(self.value(item, unit, &format!("what `{metric}` is compared with"))?.value)
            }
            Term::Baseline(baseline) => {
                if !place.baseline {
                    self.error(
                        Code::NoBaseline,
                        baseline.span,
                        "there is no baseline to compare with here",
                    )
                    .help = Some("write a constant, such as `250ms`".into());
                    return None;
                }
                self.baseline(baseline, unit)?
            }
            Term::Call(call) => self.other(&metric, call, (None, None), names, place)?,
            Term::Scaled(scaled) => {
                let relative = (scaled.factor.as_ref(), scaled.offset.as_ref());
                self.other(&metric, &scaled.call, relative, names, place)?
            }
            Term::Phrase(_) => {
                self.error(Code::Misplaced, compare.right.span(), "expected one value").help =
                    Some("write `250ms`, `baseline + 5ms`, `1.5 x baseline` or `120% of baseline`".into());
                return None;
            }
        };
        Some(Comparison { metric, op, bound, span: formula.span })
    }

    fn baseline(&mut self, baseline: &Baseline<'_>, unit: Unit) -> Option<Bound> {
        let factor = self.factor(baseline.factor.as_ref(), "baseline")?;
        let offset = self.offset(baseline.offset.as_ref(), unit, "the distance from the baseline")?;
        Some(Bound::Baseline { factor, offset })
    }

    /// Another metric as the right side: of the same unit, and with a window where the left side has one.
    fn other(
        &mut self,
        metric: &Metric,
        call: &Call<'_>,
        (factor, offset): (Option<&Item<'_>>, Option<&(Sign, Item<'_>)>),
        names: &Names,
        place: Where,
    ) -> Option<Bound> {
        let other =
            self.metric(call, names, Where { windows: place.windows || metric.is_signal(), ..place })?;
        if other.unit() != metric.unit() {
            let message = format!("`{metric}` is {}, and `{other}` is {}", metric.unit(), other.unit());
            self.error(Code::WrongUnit, other.span, message).help =
                Some("compare metrics of one kind: two times, two shares, two rates".into());
            return None;
        }
        if !metric.is_signal() && other.is_signal() {
            let message =
                format!("`{metric}` is one number for a phase, and `{other}` is one at each instant");
            self.error(Code::NeedsWindow, metric.span, message).help =
                Some("give both a window, or none".into());
            return None;
        }
        let factor = self.factor(factor, "rate(probe)")?;
        let offset = self.offset(offset, metric.unit(), "the distance from the other metric")?;
        if other.to_string() == metric.to_string() && factor == 1.0 {
            let message = format!("`{metric}` is compared with itself");
            self.error(Code::Undecidable, other.span, message).help =
                Some("compare it with another metric, a limit or the baseline".into());
            return None;
        }
        Some(Bound::Metric { factor, metric: Box::new(other), offset })
    }

    fn factor(&mut self, item: Option<&Item<'_>>, of: &str) -> Option<f64> {
        let Some(item) = item else { return Some(1.0) };
        let percent = item.as_quantity().is_some_and(|q| q.unit == crate::syntax::Unit::Percentage);
        let value = self.value(item, if percent { Unit::Ratio } else { Unit::Count }, "the factor")?;
        if value.value.value <= 0.0 {
            self.error(Code::OutOfRange, item.span, "the factor must be above zero").help =
                Some(format!("write `1.5 x {of}` or `120% of {of}`"));
            return None;
        }
        Some(value.value.value)
    }

    fn offset(&mut self, offset: Option<&(Sign, Item<'_>)>, unit: Unit, what: &str) -> Option<f64> {
        let Some((sign, item)) = offset else { return Some(0.0) };
        // Shares differ by percentage points: `baseline + 5%` could mean either, so it is refused.
        let unit = if unit == Unit::Ratio { Unit::Points } else { unit };
        let value: Spanned<Quantity> = self.value(item, unit, what)?;
        Some(if *sign == Sign::Minus { -value.value.value } else { value.value.value })
    }

    fn metric(&mut self, call: &Call<'_>, names: &Names, place: Where) -> Option<Metric> {
        let function = self.function(call.function);
        let Some(word) = call.metric() else {
            self.error(Code::NotAMetric, call.span, format!("`{}` of what?", call.function.text)).help =
                Some(format!("write `{}(PROBE…)`", call.function.text));
            return None;
        };
        // A probe's name has no dot, so what follows the first one is a part of its samples.
        let (probe, field) = match word.text.split_once('.') {
            Some((probe, field)) => (probe, Some(field)),
            None => (word.text, None),
        };
        let probe = Word {
            text: probe,
            span: chaos_core::span::Span { end: word.span.start + probe.len() as u32, ..word.span },
        };
        let probe = self.refer("probe", probe, &names.probes);
        let function = function?;
        let timed =
            matches!(function, Function::Quantile(_) | Function::Min | Function::Max | Function::Last);
        let read =
            names.reads.iter().find(|(name, _)| name == word.text.split('.').next().unwrap_or_default());
        let read = read.map(|(_, field)| *field);
        let field = match (field, timed) {
            (field, false) if function == Function::Value => self.read_field(call, word, field, read)?,
            (Some(name), true) if read.is_some_and(|f| f.name() == name) => read?,
            (None, false) => Field::Latency,
            (None, true) => {
                let message = format!("`{}` of which time of `{}`?", call.function.text, word.text);
                self.error(Code::NotAMetric, word.span, message).help =
                    Some(format!("write `{}({}.latency)`", call.function.text, word.text));
                return None;
            }
            (Some(_), false) => {
                let message = format!("`{}` counts whole measurements", call.function.text);
                let bare = word.text.split('.').next().unwrap_or_default();
                self.error(Code::NotAMetric, word.span, message).help =
                    Some(format!("write `{}({bare})`", call.function.text));
                return None;
            }
            (Some("latency"), true) => Field::Latency,
            (Some("dns"), true) => Field::Dns,
            (Some("connect"), true) => Field::Connect,
            (Some("tls"), true) => Field::Tls,
            (Some("ttfb"), true) => Field::Ttfb,
            (Some("value" | "days_left"), true) => {
                self.reads_nothing(word);
                return None;
            }
            (Some(other), true) => {
                let help = suggest::did_you_mean(other, FIELDS.iter().copied());
                self.error(Code::UnknownName, word.span, format!("a probe has no `{other}`")).help =
                    help.or_else(|| Some(format!("there is {}", super::join_words(FIELDS))));
                return None;
            }
        };
        let filter = match call.filter() {
            Some(condition) => {
                self.filters(condition, names, probe.as_ref().map_or("", |p| p.value.as_str()))?
            }
            None => Vec::new(),
        };
        let mut over = place.over.filter(|_| function != Function::Value);
        if let Some(item) = call.window() {
            if function == Function::Value {
                let message = "`value` is what was read last, at each instant: it has no window";
                let wanted = format!("{}.{}", word.text.split('.').next().unwrap_or_default(), field.name());
                self.error(Code::NotAMetric, item.span, message).help =
                    Some(format!("leave out `over`, or write `max({wanted}, over 10s)`"));
                return None;
            }
            let value = self.value(item, Unit::Seconds, "the window")?;
            over = Some(self.duration(value, "the window", false)?);
        }
        for argument in call.arguments.iter().skip(1) {
            if !argument.items.first().is_some_and(|i| i.is_word("over")) {
                self.error(Code::Misplaced, argument.span, "expected `over` and a duration").help =
                    Some("write `p95(probe.latency, over 10s)`".into());
                return None;
            }
        }
        if place.windows && over.is_none() && function != Function::Value {
            let message = "a condition at each instant needs a window";
            self.error(Code::NeedsWindow, call.span, message).help =
                Some(format!("write `{}({}, over 10s)`", call.function.text, word.text));
            return None;
        }
        Some(Metric { function, probe: probe?, field, filter, over, span: call.span })
    }

    /// Returns what `value(PROBE)` or `value(PROBE.FIELD)` is about.
    fn read_field(
        &mut self,
        call: &Call<'_>,
        word: Word<'_>,
        field: Option<&str>,
        read: Option<Field>,
    ) -> Option<Field> {
        let probe = word.text.split('.').next().unwrap_or_default();
        match (read, field) {
            (None, _) => {
                self.reads_nothing(word);
                None
            }
            (Some(read @ Field::Value(_)), None) => Some(read),
            (Some(read), Some(name)) if read.name() == name => Some(read),
            (Some(read), _) => {
                let wanted = match read {
                    Field::Value(_) => format!("`{}({probe})`", call.function.text),
                    _ => format!("`{}({probe}.{})`", call.function.text, read.name()),
                };
                let message = format!("`{}` is not what `{probe}` reads", word.text);
                self.error(Code::NotAMetric, word.span, message).help = Some(format!("write {wanted}"));
                None
            }
        }
    }

    fn reads_nothing(&mut self, word: Word<'_>) {
        let probe = word.text.split('.').next().unwrap_or_default();
        self.error(Code::NotAMetric, word.span, format!("`{probe}` reads no number")).help =
            Some(format!("of its measurements there is {}", super::join_words(FIELDS)));
    }

    fn function(&mut self, word: Word<'_>) -> Option<Function> {
        let function = match word.text {
            "success" => Function::Success,
            "errors" => Function::Errors,
            "rate" => Function::Rate,
            "count" => Function::Count,
            "min" => Function::Min,
            "max" => Function::Max,
            "last" => Function::Last,
            "value" => Function::Value,
            text => {
                let percent = text.strip_prefix('p').and_then(|p| p.parse::<f64>().ok());
                match percent {
                    // Rounded so that 99.9 becomes the nearest fraction to 0.999 and not 0.9990000000000001.
                    Some(p) if p > 0.0 && p < 100.0 => Function::Quantile((p * 1e9).round() / 1e11),
                    Some(_) => {
                        self.error(Code::OutOfRange, word.span, format!("there is no percentile `{text}`")).help =
                            Some("percentiles lie between p0 and p100: `p50`, `p95`, `p99.9`; the extremes are `min` and `max`".into());
                        return None;
                    }
                    None => {
                        let help = suggest::did_you_mean(text, FUNCTIONS.iter().copied());
                        self.error(Code::UnknownName, word.span, format!("unknown function `{text}`")).help =
                            help.or_else(|| Some(format!("there is {}", super::join_words(FUNCTIONS))));
                        return None;
                    }
                }
            }
        };
        Some(function)
    }

    fn filters(&mut self, condition: &Condition<'_>, names: &Names, probe: &str) -> Option<Vec<Filter>> {
        match condition {
            Condition::Group(inner) => self.filters(inner, names, probe),
            Condition::Join(Logic::And, all) => {
                let all: Vec<Option<Vec<Filter>>> =
                    all.iter().map(|c| self.filters(c, names, probe)).collect();
                Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
            }
            Condition::Join(Logic::Or, _) => {
                let span = place(condition);
                self.error(Code::ClauseMisfit, span, "filters are joined by `and`").help =
                    Some("write `backend in [\"a\", \"b\"]`".into());
                None
            }
            Condition::Test(test) => {
                let known: Vec<&str> = names
                    .labels
                    .iter()
                    .filter(|(p, _)| p == probe)
                    .map(|(_, label)| label.as_str())
                    .chain(["from", "status"])
                    .collect();
                if !known.contains(&test.key.text) {
                    self.unknown("label", test.key, known);
                    return None;
                }
                let negated = test.negated != (test.relation == Relation::NotEqual);
                let label = Spanned::new(test.key.text.to_owned(), test.key.span);
                if let (Relation::Equal | Relation::NotEqual, Some(ItemKind::Word(word))) =
                    (test.relation, test.value.as_ref().map(|v| &v.kind))
                    && self.is_variable(word)
                {
                    let variable = Some((*word).to_owned());
                    return Some(vec![Filter { label, values: Vec::new(), variable, negated }]);
                }
                let values = match (test.relation, &test.value) {
                    (Relation::Equal | Relation::NotEqual | Relation::Is | Relation::In, Some(item)) => {
                        self.filter_values(item, names)?
                    }
                    _ => {
                        self.error(
                            Code::ClauseMisfit,
                            test.span,
                            "a filter compares with `=`, `!=` or `in`",
                        )
                        .help =
                            Some(format!("write `{0} = \"…\"` or `{0} in [\"…\", \"…\"]`", test.key.text));
                        return None;
                    }
                };
                Some(vec![Filter { label, values, variable: None, negated }])
            }
        }
    }

    /// A filter's values: strings, lists of them, numbers, or hosts by name, which stand for the names of their copies.
    fn filter_values(&mut self, item: &Item<'_>, names: &Names) -> Option<Vec<String>> {
        match &item.kind {
            ItemKind::Text(text) => Some(vec![self.text(text)]),
            ItemKind::Quantity(q) => Some(vec![q.text.to_owned()]),
            ItemKind::List(items) => {
                let all: Vec<Option<Vec<String>>> =
                    items.iter().map(|i| self.filter_values(i, names)).collect();
                Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
            }
            ItemKind::Word(word) => {
                let hosts = names.hosts_matching(word);
                if hosts.is_empty() {
                    let name = Word { text: word, span: item.span };
                    let known = names.hosts();
                    self.unknown("host", name, known.iter().map(String::as_str));
                    return None;
                }
                Some(hosts)
            }
            _ => {
                self.error(Code::Misplaced, item.span, "expected a string, a list of strings or a host")
                    .help =
                    Some("write `backend = \"a\"`, `backend in [\"a\", \"b\"]` or `from = client`".into());
                None
            }
        }
    }
}
