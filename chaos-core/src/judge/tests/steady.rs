use super::*;

fn steady(run: &Run, predicates: Vec<Predicate>, from: f64, to: f64) -> Vec<PredicateResult> {
    let mut experiment = run.experiment.clone();
    experiment.steady_state.over = secs(5);
    experiment.steady_state.predicates = predicates;
    Standard::new().steady(&experiment, &run.samples, at(from), at(to))
}

#[test]
fn the_steady_state_is_judged_on_what_was_observed() {
    let run = Run::new(|t| match t {
        0.0..4.0 => Reply::Failed,
        _ if ((t * 100.0).round() as u32).is_multiple_of(100) => Reply::Failed,
        _ => Reply::Ok(3.0),
    });
    let predicates = || {
        let slow = compare(
            metric(Function::Quantile(0.95), Some(secs(5))),
            Op::AtMost,
            constant(0.002, Unit::Seconds),
        );
        vec![Predicate::Compare(success(Some(secs(5)), Op::AtLeast, 0.99)), Predicate::Compare(slow)]
    };
    let judged = steady(&run, predicates(), 4.0, 9.0);
    assert_eq!(judged.iter().map(|p| p.held).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert_eq!(judged[0].text, "success(get, over 5s) >= 99%");
    assert_eq!(judged[0].measured, "success(get, over 5s) was 99%, just 99%");
    assert_eq!(judged[1].measured, "p95(get.latency, over 5s) was 3ms, above 2ms");
    let early = steady(&run, predicates(), 3.0, 8.0);
    assert_eq!(early[0].held, Some(false));
    assert_eq!(early[0].measured, "success(get, over 5s) was 79.2%, below 99%");
    let nothing = steady(&Run::new(|_| Reply::Nothing), predicates(), 0.0, 5.0);
    assert_eq!(nothing.iter().map(|p| p.held).collect::<Vec<_>>(), [None, None]);
    assert_eq!(nothing[0].measured, "too few samples for success(get, over 5s)");
}

#[test]
fn steady_predicates_are_joined_in_three_values() {
    let run = Run::new(|_| Reply::Ok(3.0));
    let good = || Predicate::Compare(success(Some(secs(5)), Op::AtLeast, 0.99));
    let mut unknown = metric(Function::Success, Some(secs(5)));
    unknown.probe = "other".into();
    let unknown = || Predicate::Compare(compare(unknown.clone(), Op::AtLeast, constant(0.9, Unit::Ratio)));
    let not = |p| Predicate::Not(Box::new(p));
    let held = |p| steady(&run, vec![p], 0.0, 5.0)[0].held;
    assert_eq!(held(Predicate::All(vec![good(), unknown()])), None);
    assert_eq!(held(Predicate::All(vec![not(good()), unknown()])), Some(false));
    assert_eq!(held(Predicate::Any(vec![good(), unknown()])), Some(true));
    assert_eq!(held(not(unknown())), None);
    assert_eq!(held(Predicate::For { predicate: Box::new(good()), lasting: secs(2) }), Some(true));
}

#[test]
fn a_fault_is_proven_by_numbers() {
    let slow = compare(
        metric(Function::Quantile(0.5), None),
        Op::AtLeast,
        Bound::Baseline { factor: 1.0, offset: 0.4 },
    );
    let proven = |run: &Run, seconds: f64| {
        let mut phases = run.phases.clone();
        phases.retain(|span| span.start < at(seconds) || span.phase == Phase::WholeRun);
        phases.iter_mut().for_each(|span| span.end = span.end.min(at(seconds)));
        let view = RunView { phases: &phases, end: at(seconds), ..run.view() };
        Standard::new().proven(&slow, "lossy", &view)
    };
    let run = Run::new(|t| Reply::Ok(if t < FAULT { 10.0 } else { 450.0 }));
    assert_eq!(proven(&run, 9.0), None);
    assert_eq!(proven(&run, 10.03), None);
    assert_eq!(proven(&run, 11.0), Some(true));
    let idle = Run::new(|_| Reply::Ok(10.0));
    assert_eq!(proven(&idle, 20.0), Some(false));
    assert_eq!(Standard::new().proven(&slow, "another", &run.view()), None);
    let blind = Run::new(|t| if t < FAULT { Reply::Failed } else { Reply::Ok(450.0) });
    assert_eq!(proven(&blind, 20.0), None);
}
