//! Records as runs leave them, built in code.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    injector::{Ask, Direction, Effect, Hold, Offer, PacketMatch, Peer},
    model::{
        Abort, Claim, Comparison, Connections, Distribution, Event, Expectation, Experiment, Fault,
        FaultSpec, Function, Host, Lab, Link, Metric, Phase, Predicate, Probe, ProbeKind, Program, Quantity,
        RadiusLimit, Scope, Selector, SteadyState, Step, Timeline, Traffic,
        formula::{Bound, Op},
        metric::Field,
        probe::HeaderValue,
        scope::{Amount, RadiusUnit},
    },
    place::{Object, ObjectKind},
    plan::{Part, Plan, PlannedFault, PlannedProbe, Warning, radius::Radius},
    run::{
        Completion, Record, Restoration,
        event::SCHEMA_VERSION,
        record::{
            AbortCause, AbortKind, EnvironmentFacts, Mark, PartRecord, PartState, PhaseSpan, PhaseSummary,
            PredicateResult, ProbeSummary, Refusal, Stage, StageSpan, SteadyResult, SteadyWhen,
        },
        view::{Judged, Verdict},
    },
    span::{FileId, Span},
    time::Nanos,
};

const S: Nanos = 1_000_000_000;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn span(start: u32, end: u32) -> Span {
    Span::new(FileId(0), start, end)
}

fn host(name: &str) -> Object {
    Object { kind: ObjectKind::Host, name: name.into(), addresses: vec!["10.77.0.2".parse().unwrap()] }
}

fn metric(function: Function, over: Option<Duration>) -> Metric {
    Metric {
        function,
        probe: "shop".into(),
        field: Field::Latency,
        filter: Vec::new(),
        over,
        span: span(40, 60),
    }
}

fn compare(function: Function, over: Option<Duration>, op: Op, bound: Bound) -> Comparison {
    Comparison { metric: metric(function, over), op, bound, span: span(40, 70) }
}

fn constant(q: Quantity) -> Bound {
    Bound::Constant(q)
}

fn expectations() -> Vec<Expectation> {
    let slow = || Phase::Fault(Some("slow_api".into()));
    let statistic = |function, op, bound| Claim::Statistic {
        comparison: compare(function, None, op, bound),
        during: slow(),
        observed: false,
        confidence: None,
    };
    let settles = Claim::Settles {
        predicate: Predicate::Compare(compare(
            Function::Quantile(0.95),
            Some(secs(2)),
            Op::AtMost,
            Bound::Baseline { factor: 1.0, offset: 0.02 },
        )),
        within: secs(5),
        lasting: None,
        after: Event::Rollback,
    };
    let expectation =
        |name: &str, claim, start| Expectation { name: name.into(), claim, span: span(start, start + 50) };
    vec![
        expectation(
            "nobody sees an error",
            statistic(Function::Success, Op::AtLeast, constant(Quantity::ratio(0.99))),
            800,
        ),
        expectation(
            "most users notice nothing",
            statistic(Function::Quantile(0.5), Op::AtMost, Bound::Baseline { factor: 1.0, offset: 0.01 }),
            900,
        ),
        expectation("comes back", settles, 1000),
    ]
}

