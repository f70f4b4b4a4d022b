use super::*;
use crate::verdict::{Leaning, Need, Reason};

/// 0, 1, 2, … in an order in which neighbours have nothing in common.
fn mixed(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |n| n * 77 % count)
}

/// A baseline and a fault of 200 measurements each, as in the semantics' worked example, in milliseconds.
fn worked() -> Run {
    let phase = |start: f64, base: f64, slope: f64| {
        mixed(200).enumerate().filter_map(move |(n, i)| {
            Reply::Ok(base + slope * f64::from(i + 1)).sample(at(start + n as f64 * 0.05))
        })
    };
    Run::with(phase(0.0, 100.0, 0.5).chain(phase(FAULT, 150.0, 0.7)).collect(), 20.0)
}

fn more(offset: f64) -> Claim {
    let bound = Bound::Baseline { factor: 1.0, offset: offset / 1e3 };
    during(compare(metric(Function::Quantile(0.95), None), Op::AtMost, bound), lossy())
}

#[test]
fn a_quantile_against_the_baseline() {
    let run = worked();
    let held = run.finding(more(100.0));
    passed(&held);
    assert!((held.baseline.unwrap() - 0.195).abs() < 1e-9);
    assert!((held.limit.unwrap() - 0.295).abs() < 1e-9);
    assert!((held.margin.unwrap().lo - 0.012).abs() < 1e-9);
    assert!((held.normalised.unwrap() - 0.12).abs() < 1e-9);
    let estimate = held.estimate.unwrap();
    assert!((estimate.value.lo - 0.283).abs() < 1e-9 && (estimate.bounds.hi - 0.2872).abs() < 1e-9);
    assert_eq!(
        held.sentence,
        "p95(get.latency) was 283ms (280ms–287ms) during lossy, at most 295ms (baseline 195ms + 100ms) allowed: \
         12ms to spare"
    );
    let undecided = run.finding(more(90.0));
    open(&undecided, &[Reason::TooFewSamples], Leaning::Passed);
    assert_eq!(
        undecided.need.as_deref(),
        Some("995 more samples like these in each of baseline and lossy (2m29s at this rate)")
    );
    let broken = run.finding(more(80.0));
    failed(&broken);
    assert!(broken.sentence.ends_with("at most 275ms (baseline 195ms + 80ms) allowed: 8ms too much"));
}

#[test]
fn a_multiple_of_the_baseline() {
    let claim = |factor, offset| {
        let bound = Bound::Baseline { factor, offset };
        during(compare(metric(Function::Quantile(0.95), None), Op::AtMost, bound), lossy())
    };
    let run = worked();
    passed(&run.finding(claim(1.6, 0.0)));
    failed(&run.finding(claim(1.2, 0.0)));
    // With both parts the limit is the same number.
    let both = run.finding(claim(1.2, 0.078));
    assert!((both.limit.unwrap() - 0.312).abs() < 1e-9, "{both:?}");
    passed(&both);
    failed(&run.finding(claim(1.2, 0.001)));
    assert_eq!(both.allowed.as_deref(), Some("at most 312ms (1.2 x baseline 195ms + 78ms)"));
}

/// 6,000 measurements in the fault, of which this many fail, far from each other.
fn failing(failures: u32) -> Run {
    let every = 6000 / failures.max(1);
    let fails = |n: u32| n % every == every / 2 && n / every < failures;
    let reply = |n: u32| if fails(n) { Reply::Failed } else { Reply::Ok(1.0) };
    let samples = (0..6000).filter_map(|n| reply(n).sample(at(FAULT + f64::from(n) * 0.005)));
    Run::with(samples.collect(), 200.0)
}

#[test]
fn a_success_rate_needs_confidence() {
    let claim = || during(success(None, Op::AtLeast, 0.999), lossy());
    passed(&failing(1).finding(claim()));
    let undecided = failing(2).finding(claim());
    open(&undecided, &[Reason::TooFewSamples], Leaning::Passed);
    assert_eq!(undecided.need.as_deref(), Some("294 more clean samples (1.47s at this rate)"));
    assert_eq!(
        undecided.sentence,
        "success(get) was 99.967% (99.895%–99.994%) during lossy, at least 99.9% required: too few samples; \
         294 more clean samples (1.47s at this rate) would decide it; it probably holds"
    );
    open(&failing(10).finding(claim()), &[Reason::TooFewSamples], Leaning::Failed);
    let broken = failing(11).finding(claim());
    failed(&broken);
    assert!(broken.sentence.ends_with("at least 99.9% required: 0.083pp too little"), "{}", broken.sentence);
    // What was observed decides where the file says so.
    let observed = |failures, share| {
        failing(failures).finding(Claim::Statistic {
            comparison: success(None, Op::AtLeast, share),
            during: lossy(),
            observed: true,
            confidence: None,
        })
    };
    passed(&observed(6, 0.999));
    failed(&observed(7, 0.999));
    passed(&observed(0, 1.0));
    // An error rate is the mirror of a success rate.
    let errors = compare(metric(Function::Errors, None), Op::AtMost, constant(0.001, Unit::Ratio));
    let undecided = failing(2).finding(during(errors.clone(), lossy()));
    assert_eq!(undecided.need.as_deref(), Some("294 more clean samples (1.47s at this rate)"));
    failed(&failing(11).finding(during(errors, lossy())));
}

