//! How often a probe looks, and which of its samples a claim is about.

use super::*;

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
