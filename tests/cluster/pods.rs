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
    let Some((ended, _)) = run("loss.chaos", &[]) else { return };
    ended.exits(0).says("loss 20%");
}

#[test]
fn little_bandwidth_toward_a_service_costs_time() {
    let Some((ended, _)) = run("bandwidth.chaos", &[]) else { return };
    ended.exits(0).says("bandwidth 24kbit");
}

#[test]
fn pods_are_parted_from_the_pods_of_another_deployment() {
    let Some((ended, record)) = run("partition.chaos", &[]) else { return };
    ended.exits(0).says("partition");
    let parts = record["parts"].as_array().expect("a record has parts");
    assert!(parts.iter().all(|part| part["backend"] == "tcx" && part["hold"] == "kernel"), "{parts:?}");
}

#[test]
fn slow_names_are_felt_in_a_pod_by_those_who_ask() {
    let Some((ended, _)) = run("dns-latency.chaos", &[]) else { return };
    ended.exits(0).says("dns delay 500ms per lookup of \"web\"");
}

#[test]
fn a_name_that_fails_hurts_those_who_ask_in_a_pod() {
    let Some((ended, _)) = run("dns-failure.chaos", &[]) else { return };
    ended.exits(0).says("dns servfail of \"web\"");
}

#[test]
fn every_scenario_on_a_cluster_is_explained_to_its_readers() {
    let folder = chaos_tests::repository().join("scenarios/kubernetes");
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("it is there");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("it is a folder").flatten() {
        let name = file.file_name().into_string().expect("names are ASCII");
        if name.ends_with(".chaos") {
            assert!(readme.contains(&format!("| `{name}` |")), "the README does not say what {name} is");
            count += 1;
        }
    }
    assert!(count >= 7, "{count} scenarios");
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

#[test]
fn each_zone_of_the_nodes_gives_its_share() {
    // The nodes are labelled, which is for nobody's cluster but the tests' own.
    let Some(shop) = Shop::alone_or_skip() else { return };
    let web = ("pods of deployment \"client\" pick 1", "pods of deployment \"web\" pick 1 per zone");
    let file = shop.scenario("delay.chaos", &[web]);
    let refused = shop.start(&["plan", &file]).end();
    assert!(refused.code.is_some_and(|code| code != 0) && refused.said("no zone is known of"), "{refused}");
    let label = |label: &str| shop.kubectl(&["label", "nodes", "--all", "--overwrite", label]);
    label("topology.kubernetes.io/zone=north");
    let planned = shop.start(&["plan", &file]).end();
    label("topology.kubernetes.io/zone-");
    // Both of its pods are in the one zone that there is.
    planned.exits(0).says("1 touched, at most 1 pods allowed");
}
