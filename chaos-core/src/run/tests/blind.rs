//! Runs whose abort conditions cannot see any more, judged as real runs are.

use super::*;
use crate::{
    judge::Standard,
    model::{
        Abort, Event, Field, Function, Metric, Quantity, Step, Unit,
        formula::{Bound, Op},
        metric::Filter,
    },
    probe::Observation,
    run::{Completion, record::AbortKind},
    testing::{Door, Mishap, Reply},
    time::duration,
};

/// A stage whose second fault is to stay for this many seconds, with one abort condition.
fn stage(hold: u64, abort: impl FnOnce(Comparison) -> Abort) -> Stage {
    let mut stage = Stage::new();
    stage.judge = Arc::new(Standard::new());
    stage.experiment.timeline.steps[3] = Step::Hold(seconds(hold)).into();
    let Abort::When(Predicate::Compare(success)) = stage.experiment.aborts.remove(0) else { panic!() };
    stage.experiment.aborts = vec![abort(success)];
    stage
}

fn literal(comparison: Comparison) -> Abort {
    Abort::When(Predicate::Compare(comparison))
}

/// Conditions that are sure have no window.
fn confident(comparison: Comparison) -> Abort {
    Abort::Confident(Comparison { metric: Metric { over: None, ..comparison.metric }, ..comparison })
}

/// That more than 5 were read.
fn above_five(comparison: Comparison) -> Abort {
    let metric = Metric {
        function: Function::Value,
        field: Field::Value(Unit::Count),
        over: None,
        ..comparison.metric
    };
    let bound = Bound::Constant(Quantity::new(5.0, Unit::Count));
    Abort::When(Predicate::Compare(Comparison { metric, op: Op::Greater, bound, ..comparison }))
}

fn read(outcome: Outcome, value: Option<f64>) -> Reply {
    Reply { observation: Observation { outcome, value, ..Observation::ok() }, ..Reply::ok(seconds(0)) }
}

/// Answers with `then` once both faults are in place.
fn once_injected(stage: &Stage, before: Reply, then: Reply) {
    stage.world.serve(move |in_place| if in_place.len() == 3 { then.clone() } else { before.clone() });
}

