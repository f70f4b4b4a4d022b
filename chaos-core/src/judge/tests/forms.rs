//! Claims that speak of other claims, of many things, of two metrics or of single requests.

use super::*;
use crate::verdict::{Leaning, Reason};

fn signal(op: Op, share: f64) -> Predicate {
    Predicate::Compare(success(Some(secs(1)), op, share))
}

/// Failing from one second to another.
fn down(from: f64, to: f64) -> Run {
    Run::new(move |t| if (from..to).contains(&t) { Reply::Failed } else { Reply::Ok(1.0) })
}

#[test]
fn a_precondition_must_hold_for_a_claim_to_mean_anything() {
    let given = |needed: f64, claimed: f64| Claim::Given {
        condition: Box::new(during(success(None, Op::AtMost, needed), lossy())),
        claim: Box::new(during(success(None, Op::AtLeast, claimed), Phase::Watch)),
    };
    let run = down(15.0, 40.0);
    let held = run.judge(given(0.9, 0.99));
    assert_eq!(held.verdict, Verdict::Passed);
    assert!(held.measured.starts_with("given that success(get) was "), "{}", held.measured);
    assert!(held.findings[0].precondition && !held.findings[1].precondition);
    let untested = run.judge(given(0.01, 0.99));
    let reason = "not exercised: the precondition `success(get) <= 1% during lossy` does not hold";
    assert_eq!(untested.verdict, Verdict::Inconclusive { reasons: vec![reason.into()] });
    assert!(untested.measured.contains(reason), "{}", untested.measured);
    // A claim that would have failed has not.
    let healthy = down(200.0, 200.0);
    assert!(matches!(healthy.judge(given(0.9, 0.99)).verdict, Verdict::Inconclusive { .. }));
    let unhealthy = down(41.0, 131.0).judge(given(0.9, 0.99));
    assert!(matches!(unhealthy.verdict, Verdict::Inconclusive { .. }));
    assert_eq!(down(15.0, 131.0).judge(given(0.9, 0.99)).verdict, Verdict::Failed);
    // What is undecided is not a precondition either.
    let blind = Run::new(|t| if (10.0..40.0).contains(&t) { Reply::Nothing } else { Reply::Ok(1.0) });
    let judged = blind.judge(given(0.9, 0.99));
    assert!(judged.measured.contains("undecided"), "{}", judged.measured);
    assert!(matches!(judged.verdict, Verdict::Inconclusive { .. }));
}

/// Three backends, of which one is slow during the fault.
fn backends(slow: f64) -> Run {
    let one = |n: u32| {
        let second = f64::from(n) * 0.01;
        let key = ["api-1", "api-2", "api-3"][n as usize % 3];
        let in_fault = (FAULT..40.0).contains(&second);
        let latency = if key == "api-2" && in_fault { slow } else { 10.0 };
        let mut observation = Observation::ok();
        observation.labels = vec![(name("backend"), name(key))];
        sample(at(second), Duration::from_secs_f64(latency / 1e3), observation)
    };
    Run::with((0..13_100).map(one).collect(), 100.0)
}

fn each(claim: Claim) -> Claim {
    Claim::Each {
        variable: "h".into(),
        of: "api".into(),
        keys: ["api-1", "api-2", "api-3"].map(str::to_owned).to_vec(),
        claim: Box::new(claim),
    }
}

fn of_one(function: Function, over: Option<Duration>) -> Metric {
    let mut one = metric(function, over);
    one.filter = vec![Filter { variable: Some("h".into()), ..filter("backend", &[], false) }];
    one
}

