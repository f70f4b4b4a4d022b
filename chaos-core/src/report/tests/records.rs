//! Records as runs leave them, built in code.

mod experiment;
mod passed;
mod plan;
mod scenario;

use std::time::Duration;

use self::passed::{judged, steady};
pub(crate) use self::{experiment::experiment, passed::passed, plan::plan};
use crate::{
    injector::{Measured, Unit},
    judge::{Samples, view::Verdict},
    model::Abort,
    probe::{Observation, Sample},
    run::{
        Completion, Record, Restoration,
        record::{AbortCause, AbortKind, PartState, Refusal, Role, SteadyWhen},
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

/// One expectation is undecided.
pub(crate) fn inconclusive() -> Record {
    let mut record = passed();
    let all = experiment().expectations;
    let reasons = vec!["too few samples".to_owned()];
    record.expectations[0] = judged(
        &all[0],
        Verdict::Inconclusive { reasons },
        "success(shop) was 99.2% (98.6%–99.6%) during slow_api, at least 99% allowed: too few samples; 294 more clean samples would decide it; it probably holds",
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
    let reasons = vec!["the run was aborted before it was decided".to_owned()];
    for (judged_now, expectation) in record.expectations.iter_mut().zip(&all).take(2) {
        *judged_now = judged(expectation, Verdict::Inconclusive { reasons: reasons.clone() }, "undecided");
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
    for part in record.parts.iter_mut().filter(|p| p.role == Role::Fault) {
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
    for part in record.parts.iter_mut().filter(|p| p.role == Role::Fault) {
        part.effect = Some(Measured::nothing(Unit::Packets));
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
/// Samples of the probes of these records: a stretch of failures, and one request that took long.
pub(crate) fn samples() -> Samples {
    let of = |probe: &str| {
        let sample = |number: i64| {
            let latency = Duration::from_micros(if number == 700 {
                900_000
            } else {
                3_000 + (number % 40) as u64 * 50
            });
            let fails = (300..340).contains(&number);
            Sample {
                intended: number * 50_000_000,
                late: Duration::ZERO,
                latency,
                from: "client".into(),
                observation: if fails { Observation::failed("reset") } else { Observation::ok() },
            }
        };
        (probe.to_owned(), (0..1200).map(sample).collect())
    };
    let probes = experiment::experiment().probes;
    probes.iter().map(|probe| of(&probe.name.value)).collect()
}

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
