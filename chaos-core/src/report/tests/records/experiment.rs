//! The experiment that all of them ran.

use std::time::Duration;

use super::{millis, secs, span};
use crate::{
    model::{
        Abort, Action, Claim, Comparison, Connections, Course, Distribution, Event, Expectation, Experiment,
        Fault, FaultSpec, Function, Host, Lab, Link, Metric, PacketFault, Phase, Predicate, Probe, ProbeKind,
        Program, Quantity, RadiusLimit, Scope, Selector, SteadyState, Step, Timeline, Traffic, Vantage,
        formula::{Bound, Op},
        metric::Field,
        probe::HeaderValue,
        scope::{Amount, RadiusUnit},
    },
    span::Span,
};

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
        allowed: Vec::new(),
        probes: vec![Probe {
            name: "shop".into(),
            kind: ProbeKind::Http {
                method: "GET".into(),
                url: "http://gateway/".into(),
                headers: vec![("authorization".into(), HeaderValue::SecretEnv("SHOP_TOKEN".into()))],
                body: None,
            },
            from: Vantage::Each(Selector::Hosts("client".into())),
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
            action: Action::Packets(PacketFault {
                specs: specs().into_iter().map(Into::into).collect(),
                traffic: Traffic::default(),
            }),
            on: Selector::Hosts("gateway".into()),
            course: Course::Steady,
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

pub(super) fn specs() -> Vec<FaultSpec> {
    vec![
        FaultSpec::Delay {
            delay: millis(100),
            jitter: millis(10),
            correlation: 0.0,
            distribution: Distribution::Uniform,
            ordered: false,
        },
        FaultSpec::Loss { ratio: 0.01, burst: None },
    ]
}