#[test]
fn the_worst_of_many_speaks_for_all() {
    let claim = || {
        let comparison =
            compare(of_one(Function::Quantile(0.5), None), Op::AtMost, constant(0.05, Unit::Seconds));
        each(during(comparison, lossy()))
    };
    assert_eq!(
        claim().to_string(),
        "for each h in api: p50(get.latency where backend = h) <= 50ms during lossy"
    );
    let held = backends(40.0).finding(claim());
    passed(&held);
    assert_eq!(held.key.as_deref(), Some("api-2"));
    assert!(
        held.sentence
            .starts_with("api-2 is the worst of 3: p50(get.latency where backend = \"api-2\") was 40ms")
    );
    let broken = backends(60.0).finding(claim());
    failed(&broken);
    assert_eq!(broken.key.as_deref(), Some("api-2"));
    // One that answered nothing is not passed over.
    let mut silent = backends(40.0);
    silent.samples.get_mut("get").unwrap().retain(|s| &*s.observation.labels[0].1 != "api-3");
    let finding = silent.finding(claim());
    open(&finding, &[Reason::TooFewSamples], Leaning::None);
    assert_eq!(finding.key.as_deref(), Some("api-3"));
    // Signals too, and of none there is nothing to say.
    let slow = compare(of_one(Function::Max, Some(secs(1))), Op::AtMost, constant(0.05, Unit::Seconds));
    let always = |run: &Run| {
        run.finding(each(Claim::Always { predicate: Predicate::Compare(slow.clone()), during: lossy() }))
    };
    passed(&always(&backends(40.0)));
    failed(&always(&backends(60.0)));
    let none =
        Claim::Each { variable: "h".into(), of: "api".into(), keys: Vec::new(), claim: Box::new(claim()) };
    assert!(matches!(backends(40.0).judge(none).verdict, Verdict::Inconclusive { .. }));
}

#[test]
fn a_weak_until_is_released_for_good() {
    // Fails from 20 s to 25 s; the release, a slow answer, comes at `slow`.
    let run = |slow: f64| {
        Run::new(move |t| match t {
            t if (20.0..25.0).contains(&t) => Reply::Failed,
            t if t >= slow => Reply::Ok(500.0),
            _ => Reply::Ok(1.0),
        })
    };
    let released = compare(metric(Function::Max, Some(secs(1))), Op::Greater, constant(0.1, Unit::Seconds));
    let claim = || Claim::Unless {
        predicate: signal(Op::AtLeast, 0.9),
        unless: Predicate::Compare(released.clone()),
        during: lossy(),
    };
    let before = run(18.0).finding(claim());
    passed(&before);
    let after = run(30.0).finding(claim());
    failed(&after);
    assert!(after.sentence.starts_with("did not hold 10."), "{}", after.sentence);
    failed(&run(200.0).finding(claim()));
    // The release need not come.
    passed(&down(200.0, 200.0).finding(claim()));
    // An abort leaves it open, unless it was released or broken before.
    open(&down(200.0, 200.0).abort(20.0).finding(claim()), &[Reason::Aborted], Leaning::Passed);
    failed(&run(30.0).abort(26.0).finding(claim()));
}

fn against(factor: f64, offset: f64, over: Option<Duration>) -> Comparison {
    let other = Metric { probe: "shop".into(), ..metric(Function::Rate, over) };
    compare(
        metric(Function::Rate, over),
        Op::AtMost,
        Bound::Metric { factor, metric: Box::new(other), offset },
    )
}

/// Two probes of this many requests a second.
fn pair(get: f64, shop: f64) -> Run {
    let at_rate = |rate: f64| {
        let count = (END * rate) as u32;
        (0..count).filter_map(move |n| Reply::Ok(1.0).sample(at(f64::from(n) / rate))).collect::<Vec<_>>()
    };
    let mut run = Run::with(at_rate(get), get);
    run.samples.insert("shop".into(), at_rate(shop));
    let mut probe = run.experiment.probes[0].clone();
    probe.name = "shop".into();
    probe.rate = shop;
    run.experiment.probes.push(probe);
    run
}

