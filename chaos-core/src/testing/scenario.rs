//! A small experiment to begin with.

use std::{sync::Arc, time::Duration};

use super::World;
use crate::{
    injector::Injector,
    model::{
        Abort, Claim, Comparison, Connections, Course, Expectation, Experiment, Fault, FaultSpec, Function,
        Metric, Phase, Predicate, Probe, ProbeKind, Quantity, Scope, Selector, SteadyState, Step, Timeline,
        Vantage,
        formula::{Bound, Op},
        metric::Field,
    },
    plan::{Plan, PlanError},
    span::Span,
};

/// Returns an experiment of about a minute: a probe of 20 measurements a second, a fault on each of two namespaces, and an
/// abort condition that more than half of the measurements fail.
pub fn experiment() -> Experiment {
    let seconds = Duration::from_secs;
    let success = |over, op, share| Comparison {
        metric: Metric {
            function: Function::Success,
            probe: "get".into(),
            field: Field::Latency,
            filter: Vec::new(),
            over,
            span: Span::NONE,
        },
        op,
        bound: Bound::Constant(Quantity::ratio(share)),
        span: Span::NONE,
    };
    let fault = |name: &str, on: &str| Fault {
        name: name.into(),
        action: FaultSpec::loss(0.05).into(),
        on: Selector::Netns(on.into()),
        course: Course::Steady,
        proven_by: None,
        span: Span::NONE,
    };
    let steps = [
        Step::Baseline(seconds(10)),
        Step::Inject("first".into()),
        Step::Inject("second".into()),
        Step::Hold(seconds(20)),
        Step::Rollback(None),
        Step::Watch(seconds(10)),
    ];
    Experiment {
        name: "the service rides out two faults".into(),
        owner: None,
        tags: Vec::new(),
        hypothesis: "nobody notices".into(),
        impact: None,
        params: Vec::new(),
        varied: Vec::new(),
        scope: Scope::Machine,
        targets: Vec::new(),
        blast_radius: Vec::new(),
        allowed: Vec::new(),
        probes: vec![Probe {
            name: "get".into(),
            kind: ProbeKind::Custom { prober: "scripted".into() },
            from: Vantage::Runner,
            rate: 20.0,
            timeout: seconds(1),
            connections: Connections::Fresh,
            ok_when: None,
            labels: Vec::new(),
            trust: Default::default(),
            span: Span::NONE,
        }],
        steady_state: SteadyState {
            over: seconds(5),
            predicates: vec![Predicate::Compare(success(Some(seconds(5)), Op::AtLeast, 0.9))],
            span: Span::NONE,
        },
        faults: vec![fault("first", "blue"), fault("second", "green")],
        changes: Vec::new(),
        timeline: Timeline { steps: steps.map(Into::into).to_vec(), span: Span::NONE },
        aborts: vec![Abort::When(Predicate::Compare(success(Some(seconds(5)), Op::Less, 0.5)))],
        expectations: vec![Expectation {
            name: "nothing lost".into(),
            claim: Claim::Statistic {
                comparison: success(None, Op::AtLeast, 0.9),
                during: Phase::Fault(None),
                observed: true,
                confidence: None,
            },
            span: Span::NONE,
        }],
        confidence: 0.95,
        correction: crate::model::Correction::None,
        evidence: Vec::new(),
        span: Span::NONE,
    }
}

/// Plans an experiment in a scripted world.
pub async fn plan(experiment: &Experiment, world: &World) -> Result<Plan, PlanError> {
    crate::plan::plan(experiment, world, &[Arc::new(world.clone()) as Arc<dyn Injector>], 7).await
}
