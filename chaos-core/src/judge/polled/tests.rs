use std::time::Duration;

use super::super::{guard::Watcher, tests::*};
use super::*;
use crate::verdict::{Leaning, Reason, Truth};
use crate::{
    judge::{border::Guard as _, view::Verdict},
    model::{
        Claim, Field, Phase, Predicate, Unit,
        formula::{Bound, Op},
        metric::Filter,
    },
    probe::Observation,
    time::nanos,
};

/// What one poll came to.
#[derive(Clone, Copy)]
enum Poll {
    Reads(f64),
    Silent,
    Firing,
    Quiet,
}

fn polled(second: f64, poll: Poll) -> Sample {
    let mut seen = Observation::ok();
    match poll {
        Poll::Reads(value) => seen.value = Some(value),
        Poll::Silent => seen.outcome = Outcome::NotRun,
        Poll::Firing => seen.labels = vec![(name("alert"), name("Slow")), (name("alert"), name("Other"))],
        Poll::Quiet => seen.labels = vec![(name("alert"), name("Other"))],
    }
    sample(at(second), Duration::from_millis(1), seen)
}

/// A run that polls once a second; the fault lasts from 10 s to 40 s, the rollback is over at 41 s.
fn run(poll: impl Fn(f64) -> Poll) -> Run {
    Run::with((0..131).map(|n| polled(f64::from(n), poll(f64::from(n)))).collect(), 1.0)
}

fn value(op: Op, limit: f64) -> Predicate {
    let metric = Metric { field: Field::Value(Unit::Count), ..metric(Function::Value, None) };
    Predicate::Compare(compare(metric, op, constant(limit, Unit::Count)))
}

fn fires() -> Predicate {
    let filter =
        vec![Filter { label: ALERT.into(), values: vec!["Slow".into()], variable: None, negated: false }];
    let metric = Metric { filter, ..metric(Function::Fires, None) };
    Predicate::Compare(compare(metric, Op::AtLeast, constant(1.0, Unit::Count)))
}

fn not(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}

fn always(predicate: Predicate) -> Claim {
    Claim::Always { predicate, during: lossy() }
}

fn read(function: Function, limit: f64) -> Claim {
    let metric = Metric { field: Field::Value(Unit::Count), ..metric(function, None) };
    during(compare(metric, Op::AtMost, constant(limit, Unit::Count)), lossy())
}

#[test]
fn a_reading_holds_until_the_next_and_no_longer_than_it_is_fresh() {
    let gone = |from: f64, to: f64| {
        run(move |t| if (from..to).contains(&t) { Poll::Silent } else { Poll::Reads(5.0) })
    };
    let held = gone(200.0, 200.0).finding(always(value(Op::AtMost, 10.0)));
    passed(&held);
    assert!(held.sentence.starts_with("held throughout lossy; tightest: value(get) <= 10 with 5 to spare"));
    // One poll may be missing: after two, the next comes when the last reading is 3 s old.
    passed(&gone(20.0, 21.0).finding(always(value(Op::AtMost, 10.0))));
    let blind = gone(20.0, 22.0).finding(always(value(Op::AtMost, 10.0)));
    open(&blind, &[Reason::Gap], Leaning::Passed);
    // What is known is enough to fail.
    let high = run(|t| match t {
        t if t < 15.0 => Poll::Silent,
        t if t < 16.0 => Poll::Reads(11.0),
        _ => Poll::Silent,
    });
    let high = high.finding(always(value(Op::AtMost, 10.0)));
    failed(&high);
    assert!(
        high.sentence.starts_with("did not hold 5s into lossy; worst miss: value(get) <= 10 missed by 1")
    );
}