pub(crate) fn experiment() -> Experiment {
    let single = |name: &str, programs: Vec<Program>| Host {
        name: name.into(),
        copies: None,
        programs: programs.into_iter().map(Into::into).collect(),
    };
    let http = Program::Http { port: 8080, work: millis(2), capacity: Some(50), status: 200 };
    let gateway = Program::Gateway {
        port: 80,
        upstream: "api".into(),
        upstream_port: 8080,
        timeout: secs(1),
        retries: 1,
    };
    let api = Host { copies: Some(3), ..single("api", vec![http]) };
    let lab = Lab {
        hosts: vec![
            single("client", vec![]),
            single("gateway", vec![gateway]),
            api,
            single("dns", vec![Program::Dns]),
        ],
        links: vec![Link { a: "client".into(), b: "gateway".into(), delay: millis(2) }],
        span: Span::NONE,
    };
    let steps = [
        Step::Baseline(secs(8)),
        Step::Inject("slow_api".into()),
        Step::Hold(secs(12)),
        Step::Rollback(None),
        Step::Watch(secs(8)),
    ];
    Experiment {
        name: "one slow API host costs users time, not requests".into(),
        owner: Some("team-shop".into()),
        tags: vec!["quickstart".into()],
        hypothesis: "with one of three API hosts 100ms late, users wait but lose nothing".into(),
        impact: None,
        params: Vec::new(),
        varied: Vec::new(),
        scope: Scope::Lab(lab),
        targets: Vec::new(),
        blast_radius: vec![RadiusLimit {
            at_most: Amount::Count(1),
            of: RadiusUnit::Hosts,
            span: Span::NONE,
        }],
        probes: vec![Probe {
            name: "shop".into(),
            kind: ProbeKind::Http {
                method: "GET".into(),
                url: "http://gateway/".into(),
                headers: vec![("authorization".into(), HeaderValue::SecretEnv("SHOP_TOKEN".into()))],
                body: None,
            },
            from: Some(Selector::Hosts("client".into())),
            rate: 100.0,
            timeout: secs(3),
            connections: Connections::Reuse(20),
            ok_when: None,
            labels: Vec::new(),
            trust: Default::default(),
            span: Span::NONE,
        }],
        steady_state: SteadyState {
            over: secs(4),
            predicates: vec![
                Predicate::Compare(compare(
                    Function::Success,
                    Some(secs(4)),
                    Op::AtLeast,
                    constant(Quantity::ratio(0.99)),
                )),
                Predicate::Compare(compare(
                    Function::Quantile(0.95),
                    Some(secs(4)),
                    Op::AtMost,
                    constant(Quantity::duration(millis(50))),
                )),
            ],
            span: Span::NONE,
        },
        faults: vec![Fault {
            name: "slow_api".into(),
            specs: specs().into_iter().map(Into::into).collect(),
            on: Selector::Hosts("gateway".into()),
            traffic: Traffic::default(),
            proven_by: None,
            span: span(500, 560),
        }],
        changes: Vec::new(),
        timeline: Timeline { steps: steps.map(Into::into).to_vec(), span: Span::NONE },
        aborts: vec![Abort::When(Predicate::For {
            predicate: Box::new(Predicate::Compare(compare(
                Function::Success,
                Some(secs(2)),
                Op::Less,
                constant(Quantity::ratio(0.8)),
            ))),
            lasting: secs(2),
        })],
        expectations: expectations(),
        confidence: 0.95,
        correction: crate::model::Correction::None,
        evidence: Vec::new(),
        span: Span::NONE,
    }
}

fn specs() -> Vec<FaultSpec> {
    vec![
        FaultSpec::Delay {
            delay: millis(100),
            jitter: millis(10),
            correlation: 0.0,
            distribution: Distribution::Uniform,
        },
        FaultSpec::Loss { ratio: 0.01, burst: None },
    ]
}

fn part(fault: &str, object: &str, number: usize, backend: &str, hold: Hold, specs: Vec<FaultSpec>) -> Part {
    let peer = Peer { network: "10.77.0.3".parse().unwrap(), prefix: 32, port: None };
    Part {
        id: format!("{fault}/{object}/{number}"),
        injector: "network".into(),
        offer: Offer {
            backend: backend.into(),
            hold,
            does: specs.iter().map(|s| format!("{s} on packets sent to 10.77.0.3 through eth0")).collect(),
            undoes: "closes its link and descriptor, which ends it".into(),
            because: if backend == "forwarder" {
                vec!["not netem: this kernel has no `sch_netem`".into()]
            } else {
                Vec::new()
            },
            ask: Ask {
                fault: fault.into(),
                object: host(object),
                specs,
                directions: vec![Direction::Egress],
                matches: PacketMatch { peers: vec![peer], ..PacketMatch::default() },
                seed: 3,
            },
        },
    }
}