/// Runs, and asserts that it was aborted as blind; returns the reason, and how long the second fault was in place.
async fn blind(stage: &Stage) -> (String, Duration) {
    let finished = stage.run().await;
    let cause = finished.record.abort.clone().expect("silence is not health");
    assert_eq!(cause.kind, AbortKind::Blind, "{cause:?}");
    assert_eq!(finished.record.completion, Completion::Aborted { reason: cause.reason.clone() });
    assert!(cause.condition.is_some_and(|condition| condition.contains("(get")));
    assert!(stage.world.is_pristine());
    assert_consistent(stage, &finished);
    (cause.reason, duration(cause.at - finished.record.mark(&Event::Starts("second".into())).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_hears_nothing_ends_the_run() {
    for abort in [literal, confident] {
        let stage = stage(120, abort);
        once_injected(&stage, Reply::ok(seconds(0)), read(Outcome::NotRun, None));
        let (reason, after) = blind(&stage).await;
        assert!(reason.starts_with("nothing was heard of probe `get` for 30"), "{reason}");
        assert!(reason.ends_with("s, and an abort condition needs it"), "{reason}");
        assert!((29..32).contains(&after.as_secs()), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_measures_seldom_is_given_three_intervals_and_its_timeout() {
    for abort in [literal, confident] {
        let mut stage = stage(300, abort);
        // Every 20 s, with a timeout of 5 s: 65 s after it was heard last.
        let slow = &mut stage.experiment.probes[0];
        (slow.rate, slow.timeout) = (0.05, seconds(5));
        stage.experiment.steady_state.over = seconds(60);
        stage.experiment.timeline.steps[0] = Step::Baseline(seconds(60)).into();
        once_injected(&stage, Reply::ok(seconds(0)), read(Outcome::NotRun, None));
        let (reason, after) = blind(&stage).await;
        assert!(reason.starts_with("nothing was heard of probe `get` for 1m5s"), "{reason}");
        assert!((44..67).contains(&after.as_secs()), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_panics_says_nothing() {
    let stage = stage(120, literal);
    stage.world.mishap(Door::Once, 400..u32::MAX, Mishap::Panic);
    let (reason, _) = blind(&stage).await;
    assert!(reason.starts_with("nothing was heard of probe `get` for 30"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_is_borne() {
    for abort in [literal, confident] {
        let stage = stage(25, abort);
        once_injected(&stage, Reply::ok(seconds(0)), read(Outcome::NotRun, None));
        assert_eq!(stage.run().await.record.abort, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_no_silence() {
    for abort in [literal, confident] {
        let stage = stage(120, abort);
        stage.world.mishap(Door::Once, 400..1000, Mishap::Hang);
        assert_eq!(stage.run().await.record.abort.unwrap().kind, AbortKind::Condition);
    }
}

/// The system that a reading is asked of may be cut off too: a question without an answer is not a reading.
#[tokio::test(start_paused = true)]
async fn questions_that_time_out_are_silence_to_a_condition_on_readings() {
    let stage = stage(120, above_five);
    once_injected(
        &stage,
        read(Outcome::Ok, Some(1.0)),
        Reply { after: seconds(10), ..read(Outcome::Ok, Some(1.0)) },
    );
    let (reason, after) = blind(&stage).await;
    assert!(reason.starts_with("probe `get` read nothing for 30"), "{reason}");
    assert!(reason.ends_with("s, and an abort condition needs it"), "{reason}");
    assert!((29..32).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn alerts_that_cannot_be_asked_for_are_silence_too() {
    let fires = |comparison: Comparison| {
        let metric = Metric { function: Function::Fires, over: None, ..comparison.metric };
        let bound = Bound::Constant(Quantity::new(1.0, Unit::Count));
        Abort::When(Predicate::Compare(Comparison { metric, op: Op::Greater, bound, ..comparison }))
    };
    let stage = stage(120, fires);
    once_injected(&stage, Reply::ok(seconds(0)), Reply::ok(seconds(10)));
    let (reason, _) = blind(&stage).await;
    assert!(reason.starts_with("probe `get` got no answer about which alerts fire for 30"), "{reason}");
}

/// Of an outage nothing bears the label that answers have.
#[tokio::test(start_paused = true)]
async fn a_label_that_no_measurement_has_any_more_leaves_a_condition_blind() {
    let of_backend = |comparison: Comparison| {
        let filter =
            Filter { label: "backend".into(), values: vec!["api".into()], variable: None, negated: false };
        Comparison { metric: Metric { filter: vec![filter], ..comparison.metric }, ..comparison }
    };
    let answer = || {
        let labels = vec![("backend".into(), "api".into())];
        Reply { observation: Observation { labels, ..Observation::ok() }, ..Reply::ok(seconds(0)) }
    };
    for abort in [literal, confident] {
        let stage = stage(120, |comparison| abort(of_backend(comparison)));
        once_injected(&stage, answer(), Reply::failed(seconds(0)));
        let (reason, after) = blind(&stage).await;
        assert!(
            reason.starts_with("no measurement of probe `get` counted for `success(get where backend"),
            "{reason}"
        );
        assert!((29..32).contains(&after.as_secs()), "{after:?}");
    }
    // Whatever else can be seen, each condition must see something itself.
    let mut stage = stage(120, |comparison| literal(of_backend(comparison)));
    let Abort::When(Predicate::Compare(success)) = stage.experiment.aborts[0].clone() else { panic!() };
    let many = Bound::Constant(Quantity::new(1e6, Unit::Count));
    let whole = Metric { function: Function::Count, filter: Vec::new(), ..success.metric.clone() };
    let whole = Comparison { metric: whole, op: Op::Greater, bound: many, ..success };
    stage.experiment.aborts.insert(0, literal(whole));
    once_injected(&stage, answer(), Reply::failed(seconds(0)));
    blind(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn failures_without_a_latency_leave_a_condition_on_latency_blind() {
    let slow = |field: Field| {
        move |comparison: Comparison| {
            let metric = Metric { function: Function::Quantile(0.5), field, ..comparison.metric };
            let bound = Bound::Constant(Quantity::new(1.0, Unit::Seconds));
            literal(Comparison { metric, op: Op::Greater, bound, ..comparison })
        }
    };
    let latency = stage(120, slow(Field::Latency));
    once_injected(&latency, Reply::ok(seconds(0)), Reply::failed(seconds(0)));
    let (reason, _) = blind(&latency).await;
    assert!(
        reason.starts_with("no measurement of probe `get` counted for `p50(get.latency, over "),
        "{reason}"
    );
    // How long a failure took is known, and so is that a kept connection took no time to open.
    let duration = stage(120, slow(Field::Duration));
    once_injected(&duration, Reply::ok(seconds(0)), Reply::failed(seconds(0)));
    assert_eq!(duration.run().await.record.abort, None);
    let connect = stage(120, slow(Field::Connect));
    assert_eq!(connect.run().await.record.abort, None);
}

#[tokio::test(start_paused = true)]
async fn that_nothing_matches_is_a_count_of_none() {
    let of_status = |comparison: Comparison| {
        let filter =
            Filter { label: "status".into(), values: vec!["503".into()], variable: None, negated: false };
        let metric = Metric { function: Function::Count, filter: vec![filter], ..comparison.metric };
        let bound = Bound::Constant(Quantity::new(5.0, Unit::Count));
        literal(Comparison { metric, op: Op::Greater, bound, ..comparison })
    };
    let stage = stage(120, of_status);
    assert_eq!(stage.run().await.record.abort, None);
}
