//! Metrics: what a function makes of a probe's samples.

use chaos_core::{
    model::{Field, Function, Metric, Unit},
    span::Span,
};

use super::{Checker, Names, predicate::Where};
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest::{self, Advice},
    syntax::{Call, Word},
};

/// What a formula can make of a probe's samples; any percentile may stand for those named.
pub const FUNCTIONS: &[&str] = &[
    "success", "errors", "rate", "count", "p50", "p90", "p95", "p99", "p99.9", "min", "max", "last", "value",
];
const FIELDS: &[&str] = &["latency", "duration", "dns", "connect", "tls", "ttfb"];

impl Checker {
    /// Checks a call, which says of what it makes its number.
    pub(super) fn metric(&mut self, call: &Call<'_>, names: &Names, place: Where) -> Option<Metric> {
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
                let (help, text) = (
                    format!("write `{}({}.latency)`", call.function.text, word.text),
                    format!("{}.latency", word.text),
                );
                self.error(Code::NotAMetric, word.span, message).advise(Advice::replace(help, text));
                return None;
            }
            (Some(_), false) => {
                let message = format!("`{}` counts whole measurements", call.function.text);
                let bare = word.text.split('.').next().unwrap_or_default();
                let help = format!("write `{}({bare})`", call.function.text);
                self.error(Code::NotAMetric, word.span, message).advise(Advice::replace(help, bare));
                return None;
            }
            (Some("latency"), true) => Field::Latency,
            (Some("duration"), true) => Field::Duration,
            (Some("dns"), true) => Field::Dns,
            (Some("connect"), true) => Field::Connect,
            (Some("tls"), true) => Field::Tls,
            (Some("ttfb"), true) => Field::Ttfb,
            (Some("value" | "days_left"), true) => {
                self.reads_nothing(word);
                return None;
            }
            (Some(other), true) => {
                let near = suggest::did_you_mean(other, FIELDS.iter().copied());
                let fields = || format!("there is {}", super::join_words(FIELDS)).into();
                let at = Span { start: word.span.end - other.len() as u32, ..word.span };
                self.error(Code::UnknownName, word.span, format!("a probe has no `{other}`"))
                    .advise_on(at, near.unwrap_or_else(fields));
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
                        let near = suggest::did_you_mean(text, FUNCTIONS.iter().copied());
                        let functions = || format!("there is {}", super::join_words(FUNCTIONS)).into();
                        let advice = near.unwrap_or_else(functions);
                        let cause = Cause::Undeclared { name: text.to_owned(), misspelt: advice.misspelt };
                        self.error(Code::UnknownName, word.span, format!("unknown function `{text}`"))
                            .advise(advice)
                            .because(cause);
                        return None;
                    }
                }
            }
        };
        Some(function)
    }
}
