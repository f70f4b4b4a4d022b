//! Comparisons of a metric with a constant, the baseline or another metric.

use chaos_core::{
    model::{
        Comparison, Metric, Quantity, Unit,
        formula::{Bound, Op},
    },
    span::Spanned,
};

use super::{Checker, Names, predicate::Where};
use crate::{
    codes::Code,
    diagnostic::Cause,
    syntax::{Baseline, Call, Compare, CompareOp, Formula, Item, Sign, Term},
};

/// Returns what `p95 get.latency` is written as: a function and what it is of, without the parentheses.
fn called(items: &[Item<'_>]) -> String {
    match items.iter().map(|item| item.as_word().map(|word| word.text)).collect::<Vec<_>>()[..] {
        [Some(function), Some(of)] => format!("write `{function}({of})`"),
        _ => "write `p95(probe.latency) <= 250ms`".into(),
    }
}

/// Returns what `get.latency.p95` and `get.success` are written as: the function last, as a method of other languages.
fn method(text: &str) -> Option<String> {
    let (of, function) = text.rsplit_once('.')?;
    let of_requests = matches!(function, "success" | "errors" | "rate" | "count");
    let percentile = function.strip_prefix('p').is_some_and(|p| p.parse::<f64>().is_ok());
    match (of_requests, percentile || matches!(function, "min" | "max" | "last")) {
        (true, _) => Some(format!("write `{function}({})`", of.split('.').next().unwrap_or(of))),
        (_, true) if of.contains('.') => Some(format!("write `{function}({of})`")),
        (_, true) => Some(format!("write `{function}({of}.latency)`")),
        _ => None,
    }
}

impl Checker {
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
                self.error(Code::ClauseMisfit, compare.op.span, message)
                    .advise("write `<=` or `>=`")
                    .because(Cause::ExactComparison);
                return None;
            }
        };
        let Term::Call(call) = &compare.left else {
            let message = "a comparison has its metric on the left";
            self.error(Code::NotAMetric, compare.left.span(), message).help =
                Some(match (&compare.left, &compare.right) {
                    (_, Term::Call(_)) => "turn it round: `p95(probe.latency) <= 250ms`".into(),
                    (Term::Phrase(items), _) => called(items),
                    (Term::Item(item), _) => match item.as_word() {
                        Some(word) if method(word.text).is_some() => method(word.text).unwrap_or_default(),
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
}
