use super::*;
use crate::verdict::{Leaning, Reason};

/// `success(get, over 1s) >= 90%`
fn healthy() -> Predicate {
    Predicate::Compare(success(Some(secs(1)), Op::AtLeast, 0.9))
}

/// `last(get.latency, over 200ms) <= 1ms`: with a measurement every 100 ms, whatever signal is wanted.
fn quick() -> Predicate {
    let metric = metric(Function::Last, Some(ms(200)));
    Predicate::Compare(compare(metric, Op::AtMost, constant(0.001, Unit::Seconds)))
}

/// A run whose `last` latency, in milliseconds, follows steps that are counted from the rollback.
fn recovering(steps: &'static [(f64, f64)]) -> Run {
    Run::every(0.1, move |t| {
        let since = t - ROLLBACK + 1e-6;
        Reply::Ok(steps.iter().rev().find(|(start, _)| *start <= since).map_or(6.0, |(_, value)| *value))
    })
}

/// A run that fails in a period of time.
fn down(from: f64, to: f64) -> Run {
    Run::new(move |t| if (from..to).contains(&t) { Reply::Failed } else { Reply::Ok(1.0) })
}

/// A run without measurements in a period of time.
fn silent(from: f64, to: f64) -> Run {
    Run::new(move |t| if (from..to).contains(&t) { Reply::Nothing } else { Reply::Ok(1.0) })
}

fn always(predicate: Predicate) -> Claim {
    Claim::Always { predicate, during: lossy() }
}

fn never(predicate: Predicate) -> Claim {
    Claim::Never { predicate, during: lossy() }
}

fn within(predicate: Predicate, seconds: u64, after: Event) -> Claim {
    Claim::Within { predicate, within: secs(seconds), after }
}

fn settles(seconds: u64, lasting: Option<u64>) -> Claim {
    Claim::Settles {
        predicate: quick(),
        within: secs(seconds),
        lasting: lasting.map(secs),
        after: Event::Rollback,
    }
}

#[test]
fn always_and_never() {
    let fine = down(200.0, 200.0);
    let held = fine.finding(always(healthy()));
    passed(&held);
    assert!(held.sentence.starts_with("held throughout lossy; tightest: success(get, over 1s) >= 90%"));
    passed(&fine.finding(never(Predicate::Not(Box::new(healthy())))));
    let broken = down(20.0, 20.5).finding(always(healthy()));
    failed(&broken);
    // The eleventh failure of a hundred measurements, on a grid of 100 ms.
    let first = broken.decided_at.unwrap();
    assert!((at(20.1)..=at(20.2)).contains(&first), "{first}");
    let call = broken.closest.unwrap();
    assert!((call.margin + 0.4).abs() < 1e-9 && call.unit == Unit::Points, "{call:?}");
    assert!(broken.sentence.starts_with("did not hold 10.1s into lossy"), "{}", broken.sentence);
    failed(&fine.finding(never(healthy())));
    // What happens before or after the phase is nothing to it.
    passed(&down(0.0, 10.0).finding(always(healthy())));
    passed(&down(40.0, 60.0).finding(always(healthy())));
    passed(&down(9.0, 10.0).finding(always(healthy())));
}

#[test]
fn a_gap_leaves_always_open_but_not_what_failed_anyway() {
    let gap = silent(20.0, 25.0).finding(always(healthy()));
    open(&gap, &[Reason::Gap], Leaning::Passed);
    assert!(gap.unknown_share > 0.1);
    assert!(
        gap.sentence.starts_with(
            "undecided: nothing was measured for some of the time that matters; it probably holds"
        )
    );
    // A silence within a window is none.
    passed(&silent(20.0, 20.9).finding(always(healthy())));
    let both = Run::new(|t| match t {
        20.0..25.0 => Reply::Nothing,
        30.0..31.0 => Reply::Failed,
        _ => Reply::Ok(1.0),
    });
    failed(&both.finding(always(healthy())));
    // Without a measurement there is no count either.
    let idle = compare(metric(Function::Count, Some(secs(1))), Op::AtMost, constant(1e6, Unit::Count));
    open(
        &silent(20.0, 25.0).finding(never(Predicate::Not(Box::new(Predicate::Compare(idle))))),
        &[Reason::Gap],
        Leaning::Passed,
    );
}

