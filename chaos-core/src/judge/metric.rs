//! What a metric looks at: samples, filtered and reduced to what judging needs.

use std::borrow::Cow;

use super::{Period, filter::matches, polled};
use crate::verdict::{
    Interval,
    proportion::Trials,
    quantile::rank,
    window::{Answer, Observation, Statistic, Windowed, trials, within},
};
use crate::{
    judge::view::Samples,
    model::{Field, Function, Metric},
    probe::{Outcome, Sample},
    time::{Nanos, nanos},
};

/// Returns what the metric looks at of samples meant to start before `until`, in the order of intended starts.
pub(super) fn observations(metric: &Metric, samples: &Samples, until: Nanos) -> Vec<Observation> {
    let Some(samples) = samples.get(&metric.probe.value) else { return Vec::new() };
    // Without a filter nearly all count: then room for all at once spares moving them about.
    let mut seen = Vec::with_capacity(if metric.filter.is_empty() { samples.len() } else { 0 });
    seen.extend(samples.iter().filter(|s| s.intended < until).filter_map(|s| observation(metric, s)));
    if !seen.is_sorted_by_key(|o| o.intended) {
        seen.sort_by_key(|o| o.intended);
    }
    if metric.field.is_read() {
        let mut missing = polled::Missing::new();
        seen.retain(|observation| missing.counts(observation));
    }
    seen
}

/// Returns what the metric looks at of one sample, or `None` if it does not count.
///
/// A sample that has no value of the field, such as the time to connect over a connection that was reused, does not count.
/// A failure has a duration and no latency. Of a timeout only these two are bounded; its other times are unknown.
pub(super) fn observation(metric: &Metric, sample: &Sample) -> Option<Observation> {
    if !metric.filter.iter().all(|filter| matches(filter, sample)) {
        return None;
    }
    let seen = &sample.observation;
    let latency = sample.latency.as_secs_f64();
    let times = looks_at_times(metric.function);
    let answer = match seen.outcome {
        // What was read counts however the measurement ended: a certificate that has expired fails its handshake.
        _ if metric.field.is_read() => seen.value.filter(|v| !v.is_nan()).map_or(Answer::Unread, Answer::Ok),
        Outcome::Ok if !times => Answer::Ok(latency),
        Outcome::Ok => Answer::Ok(match metric.field {
            Field::Latency | Field::Duration => latency,
            Field::Dns => seen.dns?.as_secs_f64(),
            Field::Connect => seen.connect?.as_secs_f64(),
            Field::Tls => seen.tls?.as_secs_f64(),
            Field::Ttfb => seen.ttfb?.as_secs_f64(),
            Field::Value(_) | Field::DaysLeft => seen.value?,
        }),
        Outcome::Failed if times && metric.field == Field::Duration => Answer::Ok(latency),
        Outcome::Failed => Answer::Failed,
        Outcome::TimedOut if matches!(metric.field, Field::Latency | Field::Duration) => {
            Answer::TimedOut(latency)
        }
        Outcome::TimedOut => Answer::TimedOut(0.0),
        Outcome::NotRun => Answer::NotRun,
    };
    let completed = sample.intended.saturating_add(nanos(sample.latency));
    Some(Observation { intended: sample.intended, completed, answer })
}

/// Returns whether a measurement says anything about the metric.
///
/// One that the filter leaves out does not, nor does a failure about a time that failures do not have. That nothing matches
/// is an answer where measurements are counted, and a success that did without a part, such as connecting, took no time
/// for it.
pub(crate) fn informs(metric: &Metric, sample: &Sample) -> bool {
    let outcome = sample.observation.outcome;
    match metric.function {
        Function::Fires => outcome == Outcome::Ok,
        _ if metric.field.is_read() => sample.observation.value.is_some_and(|value| !value.is_nan()),
        Function::Rate | Function::Count => outcome != Outcome::NotRun,
        Function::Success
        | Function::Errors
        | Function::Quantile(_)
        | Function::Min
        | Function::Max
        | Function::Last
        | Function::Value => {
            let without_time = looks_at_times(metric.function) && metric.field != Field::Duration;
            outcome != Outcome::NotRun
                && !(outcome == Outcome::Failed && without_time)
                && metric.filter.iter().all(|filter| matches(filter, sample))
        }
    }
}

/// Returns whether the function is about how long something took, rather than about its outcome.
pub(super) fn looks_at_times(function: Function) -> bool {
    matches!(function, Function::Quantile(_) | Function::Min | Function::Max | Function::Last)
}

/// Says how many measurements in the periods failed, where the metric asks for a time that failed ones do not have and they
/// are so many that the others decide nothing.
pub(super) fn failed(metric: &Metric, seen: &[Observation], periods: &[Period]) -> Option<String> {
    if !looks_at_times(metric.function) || metric.field.is_read() {
        return None;
    }
    let made = during(periods, seen);
    let failed = made.iter().filter(|o| matches!(o.answer, Answer::Failed)).count();
    let (all, others) = (made.len(), made.len() - failed);
    // A window may lack answers that the whole time has enough of.
    let least = if metric.over.is_some() { all } else { statistic(metric.function).least_samples() };
    if failed == 0 || others >= least || all < least {
        return None;
    }
    let which = if others == 0 {
        format!("all {all} requests failed")
    } else {
        format!("{failed} of {all} requests failed")
    };
    let (probe, field, function) = (&metric.probe, metric.field.name(), metric.function);
    Some(format!(
        "{which}, and failed requests have no {field}: use `success({probe})`, `{function}({probe}.duration)` for the time to an \
         answer or a failure, or say in `ok when` what succeeds"
    ))
}

