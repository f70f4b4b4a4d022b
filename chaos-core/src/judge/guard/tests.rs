use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::tests::*;
use super::*;
use crate::model::{
    Function, Unit,
    formula::{Bound, Op},
};
use crate::verdict::monitor;

fn watch(predicate: Predicate) -> Watcher {
    Watcher::new(&predicate, &crate::testing::experiment())
}

fn below(share: f64, over: u64) -> Predicate {
    Predicate::Compare(success(Some(secs(over)), Op::Less, share))
}

fn lasts(predicate: Predicate, length: Duration) -> Predicate {
    Predicate::For { predicate: Box::new(predicate), lasting: length }
}

/// Plays samples as the run's monitor does: on each end of one, and on a tick of 100 ms; returns when it first fires and
/// what it says.
fn play(guard: &mut Watcher, samples: &[Sample], end: Nanos) -> Option<(Nanos, String)> {
    let mut ends: Vec<&Sample> = samples.iter().collect();
    ends.sort_by_key(|s| s.completed());
    let mut ends = ends.into_iter().peekable();
    for tick in 0..=end / 100_000_000 {
        let tick = tick * 100_000_000;
        while let Some(sample) = ends.next_if(|s| s.completed() <= tick) {
            guard.observe("get", sample);
            if let Some(said) = guard.fires(sample.completed()) {
                return Some((sample.completed(), said));
            }
        }
        if let Some(said) = guard.fires(tick) {
            return Some((tick, said));
        }
    }
    None
}

fn every(step: f64, end: f64, serve: impl Fn(f64) -> Reply) -> Vec<Sample> {
    let count = (end / step) as u32;
    (0..count).filter_map(|n| serve(f64::from(n) * step).sample(at(f64::from(n) * step))).collect()
}

#[test]
fn a_guard_fires_as_soon_as_its_condition_has_lasted() {
    let samples = every(0.01, 30.0, |t| if t < 10.0 { Reply::Ok(1.0) } else { Reply::Failed });
    let (fired, said) = play(&mut watch(below(0.8, 2)), &samples, at(30.0)).unwrap();
    // More than a fifth of 2 s.
    assert!((at(10.4)..at(10.5)).contains(&fired), "{fired}");
    assert!(said.starts_with("success(get, over 2s) was 7") && said.ends_with("%, below 80%"), "{said}");
    let (lasted, said) = play(&mut watch(lasts(below(0.8, 2), secs(2))), &samples, at(30.0)).unwrap();
    assert!((fired + at(2.0)..fired + at(2.1)).contains(&lasted), "{lasted}");
    assert_eq!(said, "success(get, over 2s) was 0%, below 80% for 2s");
    // An interruption begins it anew.
    let flapping =
        every(0.01, 30.0, |t| if t < 10.0 || t % 3.0 < 1.0 { Reply::Ok(1.0) } else { Reply::Failed });
    assert!(play(&mut watch(below(0.5, 1)), &flapping, at(30.0)).is_some());
    assert_eq!(play(&mut watch(lasts(below(0.5, 1), secs(3))), &flapping, at(30.0)), None);
    let fine = every(0.01, 30.0, |_| Reply::Ok(1.0));
    assert_eq!(play(&mut watch(below(0.8, 2)), &fine, at(30.0)), None);
}

#[test]
fn a_window_shorter_than_the_timeout_sees_a_total_outage() {
    let mut samples = every(0.01, 30.0, |t| if t < 10.0 { Reply::Ok(1.0) } else { Reply::TimedOut });
    samples.iter_mut().filter(|s| s.intended >= at(10.0)).for_each(|s| s.latency = secs(5));
    let (fired, said) = play(&mut watch(below(0.8, 2)), &samples, at(40.0)).unwrap();
    assert!((at(15.0)..at(15.5)).contains(&fired), "{fired} {said}");
}

#[test]
fn silence_and_what_could_not_be_measured_never_fire() {
    let silent = every(0.01, 30.0, |t| if t < 10.0 { Reply::Ok(1.0) } else { Reply::Nothing });
    assert_eq!(play(&mut watch(below(0.8, 2)), &silent, at(30.0)), None);
    assert_eq!(play(&mut watch(Predicate::Not(Box::new(below(0.8, 2)))), &[], at(5.0)), None);
    let blind = every(0.01, 30.0, |t| if t < 10.0 { Reply::Ok(1.0) } else { Reply::NotRun });
    assert_eq!(play(&mut watch(below(0.8, 2)), &blind, at(30.0)), None);
}

#[test]
fn a_limit_from_the_baseline_comes_when_that_is_over() {
    let slow = compare(
        metric(Function::Quantile(0.5), Some(secs(1))),
        Op::Greater,
        Bound::Baseline { factor: 2.0, offset: 0.0 },
    );
    let samples = every(0.01, 30.0, |t| Reply::Ok(if t < 10.0 { 4.0 } else { 12.0 }));
    let mut guard = watch(Predicate::Compare(slow));
    assert_eq!(play(&mut guard, &samples, at(20.0)), None);
    guard.baseline(&Samples::from([("get".to_owned(), samples)]), 0, at(10.0));
    assert_eq!(
        guard.fires(at(20.0)).as_deref(),
        Some("p50(get.latency, over 1s) was 12ms, above 8ms (2 x baseline 4ms)")
    );
}

