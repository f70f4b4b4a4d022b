//! A run in which everything went well.

use std::{collections::BTreeMap, time::Duration};

use super::{S, experiment, millis, plan, scenario::scenario, span};
use crate::{
    injector::{Measured, Unit},
    judge::view::{Judged, PredicateResult, Verdict},
    model::{Event, Expectation, Phase},
    plan::Part,
    run::{
        Completion, Record, Restoration,
        event::SCHEMA_VERSION,
        record::{
            EnvironmentFacts, Mark, PartRecord, PartState, PhaseSpan, PhaseSummary, ProbeSummary, Role,
            Stage, StageSpan, SteadyResult, SteadyWhen,
        },
    },
    time::Nanos,
};

fn record_of(part: &Part, role: Role, effect: Measured) -> PartRecord {
    let (from, to) =
        if role == Role::Background { (S / 2, 33 * S) } else { (12 * S + S / 20, 24 * S + S / 10) };
    PartRecord {
        id: part.id.clone(),
        fault: part.offer.ask.fault.clone(),
        object: part.offer.ask.object.clone(),
        backend: part.offer.backend.clone(),
        hold: part.offer.hold,
        role,
        state: PartState::Reverted,
        injected: Some(from),
        reverting: Some(to - S / 100),
        reverted: Some(to),
        attempts: 1,
        effect: Some(effect),
        recovered: None,
        error: None,
    }
}

pub(super) fn judged(expectation: &Expectation, verdict: Verdict, measured: &str) -> Judged {
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

pub(super) fn steady(
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
        Measured {
            unit: Unit::Packets,
            seen: Some(421),
            met: 421,
            changed: 5,
            delay: None,
            line: "matched 421 packets, dropped 5".into(),
            ..Measured::nothing(Unit::Packets)
        },
        Measured {
            unit: Unit::Packets,
            seen: Some(416),
            met: 416,
            changed: 416,
            delay: Some(Duration::from_micros(100_312)),
            line: "matched 416 packets, held 416 for 100.312 ms on average".into(),
            ..Measured::nothing(Unit::Packets)
        },
    ];
    let mut parts: Vec<PartRecord> = plan
        .background
        .iter()
        .map(|p| {
            record_of(
                p,
                Role::Background,
                Measured { met: 3000, changed: 3000, ..Measured::nothing(Unit::Packets) },
            )
        })
        .collect();
    parts.extend(plan.faults[0].parts.iter().zip(effects).map(|(p, e)| record_of(p, Role::Fault, e)));
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
        idle: BTreeMap::new(),
        steady: vec![
            steady(SteadyWhen::Before, 4 * S, 8 * S, [Some(true); 2], ["100% of 400", "6.1ms"]),
            steady(SteadyWhen::After, 28 * S, 32 * S, [Some(true); 2], ["100% of 400", "6.4ms"]),
        ],
        abort: None,
        expectations,
        completion: Completion::Completed,
        restoration: Restoration::Restored,
        unkept: None,
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
        clocks: Vec::new(),
        warnings: Vec::new(),
        environment: EnvironmentFacts::default(),
        scenario: vec![scenario()],
        plan,
    }
}