pub(crate) fn plan() -> Plan {
    let [delay, loss] = <[FaultSpec; 2]>::try_from(specs()).unwrap();
    let link = FaultSpec::Delay {
        delay: millis(2),
        jitter: Duration::ZERO,
        correlation: 0.0,
        distribution: Distribution::Uniform,
    };
    Plan {
        experiment: experiment(),
        seed: 42,
        targets: BTreeMap::from([("victims".to_owned(), vec![host("gateway")])]),
        probes: vec![PlannedProbe { probe: "shop".into(), from: vec![host("client")] }],
        faults: vec![PlannedFault {
            name: "slow_api".into(),
            parts: vec![
                part("slow_api", "gateway", 1, "tcx", Hold::Kernel, vec![loss]),
                part("slow_api", "gateway", 2, "forwarder", Hold::Agent, vec![delay]),
            ],
            deadline: secs(27),
        }],
        changes: Vec::new(),
        background: vec![
            part("link-client-gateway", "client", 1, "forwarder", Hold::Kernel, vec![link.clone()]),
            part("link-client-gateway", "gateway", 2, "forwarder", Hold::Kernel, vec![link]),
        ],
        radius: Radius {
            touched: vec![host("gateway")],
            of: Some(6),
            lines: vec!["1 of 6 touched, at most 1 hosts allowed".into()],
        },
        warnings: vec![Warning {
            message: "each window of `p95(shop.latency, over 2s)` holds about 40 samples, and p95 is unknown below 59"
                .into(),
            help: Some("widen the window, raise the probe's rate, or take a lower percentile".into()),
            span: span(40, 60),
        }],
    }
}

fn record_of(part: &Part, background: bool, effect: Effect) -> PartRecord {
    let (from, to) = if background { (S / 2, 33 * S) } else { (12 * S + S / 20, 24 * S + S / 10) };
    PartRecord {
        id: part.id.clone(),
        fault: part.offer.ask.fault.clone(),
        object: part.offer.ask.object.clone(),
        backend: part.offer.backend.clone(),
        hold: part.offer.hold,
        background,
        change: false,
        state: PartState::Reverted,
        injected: Some(from),
        reverting: Some(to - S / 100),
        reverted: Some(to),
        attempts: 1,
        effect: Some(effect),
        error: None,
    }
}

fn judged(expectation: &Expectation, verdict: Verdict, measured: &str) -> Judged {
    let verdict = serde_json::to_value(verdict).unwrap();
    serde_json::from_value(serde_json::json!({
        "name": expectation.name.value,
        "claim": expectation.claim.to_string(),
        "span": expectation.span,
        "verdict": verdict,
        "measured": measured,
    }))
    .unwrap()
}

fn phase(phase: Phase, count: u64, failed: u64, p50: u64, p99: u64) -> PhaseSummary {
    let taken = count as f64;
    PhaseSummary {
        phase,
        count,
        ok: count - failed,
        failed,
        timed_out: 0,
        not_run: 0,
        success: Some((taken - failed as f64) / taken),
        p50: Some(millis(p50)),
        p90: Some(millis(p50 * 2)),
        p95: Some(millis(p50 * 3)),
        p99: Some(millis(p99)),
        max: Some(millis(p99 + 10)),
        late_p99: Some(Duration::from_micros(85)),
    }
}

fn steady(
    when: SteadyWhen,
    from: Nanos,
    to: Nanos,
    held: [Option<bool>; 2],
    measured: [&str; 2],
) -> SteadyResult {
    let predicates = experiment().steady_state.predicates;
    SteadyResult {
        when,
        held: held.iter().all(|h| *h == Some(true)),
        from,
        to,
        predicates: predicates
            .iter()
            .zip(held)
            .zip(measured)
            .map(|((p, held), measured)| PredicateResult {
                text: p.to_string(),
                held,
                measured: measured.into(),
                span: span(300, 330),
            })
            .collect(),
    }
}