#[test]
fn the_experiment_says_how_sure() {
    let mut run = failing(2);
    run.experiment.confidence = 0.9;
    passed(&run.finding(during(success(None, Op::AtLeast, 0.999), lossy())));
}

#[test]
fn a_success_rate_against_the_baseline() {
    let run = |failing: u32| {
        let reply = |n: u32, every: u32| if n % every == 1 { Reply::Failed } else { Reply::Ok(1.0) };
        let before = (0..5000).filter_map(|n| reply(n, 1000).sample(at(f64::from(n) * 0.002)));
        let after = (0..5000).filter_map(move |n| reply(n, failing).sample(at(FAULT + f64::from(n) * 0.002)));
        Run::with(before.chain(after).collect(), 500.0)
    };
    let bound = || Bound::Baseline { factor: 1.0, offset: -0.005 };
    let claim = || during(compare(metric(Function::Success, None), Op::AtLeast, bound()), lossy());
    passed(&run(1000).finding(claim()));
    let broken = run(50).finding(claim());
    failed(&broken);
    assert_eq!(broken.allowed.as_deref(), Some("at least 99.4% (baseline 99.9% - 0.5pp)"));
    open(&run(160).finding(claim()), &[Reason::TooFewSamples], Leaning::Failed);
}

#[test]
fn latency_is_that_of_answers_and_timeouts() {
    // Quick failures must not make the system look fast.
    let run = Run::new(|t| {
        if ((t * 100.0).round() as u32).is_multiple_of(4) { Reply::Failed } else { Reply::Ok(50.0) }
    });
    let finding = run.finding(during(latency(Function::Quantile(0.1), Op::AtLeast, 40.0), lossy()));
    passed(&finding);
    assert_eq!(finding.estimate.unwrap().samples, 2250);
    // A timeout is at least that long; how long nobody knows.
    let run = Run::new(|t| {
        if ((t * 100.0).round() as u32).is_multiple_of(10) { Reply::TimedOut } else { Reply::Ok(50.0) }
    });
    passed(&run.finding(during(latency(Function::Quantile(0.5), Op::AtMost, 60.0), lossy())));
    let slow = run.finding(during(latency(Function::Quantile(0.95), Op::AtMost, 500.0), lossy()));
    failed(&slow);
    assert!(slow.sentence.starts_with("p95(get.latency) was at least 1s"), "{}", slow.sentence);
    let unknown = run.finding(during(latency(Function::Quantile(0.95), Op::AtMost, 2000.0), lossy()));
    assert!(!unknown.outcome.is_decided());
    assert!(unknown.margin.is_some());
    // Timeouts are failures too.
    failed(&run.finding(during(success(None, Op::AtLeast, 0.95), lossy())));
}

#[test]
fn too_few_samples_decide_nothing() {
    let run = Run::every(0.6, |_| Reply::Ok(1.0));
    let quantile = run.finding(during(latency(Function::Quantile(0.95), Op::AtMost, 100.0), lossy()));
    open(&quantile, &[Reason::TooFewSamples], Leaning::Passed);
    assert_eq!(quantile.need.as_deref(), Some("9 more samples like these (5.4s at this rate)"));
    let share = run.finding(during(success(None, Op::AtLeast, 0.99), lossy()));
    assert_eq!(share.need.as_deref(), Some("249 more clean samples (2m29s at this rate)"));
    let none = Run::new(|t| if t < FAULT { Reply::Ok(1.0) } else { Reply::Nothing });
    let finding = none.finding(during(success(None, Op::AtLeast, 0.99), lossy()));
    open(&finding, &[Reason::TooFewSamples], Leaning::None);
    assert_eq!(
        finding.sentence,
        "success(get) is undecided: too few samples; 299 more clean samples would decide it"
    );
    // Failed requests have no latency, however many there are.
    let down = Run::new(|t| if t < FAULT { Reply::Ok(1.0) } else { Reply::Failed });
    let finding = down.finding(during(latency(Function::Quantile(0.95), Op::AtMost, 100.0), lossy()));
    open(&finding, &[Reason::TooFewSamples], Leaning::None);
    assert_eq!(finding.need, None);
    assert_eq!(
        finding.sentence,
        "p95(get.latency) is undecided: all 3000 requests failed, and failed requests have no latency: use `success(get)`, \
         `p95(get.duration)` for the time to an answer or a failure, or say in `ok when` what succeeds"
    );
    // A baseline without answers is nothing to compare with.
    let blind = Run::new(|t| if t < FAULT { Reply::Failed } else { Reply::Ok(1.0) });
    let finding = blind.finding(more(10.0));
    open(&finding, &[Reason::BaselineUnhealthy], Leaning::None);
    assert!(finding.reasons[0].starts_with("in the baseline, all 1000 requests failed"), "{finding:?}");
}