#[test]
fn two_metrics_of_a_phase() {
    let claim = |factor, offset| during(against(factor, offset, None), lossy());
    assert_eq!(claim(1.2, 5.0).to_string(), "rate(get) <= 1.2 x rate(shop) + 5/s during lossy");
    let held = pair(100.0, 100.0).finding(claim(1.2, 0.0));
    passed(&held);
    assert_eq!(
        held.sentence,
        "rate(get) was 100/s during lossy, at most 120/s (1.2 x rate(shop), itself 100/s) allowed: 20/s to spare"
    );
    failed(&pair(140.0, 100.0).finding(claim(1.2, 0.0)));
    passed(&pair(140.0, 100.0).finding(claim(1.2, 40.0)));
    let open_one = pair(118.0, 100.0).finding(claim(1.2, 0.0));
    open(&open_one, &[Reason::TooFewSamples], Leaning::Passed);
    assert!(open_one.need.as_deref().unwrap().contains("of each metric"), "{open_one:?}");
    let mut silent = pair(100.0, 100.0);
    silent.samples.get_mut("shop").unwrap().clear();
    failed(&silent.finding(claim(1.2, 0.0)));
    let success = |bound| during(compare(metric(Function::Success, None), Op::AtLeast, bound), lossy());
    let other = Metric { probe: "shop".into(), ..metric(Function::Success, None) };
    let bound = Bound::Metric { factor: 1.0, metric: Box::new(other), offset: -0.01 };
    passed(&pair(100.0, 100.0).finding(success(bound.clone())));
    // Nothing to compare with is not a pass.
    open(&silent.finding(success(bound)), &[Reason::TooFewSamples], Leaning::None);
}

#[test]
fn a_quantile_against_another_of_the_same_requests_is_strict() {
    use super::super::pair::method;
    use crate::verdict::quantile::Method;
    let left = metric(Function::Quantile(0.95), None);
    let right = metric(Function::Quantile(0.5), None);
    assert_eq!(method(&left, &right), Method::Strict);
    let of = |backend: &str| Metric { filter: vec![filter("backend", &[backend], false)], ..left.clone() };
    assert_eq!(method(&of("a"), &of("b")), Method::Mover);
    assert_eq!(method(&of("a"), &of("a")), Method::Strict);
    let bound = |factor| Bound::Metric { factor, metric: Box::new(right.clone()), offset: 0.0 };
    let run = Run::new(|t| Reply::Ok(f64::from((t * 100.0).round() as u32 * 77 % 100) + 1.0));
    passed(&run.finding(during(compare(left.clone(), Op::AtMost, bound(3.0)), lossy())));
    failed(&run.finding(during(compare(left.clone(), Op::AtMost, bound(1.2)), lossy())));
}

#[test]
fn two_metrics_at_each_instant() {
    let claim = |factor| Claim::Always {
        predicate: Predicate::Compare(against(factor, 0.0, Some(secs(1)))),
        during: lossy(),
    };
    passed(&pair(100.0, 100.0).finding(claim(1.2)));
    let broken = pair(150.0, 100.0).finding(claim(1.2));
    failed(&broken);
    assert_eq!(broken.decided_at, Some(at(FAULT + 1.0)));
    let mut silent = pair(100.0, 100.0);
    silent.samples.get_mut("shop").unwrap().clear();
    open(&silent.finding(claim(1.2)), &[Reason::Gap], Leaning::Failed);
}

/// Requests of this many milliseconds, one every 100 ms.
fn long(milliseconds: impl Fn(f64) -> Reply) -> Run {
    Run::every(0.1, milliseconds)
}

#[test]
fn requests_open_at_an_event_must_complete() {
    let claim = |within| Claim::Completes { probe: "get".into(), within: secs(within), open_at: starts() };
    assert_eq!(
        claim(5).to_string(),
        "for each request of get open when lossy starts: completes ok within 5s"
    );
    // Requests of 3 s: the last one open was meant to start at 9.9 s and is over at 12.9 s.
    let run = long(|_| Reply::Ok(3000.0));
    let held = run.finding(claim(5));
    passed(&held);
    assert_eq!(held.time_margin, Some(at(2.1)));
    assert!((held.normalised.unwrap() - 0.42).abs() < 1e-9);
    assert_eq!(
        held.sentence,
        "29 requests of get open when lossy starts, the last answered 2.9s after it: 2.1s to spare"
    );
    let late = run.finding(claim(2));
    failed(&late);
    assert_eq!(late.time_margin, Some(at(-0.9)));
    let torn = long(|t| if (9.0..9.5).contains(&t) { Reply::TimedOut } else { Reply::Ok(3000.0) });
    let broken = torn.finding(claim(5));
    failed(&broken);
    assert!(broken.sentence.contains("of which 4 failed"), "{}", broken.sentence);
    // None open: nothing was tested.
    let quick = long(|_| Reply::Ok(1.0)).finding(claim(5));
    open(&quick, &[Reason::NotExercised], Leaning::None);
    assert!(quick.sentence.contains("no request of get was open when lossy starts"), "{}", quick.sentence);
    // What an abort took away might have completed.
    open(&long(|_| Reply::Ok(3000.0)).abort(11.0).finding(claim(5)), &[Reason::Aborted], Leaning::Passed);
}