/// Everything went well.
pub(crate) fn passed() -> Record {
    let plan = plan();
    let slow = || Phase::Fault(Some("slow_api".into()));
    let stage = |stage, start: Nanos, end: Nanos| StageSpan { stage, start, end };
    let phase_span = |phase, start: Nanos, end: Nanos| PhaseSpan { phase, start, end };
    let effects = [
        Effect {
            seen: Some(421),
            met: 421,
            changed: 5,
            added_delay: None,
            line: "421 packets met it, 5 of them were changed".into(),
        },
        Effect {
            seen: Some(416),
            met: 416,
            changed: 416,
            added_delay: Some(Duration::from_micros(100_312)),
            line: "416 packets met it, 416 were held for 100.312 ms on average".into(),
        },
    ];
    let mut parts: Vec<PartRecord> = plan
        .background
        .iter()
        .map(|p| record_of(p, true, Effect { met: 3000, changed: 3000, ..Effect::default() }))
        .collect();
    parts.extend(plan.faults[0].parts.iter().zip(effects).map(|(p, e)| record_of(p, false, e)));
    let all = &plan.experiment.expectations;
    let expectations = vec![
        judged(
            &all[0],
            Verdict::Passed,
            "success(shop) was 99.917% (99.605%–99.996%) during slow_api, at least 99% allowed: 0.917pp to spare",
        ),
        judged(
            &all[1],
            Verdict::Passed,
            "p50(shop.latency) was 4.1ms (3.9ms–4.4ms) during slow_api, at most 13.9ms (baseline 3.9ms + 10ms) allowed: 9.8ms to spare",
        ),
        judged(&all[2], Verdict::Passed, "settled 2.1s after rollback: 2.9s to spare"),
    ];
    Record {
        version: SCHEMA_VERSION,
        run: "2026-03-01T10-00-00Z-k3v9".into(),
        started: "2026-03-01T10:00:00Z".parse().unwrap(),
        ended: 33 * S + S / 5,
        stages: vec![
            stage(Stage::Setup, 0, 4 * S),
            stage(Stage::SteadyState, 4 * S, 8 * S),
            stage(Stage::Baseline, 8 * S, 12 * S),
            stage(Stage::Injecting("slow_api".into()), 12 * S, 12 * S + S / 20),
            stage(Stage::Hold, 12 * S + S / 20, 24 * S),
            stage(Stage::RollingBack, 24 * S, 24 * S + S / 10),
            stage(Stage::Watch, 24 * S + S / 10, 32 * S),
            stage(Stage::Teardown, 32 * S, 33 * S),
        ],
        phases: vec![
            phase_span(Phase::Baseline, 8 * S, 12 * S),
            phase_span(slow(), 12 * S + S / 20, 24 * S),
            phase_span(Phase::Watch, 24 * S + S / 10, 32 * S),
        ],
        marks: vec![
            Mark { event: Event::Starts("slow_api".into()), at: 12 * S + S / 20 },
            Mark { event: Event::Rollback, at: 24 * S + S / 10 },
        ],
        parts,
        judged_to: 32 * S,
        exercised: BTreeMap::from([("slow_api".to_owned(), true)]),
        steady: vec![
            steady(SteadyWhen::Before, 4 * S, 8 * S, [Some(true); 2], ["100% of 400", "6.1ms"]),
            steady(SteadyWhen::After, 28 * S, 32 * S, [Some(true); 2], ["100% of 400", "6.4ms"]),
        ],
        abort: None,
        expectations,
        completion: Completion::Completed,
        restoration: Restoration::Restored,
        probes: vec![ProbeSummary {
            probe: "shop".into(),
            from: vec!["client".into()],
            phases: vec![
                phase(Phase::Baseline, 800, 0, 4, 12),
                phase(Phase::Fault(None), 1200, 1, 4, 212),
                phase(slow(), 1200, 1, 4, 212),
                phase(Phase::Watch, 790, 0, 4, 14),
                phase(Phase::WholeRun, 2790, 1, 4, 198),
            ],
            samples: 3200,
            errors: vec![("status 502 from 10.77.0.2".into(), 1)],
        }],
        warnings: Vec::new(),
        environment: EnvironmentFacts::default(),
        plan,
    }
}

/// One expectation does not hold.
pub(crate) fn failed() -> Record {
    let mut record = passed();
    record.plan.warnings.clear();
    let all = experiment().expectations;
    record.expectations[1] = judged(
        &all[1],
        Verdict::Failed,
        "p50(shop.latency) was 38.2ms (34.9ms–41.5ms) during slow_api, at most 13.9ms (baseline 3.9ms + 10ms) allowed: 24.3ms too much",
    );
    record
}

/// One expectation cannot be told.
pub(crate) fn inconclusive() -> Record {
    let mut record = passed();
    let all = experiment().expectations;
    let reasons = vec!["too few samples to tell".to_owned()];
    record.expectations[0] = judged(
        &all[0],
        Verdict::Inconclusive { reasons },
        "success(shop) was 99.2% (98.6%–99.6%) during slow_api, at least 99% allowed: too few samples to tell; needed: 294 more clean samples; presumably it holds",
    );
    record.exercised.insert("slow_api".into(), true);
    record
}

/// An abort condition ended it.
pub(crate) fn aborted_by_condition() -> Record {
    let mut record = passed();
    let Abort::When(condition) = &record.plan.experiment.aborts[0] else { unreachable!("built above") };
    let at = 15 * S + S / 4;
    let cause = AbortCause {
        kind: AbortKind::Condition,
        at,
        reason: "`success(shop, over 2s) < 80% for 2s` came true: 61.2%".into(),
        condition: Some(condition.to_string()),
        span: Some(span(700, 750)),
    };
    abort(&mut record, cause);
    record
}

