//! The breakdown of a latency: which part of it (waiting for a free connection, DNS, connect, TLS, first byte, rest) grew most since the baseline.
//!
//! It explains a verdict and never decides one: the parts of a quantile are not the quantiles of the parts, so what is reported is
//! which part moved most, not a sum. A part that a measurement did without, such as connecting where a connection was kept,
//! took it no time.

use std::time::Duration;

use super::finding::Finding;
use super::show::show;
use super::{Period, filter::matches};
use crate::verdict::Outcome as Verdict;
use crate::{
    judge::view::Samples,
    model::{Field, Function, Metric, Unit},
    probe::{Outcome, Sample},
};

/// The share of the whole growth below which no layer is named.
const TELLING: f64 = 0.3;

/// The share of the allowed budget below which a claim that passed was a close call.
const CLOSE: f64 = 0.2;

/// Returns whether a claim did not pass, or only just.
pub(super) fn is_near(finding: &Finding) -> bool {
    finding.outcome != Verdict::Passed || finding.normalised.is_some_and(|left| left < CLOSE)
}

/// A part of a latency: what it is called, and how long it took.
type Layer = (&'static str, fn(&Sample) -> Duration);

const LAYERS: [Layer; 6] = [
    ("waiting for a free connection of the probe", |s| s.observation.wait.unwrap_or_default()),
    ("dns", |s| s.observation.dns.unwrap_or_default()),
    ("connect", |s| s.observation.connect.unwrap_or_default()),
    ("tls", |s| s.observation.tls.unwrap_or_default()),
    ("ttfb", |s| s.observation.ttfb.unwrap_or_default()),
    ("the rest of the answer", rest),
];

/// Returns what came after the first byte, where it is known when that came.
fn rest(sample: &Sample) -> Duration {
    let seen = &sample.observation;
    let Some(ttfb) = seen.ttfb else { return Duration::ZERO };
    let before = [Some(sample.late), seen.wait, seen.dns, seen.connect, seen.tls, Some(ttfb)];
    sample.latency.saturating_sub(before.into_iter().flatten().sum())
}

/// Says which layer grew most, as in `of +103ms, connect grew 101ms`; `None` if the latency did not grow, or none stands out.
pub(super) fn grown_part(
    metric: &Metric,
    samples: &Samples,
    baseline: Period,
    periods: &[Period],
) -> Option<String> {
    let timed =
        matches!(metric.function, Function::Quantile(_) | Function::Min | Function::Max | Function::Last);
    if metric.field != Field::Latency || !timed {
        return None;
    }
    let samples = samples.get(&metric.probe.value)?;
    let within = |periods: &[Period]| -> Vec<&Sample> {
        let inside = |s: &&Sample| periods.iter().any(|(start, end)| (*start..*end).contains(&s.intended));
        let counts = |s: &&Sample| s.observation.outcome == Outcome::Ok;
        let chosen = |s: &&Sample| metric.filter.iter().all(|filter| matches(filter, s));
        samples.iter().filter(counts).filter(inside).filter(chosen).collect()
    };
    let (before, after) = (within(&[baseline]), within(periods));
    let growth = |part: fn(&Sample) -> Duration| -> Option<f64> {
        Some(statistic(metric.function, &after, part)? - statistic(metric.function, &before, part)?)
    };
    let whole = growth(|s| s.latency)?;
    let grown = LAYERS.iter().filter_map(|(name, part)| Some((*name, growth(*part)?)));
    let (name, most) = grown.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (whole > 0.0 && most >= TELLING * whole).then(|| {
        let time = |seconds| show(seconds, Unit::Seconds);
        format!("of +{}, {name} grew {}", time(whole), time(most))
    })
}

/// Returns the statistic of one part, in seconds.
fn statistic(function: Function, samples: &[&Sample], part: fn(&Sample) -> Duration) -> Option<f64> {
    let last = part(samples.last()?);
    let mut times: Vec<Duration> = samples.iter().map(|s| part(s)).collect();
    times.sort_unstable();
    let rank = match function {
        Function::Quantile(q) => ((q * times.len() as f64).ceil() as usize).clamp(1, times.len()),
        Function::Min => 1,
        Function::Max => times.len(),
        Function::Success
        | Function::Errors
        | Function::Rate
        | Function::Count
        | Function::Last
        | Function::Value
        | Function::Fires => return Some(last.as_secs_f64()),
    };
    Some(times[rank - 1].as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;
    use crate::{
        judge::view::Samples,
        model::{Claim, Predicate, formula::Op},
        probe::Observation,
    };

    /// A run whose latency parts are given per second, in milliseconds.
    fn run(parts: impl Fn(f64) -> [u64; 5]) -> Run {
        let sampled = |n: u32| {
            let second = f64::from(n) * 0.1;
            let [dns, connect, tls, ttfb, rest] = parts(second);
            let mut seen = Observation::ok();
            seen.dns = Some(ms(dns));
            seen.connect = (connect > 0).then(|| ms(connect));
            seen.tls = (tls > 0).then(|| ms(tls));
            seen.ttfb = Some(ms(ttfb));
            sample(at(second), ms(dns + connect + tls + ttfb + rest), seen)
        };
        Run::with((0..1310).map(sampled).collect(), 10.0)
    }

    fn sentence(parts: impl Fn(f64) -> [u64; 5]) -> String {
        let finding = run(parts).finding(during(latency(Function::Quantile(0.5), Op::AtMost, 50.0), lossy()));
        failed(&finding);
        finding.sentence
    }

    fn faulty(t: f64) -> bool {
        (FAULT..40.0).contains(&t)
    }

    #[test]
    fn the_layer_that_grew_most_is_named() {
        let connect = sentence(|t| if faulty(t) { [1, 103, 4, 9, 0] } else { [1, 2, 4, 8, 0] });
        assert!(connect.ends_with("too much (of +102ms, connect grew 101ms)"), "{connect}");
        let ttfb = sentence(|t| if faulty(t) { [0, 0, 0, 80, 1] } else { [0, 0, 0, 10, 1] });
        assert!(ttfb.ends_with("(of +70ms, ttfb grew 70ms)"), "{ttfb}");
        let rest = sentence(|t| if faulty(t) { [0, 0, 0, 10, 91] } else { [0, 0, 0, 10, 1] });
        assert!(rest.ends_with("(of +90ms, the rest of the answer grew 90ms)"), "{rest}");
    }

    #[test]
    fn what_was_slow_before_names_nobody() {
        let slow = sentence(|_| [1, 100, 4, 9, 0]);
        assert!(slow.ends_with("too much"), "{slow}");
        let unknown = Run::new(|t| Reply::Ok(if faulty(t) { 100.0 } else { 1.0 }));
        let unknown = unknown.finding(during(latency(Function::Quantile(0.5), Op::AtMost, 50.0), lossy()));
        assert!(unknown.sentence.ends_with("too much"), "{}", unknown.sentence);
    }

    #[test]
    fn a_signal_names_the_layer_at_its_worst_moment() {
        let slow = |t: f64| if (20.0..25.0).contains(&t) { [0, 0, 120, 9, 0] } else { [0, 0, 4, 8, 0] };
        let metric = metric(Function::Quantile(0.5), Some(secs(2)));
        let predicate = Predicate::Compare(compare(metric, Op::AtMost, constant(0.05, Unit::Seconds)));
        let finding = run(slow).finding(Claim::Always { predicate, during: lossy() });
        failed(&finding);
        assert!(finding.sentence.contains("(of +117ms, tls grew 116ms)"), "{}", finding.sentence);
    }

    #[test]
    fn other_metrics_have_no_layers() {
        let baseline = (0, at(FAULT));
        let none = Samples::new();
        assert_eq!(grown_part(&metric(Function::Success, None), &none, baseline, &[]), None);
        let connect = Metric { field: Field::Connect, ..metric(Function::Quantile(0.5), None) };
        assert_eq!(
            grown_part(&connect, &run(|_| [1, 1, 1, 1, 1]).samples, baseline, &[(at(10.0), at(40.0))]),
            None
        );
    }
}