#[test]
fn what_could_not_be_measured_may_have_gone_either_way() {
    let run = Run::new(|t| {
        if ((t * 100.0).round() as u32).is_multiple_of(50) { Reply::NotRun } else { Reply::Ok(1.0) }
    });
    let claim = || during(success(None, Op::AtLeast, 0.99), lossy());
    assert!(!run.finding(claim()).outcome.is_decided());
    passed(&Run::new(|_| Reply::Ok(1.0)).finding(claim()));
}

#[test]
fn numbers_without_a_theory_are_taken_as_observed() {
    let run = Run::new(|t| Reply::Ok(if t < 30.0 { 10.0 } else { 20.0 }));
    let plain = |function, op, value, unit| {
        run.finding(during(compare(metric(function, None), op, constant(value, unit)), lossy()))
    };
    passed(&plain(Function::Count, Op::AtLeast, 3000.0, Unit::Count));
    failed(&plain(Function::Count, Op::Less, 3000.0, Unit::Count));
    passed(&plain(Function::Rate, Op::AtMost, 100.0, Unit::PerSecond));
    failed(&plain(Function::Rate, Op::Greater, 100.0, Unit::PerSecond));
    passed(&plain(Function::Min, Op::AtLeast, 0.01, Unit::Seconds));
    passed(&plain(Function::Max, Op::AtMost, 0.02, Unit::Seconds));
    failed(&plain(Function::Max, Op::Less, 0.02, Unit::Seconds));
    let last = plain(Function::Last, Op::AtMost, 0.015, Unit::Seconds);
    failed(&last);
    assert_eq!(last.sentence, "last(get.latency) was 20ms during lossy, at most 15ms allowed: 5ms too much");
    // A count has no meaning of its own over phases of different lengths: the baseline's is that of as long a time.
    let bound = Bound::Baseline { factor: 1.0, offset: 0.0 };
    let same = run.finding(during(compare(metric(Function::Count, None), Op::AtMost, bound), lossy()));
    passed(&same);
    assert_eq!(same.limit, Some(3000.0));
}

#[test]
fn filters_choose_samples() {
    let labelled = |n: u32| {
        let (backend, status) = if n.is_multiple_of(4) { ("api-1", 503) } else { ("api-2", 200) };
        let mut observation = Observation::ok();
        if n.is_multiple_of(4) {
            observation = Observation::failed("503");
        }
        observation.status = Some(status);
        observation.labels = vec![(name("backend"), name(backend))];
        if n % 8 == 7 {
            // Nothing is known of it but where it came from.
            observation = Observation { outcome: crate::probe::Outcome::TimedOut, ..Observation::ok() };
        }
        let mut one = sample(at(FAULT + f64::from(n) * 0.01), ms(u64::from(10 + n % 4)), observation);
        one.from = name(if n.is_multiple_of(2) { "left" } else { "right" });
        one
    };
    let run = Run::with((0..2000).map(labelled).collect(), 100.0);
    let count = |filters: Vec<Filter>| {
        let metric = Metric { filter: filters, ..metric(Function::Count, None) };
        let finding = run.finding(during(compare(metric, Op::AtLeast, constant(0.0, Unit::Count)), lossy()));
        finding.margin.unwrap().lo
    };
    assert_eq!(count(vec![]), 2000.0);
    assert_eq!(count(vec![filter("from", &["left"], false)]), 1000.0);
    assert_eq!(count(vec![filter("from", &["left"], true)]), 1000.0);
    assert_eq!(count(vec![filter("status", &["503"], false)]), 500.0);
    assert_eq!(count(vec![filter("status", &["503", "200"], false)]), 1750.0);
    // A timeout has no status, and so another one than 200.
    assert_eq!(count(vec![filter("status", &["200"], true)]), 750.0);
    assert_eq!(count(vec![filter("backend", &["api-2"], false), filter("from", &["left"], false)]), 500.0);
    assert_eq!(count(vec![filter("nothing", &["at all"], false)]), 0.0);
}