/// Somebody pressed Ctrl-C.
pub(crate) fn aborted_by_request() -> Record {
    let mut record = passed();
    let cause = AbortCause::new(AbortKind::Stopped, 14 * S, "stopped by request");
    abort(&mut record, cause);
    record
}

fn abort(record: &mut Record, cause: AbortCause) {
    let all = experiment().expectations;
    let reasons = vec!["the run was aborted before it could be told".to_owned()];
    for (judged_now, expectation) in record.expectations.iter_mut().zip(&all).take(2) {
        *judged_now =
            judged(expectation, Verdict::Inconclusive { reasons: reasons.clone() }, "cannot be told");
    }
    record.completion = Completion::Aborted { reason: cause.reason.clone() };
    record.abort = Some(cause);
}

fn refuse(record: &mut Record, by: Refusal, reason: &str, help: Option<&str>) {
    record.completion = Completion::Refused { by, reason: reason.into(), help: help.map(str::to_owned) };
    record.expectations.clear();
    record.exercised.clear();
    record.marks.clear();
    record.phases.clear();
    record.probes.iter_mut().for_each(|p| p.phases.clear());
    record.stages.truncate(2);
    for part in record.parts.iter_mut().filter(|p| !p.background) {
        part.state = PartState::Planned;
        (part.injected, part.reverting, part.reverted) = (None, None, None);
        (part.effect, part.attempts) = (None, 0);
    }
}

/// The system was not healthy to begin with.
pub(crate) fn refused_by_steady_state() -> Record {
    let mut record = passed();
    refuse(&mut record, Refusal::SteadyState, "the steady state did not hold over 4s", None);
    record.steady = vec![steady(
        SteadyWhen::Before,
        4 * S,
        8 * S,
        [Some(false), None],
        ["71.3% of 400", "31 samples, too few"],
    )];
    record
}

/// A right is missing.
pub(crate) fn refused_by_permission() -> Record {
    let mut record = passed();
    let help = "run as root, or allow unprivileged user namespaces";
    refuse(&mut record, Refusal::Permission, "a network namespace cannot be made: EPERM", Some(help));
    record.steady.clear();
    record.probes.clear();
    record.stages.truncate(1);
    for part in &mut record.parts {
        part.state = PartState::Planned;
        (part.injected, part.reverting, part.reverted) = (None, None, None);
        (part.effect, part.attempts) = (None, 0);
    }
    record
}

/// Something is still in place.
pub(crate) fn not_restored() -> Record {
    let mut record = failed();
    let part = record.parts.last_mut().expect("a part was built");
    part.state = PartState::RevertFailed;
    part.reverted = None;
    part.attempts = 7;
    part.error = Some("cannot delete the filter on `eth0`: EBUSY".into());
    let what =
        vec!["slow_api/gateway/2 on host gateway: cannot delete the filter on `eth0`: EBUSY".to_owned()];
    record.restoration =
        Restoration::NotRestored { what, command: "chaos restore 2026-03-01T10-00-00Z-k3v9".into() };
    record
}

/// Nothing proved that the fault met traffic.
pub(crate) fn unproven() -> Record {
    let mut record = passed();
    for part in record.parts.iter_mut().filter(|p| !p.background) {
        part.effect = Some(Effect::default());
    }
    record.exercised.insert("slow_api".into(), false);
    let mut cause = AbortCause::new(
        AbortKind::Unproven,
        42 * S,
        "`slow_api` has been in place for 30s and `p50(shop.latency, over 5s) >= 50ms` does not show it",
    );
    cause.condition = Some("p50(shop.latency, over 5s) >= 50ms".into());
    cause.span = Some(span(520, 560));
    abort(&mut record, cause);
    record
}

/// Every kind of record, by name.
pub(crate) fn all() -> Vec<(&'static str, Record)> {
    vec![
        ("passed", passed()),
        ("failed", failed()),
        ("inconclusive", inconclusive()),
        ("aborted_by_condition", aborted_by_condition()),
        ("aborted_by_request", aborted_by_request()),
        ("refused_by_steady_state", refused_by_steady_state()),
        ("refused_by_permission", refused_by_permission()),
        ("not_restored", not_restored()),
        ("unproven", unproven()),
    ]
}