#[test]
fn requests_open_when_draining_begins_are_those_that_count() {
    // From 1.2 s before to 3.3 s after it, from 0.1 s before to 27.8 s after it, and two begun later that do not count.
    let requests = [(8.8, 4500.0), (9.9, 27_900.0), (14.7, 200.0), (19.6, 60_000.0)];
    let samples = requests.into_iter().filter_map(|(start, length)| Reply::Ok(length).sample(at(start)));
    let claim = Claim::Completes { probe: "get".into(), within: secs(30), open_at: starts() };
    let held = Run::with(samples.collect(), 1.0).finding(claim);
    passed(&held);
    assert_eq!(held.time_margin, Some(at(2.2)));
    assert_eq!(
        held.sentence,
        "2 requests of get open when lossy starts, the last answered 27.8s after it: 2.2s to spare"
    );
}

#[test]
fn a_baseline_that_drifted_is_remarked() {
    let bound = || Bound::Baseline { factor: 1.0, offset: 0.01 };
    let claim = || during(compare(metric(Function::Quantile(0.5), None), Op::AtMost, bound()), lossy());
    let jitter = |t: f64| f64::from((t * 100.0).round() as u32 * 77 % 100) / 100.0;
    let drifting = Run::new(move |t| Reply::Ok(10.0 + jitter(t) + t / 20.0)).finding(claim());
    passed(&drifting);
    assert_eq!(drifting.remarks.len(), 1, "{drifting:?}");
    assert!(
        drifting.remarks[0].starts_with("the baseline drifted: p50(get.latency) was 10.7ms before and 15"),
        "{}",
        drifting.remarks[0]
    );
    let steady = Run::new(move |t| Reply::Ok(10.0 + jitter(t))).finding(claim());
    assert_eq!(steady.remarks, [] as [String; 0]);
}

#[test]
fn enough_samples_that_all_meet_the_limit_pass_however_correlated() {
    // 300 answers near 21 ms, slower and slower, against a limit of 6 ms: neighbours are so alike that they are worth few.
    let samples: Vec<Sample> = (0..300_u32)
        .filter_map(|n| Reply::Ok(20.0 + f64::from(n) / 150.0).sample(at(FAULT + f64::from(n) * 0.1)))
        .collect();
    let run = Run::with(samples, 10.0);
    for q in [0.1, 0.5, 0.95, 0.99] {
        let broken = run.finding(during(latency(Function::Quantile(q), Op::AtMost, 6.0), lossy()));
        failed(&broken);
        let held = run.finding(during(latency(Function::Quantile(q), Op::AtLeast, 6.0), lossy()));
        passed(&held);
    }
    // 300 samples cannot bound a p99.9, however clear they are.
    let rare = run.finding(during(latency(Function::Quantile(0.999), Op::AtMost, 60.0), lossy()));
    open(&rare, &[Reason::TooFewSamples], Leaning::Passed);
    // Against the baseline as well, whose answers are as alike.
    let both = run.samples["get"].iter().cloned().chain(
        (0..300_u32).filter_map(|n| Reply::Ok(2.0 + f64::from(n) / 150.0).sample(at(f64::from(n) * 0.03))),
    );
    let run = Run::with(both.collect(), 10.0);
    let bound = Bound::Baseline { factor: 1.0, offset: 0.005 };
    failed(&run.finding(during(compare(metric(Function::Quantile(0.5), None), Op::AtMost, bound), lossy())));
}
