//! Steps in an order that makes sense, and claims that the timeline leaves enough time for.

use super::*;

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
