use super::*;
use crate::verdict::{Leaning, Reason};

fn healthy() -> Predicate {
    Predicate::Compare(success(Some(secs(1)), Op::AtLeast, 0.9))
}

fn down(from: f64, to: f64) -> Run {
    Run::new(move |t| if (from..to).contains(&t) { Reply::Failed } else { Reply::Ok(1.0) })
}

fn always(during: Phase) -> Claim {
    Claim::Always { predicate: healthy(), during }
}

fn settles(after: Event) -> Claim {
    Claim::Settles { predicate: healthy(), within: secs(10), lasting: None, after }
}

#[test]
fn what_an_abort_cut_short_is_unknown() {
    let aborted = down(200.0, 200.0).abort(20.0);
    for phase in [lossy(), Phase::Fault(None), Phase::WholeRun] {
        open(&aborted.finding(always(phase.clone())), &[Reason::Aborted], Leaning::Passed);
        open(
            &aborted.finding(during(success(None, Op::AtLeast, 0.9), phase)),
            &[Reason::Aborted],
            Leaning::Passed,
        );
    }
    let finding = aborted.finding(always(lossy()));
    assert_eq!(finding.reasons, ["the run was aborted at 20s"]);
    // What was over by then, or came after, is as good as ever.
    passed(&aborted.finding(always(Phase::Baseline)));
    passed(&aborted.finding(always(Phase::Watch)));
    passed(&aborted.finding(settles(Event::Rollback)));
    passed(&aborted.finding(during(success(None, Op::AtLeast, 0.9), Phase::Watch)));
    // A deadline from before the abort is not met by what came after it.
    let slow = Run::new(|t| Reply::Ok(if t < 25.0 { 1.0 } else { 100.0 })).abort(20.0);
    let slower = compare(metric(Function::Last, Some(secs(1))), Op::AtLeast, constant(0.05, Unit::Seconds));
    let claim = Claim::Within { predicate: Predicate::Compare(slower), within: secs(30), after: starts() };
    open(&slow.finding(claim.clone()), &[Reason::Aborted], Leaning::Failed);
    let mut whole = slow;
    whole.aborted = None;
    passed(&whole.finding(claim));
}

#[test]
fn what_failed_before_an_abort_has_failed() {
    let aborted = down(15.0, 21.0).abort(20.0);
    failed(&aborted.finding(always(lossy())));
    failed(&aborted.finding(during(success(None, Op::AtLeast, 0.99), lossy())));
    // What was only observed might have become better, unless it can but become worse.
    let observed =
        |comparison| Claim::Statistic { comparison, during: lossy(), observed: true, confidence: None };
    let share = aborted.finding(observed(success(None, Op::AtLeast, 0.99)));
    open(&share, &[Reason::Aborted], Leaning::Failed);
    failed(&aborted.finding(observed(latency(Function::Max, Op::AtMost, 0.5))));
    let count = |op| observed(compare(metric(Function::Count, None), op, constant(1500.0, Unit::Count)));
    open(&aborted.finding(count(Op::AtLeast)), &[Reason::Aborted], Leaning::Failed);
    // The failures of the very moment of the abort are not looked at.
    let at_once = down(20.0, 21.0).abort(20.0);
    open(&at_once.finding(always(lossy())), &[Reason::Aborted], Leaning::Passed);
    open(&at_once.finding(always(Phase::WholeRun)), &[Reason::Aborted], Leaning::Passed);
}

#[test]
fn a_phase_that_never_came_cannot_be_judged() {
    let mut run = down(200.0, 200.0);
    run.phases.retain(|span| matches!(span.phase, Phase::Baseline | Phase::WholeRun));
    run.marks.clear();
    run.exercised.clear();
    let claims = || {
        [
            always(lossy()),
            during(success(None, Op::AtLeast, 0.9), lossy()),
            settles(Event::Rollback),
            Claim::Eventually { predicate: healthy(), within: secs(5), during: lossy() },
        ]
    };
    for claim in claims() {
        open(&run.finding(claim), &[Reason::NotExercised], Leaning::None);
    }
    run.aborted = Some(at(5.0));
    for claim in claims() {
        open(&run.finding(claim), &[Reason::Aborted], Leaning::None);
    }
    open(&run.finding(always(Phase::Baseline)), &[Reason::Aborted], Leaning::Passed);
}