#[test]
fn only_what_speaks_for_it_is_said() {
    let slow = compare(metric(Function::Max, Some(secs(1))), Op::Greater, constant(0.1, Unit::Seconds));
    let samples = every(0.01, 5.0, |_| Reply::Ok(200.0));
    let mut guard = watch(Predicate::Any(vec![below(0.8, 2), Predicate::Compare(slow.clone())]));
    let (_, said) = play(&mut guard, &samples, at(5.0)).unwrap();
    assert_eq!(said, "max(get.latency, over 1s) was 200ms, above 100ms");
    let mut guard =
        watch(Predicate::All(vec![Predicate::Not(Box::new(below(0.8, 2))), Predicate::Compare(slow)]));
    let (_, said) = play(&mut guard, &samples, at(5.0)).unwrap();
    assert_eq!(
        said,
        "success(get, over 2s) was 100%, above 80%, and max(get.latency, over 1s) was 200ms, above 100ms"
    );
}

#[test]
fn guards_keep_up_with_fast_probes() {
    let samples: Vec<Sample> = (0..30_000)
        .filter_map(|n| Reply::Ok(f64::from(n * 7919 % 1000)).sample(n as Nanos * 100_000))
        .collect();
    let slow =
        compare(metric(Function::Quantile(0.99), Some(secs(2))), Op::Greater, constant(2.0, Unit::Seconds));
    let mut guards = [watch(lasts(below(0.8, 2), secs(2))), watch(lasts(Predicate::Compare(slow), secs(2)))];
    let begun = Instant::now();
    for sample in &samples {
        for guard in &mut guards {
            guard.observe("get", sample);
            assert_eq!(guard.fires(sample.intended), None);
        }
    }
    // Three seconds' worth of samples of two guards at 10,000 a second, unoptimised on a busy machine.
    let took = begun.elapsed();
    assert!(took < secs(15), "{took:?}");
    println!("{:.0} samples a second", 30_000.0 / took.as_secs_f64());
}

/// Less of it succeeds than over twice the time.
fn falling() -> Predicate {
    let success = |over| metric(Function::Success, Some(secs(over)));
    let twice = Bound::Metric { metric: Box::new(success(2)), factor: 1.0, offset: 0.0 };
    Predicate::Compare(compare(success(1), Op::Less, twice))
}

/// A formula over what succeeds in windows of two lengths, each compared with a number, or one with the other.
fn formula() -> impl Strategy<Value = Predicate> {
    let leaf = prop::sample::select(vec![below(0.5, 1), below(0.8, 2), falling()]).boxed();
    leaf.prop_recursive(4, 8, 2, |inner| {
        prop_oneof![
            2 => (inner.clone(), 0u64..8).prop_map(|(p, n)| lasts(p, ms(n * 500))),
            1 => inner.clone().prop_map(|p| Predicate::Not(Box::new(p))),
            1 => prop::collection::vec(inner.clone(), 1..3).prop_map(Predicate::All),
            1 => prop::collection::vec(inner, 1..3).prop_map(Predicate::Any),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Online, one look after the other, is what evaluating the formula over the whole past gives.
    #[test]
    fn online_is_offline(
        predicate in formula(),
        looks in prop::collection::vec((0u64..6, 0u8..4), 1..60),
    ) {
        let mut guard = watch(predicate.clone());
        let comparisons = predicate.comparisons();
        let mut limits: Vec<Limit> = comparisons.iter().map(|c| Limit::from_baseline(c, None)).collect();
        let others: Vec<&Metric> = comparisons.iter().filter_map(|c| c.metrics().get(1).copied()).collect();
        let moving = limits.iter_mut().filter(|limit| limit.value.is_none());
        for (signal, limit) in (comparisons.len()..).zip(moving) {
            limit.signal = Some(SignalId(signal));
        }
        let formula = super::super::temporal::formula(&predicate, &limits, &mut 0);
        let mut now = 0;
        let mut seen: Vec<Observation> = Vec::new();
        let mut evaluated: Vec<Nanos> = Vec::new();
        for (step, reply) in looks {
            now += at(0.25) * step as Nanos;
            let reply = match reply {
                0 => Reply::Nothing,
                1 => Reply::Failed,
                2 => Reply::NotRun,
                _ => Reply::Ok(1.0),
            };
            if let Some(mut sample) = reply.sample(now) {
                sample.latency = Duration::ZERO;
                guard.observe("get", &sample);
                seen.extend(metric::observation(&predicate.comparisons()[0].metric, &sample));
            }
            let online = guard.evaluate(now);
            evaluated.push(now);
            let metrics = comparisons.iter().map(|c| &c.metric).chain(others.iter().copied());
            // Of what a window does not know a guard takes no value for granted.
            let signals = metrics.map(|m| {
                let windowed = windowed(m, nanos(m.over.unwrap())).ranging(Interval::EVERYTHING);
                windowed.replay(&seen, &evaluated)
            });
            let trace = monitor::Trace::new(signals.collect());
            let offline = monitor::evaluate::<monitor::Reading>(&formula, &trace).at(now).truth;
            prop_assert_eq!(online, offline, "{} at {}", predicate, now);
        }
    }
}