#[test]
fn other_times_than_the_latency() {
    let observed = |n: u32| {
        let mut observation = Observation::ok();
        observation.connect = n.is_multiple_of(2).then(|| ms(30));
        observation.ttfb = Some(ms(5));
        sample(at(FAULT + f64::from(n) * 0.01), ms(40), observation)
    };
    let run = Run::with((0..1000).map(observed).collect(), 100.0);
    let median = |field| {
        let metric = Metric { field, ..metric(Function::Quantile(0.5), None) };
        let claim = during(compare(metric, Op::AtMost, constant(1.0, Unit::Seconds)), lossy());
        run.finding(claim).estimate.map(|e| (e.value.lo, e.samples))
    };
    // A connection that was reused took no time to open: it does not count.
    assert_eq!(median(Field::Connect), Some((0.03, 500)));
    assert_eq!(median(Field::Ttfb), Some((0.005, 1000)));
    assert_eq!(median(Field::Dns), None);
}

#[test]
fn claims_are_joined_in_three_values() {
    let run = failing(2);
    let claim = |share| during(success(None, Op::AtLeast, share), lossy());
    let (yes, no, open) = (claim(0.99), claim(0.99999), claim(0.999));
    let verdict = |claim| run.judge(claim).verdict;
    assert_eq!(verdict(Claim::All(vec![yes.clone(), no.clone()])), Verdict::Failed);
    assert_eq!(verdict(Claim::Any(vec![yes.clone(), no.clone()])), Verdict::Passed);
    assert_eq!(verdict(Claim::All(vec![open.clone(), no.clone()])), Verdict::Failed);
    assert_eq!(verdict(Claim::Any(vec![open.clone(), yes.clone()])), Verdict::Passed);
    let inconclusive = Verdict::Inconclusive { reasons: vec!["too few samples".into()] };
    assert_eq!(verdict(Claim::All(vec![open.clone(), yes])), inconclusive);
    assert_eq!(verdict(Claim::Any(vec![open.clone(), no])), inconclusive);
    let judged = run.judge(Claim::All(vec![open.clone(), open]));
    assert_eq!(judged.findings.len(), 2);
    assert_eq!(judged.verdict, inconclusive);
    assert!(matches!(
        judged.findings[0].outcome,
        Outcome::Inconclusive { need: Some(Need::MoreSamples(294)), .. }
    ));
}

#[test]
fn a_filter_that_nothing_matches_says_what_there_was() {
    let mut n = 0;
    let mut run = Run::new(|_| Reply::Ok(1.0));
    for sample in run.samples.values_mut().flatten() {
        n += 1;
        sample.observation.labels =
            vec![("who".into(), if n % 2 == 0 { "10.0.0.1" } else { "10.0.0.2" }.into())];
    }
    let of = |label: &str| {
        let filter = vec![filter(label, &["api-1"], false)];
        let metric = Metric { filter, ..metric(Function::Success, None) };
        during(compare(metric, Op::AtLeast, Bound::Constant(Quantity::new(0.5, Unit::Ratio))), lossy())
    };
    let finding = run.finding(of("who"));
    open(&finding, &[Reason::TooFewSamples], Leaning::None);
    assert_eq!(
        finding.sentence,
        "success(get where who = \"api-1\") is undecided: none of 3000 measurements matched: `who` was `10.0.0.1`, \
         `10.0.0.2`"
    );
    assert_eq!(finding.need, None);
    let finding = run.finding(of("whom"));
    assert_eq!(finding.reasons, ["none of 3000 measurements matched: none had a label `whom`"]);
}

/// A claim that is decided by what was observed.
fn observed(comparison: Comparison) -> Claim {
    Claim::Statistic { comparison, during: lossy(), observed: true, confidence: None }
}

