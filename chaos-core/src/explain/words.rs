//! Metrics, comparisons and predicates in words, and in the core notation of their meaning.

use std::time::Duration;

use crate::model::{
    Comparison, Event, Function, Metric, Phase, Predicate, Quantity, Unit,
    formula::{Bound, Op},
    metric::Field,
};
use crate::time::nanos;

use super::page::time;
use crate::time::exact as length;

/// Says what a metric is.
pub(super) fn metric(metric: &Metric) -> String {
    let probe = &metric.probe;
    let field = match metric.field {
        Field::Latency => "latency",
        Field::Duration => "time to an answer or a failure",
        Field::Dns => "name lookup time",
        Field::Connect => "connect time",
        Field::Tls => "time of the TLS handshake",
        Field::Ttfb => "time to first byte",
        Field::Value(_) => "reading",
        Field::DaysLeft => "time that the certificate is still valid, read",
    };
    let mut out = match metric.function {
        Function::Success => format!("the share of measurements by {probe} that succeed"),
        Function::Errors => format!("the share of measurements by {probe} that fail"),
        Function::Rate => format!("the measurements by {probe} each second"),
        Function::Count => format!("the number of measurements by {probe}"),
        Function::Quantile(0.5) => format!("the median {field} of {probe}"),
        Function::Quantile(q) => {
            format!("the {field} that {} of the measurements by {probe} stay within", Quantity::ratio(q))
        }
        Function::Min => format!("the least {field} of {probe}"),
        Function::Max => format!("the greatest {field} of {probe}"),
        Function::Last => format!("the latest {field} of {probe}"),
        Function::Value => match metric.field {
            Field::DaysLeft => format!("how long the certificate read by {probe} is still valid"),
            _ => format!("what {probe} reads"),
        },
        Function::Fires => format!("whether the {metric} fires"),
    };
    if metric.alert().is_some() {
        return out;
    }
    for (i, filter) in metric.filter.iter().enumerate() {
        out.push_str(if i == 0 { ", where " } else { " and " });
        let not = if filter.negated { "not " } else { "" };
        if let Some(variable) = &filter.variable {
            out.push_str(&format!("{} is {not}{variable}", filter.label));
            continue;
        }
        out.push_str(&format!("{} is {not}{}", filter.label, filter.values.join(" or ")));
    }
    if !metric.filter.is_empty() && metric.over.is_none() {
        out.push(',');
    }
    if let Some(window) = metric.over {
        out.push_str(&format!(", over the last {},", time(window)));
    }
    out
}

/// Says what a comparison claims.
pub(super) fn comparison(comparison: &Comparison) -> String {
    if comparison.metric.alert().is_some() {
        return format!("the {comparison}");
    }
    let relation = match comparison.op {
        Op::Less => "below",
        Op::AtMost => "at most",
        Op::Greater => "above",
        Op::AtLeast => "at least",
    };
    let bound = match &comparison.bound {
        Bound::Constant(quantity) => quantity.to_string(),
        Bound::Baseline { factor, offset } => {
            let mut text = if *factor == 1.0 {
                "what it was during the baseline".to_owned()
            } else {
                format!("{factor} times what it was during the baseline")
            };
            text.push_str(&distance(comparison, *offset));
            text
        }
        Bound::Metric { factor, metric: other, offset } => {
            let times = if *factor == 1.0 { String::new() } else { format!("{factor} times ") };
            format!("{times}{}{}", metric(other).trim_end_matches(','), distance(comparison, *offset))
        }
    };
    format!("{} is {relation} {bound}", metric(&comparison.metric))
}

fn distance(comparison: &Comparison, offset: f64) -> String {
    if offset == 0.0 {
        return String::new();
    }
    let unit = match comparison.metric.unit() {
        Unit::Ratio => Unit::Points,
        unit => unit,
    };
    let sign = if offset < 0.0 { "minus" } else { "plus" };
    format!(", {sign} {}", Quantity::new(offset.abs(), unit))
}

/// Says when a predicate is true.
pub(super) fn predicate(of: &Predicate) -> String {
    match of {
        Predicate::Compare(c) => comparison(c),
        Predicate::For { predicate: inner, lasting } => {
            format!("{}, and has been so for {}", predicate(inner), time(*lasting))
        }
        Predicate::Not(inner) => format!("it is not so that {}", predicate(inner)),
        Predicate::All(all) => all.iter().map(predicate).collect::<Vec<_>>().join("; and "),
        Predicate::Any(all) => all.iter().map(predicate).collect::<Vec<_>>().join("; or "),
    }
}

/// Writes a predicate in core notation.
pub(super) fn core(of: &Predicate) -> String {
    let list = |all: &[Predicate], word: &str| {
        all.iter().map(|p| format!("({})", core(p))).collect::<Vec<_>>().join(&format!(" {word} "))
    };
    match of {
        Predicate::Compare(c) => c.to_string(),
        Predicate::For { predicate, lasting } => {
            format!("historically[0s,{}] {}", length(nanos(*lasting)), tight(predicate))
        }
        Predicate::Not(inner) => format!("not {}", tight(inner)),
        Predicate::All(all) => list(all, "and"),
        Predicate::Any(all) => list(all, "or"),
    }
}

/// Writes a predicate in core notation as it stands behind an operator.
pub(super) fn tight(of: &Predicate) -> String {
    match of {
        Predicate::For { .. } | Predicate::Not(_) => core(of),
        _ => format!("({})", core(of)),
    }
}

/// Returns the longest window of a predicate.
pub(super) fn longest_window(predicate: &Predicate) -> Duration {
    predicate.comparisons().iter().flat_map(|c| c.metrics()).filter_map(|m| m.over).max().unwrap_or_default()
}

/// Returns how long a predicate must have held before it counts.
pub(super) fn persistence(predicate: &Predicate) -> Duration {
    match predicate {
        Predicate::Compare(_) => Duration::ZERO,
        Predicate::For { predicate, lasting } => persistence(predicate) + *lasting,
        Predicate::Not(inner) => persistence(inner),
        Predicate::All(all) | Predicate::Any(all) => all.iter().map(persistence).max().unwrap_or_default(),
    }
}

/// Says during which phase.
pub(super) fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Baseline => "during the baseline".into(),
        Phase::Fault(None) => "from the first injection to the first rollback".into(),
        Phase::Fault(Some(name)) => format!("while {name} is in place"),
        Phase::Watch => "during the watch after the rollback".into(),
        Phase::WholeRun => "during the whole run".into(),
    }
}

/// Says what an event is.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Rollback => "everything is rolled back".into(),
        Event::RollbackStarts => "the rollback begins".into(),
        Event::Starts(name) => format!("{name} is in place"),
        Event::Ends(name) => format!("{name} is gone"),
        Event::Made(name) => format!("{name} is made"),
    }
}