#[test]
fn a_window_with_too_few_samples_is_unknown() {
    let run = Run::every(0.1, |_| Reply::Ok(0.5));
    let metric = metric(Function::Quantile(0.95), Some(secs(1)));
    let claim =
        || always(Predicate::Compare(compare(metric.clone(), Op::AtMost, constant(1.0, Unit::Seconds))));
    open(&run.finding(claim()), &[Reason::TooFewSamples], Leaning::None);
    passed(&Run::new(|_| Reply::Ok(0.5)).finding(claim()));
}

#[test]
fn a_window_without_latencies_says_how_many_requests_failed() {
    let run = Run::new(|t| if (20.0..25.0).contains(&t) { Reply::Failed } else { Reply::Ok(0.5) });
    let metric = metric(Function::Quantile(0.95), Some(secs(1)));
    let slow = Predicate::Compare(compare(metric, Op::AtMost, constant(1.0, Unit::Seconds)));
    let finding = run.finding(always(slow));
    assert!(!finding.outcome.is_decided());
    let said = "500 of 3000 requests failed, and failed requests have no latency";
    assert!(finding.sentence.contains(said), "{}", finding.sentence);
}

#[test]
fn a_condition_that_lasts() {
    let bad = Predicate::Not(Box::new(healthy()));
    let lasting = |seconds| Predicate::For { predicate: Box::new(bad.clone()), lasting: secs(seconds) };
    let run = down(20.0, 23.0);
    failed(&run.finding(never(lasting(2))));
    passed(&run.finding(never(lasting(4))));
    // And in front of `always` it has its own time to warm up.
    let fine = Predicate::For { predicate: Box::new(healthy()), lasting: secs(2) };
    passed(&down(200.0, 200.0).finding(always(fine)));
}

#[test]
fn predicates_are_joined() {
    let slow = compare(metric(Function::Max, Some(secs(1))), Op::Greater, constant(0.1, Unit::Seconds));
    let run = Run::new(|t| match t {
        15.0..20.0 if ((t * 100.0).round() as u32).is_multiple_of(2) => Reply::Failed,
        25.0..30.0 => Reply::Ok(200.0),
        _ => Reply::Ok(1.0),
    });
    let (down, slow) = (Predicate::Not(Box::new(healthy())), Predicate::Compare(slow));
    failed(&run.finding(never(Predicate::Any(vec![down.clone(), slow.clone()]))));
    passed(&run.finding(never(Predicate::All(vec![down.clone(), slow.clone()]))));
    let finding = run.finding(never(Predicate::Any(vec![down, slow])));
    assert_eq!((finding.limit, finding.margin), (None, None));
    assert!(finding.closest.is_some());
}

#[test]
fn eventually_and_within() {
    let metric = metric(Function::Last, Some(ms(200)));
    let slow = Predicate::Compare(compare(metric, Op::AtLeast, constant(0.005, Unit::Seconds)));
    let run = Run::every(0.1, |t| Reply::Ok(if t >= 15.0 - 1e-6 { 10.0 } else { 1.0 }));
    let eventually =
        |seconds| Claim::Eventually { predicate: slow.clone(), within: secs(seconds), during: lossy() };
    let came = run.finding(eventually(8));
    passed(&came);
    assert_eq!((came.time_margin, came.decided_at), (Some(at(3.0)), Some(at(15.0))));
    assert_eq!(came.sentence, "came 5s into lossy: 3s to spare");
    // The deadline itself is in time.
    passed(&run.finding(eventually(5)));
    failed(&run.finding(eventually(4)));
    passed(&run.finding(within(slow.clone(), 5, starts())));
    let late = run.finding(within(slow.clone(), 4, starts()));
    failed(&late);
    assert!(late.sentence.starts_with("did not come within 4s; worst miss:"), "{}", late.sentence);
    // An event that never came is nothing that can be judged.
    let unheard = run.finding(within(slow.clone(), 5, Event::Starts("other".into())));
    open(&unheard, &[Reason::NotExercised], Leaning::None);
    assert_eq!(unheard.reasons, ["not exercised: other starts never came"]);
    // And a deadline after the end cannot be judged either.
    let quiet = Run::every(0.1, |_| Reply::Ok(1.0));
    open(&quiet.finding(within(slow, 500, starts())), &[Reason::HorizonNotReached], Leaning::Failed);
}

