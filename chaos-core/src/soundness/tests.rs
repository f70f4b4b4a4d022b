use std::time::Duration;

use super::*;
use crate::model::{
    Change, Event, Fault, FaultSpec, Function, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
    metric::Field,
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn success() -> Metric {
    Metric::success("get")
}

fn share(ratio: f64) -> Quantity {
    Quantity::ratio(ratio)
}

/// Built in code as a harness does: it stands in no text, and nothing is wrong with it.
fn experiment() -> Experiment {
    Experiment::new("a lossy way", "nobody notices")
        .with_probe(Probe::tcp("get", "10.0.0.1:80").at_rate(100.0))
        .with_steady_state(SteadyState::of(s(5), [success().at_least(share(0.9))]))
        .with_fault(Fault::new("lossy", FaultSpec::loss(0.05), Selector::netns("blue")))
        .with_timeline([
            Step::Baseline(s(10)),
            Step::inject("lossy"),
            Step::Hold(s(20)),
            Step::Rollback(None),
            Step::Watch(s(10)),
        ])
        .expect("nothing is lost", success().at_least(share(0.9)).during(Phase::Fault(None)))
        .expect("it is over", success().over(s(1)).at_least(share(0.9)).settles(s(9), Event::Rollback))
}

fn said(how: &str, finding: Finding) -> String {
    let remark = finding.into_remark();
    format!("{how}: {}; {}", remark.message, remark.help.unwrap_or_default())
}

fn all(experiment: &Experiment) -> Vec<String> {
    let refused = refusals(experiment).into_iter().map(|f| said("refused", f));
    let refused: Vec<String> = refused.collect();
    // What is refused is not planned, so nobody is warned of it.
    if !refused.is_empty() {
        return refused;
    }
    let warned = warnings(experiment, &|_| 1);
    warned.into_iter().map(|w| said("warned", w)).collect()
}

#[tokio::test]
async fn nothing_is_planned_that_cannot_be_decided() {
    use crate::testing::{self, World};
    let always = success().at_least(share(0.0)).during(Phase::Fault(None));
    let refused = testing::plan(&testing::experiment().expect("x", always), &World::new()).await;
    let error = refused.expect_err("it holds whatever happens");
    assert_eq!(error.to_string(), "`x`: `success(get) >= 0%` always holds, whatever is measured");
    assert_eq!(error.help().as_deref(), Some("choose a limit that a measurement can miss"));
}

#[track_caller]
fn says(change: impl FnOnce(Experiment) -> Experiment, expected: &str) {
    assert_eq!(all(&experiment()), [""; 0]);
    assert_eq!(all(&change(experiment())), [expected]);
}

#[test]
fn a_watch_that_ends_too_early() {
    says(
        |e| e.expect("later", success().over(s(2)).at_least(share(0.9)).settles(s(9), Event::Rollback)),
        "refused: `later` needs 11s after the rollback, and the watch lasts 10s; \
         write `watch 11s` at the end of the timeline",
    );
    let starts = Event::Starts("lossy".into());
    says(
        |e| e.expect("late", success().over(s(2)).at_least(share(0.9)).settles(s(29), starts)),
        "refused: `late` needs 31s after `lossy` starts, and the timeline ends after 30s; \
         write `watch 11s` at the end of the timeline",
    );
}

#[test]
fn the_watch_that_a_plain_timeline_needs() {
    let claim = |within, event| success().over(s(1)).at_least(share(0.9)).settles(s(within), event);
    let needed = |event| needed_by(claim(24, event));
    fn needed_by(claim: Claim) -> Duration {
        watch::needed(&experiment().expect("x", claim))
    }
    assert_eq!(needed(Event::Rollback), s(25));
    assert_eq!(needed(Event::Ends("lossy".into())), s(25));
    // The hold is 20 s of it.
    assert_eq!(needed(Event::Starts("lossy".into())), s(10));
    assert_eq!(needed_by(claim(39, Event::Starts("lossy".into()))), s(20));
}

#[test]
fn a_window_longer_than_its_deadline_or_phase() {
    says(
        |e| e.expect("x", success().over(s(5)).at_least(share(0.9)).settles(s(4), Event::Rollback)),
        "refused: `x`: the window of 5s is longer than the deadline of 4s, so it still holds what was before; \
         shorten the window, or lengthen the deadline",
    );
    let always =
        |during| Claim::Always { predicate: success().over(s(20)).at_least(share(0.9)).into(), during };
    says(
        |e| e.expect("x", always(Phase::Fault(None))),
        "refused: `x`: fault lasts 20s, and this is first known 20s after it began; \
         shorten the window and what `for` asks, or lengthen the phase",
    );
}

#[test]
fn a_baseline_that_is_not_there() {
    let without = |mut e: Experiment| {
        e.timeline.steps.remove(0);
        e
    };
    let slow = || Metric::latency("get", 0.5);
    says(
        |e| {
            without(e).expect(
                "x",
                slow().at_most_baseline_plus(Duration::from_millis(5)).during(Phase::Fault(None)),
            )
        },
        "refused: `x`: the timeline has no baseline to compare with; add `baseline 1m` before the first `inject`",
    );
    says(
        |e| without(e).expect("x", slow().at_most(s(1)).during(Phase::Baseline)),
        "refused: `x`: the timeline has no baseline to speak of; add `baseline 1m` before the first `inject`",
    );
}

#[test]
fn what_can_never_fail_or_never_hold() {
    says(
        |e| e.abort_when(success().over(s(5)).below(share(0.0))),
        "refused: `abort when success(get, over 5s) < 0%`: `success(get, over 5s) < 0%` never holds, whatever is measured; \
         choose a limit that a measurement can miss",
    );
    says(
        |e| e.expect("x", success().at_least(share(1.0)).during(Phase::Fault(None))),
        "refused: `x`: `success(get) >= 100%` can never be confirmed: the next measurement may differ; \
         add `observed` to judge what was measured and no more, or leave room: `>= 99.9%`, `<= 0.1%`",
    );
}

#[test]
fn what_no_probe_feeds() {
    says(
        |mut e| {
            e.probes.push(Probe::tcp("never", "10.0.0.1:81").at_rate(0.0));
            e.abort_when(Metric::success("never").over(s(5)).below(share(0.5)))
        },
        "refused: `abort when success(never, over 5s) < 50%`: `never` is sent 0 times a second, so `success(never, over 5s)` \
         is never known; give the probe a rate above zero",
    );
    let mut first_byte = Metric::new(Function::Quantile(0.5), "get");
    first_byte.field = Field::Ttfb;
    says(
        |e| e.expect("x", first_byte.at_most(s(1)).during(Phase::Fault(None))),
        "refused: `x`: `p50(get.ttfb)` is never known: a tcp probe has no such time; take `get.latency`",
    );
}

#[test]
fn an_order_of_steps_that_makes_no_sense() {
    says(
        |mut e| {
            e.timeline.steps.insert(2, Step::inject("lossy").into());
            e
        },
        "refused: the timeline: `lossy` is injected twice; declare a second fault",
    );
    says(
        |mut e| {
            e.timeline.steps.insert(2, Step::Watch(s(1)).into());
            e
        },
        "warned: the timeline: `watch` comes after the rollback; write `hold` while a fault is in place",
    );
    says(
        |e| e.with_fault(Fault::new("late", FaultSpec::loss(0.5), Selector::netns("blue"))),
        "warned: the timeline never injects `late`; add `inject late`, or remove the fault",
    );
}

#[test]
fn an_abort_condition_against_what_is_expected() {
    let delayed = |ms| Metric::latency("get", 0.5).above(Duration::from_millis(ms));
    let guarded = |e: Experiment, ms| {
        e.abort_when(Metric::latency("get", 0.5).over(s(2)).above(Duration::from_millis(ms)).lasting(s(3)))
    };
    says(
        |e| guarded(e.expect("felt", delayed(100).during(Phase::Fault(None))), 100),
        "warned: `abort when p50(get.latency, over 2s) > 100ms for 3s` comes true wherever `felt` does \
         (`p50(get.latency) > 100ms`), so the run ends before it is judged; \
         abort on what the fault should not touch, or choose a limit beyond what is expected",
    );
    let fine = |e: Experiment| assert_eq!(all(&e), [""; 0]);
    // There is room between the two limits, or they speak of different things.
    fine(guarded(experiment().expect("felt", delayed(100).during(Phase::Fault(None))), 101));
    fine(guarded(experiment().expect("quick", delayed(100).during(Phase::Baseline)), 50));
    let quick = Metric::latency("get", 0.5).at_most(Duration::from_millis(100));
    fine(guarded(experiment().expect("quick", quick.during(Phase::Fault(None))), 50));
    // A share of failures is one of successes the other way round.
    let failing = Metric::new(Function::Errors, "get").at_least(share(0.5));
    let mut both = experiment().abort_when(success().over(s(2)).below(share(0.6)));
    both.expectations.clear();
    both.faults[0].proven_by = Some(failing);
    let said = all(&both);
    assert!(said.len() == 1 && said[0].contains("wherever the proof of `lossy` does"), "{said:?}");
    both.aborts.clear();
    fine(both.abort_when(success().over(s(2)).below(share(0.5))));
}

#[test]
fn too_few_samples_for_a_claim() {
    says(
        |e| e.expect("x", Metric::latency("get", 0.9999).at_most(s(1)).during(Phase::Fault(None))),
        "warned: `x`: `p99.99(get.latency) <= 1s` needs at least 29956 samples to be decided, and 2000 are planned \
         during fault; raise the probe's rate, hold longer, or say `observed`",
    );
}

/// A lab in which a client asks one of this many hosts.
fn lab(copies: u32, probe: Probe) -> Experiment {
    use crate::model::{Host, Scope};
    let hosts = [Host::new("client"), Host::new("api").copies(copies)];
    let mut experiment = experiment();
    experiment.scope = Scope::Lab(hosts.into_iter().collect());
    experiment.probes = vec![probe.sent_from(Selector::hosts("client")).at_rate(100.0)];
    experiment
}

fn get() -> Probe {
    Probe::http_get("get", "http://api:8080/")
}

fn odd(experiment: &Experiment) -> Vec<String> {
    remarks(experiment).into_iter().map(|f| f.remark.message).collect()
}

fn claiming(mut experiment: Experiment, fault: Fault, claim: crate::model::Claim) -> Experiment {
    let name = fault.name.value.clone();
    experiment.faults = vec![fault];
    experiment.timeline.steps = vec![
        Step::Baseline(s(20)).into(),
        Step::inject(name).into(),
        Step::Hold(s(60)).into(),
        Step::Rollback(None).into(),
        Step::Watch(s(20)).into(),
    ];
    experiment.aborts.clear();
    experiment.expectations.clear();
    experiment
        .expect("all are served", success().at_least(share(0.99)).during(Phase::Fault(None)))
        .expect("fast", claim)
}

fn faster(quantile: f64) -> crate::model::Claim {
    Metric::latency("get", quantile).at_most(s(1)).during(Phase::Fault(None))
}

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
fn deadlines_windows_and_latencies_that_stand_alone() {
    let slow = || Fault::new("slow", FaultSpec::delay(s(1)), Selector::hosts("api"));
    let settles = |window| success().over(s(window)).at_least(share(0.9)).settles(s(10), Event::Rollback);
    assert_eq!(odd(&claiming(lab(3, get()), slow(), settles(5))), [] as [String; 0]);
    let coarse = odd(&claiming(lab(3, get()), slow(), settles(6)));
    assert!(coarse[0].starts_with("the window of 6s is most of the deadline of 10s"), "{coarse:?}");
    let mut rare = claiming(lab(3, get()), slow(), settles(5));
    rare.probes[0].rate = 0.25;
    assert!(
        odd(&rare).iter().any(|m| m == "`get` looks once in 4s, and the deadline is 10s"),
        "{:?}",
        odd(&rare)
    );
    let mut alone = claiming(lab(3, get()), slow(), faster(0.95));
    alone.expectations.remove(0);
    assert!(odd(&alone)[0].starts_with("nothing is claimed of the success of `get`"), "{:?}", odd(&alone));
    let always = |window, least| crate::model::Claim::Always {
        predicate: success().over(s(window)).at_least(share(least)).into(),
        during: Phase::Fault(None),
    };
    let one = odd(&claiming(lab(3, get()), slow(), always(5, 0.999)));
    assert!(one[0].contains("a single failure breaks"), "{one:?}");
    assert_eq!(odd(&claiming(lab(3, get()), slow(), always(10, 0.999))), [] as [String; 0]);
}

#[test]
fn a_reading_that_may_miss_what_a_claim_looks_at() {
    let findings = |every: f64, claim: crate::model::Claim| {
        let queue = Probe::prometheus("queue", "sum(queue)", "http://10.0.0.1:9090").at_rate(1.0 / every);
        odd(&experiment().with_probe(queue).expect("x", claim))
    };
    let queue = || Metric::value("queue").at_most(Quantity::new(5.0, crate::model::Unit::Count));
    let within =
        || crate::model::Claim::Within { predicate: queue().into(), within: s(5), after: Event::Rollback };
    let during = Phase::Fault(Some("lossy".into()));
    let always = || crate::model::Claim::Always { predicate: queue().into(), during: during.clone() };
    assert_eq!(
        findings(10.0, within()),
        [
            "`queue` is read once in 10s, and a reading holds for up to 25s: the deadline of 5s may go by without one, and what \
          was read before it decides"
        ]
    );
    // Often enough to be seen, though coarsely; then well.
    assert_eq!(findings(5.0, within()), ["`queue` looks once in 5s, and the deadline is 5s"]);
    assert_eq!(findings(1.0, within()), [""; 0]);
    assert!(findings(21.0, always())[0].contains(": the 20s of lossy may go by without one"));
    assert_eq!(findings(20.0, always()), [""; 0]);
    let stays = |seconds| crate::model::Claim::Stays {
        predicate: queue().into(),
        lasting: s(seconds),
        after: Event::Rollback,
    };
    assert!(findings(6.0, stays(5))[0].contains(": the 5s that it is to stay so may go by"));
    assert_eq!(findings(5.0, stays(5)), [""; 0]);
    // Requests are looked at by windows, which are counted.
    assert_eq!(odd(&experiment()), [""; 0]);
    let mut aborting = experiment()
        .with_probe(Probe::prometheus("queue", "sum(queue)", "http://10.0.0.1:9090").at_rate(0.1));
    aborting.aborts = vec![Abort::When(queue().lasting(s(5)))];
    assert!(
        odd(&aborting)[0].contains(": the 5s of its `for` may go by without one"),
        "{:?}",
        odd(&aborting)
    );
}

#[test]
fn a_share_of_the_answered_leaves_out_the_others() {
    use crate::model::probe::{Label, LabelSource};
    let by = |label: &str, negated| Metric {
        filter: vec![crate::model::metric::Filter {
            label: label.into(),
            values: vec!["api-1".into()],
            negated,
            variable: None,
        }],
        ..success()
    };
    let findings = |metric: Metric, whole: bool| {
        let mut experiment = experiment();
        let label = |name: &str, source| Label { name: name.into(), source };
        experiment.probes[0].labels = vec![
            label("backend", LabelSource::Header("x-served-by".into())),
            label("who", LabelSource::Peer),
        ];
        if !whole {
            experiment.steady_state.predicates.clear();
            experiment.expectations.clear();
        }
        let experiment = experiment.expect("x", metric.at_least(share(0.9)).during(Phase::Fault(None)));
        odd(&experiment).into_iter().filter(|m| m.contains("without an answer")).count()
    };
    assert_eq!(findings(by("backend", false), false), 1);
    assert_eq!(findings(by("status", false), false), 1);
    // Something counts all of them, or the label is known before there is an answer, or all but some are meant.
    assert_eq!(findings(by("backend", false), true), 0);
    assert_eq!(findings(by("who", false), false), 0);
    assert_eq!(findings(by("backend", true), false), 0);
}

/// A program whose inside nobody knows.
fn nginx() -> crate::model::Program {
    let ready = crate::model::lab::Ready::Tcp(8080);
    crate::model::Program::Command { argv: vec!["nginx".into()], ready, env: Vec::new(), as_root: false }
}

fn gateway(upstream: &str) -> crate::model::Program {
    crate::model::Program::Gateway {
        port: 8080,
        upstream: upstream.into(),
        upstream_port: 8080,
        timeout: s(1),
        retries: 0,
    }
}

/// A lab whose client asks `front`, which runs this, and behind which `mid` and `db` stand.
fn behind(front: crate::model::Program, mid: crate::model::Program) -> Experiment {
    use crate::model::{Host, Scope};
    let hosts = [
        Host::new("client"),
        Host::new("front").running(front),
        Host::new("mid").running(mid),
        Host::new("db"),
    ];
    let mut experiment = lab(1, Probe::http_get("get", "http://front:8080/"));
    experiment.scope = Scope::Lab(hosts.into_iter().collect());
    experiment
}

#[test]
fn what_a_program_may_forward_is_not_called_untouched() {
    use crate::model::Program;
    let slow = || Fault::new("slow", FaultSpec::delay(s(1)), Selector::hosts("db"));
    let http = || Program::Http { port: 8080, work: s(0), capacity: None, status: 200 };
    let remarks = |experiment| odd(&claiming(experiment, slow(), faster(0.95)));
    let untouched = remarks(behind(http(), http()));
    assert!(untouched[0].contains("at most 0%"), "{untouched:?}");
    let help = super::remarks(&claiming(behind(http(), http()), slow(), faster(0.95))).remove(0).remark.help;
    assert!(help.unwrap().starts_with("aim the fault at hosts that these requests pass"));
    // A program may ask anybody, also one behind a gateway, and one that comes by a change.
    assert_eq!(remarks(behind(nginx(), http())), [""; 0]);
    assert_eq!(remarks(behind(gateway("mid"), nginx())), [""; 0]);
    let change = Change::new("swap", nginx(), Selector::hosts("front"));
    assert_eq!(remarks(behind(http(), http()).with_change(change)), ["the timeline never makes `swap`"]);
    // Gateways behind gateways are followed to the last.
    assert_eq!(remarks(behind(gateway("mid"), gateway("db"))), [""; 0]);
    assert!(remarks(behind(gateway("mid"), http()))[0].contains("at most 0%"));
    assert!(remarks(behind(gateway("mid"), gateway("front")))[0].contains("at most 0%"), "a circle ends");
}

#[test]
fn values_of_labels_that_nothing_can_have() {
    use crate::model::probe::{Label, LabelSource};
    let by = |label: &str, value: &str| Metric {
        filter: vec![crate::model::metric::Filter {
            label: label.into(),
            values: vec![value.into()],
            negated: false,
            variable: None,
        }],
        ..success()
    };
    let labelled = |mut experiment: Experiment, metric: Metric| {
        let label = |name: &str, source| Label { name: name.into(), source };
        experiment.probes[0].labels = vec![
            label("backend", LabelSource::Header("X-Served-By".into())),
            label("who", LabelSource::Peer),
            label("code", LabelSource::Status),
        ];
        let condition = metric.over(s(5)).below(share(0.5)).into();
        experiment.aborts = vec![Abort::When(condition)];
        refusals(&experiment).into_iter().map(|f| f.remark.message).collect::<Vec<_>>()
    };
    let http = || crate::model::Program::Http { port: 8080, work: s(0), capacity: None, status: 200 };
    let refused = labelled(behind(http(), http()), by("backend", "nope"));
    let expected = "no measurement of `get` has the `backend` `nope` that `success(get where backend = \"nope\", over 5s)` asks for";
    assert_eq!(refused, [expected]);
    assert_eq!(labelled(behind(http(), http()), by("backend", "front")), [""; 0]);
    assert_eq!(labelled(behind(gateway("mid"), http()), by("backend", "mid")), [""; 0]);
    assert_eq!(labelled(behind(http(), http()), by("backend", "mid")).len(), 1);
    // What a program of somebody else writes there is not known.
    assert_eq!(labelled(behind(nginx(), http()), by("backend", "nope")), [""; 0]);
    assert_eq!(labelled(behind(gateway("mid"), nginx()), by("backend", "nope")), [""; 0]);
    for (label, value) in
        [("from", "db"), ("who", "db"), ("code", "abc"), ("status", "5xx"), ("status", "20")]
    {
        assert_eq!(labelled(behind(http(), http()), by(label, value)).len(), 1, "{label} {value}");
    }
    for (label, value) in [("from", "client"), ("who", "front"), ("code", "503"), ("status", "200")] {
        assert_eq!(labelled(behind(http(), http()), by(label, value)), [""; 0], "{label} {value}");
    }
    // Outside of a lab only an answer's status is known beforehand.
    let mut outside = experiment();
    outside.probes[0] = Probe::http_get("get", "http://10.0.0.1/").at_rate(100.0);
    assert_eq!(labelled(outside.clone(), by("backend", "nope")), [""; 0]);
    assert_eq!(labelled(outside.clone(), by("status", "teapot")).len(), 1);
    // A health check of gRPC answers in words.
    let address = "10.0.0.1:443".to_owned().into();
    outside.probes[0].kind = crate::model::ProbeKind::Grpc { address, service: String::new(), secure: false };
    for (status, refused) in [("NOT_SERVING", 0), ("UNAVAILABLE", 0), ("200", 1), ("serving", 1)] {
        assert_eq!(labelled(outside.clone(), by("status", status)).len(), refused, "{status}");
    }
}

#[test]
fn effects_so_rare_that_there_may_be_none() {
    use crate::model::{
        FaultSpec,
        packets::{Blocked, Refusal},
    };
    let told = |kept: bool, spec: FaultSpec| {
        let probe = if kept { get().reusing_connections(4) } else { get() };
        let fault = Fault::new("f", spec, Selector::hosts("api"));
        let mut found =
            odd(&claiming(lab(1, probe), fault, success().at_least(share(0.9)).during(Phase::Fault(None))));
        found.retain(|message| message.contains("expected to change") || message.contains("too short"));
        found
    };
    // 100 requests a second for a minute, with 3 packets each over kept connections.
    assert_eq!(
        told(true, FaultSpec::loss(0.000_01)),
        [
            "`loss 0.001%` of `f` is expected to change about 0.2 of the 18000 packets that the probes send through it, and may change \
          none: then what is claimed of it is undecided"
        ]
    );
    assert_eq!(told(true, FaultSpec::loss(0.01)), [""; 0]);
    assert_eq!(told(true, FaultSpec::Corrupt { ratio: 0.000_01 }).len(), 1);
    assert_eq!(told(true, FaultSpec::Duplicate { ratio: 0.000_01 }).len(), 1);
    let reorder =
        |ratio, milliseconds| FaultSpec::Reorder { ratio, hold: Duration::from_millis(milliseconds) };
    assert_eq!(told(true, reorder(0.000_1, 1)).len(), 1);
    assert_eq!(told(true, reorder(0.01, 20)), [""; 0]);
    let new = || FaultSpec::Block { connections: Blocked::New, answer: Refusal::Drop };
    assert!(
        told(true, new())[0].contains("change fewer than 0.1 of the 0 packets"),
        "kept connections are not new"
    );
    assert_eq!(told(false, new()), [""; 0]);
    assert!(told(true, FaultSpec::delay(Duration::from_nanos(1)))[0].starts_with("`delay 1ns` is too short"));
    assert_eq!(told(true, FaultSpec::delay(Duration::from_micros(1))), [""; 0]);
}
