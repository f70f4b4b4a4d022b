//! Faults on pods, from the file to the verdict.

use chaos_tests::{Ended, wait_until};
use serde_json::Value;

use crate::shop::Shop;

/// Runs a scenario, and checks that the pod's network is the same afterwards and its agents ended well.
fn run(name: &str, changes: &[(&str, &str)]) -> Option<(Ended, Value)> {
    let shop = Shop::or_skip()?;
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let file = shop.scenario(name, changes);
    let ended = shop.start(&["run", &file]).end();
    assert_eq!(shop.network(&pod), before, "{ended}");
    // The kubelet takes a moment to say so.
    let ends = |agent: &Value| agent["state"]["terminated"]["exitCode"].as_i64();
    assert!(wait_until(|| shop.agents(&pod).iter().all(|agent| ends(agent).is_some())), "an agent lives on");
    let agents = shop.agents(&pod);
    assert!(!agents.is_empty() && agents.iter().all(|agent| ends(agent) == Some(0)), "{agents:?}\n{ended}");
    let record = ended.record();
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
    let parts = record["parts"].as_array().expect("a record has parts");
    assert!(!parts.is_empty() && parts.iter().all(|part| part["state"] == "reverted"), "{record}");
    Some((ended, record))
}

#[test]
fn a_delay_toward_a_service_is_measured_in_the_pod() {
    let Some((ended, _)) = run("delay.chaos", &[]) else { return };
    ended.exits(0).says("slow on pod");
}

#[test]
fn a_service_is_blocked_and_no_other() {
    let Some((ended, _)) = run("block.chaos", &[]) else { return };
    ended.exits(0).says("cut on pod");
}

#[test]
fn a_loss_toward_a_service_costs_time() {
    let changes = [
        ("delay extra on client", "loss 20% on client"),
        (
            "\"slower by that much\": p50(get.ttfb) >= baseline + 40ms",
            "\"some wait\": p95(get.latency) >= 100ms",
        ),
        ("    \"and no more\":         p50(get.ttfb) <= baseline + 90ms during slow\n", ""),
        ("reuse 4", "reuse 100"),
        // One in twenty gives up within its 2 s; of so few requests nobody could say that fewer than one in ten do.
        ("20/s", "60/s"),
        ("hold     10s", "hold     15s"),
        ("  param extra = 50ms in 0ms .. 1s\n", ""),
        (
            "with {extra} more on the way, each answer takes that much longer and none is lost",
            "loss costs time",
        ),
    ];
    let Some((ended, _)) = run("delay.chaos", &changes) else { return };
    ended.exits(0).says("loss 20%");
}

#[test]
fn little_bandwidth_toward_a_service_costs_time() {
    let changes = [
        ("delay extra on client", "bandwidth 96kbit burst 2kb on client"),
        (
            "\"slower by that much\": p50(get.ttfb) >= baseline + 40ms",
            "\"slower\": p95(get.latency) >= baseline + 100ms",
        ),
        ("    \"and no more\":         p50(get.ttfb) <= baseline + 90ms during slow\n", ""),
        // Half as much again as gets through, for so long that no request waits for its whole timeout.
        ("20/s", "40/s"),
        ("hold     10s", "hold     3s"),
        ("  param extra = 50ms in 0ms .. 1s\n", ""),
        (
            "with {extra} more on the way, each answer takes that much longer and none is lost",
            "a narrow way costs time",
        ),
    ];
    let Some((ended, _)) = run("delay.chaos", &changes) else { return };
    ended.exits(0).says("bandwidth 96kbit");
}

#[test]
fn pods_are_parted_from_the_pods_of_another_deployment() {
    let changes = [
        ("block client to service \"web\"", "partition client from pods where app = \"web\""),
        ("\"http://web/\"", "\"http://whole:8080/\""),
        // A request of the last 250 ms is answered by the second address, once the partition is gone. These successes come in one
        // bunch, and of one bunch in six seconds nobody can say that it is rare.
        ("hold     6s", "hold     15s"),
    ];
    let Some((ended, record)) = run("block.chaos", &changes) else { return };
    ended.exits(0).says("partition");
    let parts = record["parts"].as_array().expect("a record has parts");
    assert!(parts.iter().all(|part| part["backend"] == "tcx" && part["hold"] == "kernel"), "{parts:?}");
}

#[test]
fn what_is_asked_from_here_is_measured_here() {
    let changes = [(
        "  # Measured in the pod",
        "  probe api = tcp \"127.0.0.1:1\" from here { rate 5/s }\n\n  # Measured in the pod",
    )];
    let Some((ended, record)) = run("delay.chaos", &changes) else { return };
    let ended = ended.exits(0);
    let probes = record["probes"].as_array().cloned().expect("a record has probes");
    let errors = probes.iter().find(|probe| probe["probe"] == "api").map(|probe| probe["errors"].to_string());
    assert!(
        errors.is_some_and(|errors| errors.contains("refused")),
        "nothing listens at that port here: {ended}"
    );
}