#[test]
fn an_open_claim_says_why_nothing_was_read() {
    let mistaken = |from: f64| {
        let poll = move |n: i32| {
            let t = f64::from(n);
            let mut sample = polled(t, if t < from { Poll::Reads(5.0) } else { Poll::Silent });
            let text = if n % 3 == 0 { "status 503" } else { "bad_data: parse error" };
            sample.observation.error = (t >= from).then(|| text.into());
            sample
        };
        Run::with((0..131).map(poll).collect(), 1.0)
    };
    let reasons = |run: &Run, claim: Claim| match run.judge(claim).verdict {
        Verdict::Inconclusive { reasons } => reasons,
        other => panic!("{other:?}"),
    };
    let gap = "nothing was measured for some of the time that matters";
    let measured = "20 readings of `get` could not be taken: bad_data: parse error";
    let blind = mistaken(101.0);
    assert_eq!(
        reasons(&blind, Claim::Always { predicate: value(Op::AtMost, 10.0), during: Phase::WholeRun }),
        [gap, measured]
    );
    // What was read is enough here; that later readings fail is not a reason.
    passed(&blind.finding(always(value(Op::AtMost, 10.0))));
    assert!(
        reasons(&mistaken(0.0), read(Function::Max, 10.0))
            .iter()
            .any(|r| r.ends_with("bad_data: parse error"))
    );
}

#[test]
fn not_a_number_is_no_reading() {
    let finding = run(|_| Poll::Reads(f64::NAN)).finding(always(value(Op::AtMost, 10.0)));
    open(&finding, &[Reason::Gap], Leaning::None);
}

#[test]
fn readings_may_be_negative() {
    let owing = || run(|t| Poll::Reads(if t < 20.0 { 3.0 } else { -3.0 }));
    failed(&owing().finding(always(value(Op::AtLeast, 0.0))));
    let metric = Metric { field: Field::Value(Unit::Count), ..metric(Function::Min, Some(secs(5))) };
    let least = Predicate::Compare(compare(metric, Op::AtLeast, constant(0.0, Unit::Count)));
    failed(&owing().finding(always(least)));
}

#[test]
fn a_phase_has_statistics_of_what_was_read() {
    let rising = || run(|t| Poll::Reads(if t < 10.0 { 0.0 } else { t }));
    passed(&rising().finding(read(Function::Max, 39.0)));
    let failing = rising().finding(read(Function::Max, 38.0));
    failed(&failing);
    assert_eq!(failing.sentence, "max(get.value) was 39 during lossy, at most 38 allowed: 1 too much");
    passed(&rising().finding(read(Function::Min, 10.0)));
    failed(&rising().finding(read(Function::Last, 38.0)));
    let steady = run(|t| Poll::Reads(t % 2.0));
    passed(&steady.finding(read(Function::Quantile(0.5), 1.5)));
    // A gap that the reading before it does not cover could hide anything.
    let gap = run(|t| if (20.0..23.0).contains(&t) { Poll::Silent } else { Poll::Reads(1.0) });
    open(&gap.finding(read(Function::Max, 10.0)), &[Reason::TooFewSamples], Leaning::None);
    let gap = run(|t| if (20.0..21.0).contains(&t) { Poll::Silent } else { Poll::Reads(1.0) });
    passed(&gap.finding(read(Function::Max, 10.0)));
}

#[test]
fn the_baseline_of_a_reading_is_its_median() {
    let rising = run(|t| Poll::Reads(if t < 9.0 { 4.0 } else { 9.0 }));
    let bound = Bound::Baseline { factor: 1.0, offset: 4.0 };
    let metric = Metric { field: Field::Value(Unit::Count), ..metric(Function::Value, None) };
    let finding = rising.finding(always(Predicate::Compare(compare(metric, Op::AtMost, bound))));
    failed(&finding);
    assert_eq!(finding.baseline, Some(4.0));
}