#[test]
fn what_was_observed_always_decides() {
    // 30 measurements in the fault, 10 in the baseline.
    let run = |milliseconds: f64| {
        Run::every(1.0, move |t| Reply::Ok(if (FAULT..40.0).contains(&t) { milliseconds } else { 1.0 }))
    };
    let quantile = |q: f64| latency(Function::Quantile(q), Op::AtMost, 10.0);
    for q in [0.5, 0.95, 0.99, 0.999] {
        failed(&run(19.0).finding(observed(quantile(q))));
        passed(&run(9.0).finding(observed(quantile(q))));
        let one = Run::every(131.0, |_| Reply::Ok(1.0));
        let finding = one.finding(Claim::Statistic {
            comparison: quantile(q),
            during: Phase::Baseline,
            observed: true,
            confidence: None,
        });
        passed(&finding);
    }
    let relative = |offset: f64| {
        let bound = Bound::Baseline { factor: 1.0, offset };
        observed(compare(metric(Function::Quantile(0.99), None), Op::AtMost, bound))
    };
    failed(&run(19.0).finding(relative(0.01)));
    passed(&run(9.0).finding(relative(0.01)));
    let other = |factor: f64| {
        let metric = |q| Box::new(metric(Function::Quantile(q), None));
        let bound = Bound::Metric { metric: metric(0.5), factor, offset: 0.0 };
        observed(compare(*metric(0.99), Op::AtMost, bound))
    };
    failed(&run(19.0).finding(other(0.9)));
    passed(&run(19.0).finding(other(1.0)));
    let shares = |share| observed(success(None, Op::AtLeast, share));
    passed(&run(1.0).finding(shares(1.0)));
    let every_second = Run::every(1.0, |t| if t % 2.0 < 1.0 { Reply::Failed } else { Reply::Ok(1.0) });
    failed(&every_second.finding(shares(0.51)));
    passed(&every_second.finding(shares(0.5)));
    // Nothing at all decides nothing.
    open(
        &Run::every(1.0, |_| Reply::Nothing).finding(observed(quantile(0.5))),
        &[Reason::TooFewSamples],
        Leaning::None,
    );
}

#[test]
fn failed_requests_have_no_latency_and_the_report_says_so() {
    let down = Run::every(0.1, |t| if (FAULT..40.0).contains(&t) { Reply::Failed } else { Reply::Ok(1.0) });
    let advice = "and failed requests have no latency: use `success(get)`, `p95(get.duration)` for the time to an answer or \
                  a failure, or say in `ok when` what succeeds";
    let claim = || during(latency(Function::Quantile(0.95), Op::AtMost, 10.0), lossy());
    let finding = down.finding(claim());
    open(&finding, &[Reason::TooFewSamples], Leaning::None);
    assert_eq!(finding.reasons, [format!("all 300 requests failed, {advice}")]);
    assert_eq!(finding.need, None);
    assert!(finding.sentence.ends_with(advice), "{}", finding.sentence);
    // Few answers among many failures are not better.
    let mostly = Run::every(0.1, |t| match (FAULT..40.0).contains(&t) {
        true if t.fract() > 0.05 => Reply::Failed,
        _ => Reply::Ok(1.0),
    });
    let finding = mostly.finding(claim());
    assert_eq!(finding.reasons, [format!("270 of 300 requests failed, {advice}")]);
    // Where more requests would help, that is what is said.
    let short = Run::every(1.0, |_| Reply::Ok(1.0)).finding(claim());
    assert_eq!(short.need.as_deref(), Some("29 more samples like these (29s at this rate)"));
}

#[test]
fn how_long_a_failure_took_can_be_claimed() {
    let duration = |function| {
        let metric = Metric { field: Field::Duration, ..metric(function, None) };
        during(compare(metric, Op::AtMost, constant(0.01, Unit::Seconds)), lossy())
    };
    let faulty = |t: f64| (FAULT..40.0).contains(&t);
    // A failure takes 1 ms here, a timeout 1 s.
    let fast = Run::new(move |t| if faulty(t) { Reply::Failed } else { Reply::Ok(50.0) });
    passed(&fast.finding(duration(Function::Quantile(0.95))));
    passed(&fast.finding(duration(Function::Max)));
    let slow = Run::new(move |t| if faulty(t) { Reply::TimedOut } else { Reply::Ok(1.0) });
    failed(&slow.finding(duration(Function::Quantile(0.95))));
    let answered = Run::new(move |t| Reply::Ok(if faulty(t) { 50.0 } else { 1.0 }));
    failed(&answered.finding(duration(Function::Quantile(0.95))));
    // That it failed fast makes it no success.
    failed(&fast.finding(during(success(None, Op::AtLeast, 0.5), lossy())));
    let both = Metric { field: Field::Duration, ..metric(Function::Success, None) };
    failed(&fast.finding(during(compare(both, Op::AtLeast, constant(0.5, Unit::Ratio)), lossy())));
}
