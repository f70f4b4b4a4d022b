//! What a fault does to the requests of a probe.

use super::*;
use crate::model::packets::{Blocked, Refusal};

#[test]
fn requests_that_a_fault_makes_too_many_for_their_connections() {
    // 100 requests per second that each take 500 ms are 50 at once; to one host of two, it is half of them.
    let slow = |on: &str| Fault::new("slow", FaultSpec::delay(s(1) / 2), Selector::hosts(on));
    let waiting = |probe, copies, on: &str| {
        let found = odd(&claiming(lab(copies, probe), slow(on), faster(0.95)));
        found.into_iter().filter(|remark| remark.contains("wait for each other")).collect::<Vec<_>>()
    };
    assert_eq!(
        waiting(get().reusing_connections(49), 1, "api"),
        [
            "`slow` makes requests of `get` take at least 500ms longer, so at 100/s they need 50 connections or more, and there \
          are 49: they will wait for each other, not for the server"
        ]
    );
    assert_eq!(waiting(get().reusing_connections(50), 1, "api"), [] as [String; 0]);
    assert_eq!(waiting(get().reusing_connections(24), 2, "api-1").len(), 1);
    assert_eq!(waiting(get().reusing_connections(26), 2, "api-1"), [] as [String; 0]);
    // Every request has one of its own.
    assert_eq!(waiting(get(), 1, "api"), [] as [String; 0]);
}

#[test]
fn a_tail_that_too_few_requests_are_in() {
    let slow = || Fault::new("slow", FaultSpec::delay(s(1)), Selector::hosts("api-1"));
    // 1 of 3 is more than 5 %, and of 30 less.
    assert_eq!(odd(&claiming(lab(3, get()), slow(), faster(0.95))), [] as [String; 0]);
    assert_eq!(
        odd(&claiming(lab(30, get()), slow(), faster(0.95))),
        [
            "`slow` slows at most 3.3% of the requests of `get`, and a p95 moves only where more than 5% are slowed: it holds \
          whatever the fault does"
        ]
    );
    // That most do not notice is a claim on its own.
    assert_eq!(odd(&claiming(lab(3, get()), slow(), faster(0.5))), [] as [String; 0]);
    // A few kept connections are not spread evenly.
    let kept = get().reusing_connections(4);
    let few = odd(&claiming(lab(30, kept), slow(), faster(0.95)));
    assert!(few.iter().all(|remark| !remark.contains("slows at most")), "{few:?}");
    // A lost packet is one of several.
    let lossy = |ratio| Fault::new("lossy", FaultSpec::loss(ratio), Selector::hosts("api"));
    assert_eq!(odd(&claiming(lab(3, get()), lossy(0.02), faster(0.95))), [] as [String; 0]);
    let rare = odd(&claiming(lab(3, get()), lossy(0.001), faster(0.95)));
    assert!(rare[0].starts_with("`lossy` slows at most 0.6% of the requests"), "{rare:?}");
    // Between hosts that the requests do not pass.
    let aside = FaultSpec::delay(s(1)).to(Selector::hosts("api-2"));
    let aside = Fault::new("slow", aside, Selector::hosts("api-1"));
    assert!(odd(&claiming(lab(3, get()), aside, faster(0.95)))[0].contains("at most 0%"));
    // What must come true and cannot.
    let proof = Metric::latency("get", 0.5).at_least_baseline_plus(s(0));
    let claim = proof.during(Phase::Fault(None));
    let never = odd(&claiming(lab(3, get()), slow(), claim));
    assert!(never[0].ends_with("it never comes true by the fault"), "{never:?}");
}

#[test]
fn an_abort_condition_that_the_fault_makes_true() {
    let slow = Fault::new("slow", FaultSpec::delay(s(2)), Selector::hosts("api-1"));
    let mut experiment = claiming(lab(3, get()), slow, faster(0.5));
    let p95 = |limit| Metric::latency("get", 0.95).over(s(5)).above(s(limit)).lasting(s(2));
    experiment.aborts = vec![Abort::When(p95(1))];
    assert_eq!(
        odd(&experiment),
        ["`slow` alone makes this true: it slows up to 33.3% of the requests of `get` by at least 2s"]
    );
    experiment.aborts = vec![Abort::When(p95(3))];
    assert_eq!(odd(&experiment), [] as [String; 0]);
}

#[test]
fn effects_so_rare_that_there_may_be_none() {
    let remarked = |kept: bool, spec: FaultSpec| {
        let probe = if kept { get().reusing_connections(4) } else { get() };
        let fault = Fault::new("f", spec, Selector::hosts("api"));
        let mut found =
            odd(&claiming(lab(1, probe), fault, success().at_least(share(0.9)).during(Phase::Fault(None))));
        found.retain(|message| message.contains("expected to change") || message.contains("too short"));
        found
    };
    // 100 requests a second for a minute, with 3 packets each over kept connections.
    assert_eq!(
        remarked(true, FaultSpec::loss(0.000_01)),
        [
            "`loss 0.001%` of `f` is expected to change about 0.2 of the 18000 packets that the probes send through it, and may change \
          none: then what is claimed of it is undecided"
        ]
    );
    assert_eq!(remarked(true, FaultSpec::loss(0.01)), [""; 0]);
    assert_eq!(remarked(true, FaultSpec::Corrupt { ratio: 0.000_01 }).len(), 1);
    assert_eq!(remarked(true, FaultSpec::Duplicate { ratio: 0.000_01 }).len(), 1);
    let reorder =
        |ratio, milliseconds| FaultSpec::Reorder { ratio, hold: Duration::from_millis(milliseconds) };
    assert_eq!(remarked(true, reorder(0.000_1, 1)).len(), 1);
    assert_eq!(remarked(true, reorder(0.01, 20)), [""; 0]);
    let new = || FaultSpec::Block { connections: Blocked::New, answer: Refusal::Drop };
    assert!(
        remarked(true, new())[0].contains("change fewer than 0.1 of the 0 packets"),
        "kept connections are not new"
    );
    assert_eq!(remarked(false, new()), [""; 0]);
    assert!(
        remarked(true, FaultSpec::delay(Duration::from_nanos(1)))[0].starts_with("`delay 1ns` is too short")
    );
    assert_eq!(remarked(true, FaultSpec::delay(Duration::from_micros(1))), [""; 0]);
}

#[test]
fn processes_of_a_host_that_no_request_passes_are_met_by_none() {
    use crate::model::{Action, Host, ProcessEffect, ProcessFault, Program, Scope};
    let reached = |on: &str, program: Option<Program>| {
        let mut fault = Fault::new("frozen", FaultSpec::loss(0.5), Selector::hosts(on));
        fault.action = Action::Processes(ProcessFault::each(ProcessEffect::Pause));
        let mut experiment = claiming(lab(3, get()), fault, faster(0.95));
        let aside = program.into_iter().fold(Host::new("aside"), Host::running);
        let hosts = [Host::new("client"), Host::new("api").copies(3), aside];
        experiment.scope = Scope::Lab(hosts.into_iter().collect());
        let warned =
            odd(&experiment).into_iter().any(|remark| remark.starts_with("no request of a probe passes"));
        let reached = reaches(&experiment, &experiment.probes[0], &experiment.faults[0]);
        assert_eq!(warned, reached == Some(false), "{on}");
        reached
    };
    assert_eq!(reached("api-1", None), Some(true));
    assert_eq!(reached("client", None), Some(true));
    assert_eq!(reached("aside", None), Some(false));
    // Requests may wait for what it answers.
    assert_eq!(reached("aside", Some(Program::Dns)), None);
}
