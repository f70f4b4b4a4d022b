use std::time::Duration;

use super::*;
use crate::model::{
    Change, Event, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
};

mod decidable;
mod looking;
mod programs;
mod reached;
mod timeline;

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

#[track_caller]
fn says(change: impl FnOnce(Experiment) -> Experiment, expected: &str) {
    assert_eq!(all(&experiment()), [""; 0]);
    assert_eq!(all(&change(experiment())), [expected]);
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