#[test]
fn stops() {
    let metric = metric(Function::Count, Some(ms(200)));
    let busy = Predicate::Compare(compare(
        Metric { filter: vec![filter("status", &["503"], false)], ..metric },
        Op::Greater,
        constant(0.0, Unit::Count),
    ));
    let run = |until: f64| {
        let mut run = Run::every(0.1, |_| Reply::Ok(1.0));
        for one in run.samples.get_mut("get").unwrap() {
            one.observation.status = Some(if one.intended < at(ROLLBACK + until) { 503 } else { 200 });
        }
        run
    };
    let claim = || Claim::Stops { predicate: busy.clone(), within: secs(10), after: Event::Rollback };
    // The last one at 9.5 s leaves the window of 200 ms at 9.7 s.
    let stopped = run(9.6).finding(claim());
    passed(&stopped);
    assert_eq!(stopped.time_margin.unwrap().div_euclid(10_000_000), 30, "{stopped:#?}");
    let late = run(10.0).finding(claim());
    failed(&late);
    assert!(late.sentence.ends_with("too late"), "{}", late.sentence);
    let never = run(-30.0).finding(claim());
    passed(&never);
    assert_eq!(never.sentence, "never held after rollback");
}

#[test]
fn stays() {
    let claim = |seconds| Claim::Stays { predicate: healthy(), lasting: secs(seconds), after: starts() };
    passed(&down(30.0, 31.0).finding(claim(20)));
    failed(&down(25.0, 26.0).finding(claim(20)));
    open(&silent(15.0, 18.0).finding(claim(20)), &[Reason::Gap], Leaning::Passed);
}

#[test]
fn settling_means_having_stayed_so() {
    let steady: &[(f64, f64)] = &[(0.0, 6.0), (5.0, 4.0), (12.0, 2.0), (18.0, 0.8), (40.0, 0.9)];
    let held = recovering(steady).finding(settles(30, None));
    passed(&held);
    assert_eq!(held.time_margin, Some(at(12.0)));
    assert_eq!(held.sentence, "settled 18s after rollback: 12s to spare");
    let relapse: &[(f64, f64)] = &[(0.0, 6.0), (5.0, 4.0), (12.0, 0.5), (45.0, 2.0), (50.0, 0.5)];
    let broken = recovering(relapse).finding(settles(30, None));
    failed(&broken);
    assert_eq!(broken.time_margin, Some(at(-20.0)));
    assert_eq!(broken.sentence, "was out until 50s after rollback: 20s too late");
    let short = recovering(relapse).finding(settles(30, Some(10)));
    passed(&short);
    assert_eq!(short.time_margin, Some(at(18.0)));
    let never: &[(f64, f64)] = &[(0.0, 6.0)];
    failed(&recovering(never).finding(settles(30, None)));
    failed(&recovering(never).finding(settles(30, Some(5))));
}

#[test]
fn limits_from_the_baseline() {
    let slow = |factor: f64| {
        Run::new(move |t| Reply::Ok(if (FAULT..ROLLBACK + 5.0).contains(&t) { 4.0 * factor } else { 4.0 }))
    };
    let metric = metric(Function::Quantile(0.5), Some(secs(1)));
    let bound = Bound::Baseline { factor: 1.0, offset: 0.002 };
    let near = || Predicate::Compare(compare(metric.clone(), Op::AtMost, bound.clone()));
    let held = slow(1.25).finding(always(near()));
    passed(&held);
    assert!((held.limit.unwrap() - 0.006).abs() < 1e-9);
    assert_eq!(held.allowed.as_deref(), Some("at most 6ms (baseline 4ms + 2ms)"));
    assert!((held.normalised.unwrap() - 0.5).abs() < 1e-6);
    failed(&slow(2.0).finding(always(near())));
    let back = Claim::Settles { predicate: near(), within: secs(20), lasting: None, after: Event::Rollback };
    let settled = slow(3.0).finding(back.clone());
    passed(&settled);
    assert!((settled.time_margin.unwrap() - at(14.5)).abs() <= at(0.2), "{settled:#?}");
    let blind = Run::new(|t| if t < FAULT { Reply::Nothing } else { Reply::Ok(4.0) });
    let finding = blind.finding(always(near()));
    open(&finding, &[Reason::BaselineUnhealthy], Leaning::None);
    assert_eq!(finding.limit, None);
}

#[test]
fn the_whole_run_has_the_edges_of_its_phases() {
    let claim = || Claim::Always { predicate: healthy(), during: Phase::WholeRun };
    passed(&down(200.0, 200.0).finding(claim()));
    for period in [5.0, 20.0, 60.0, 120.0] {
        failed(&down(period, period + 0.5).finding(claim()));
    }
}
