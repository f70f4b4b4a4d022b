//! Nodes that are drained: cordoned, emptied, and given back, also by others.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    objects::recovered,
    rights,
    shop::{RECOVERY, Shop},
};

/// Waits until something is so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < RECOVERY, "{what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Has the pods of a deployment go to a node, or to another one.
fn placed(shop: &Shop, deployment: &str, node: &str, there: bool) {
    let field = |operator: &str| {
        format!(
            r#"{{"matchFields":[{{"key":"metadata.name","operator":"{operator}","values":["{node}"]}}]}}"#
        )
    };
    // It may leave again, and never comes where it is not to be.
    let affinity = if there {
        let preference = field("In");
        format!(
            r#""preferredDuringSchedulingIgnoredDuringExecution":[{{"weight":100,"preference":{preference}}}]"#
        )
    } else {
        let term = field("NotIn");
        format!(r#""requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{term}]}}"#)
    };
    let place =
        format!(r#"{{"spec":{{"template":{{"spec":{{"affinity":{{"nodeAffinity":{{{affinity}}}}}}}}}}}}}"#);
    shop.kubectl(&["-n", &shop.namespace, "patch", "deployment", deployment, "-p", &place]);
    shop.kubectl(&[
        "-n",
        &shop.namespace,
        "rollout",
        "status",
        &format!("deployment/{deployment}"),
        "--timeout=60s",
    ]);
    until("pods stay where they were", || {
        let label = format!("app={deployment}");
        let nodes = "jsonpath={.items[*].spec.nodeName}";
        let nodes = shop.kubectl(&["-n", &shop.namespace, "get", "pods", "-l", &label, "-o", nodes]);
        nodes.split(' ').all(|on| (on == node) == there)
    });
}

/// Returns a node with the pod of `other`, and neither the client nor anything of the cluster's own, once what earlier tests had on
/// it is gone.
fn prepared(shop: &Shop) -> String {
    let system =
        shop.kubectl(&["-n", "kube-system", "get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]);
    let nodes = shop.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    let node = nodes.split(' ').find(|node| !system.split(' ').any(|taken| taken == *node));
    let node = node.expect("one of the nodes has nothing of the cluster's own").to_owned();
    placed(shop, "client", &node, false);
    placed(shop, "other", &node, true);
    until("pods of earlier tests stay on the node", || {
        let field = format!("--field-selector=spec.nodeName={node}");
        let pods =
            shop.kubectl(&["get", "pods", "-A", &field, "-o", "jsonpath={.items[*].metadata.namespace}"]);
        pods.split(' ').all(|namespace| namespace == shop.namespace)
    });
    node
}

fn node(shop: &Shop, name: &str) -> Value {
    let printed = shop.kubectl(&["get", "node", name, "-o", "json"]);
    serde_json::from_str(&printed).expect("kubectl prints JSON")
}

fn is_cordoned(shop: &Shop, name: &str) -> bool {
    node(shop, name)["spec"]["unschedulable"] == true
}

#[test]
fn a_node_is_drained_and_takes_pods_again() {
    let Some(shop) = Shop::alone_or_skip() else { return };
    let name = prepared(&shop);
    let here = [("node1", name.as_str())];
    let file = shop.scenario("drain.chaos", &here);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    planned.says("spec.unschedulable").says("pod ").says("has it take pods again");
    let forbidden = shop.scenario("drain.chaos", &[here[0], ("    allow nodes\n", "")]);
    let refused = shop.start(&["plan", &forbidden]).end();
    assert!(refused.code != Some(0) && refused.said("`allow nodes`"), "{refused}");

    let account = format!("drains-{}", shop.namespace);
    rights::account(&shop, &account);
    let file = shop.scenario("drain.chaos", &here);
    let role = rights::printed(&shop, &account, &file);
    let ended = rights::run_as(&shop, &account, &role, &file).exits(0);
    let record = ended.record();
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
    let effect = &record["parts"][0]["effect"];
    assert!(effect["changed"].as_u64() >= Some(1) && effect["changed"] == effect["met"], "{ended}");
    assert!(recovered(&record).is_some_and(|(after, calls)| after < 10.0 && calls > 0.0), "{ended}");
    assert!(ended.said("recovered ") && ended.said("were API calls"), "{ended}");
    assert!(!is_cordoned(&shop, &name), "{ended}");
    assert!(!node(&shop, &name).to_string().contains("chaos-runner/"), "{ended}");
    let leases = shop.kubectl(&["-n", "default", "get", "leases", "-o", "name"]);
    assert_eq!(leases, "", "{ended}");
    rights::withdraw(&shop, &account);
}

#[test]
fn a_killed_drain_is_taken_back_from_elsewhere() {
    let Some(shop) = Shop::alone_or_skip() else { return };
    let name = prepared(&shop);
    let file = shop.scenario("drain.chaos", &[("node1", &name), ("hold     20s", "hold     90s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let run = running.run();
    running.signal(Signal::SIGKILL);
    running.end();
    assert!(is_cordoned(&shop, &name), "it stays as it is: the plan said so");
    let context = shop.kubectl(&["config", "current-context"]);
    let elsewhere = chaos_tests::Chaos::new();
    let restored = shop.start_elsewhere(&elsewhere, &["restore", &run, "--cluster", &context]).end().exits(0);
    restored.says(&format!("{run}: restored"));
    assert!(!is_cordoned(&shop, &name));
    assert!(!node(&shop, &name).to_string().contains("chaos-runner/"));
}

#[test]
fn a_node_that_took_no_pods_before_takes_none_afterwards_and_bare_pods_are_kept() {
    let Some(shop) = Shop::alone_or_skip() else { return };
    let name = prepared(&shop);
    let bare =
        format!(r#"{{"apiVersion":"v1","spec":{{"nodeName":"{name}","terminationGracePeriodSeconds":1}}}}"#);
    let overrides = format!("--overrides={bare}");
    let make =
        ["-n", &shop.namespace, "run", "bare", "--image=localhost/tools:1", &overrides, "--command", "--"];
    shop.kubectl(&[&make[..], &["sleep", "1000"]].concat());
    let file = shop.scenario("drain.chaos", &[("node1", &name)]);
    let refused = shop.start(&["plan", &file]).end();
    let lost = format!("pod {}/bare", shop.namespace);
    assert!(
        refused.code != Some(0) && refused.said(&lost) && refused.said("including bare pods"),
        "{refused}"
    );
    let fault = format!("drain node \"{name}\"");
    let meant =
        shop.scenario("drain.chaos", &[("node1", &name), (&fault, &format!("{fault} including bare pods"))]);
    shop.start(&["plan", &meant]).end().exits(0).says("bare");
    shop.kubectl(&["-n", &shop.namespace, "delete", "pod", "bare", "--now"]);

    shop.kubectl(&["cordon", &name]);
    let closed = shop.scenario(
        "drain.chaos",
        &[
            ("node1", &name),
            ("    value(cordoned) <= 0\n", ""),
            ("    \"it takes pods again\":  value(cordoned) settles to <= 0 within 5s after rollback\n", ""),
        ],
    );
    let ended = shop.start(&["run", &closed]).end();
    let still = is_cordoned(&shop, &name);
    shop.kubectl(&["uncordon", &name]);
    let ended = ended.exits(0);
    assert!(still, "it is somebody else's: {ended}");
    // Nobody waits for what the run did not change.
    let ended = ended.keeps_quiet_about("not whole again");
    assert!(ended.record()["parts"][0]["recovered"].is_null(), "{ended}");
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
}

#[test]
fn a_drain_waits_for_a_disruption_budget() {
    let Some(shop) = Shop::alone_or_skip() else { return };
    let name = prepared(&shop);
    shop.kubectl(&["-n", &shop.namespace, "scale", "deployment", "other", "--replicas=2"]);
    shop.kubectl(&["-n", &shop.namespace, "rollout", "status", "deployment/other", "--timeout=60s"]);
    let budget = ["create", "poddisruptionbudget", "one", "--selector=app=other", "--min-available=1"];
    shop.kubectl(&[&["-n", &shop.namespace][..], &budget].concat());
    let allowed = || {
        let allowed = "jsonpath={.status.disruptionsAllowed}";
        shop.kubectl(&["-n", &shop.namespace, "get", "poddisruptionbudget", "one", "-o", allowed])
    };
    until("the budget counts no pods", || allowed() == "1");
    let file = shop.scenario("drain.chaos", &[("node1", &name)]);
    let refused = shop.start(&["plan", &file]).end();
    assert!(refused.code != Some(0) && refused.said("disruption budget `one`"), "{refused}");
    let file = shop.scenario(
        "drain.chaos",
        &[("node1", &name), ("allow nodes", "allow nodes\n    allow disruption budget")],
    );
    let ended = shop.start(&["run", &file]).end();
    let record = ended.record();
    let effect = &record["parts"][0]["effect"];
    assert!(effect["met"].as_u64() >= Some(2) && effect["changed"] == effect["met"], "{ended}");
    let ended = ended.exits(0);
    assert!(!is_cordoned(&shop, &name), "{ended}");
}