/// Returns how the function is computed over a window.
pub(super) fn statistic(function: Function) -> Statistic {
    match function {
        Function::Success => Statistic::Success,
        Function::Errors => Statistic::Errors,
        Function::Rate => Statistic::Rate,
        Function::Count => Statistic::Count,
        Function::Quantile(q) => Statistic::Quantile(q),
        Function::Min => Statistic::Min,
        Function::Max => Statistic::Max,
        // What is read at instants has no window of its own.
        Function::Last | Function::Value | Function::Fires => Statistic::Last,
    }
}

/// Returns the observations within any of the periods, each once, in order.
pub(super) fn during<'o>(periods: &[Period], observations: &'o [Observation]) -> Cow<'o, [Observation]> {
    if let [(start, end)] = periods {
        return Cow::Borrowed(within(observations, *start, *end));
    }
    let inside = |o: &&Observation| periods.iter().any(|(start, end)| (*start..*end).contains(&o.intended));
    observations.iter().filter(inside).copied().collect()
}

/// Returns the outcomes of the requests, a hit being what the share counts.
pub(super) fn outcomes(metric: &Metric, observations: &[Observation]) -> Trials {
    let trials = trials(observations);
    if metric.function == Function::Errors { trials.inverted() } else { trials }
}

/// How many samples a number is made of at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// As many as give it a meaning beyond them: for a quantile, those that bound it.
    Meaningful,
    /// One: the number is about these samples and no others.
    One,
}

/// Returns the metric over whole periods as it was observed; none with fewer samples than `least` asks for.
pub(super) fn number(
    metric: &Metric,
    periods: &[Period],
    observations: &[Observation],
    least: Least,
) -> Option<Interval> {
    let seen = during(periods, observations);
    let counts = || {
        let unknown = seen.iter().filter(|o| o.answer.is_unknown()).count();
        ((seen.len() - unknown) as f64, seen.len() as f64)
    };
    let ranked = |rank: &dyn Fn(usize) -> usize| -> Option<Interval> {
        let known = seen.iter().filter(|o| !o.answer.is_unknown() && o.value().is_some()).count();
        let least = match least {
            Least::Meaningful => statistic(metric.function).least_samples(),
            Least::One => 1,
        };
        if known < least { None } else { order_statistic(&seen, rank) }
    };
    match metric.function {
        Function::Success => trials(&seen).share(),
        Function::Errors => trials(&seen).inverted().share(),
        Function::Count => {
            let (made, all) = counts();
            Some(Interval::new(made, all))
        }
        Function::Rate => {
            let (made, all) = counts();
            let seconds = periods.iter().map(|(s, e)| e.saturating_sub(*s).max(0) as f64 / 1e9).sum::<f64>();
            (seconds > 0.0).then(|| Interval::new(made / seconds, all / seconds))
        }
        Function::Quantile(q) => ranked(&|len| rank(q, len)),
        Function::Min => ranked(&|_| 1),
        Function::Max => ranked(&|len| len),
        Function::Last | Function::Value | Function::Fires => seen.iter().rev().find_map(Observation::value),
    }
}

/// Returns the value of the rank, counted from 1, that is asked for of this many values; `None` without values.
fn order_statistic(seen: &[Observation], rank: &dyn Fn(usize) -> usize) -> Option<Interval> {
    let (mut lower, mut upper): (Vec<f64>, Vec<f64>) =
        seen.iter().filter_map(Observation::value).map(|value| (value.lo, value.hi)).unzip();
    let place = rank(lower.len()).checked_sub(1).filter(|place| *place < lower.len())?;
    let exact = lower == upper;
    let lo = *lower.select_nth_unstable_by(place, f64::total_cmp).1;
    let hi = if exact { lo } else { *upper.select_nth_unstable_by(place, f64::total_cmp).1 };
    Some(Interval::new(lo, hi))
}

/// Returns the metric over the baseline as one number, or `None` if there is no such number: too few samples, or a quantile
/// beyond the timeout. Measurements that could not be taken do not count.
///
/// What is read at instants has its median there. A count grows with time, so it is that of an average period as long as `window`, what it will be compared with.
pub(super) fn baseline_number(
    metric: &Metric,
    samples: &Samples,
    baseline: Period,
    window: Option<Nanos>,
) -> Option<f64> {
    number_before(metric, &observations(metric, samples, baseline.1), baseline, window, Least::Meaningful)
}

/// Returns what [`baseline_number`] does of what the metric looks at.
pub(super) fn number_before(
    metric: &Metric,
    seen: &[Observation],
    baseline: Period,
    window: Option<Nanos>,
    least: Least,
) -> Option<f64> {
    let mut seen = during(std::slice::from_ref(&baseline), seen);
    if seen.iter().any(|o| o.answer.is_unknown()) {
        seen.to_mut().retain(|o| !o.answer.is_unknown());
    }
    let median = Metric { function: Function::Quantile(0.5), ..metric.clone() };
    let metric = if metric.function == Function::Value { &median } else { metric };
    let value = number(metric, &[baseline], &seen, least).filter(|v| v.is_exact() && v.lo.is_finite())?.lo;
    let length = baseline.1.saturating_sub(baseline.0);
    match (metric.function, window) {
        (Function::Count, _) if length <= 0 => None,
        (Function::Count, Some(window)) => Some(value * window as f64 / length as f64),
        _ => Some(value),
    }
}

/// Returns how the metric is computed over a window of this length.
pub(super) fn windowed(metric: &Metric, length: Nanos) -> Windowed {
    let windowed = Windowed::new(statistic(metric.function), length);
    if metric.field.is_read() { windowed.ranging(Interval::EVERYTHING) } else { windowed }
}