#[test]
fn an_alert_that_nobody_can_be_asked_about_is_not_quiet() {
    let from = |start: f64| run(move |t| if t < start { Poll::Quiet } else { Poll::Firing });
    let within = |seconds| Claim::Within { predicate: fires(), within: secs(seconds), after: starts() };
    let measured = from(14.0).finding(within(5));
    passed(&measured);
    assert_eq!(measured.sentence, "came 4s after lossy starts: 999ms to spare");
    assert_eq!(
        (measured.claim.as_str(), measured.margin),
        ("alert \"Slow\" fires within 5s after lossy starts", None)
    );
    let late = from(16.0).finding(within(5));
    failed(&late);
    assert_eq!(late.sentence, "did not come within 5s");
    passed(&from(200.0).finding(always(not(fires()))));
    failed(&from(20.0).finding(Claim::Never { predicate: fires(), during: lossy() }));
    let unheard = run(|_| Poll::Silent);
    open(&unheard.finding(always(not(fires()))), &[Reason::Gap], Leaning::None);
    open(&unheard.finding(within(5)), &[Reason::Gap], Leaning::None);
}

#[test]
fn a_guard_acts_on_its_last_reading_while_it_is_fresh() {
    let experiment = run(|_| Poll::Quiet).experiment;
    let mut guard = Watcher::new(&value(Op::Greater, 10.0), &experiment);
    assert_eq!(guard.evaluate(at(0.5)), Truth::Unknown);
    guard.observe("get", &polled(1.0, Poll::Reads(11.0)));
    assert_eq!(guard.fires(at(1.1)).unwrap(), "value(get) was 11, above 10");
    guard.observe("get", &polled(2.0, Poll::Silent));
    assert_eq!(guard.evaluate(at(3.4)), Truth::True);
    assert_eq!(guard.evaluate(at(3.6)), Truth::Unknown);
    guard.observe("get", &polled(4.0, Poll::Reads(9.0)));
    assert_eq!(guard.evaluate(at(4.1)), Truth::False);

    let mut guard = Watcher::new(&fires(), &experiment);
    guard.observe("get", &polled(1.0, Poll::Quiet));
    assert_eq!(guard.fires(at(1.1)), None);
    guard.observe("get", &polled(2.0, Poll::Firing));
    assert_eq!(guard.fires(at(2.1)).unwrap(), "alert \"Slow\" was firing");
}

#[test]
fn what_a_guard_sees_is_what_a_claim_sees() {
    let run = run(|t| match t as u64 % 7 {
        0..3 => Poll::Reads(t),
        3 => Poll::Reads(f64::NAN),
        _ => Poll::Silent,
    });
    let metric = Metric { field: Field::Value(Unit::Count), ..metric(Function::Value, None) };
    let signal = signal(&metric, &run.experiment, &run.samples, run.end);
    let mut held = Held::new(&metric, &run.experiment);
    let mut samples = run.samples["get"].iter().peekable();
    for tenth in 0..1300 {
        let now = nanos(Duration::from_millis(tenth * 100 + 50));
        while let Some(sample) = samples.next_if(|s| s.completed() <= now) {
            if let Some(value) = reading(&metric, sample) {
                held.observe(sample.completed(), value);
            }
        }
        assert_eq!(held.at(now).unwrap_or(Interval::EVERYTHING), signal.at(now), "at {now}");
    }
}

#[test]
fn the_steady_state_needs_every_reading() {
    let run = run(Poll::Reads);
    let judged = |from: f64, to: f64| {
        let mut experiment = run.experiment.clone();
        experiment.steady_state.predicates = vec![value(Op::AtMost, 5.0)];
        let judge = super::super::Standard::new();
        let result = crate::judge::border::Judge::steady(&judge, &experiment, &run.samples, at(from), at(to));
        (result[0].held, result[0].measured.clone())
    };
    assert_eq!(judged(0.0, 5.5), (Some(true), "value(get) was between 0 and 5, compared with 5".into()));
    assert_eq!(judged(0.0, 8.0).0, None);
    assert_eq!(judged(6.0, 8.0), (Some(false), "value(get) was between 6 and 7, above 5".into()));
    assert_eq!(judged(0.2, 0.8), (None, "no reading of value(get)".into()));
}