#[test]
fn a_fault_that_did_nothing_tests_nothing() {
    let mut run = down(200.0, 200.0);
    run.exercised.insert("lossy".into(), false);
    let concerned = || {
        [
            always(lossy()),
            always(Phase::Fault(None)),
            always(Phase::WholeRun),
            always(Phase::Watch),
            during(success(None, Op::AtLeast, 0.9), lossy()),
            settles(Event::Rollback),
            settles(Event::RollbackStarts),
            settles(Event::Ends("lossy".into())),
            Claim::Stays { predicate: healthy(), lasting: secs(5), after: starts() },
        ]
    };
    for claim in concerned() {
        let finding = run.finding(claim);
        open(&finding, &[Reason::NotExercised], Leaning::Passed);
        assert_eq!(finding.reasons, ["not exercised: `lossy` did nothing that could be shown"]);
    }
    passed(&run.finding(always(Phase::Baseline)));
    // Another fault is none of its business.
    run.exercised = BTreeMap::from([("lossy".to_owned(), true), ("other".to_owned(), false)]);
    passed(&run.finding(always(lossy())));
    open(&run.finding(always(Phase::Fault(None))), &[Reason::NotExercised], Leaning::Passed);
    // What failed while no fault did anything, no fault broke; where another did, that may have.
    let mut broken = down(15.0, 30.0);
    broken.exercised.insert("lossy".into(), false);
    broken.idle.insert("lossy".into(), "matched 252 packets and changed none of them".into());
    let share = || during(success(None, Op::AtLeast, 0.99), lossy());
    for claim in [always(lossy()), share(), always(Phase::Fault(None))] {
        let finding = broken.finding(claim);
        open(&finding, &[Reason::NotExercised], Leaning::Failed);
        assert_eq!(finding.reasons, ["not exercised: `lossy` matched 252 packets and changed none of them"]);
    }
    broken.exercised.insert("other".into(), true);
    failed(&broken.finding(always(Phase::Fault(None))));
    open(&broken.finding(always(lossy())), &[Reason::NotExercised], Leaning::Failed);
}

#[test]
fn a_fault_on_the_way_of_other_requests_tests_nothing_of_these() {
    use crate::model::{Fault, FaultSpec, Host, Scope, Selector};
    let run = |serving: fn(f64) -> Reply, target: &str, faults: &[&str]| {
        let mut run = Run::new(serving);
        let hosts = [Host::new("client"), Host::new("api"), Host::new("idle")];
        run.experiment.scope = Scope::Lab(hosts.into_iter().collect());
        run.experiment.probes[0] =
            Probe::http_get("get", "http://api:8080/").sent_from(Selector::hosts("client")).at_rate(100.0);
        let fault = |name: &str, on: &str| Fault::new(name, FaultSpec::loss(0.5), Selector::hosts(on));
        run.experiment.faults = vec![fault("lossy", target), fault("other", "api")];
        run.exercised = faults.iter().map(|name| ((*name).to_owned(), true)).collect();
        run
    };
    let fine = |_| Reply::Ok(1.0);
    let reason = "not exercised: `lossy` matches no request of `get`";
    let share = during(success(None, Op::AtLeast, 0.9), lossy());
    let claims = [always(lossy()), always(Phase::Fault(None)), share];
    for claim in claims.clone() {
        let finding = run(fine, "idle", &["lossy"]).finding(claim);
        open(&finding, &[Reason::NotExercised], Leaning::Passed);
        assert_eq!(finding.reasons, [reason]);
    }
    for claim in claims {
        passed(&run(fine, "api", &["lossy"]).finding(claim.clone()));
        passed(&run(fine, "client", &["lossy"]).finding(claim));
    }
    let broken = |_| Reply::Failed;
    open(&run(broken, "idle", &["lossy"]).finding(always(lossy())), &[Reason::NotExercised], Leaning::Failed);
    // Beside a claim about requests that it does match, this one says that the fault does not spread.
    let compared = |probe: &str| {
        let mut run = run(fine, "idle", &["lossy"]);
        let other = Probe::http_get(probe, "http://idle:8080/").sent_from(Selector::hosts("client"));
        run.experiment.probes.push(other.at_rate(100.0));
        let mut claim = success(None, Op::AtLeast, 0.1);
        claim.metric.probe = probe.into();
        let name = "the other suffers".into();
        run.experiment.expectations.push(Expectation {
            name,
            claim: during(claim, lossy()),
            span: Span::NONE,
        });
        run
    };
    passed(&compared("other").finding(always(lossy())));
    // One of several faults is on the way.
    let both = || run(fine, "idle", &["lossy", "other"]);
    passed(&both().finding(always(Phase::Fault(None))));
    open(&both().finding(always(lossy())), &[Reason::NotExercised], Leaning::Passed);
}

