//! Claims that measurements can decide.

use super::*;
use crate::model::{Function, metric::Field};

#[tokio::test]
async fn nothing_is_planned_that_cannot_be_decided() {
    use crate::testing::{self, World};
    let always = success().at_least(share(0.0)).during(Phase::Fault(None));
    let refused = testing::plan(&testing::experiment().expect("x", always), &World::new()).await;
    let error = refused.expect_err("it holds whatever happens");
    assert_eq!(error.to_string(), "`x`: `success(get) >= 0%` always holds, whatever is measured");
    assert_eq!(error.help().as_deref(), Some("choose a limit that a measurement can miss"));
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