#[test]
fn a_fault_that_was_in_place_twice_counts_twice() {
    let mut run = down(60.0, 61.0);
    run.phases.push(PhaseSpan { phase: lossy(), start: at(50.0), end: at(70.0) });
    run.marks.push(Mark { event: starts(), at: at(50.0) });
    failed(&run.finding(always(lossy())));
    failed(&run.finding(Claim::Stays { predicate: healthy(), lasting: secs(15), after: starts() }));
    passed(&run.finding(Claim::Stays { predicate: healthy(), lasting: secs(5), after: starts() }));
    let count = compare(metric(Function::Count, None), Op::AtLeast, constant(5000.0, Unit::Count));
    passed(&run.finding(during(count, lossy())));
}

#[test]
fn what_was_meant_to_start_after_the_end_is_not_looked_at() {
    let mut run = Run::new(|t| if t < 100.0 { Reply::Ok(1.0) } else { Reply::Failed });
    failed(&run.finding(settles(Event::Rollback)));
    run.end = at(100.0);
    passed(&run.finding(settles(Event::Rollback)));
    passed(&run.finding(during(success(None, Op::AtLeast, 0.99), Phase::Watch)));
}

#[test]
fn findings_say_which_claim_they_are_about() {
    let run = down(200.0, 200.0);
    let judged = run.judge(Claim::All(vec![always(lossy()), settles(Event::Rollback)]));
    let claims: Vec<&str> = judged.findings.iter().map(|f| f.claim.as_str()).collect();
    assert_eq!(
        claims,
        [
            "always success(get, over 1s) >= 90% during lossy",
            "success(get, over 1s) settles to >= 90% within 10s after rollback"
        ]
    );
    assert!(judged.measured.contains("held throughout lossy") && judged.measured.contains("; settled"));
}

/// Puts another fault in place from 60 s to 100 s, with a rollback of its own.
fn again(mut run: Run) -> Run {
    let other = || "other".to_owned();
    run.phases.push(PhaseSpan { phase: Phase::Fault(Some(other())), start: at(60.0), end: at(100.0) });
    for (event, seconds) in [
        (Event::Starts(other()), 60.0),
        (Event::RollbackStarts, 100.0),
        (Event::Ends(other()), 101.0),
        (Event::Rollback, 101.0),
    ] {
        run.marks.push(Mark { event, at: at(seconds) });
    }
    run.exercised.insert(other(), true);
    run
}

#[test]
fn what_is_owed_after_a_rollback_is_owed_until_the_next_fault() {
    let unhealthy = || Predicate::Not(Box::new(healthy()));
    let stops = |after| Claim::Stops { predicate: unhealthy(), within: secs(10), after };
    let within = |after| Claim::Within { predicate: healthy(), within: secs(10), after };
    let stays = |seconds, after| Claim::Stays { predicate: healthy(), lasting: secs(seconds), after };
    // The second fault breaks what the first rollback had brought back, and has its own rollback for that.
    let recovers = again(down(61.0, 99.0));
    for event in [Event::Rollback, Event::RollbackStarts] {
        passed(&recovers.finding(settles(event.clone())));
        passed(&recovers.finding(stops(event.clone())));
        passed(&recovers.finding(within(event.clone())));
        passed(&recovers.finding(stays(10, event.clone())));
        // Nobody knows what would have come after 19 s without the second fault.
        let long = recovers.finding(stays(25, event));
        open(&long, &[Reason::NextFault], Leaning::Passed);
        assert_eq!(long.reasons, ["the next fault began at 1m"]);
    }
    // What is owed after the end of one fault does not end where another begins, but where it begins again.
    failed(&recovers.finding(settles(Event::Ends("lossy".into()))));
    let mut twice = recovers;
    twice.marks.push(Mark { event: starts(), at: at(60.0) });
    passed(&twice.finding(settles(Event::Ends("lossy".into()))));
    // A rollback after which nothing came back in time has failed, whatever the others did.
    for broken in [again(down(40.0, 55.0)), again(down(90.0, 115.0))] {
        failed(&broken.finding(settles(Event::Rollback)));
        failed(&broken.finding(stops(Event::Rollback)));
        failed(&broken.finding(within(Event::Rollback)));
        failed(&broken.finding(stays(10, Event::Rollback)));
    }
    // Where the deadline was still to come, nothing is known.
    let cut = again(down(40.0, 99.0));
    let late = Claim::Within { predicate: healthy(), within: secs(30), after: Event::Rollback };
    open(&cut.finding(late), &[Reason::NextFault], Leaning::Failed);
    let late =
        Claim::Settles { predicate: healthy(), within: secs(25), lasting: None, after: Event::Rollback };
    open(&cut.finding(late), &[Reason::NextFault], Leaning::None);
}
