//! Faults on objects of the API itself: done, seen, undone, and restored by others.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    rights,
    shop::{RECOVERY, Shop},
};

/// Returns an object as JSON.
fn object(shop: &Shop, kind: &str, name: &str) -> Value {
    let printed = shop.kubectl(&["-n", &shop.namespace, "get", kind, name, "-o", "json"]);
    serde_json::from_str(&printed).expect("kubectl prints JSON")
}

/// What is to be the same after a run: the specification, the labels and the annotations, but for what controllers note there.
fn specification(shop: &Shop, kind: &str, name: &str) -> Value {
    let object = object(shop, kind, name);
    let meta = &object["metadata"];
    let mut annotations = meta["annotations"].clone();
    if let Some(all) = annotations.as_object_mut() {
        all.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
    }
    json!({ "spec": object["spec"], "labels": meta["labels"], "annotations": annotations })
}

/// Waits until the Service `web` has both of its endpoints.
fn settle(shop: &Shop) {
    let started = Instant::now();
    while object(shop, "deployment", "web")["status"]["readyReplicas"] != 2 {
        assert!(started.elapsed() < RECOVERY, "`web` does not become whole");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Runs a scenario with just the role that is printed for it: it has to pass, and to leave what it touched as it was. Without the right
/// to do what it is about it is refused.
fn passes(scenario: &str, (kind, of): (&str, &str), (verb, resource): (&str, &str)) -> Option<Value> {
    let shop = Shop::or_skip()?;
    let before = specification(&shop, kind, of);
    let file = shop.scenario(scenario, &[]);
    shop.start(&["plan", &file]).end().exits(0).says("on record only");
    let name = format!("objects-{}", shop.namespace);
    rights::account(&shop, &name);
    let role = rights::printed(&shop, &name, &file);

    let rule = role.lines().find(|line| line.contains(&format!("resources: [{resource}]")));
    let rule = rule.unwrap_or_else(|| panic!("{resource} is not in the role: {role}"));
    let without = rule.replace(&format!(", {verb}"), "").replace(&format!("[{verb}]"), "[get]");
    assert_ne!(rule, without, "{role}");
    let refused = rights::run_as(&shop, &name, &role.replace(rule, &without), &file);
    assert!(refused.code != Some(0) && refused.said(&format!("{verb} {resource}")), "{refused}");

    let ended = rights::run_as(&shop, &name, &role, &file).exits(0);
    let record = ended.record();
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
    assert_eq!(record["parts"][0]["effect"]["unit"], "objects", "{ended}");
    assert!(record["parts"][0]["effect"]["changed"].as_u64() >= Some(1), "{ended}");
    assert_eq!(specification(&shop, kind, of), before, "{ended}");
    let leases = shop.kubectl(&["-n", &shop.namespace, "get", "leases", "-o", "name"]);
    assert_eq!(leases, "", "{ended}");
    let all =
        shop.kubectl(&["-n", &shop.namespace, "get", "services,deployments,replicasets,pods", "-o", "json"]);
    assert!(!all.contains("chaos-runner/"), "something still says that a run is on it: {all}");
    rights::withdraw(&shop, &name);
    Some(record)
}

/// Returns, of the first part, after how many seconds it was whole again, and how many of those the API calls took.
pub(crate) fn recovered(record: &Value) -> Option<(f64, f64)> {
    let seconds = |name: &str| {
        let time = &record["parts"][0]["recovered"][name];
        Some(time["secs"].as_f64()? + time["nanos"].as_f64()? / 1e9)
    };
    Some((seconds("after")?, seconds("calls")?))
}

#[test]
fn a_wrong_selector_empties_a_service_and_is_put_back() {
    let record = passes("selector.chaos", ("service", "web"), ("patch", "services"));
    assert!(
        record.is_none_or(|record| record["parts"][0]["recovered"].is_null()),
        "there is nothing to wait for"
    );
}

#[test]
fn a_workload_is_away_and_comes_back() {
    let Some(record) = passes("outage.chaos", ("deployment", "other"), ("patch", "deployments")) else {
        return;
    };
    let (after, calls) = recovered(&record).expect("it was waited for");
    // Its one pod has to be made, started, and found ready.
    assert!(calls > 0.0 && calls < 1.0 && after > calls + 0.3 && after < 20.0, "{after} s, {calls} s");
}

#[test]
fn a_pod_leaves_its_service_and_comes_back() {
    let record = passes("detach.chaos", ("service", "web"), ("patch", "pods"));
    assert!(
        record.is_none_or(|record| record["parts"][0]["recovered"].is_null()),
        "there is nothing to wait for"
    );
}

#[test]
fn a_pod_is_evicted_and_another_comes() {
    let record = passes("evict.chaos", ("deployment", "web"), ("create", "pods/eviction"));
    assert!(
        record.is_none_or(|record| record["parts"][0]["recovered"].is_null()),
        "there is nothing to wait for"
    );
}

#[test]
fn a_workload_is_restarted_as_kubectl_does_it() {
    let Some(shop) = Shop::or_skip() else { return };
    let pods = || shop.kubectl(&["-n", &shop.namespace, "get", "pods", "-l", "app=web", "-o", "name"]);
    let before = pods();
    let file = shop.scenario("restart.chaos", &[]);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    planned.says("kubectl.kubernetes.io/restartedAt").says("nothing is put back");
    let name = format!("objects-{}", shop.namespace);
    rights::account(&shop, &name);
    let role = rights::printed(&shop, &name, &file);
    let ended = rights::run_as(&shop, &name, &role, &file).exits(0);
    let record = ended.record();
    assert_eq!(record["parts"][0]["effect"]["met"], 2, "{ended}");
    assert_eq!(record["parts"][0]["effect"]["changed"], 2, "{ended}");
    assert!(recovered(&record).is_some_and(|(after, _)| after < 10.0), "{ended}");
    let after = pods();
    assert!(before.lines().all(|pod| !after.contains(pod)), "{before} became {after}");
    let template = &object(&shop, "deployment", "web")["spec"]["template"];
    let at = template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].as_str();
    assert!(at.is_some_and(|at| at.ends_with('Z')), "it is not taken back: {template}");
    let leases = shop.kubectl(&["-n", &shop.namespace, "get", "leases", "-o", "name"]);
    assert_eq!(leases, "", "{ended}");
    let all = shop.kubectl(&["-n", &shop.namespace, "get", "deployments,replicasets,pods", "-o", "json"]);
    assert!(!all.contains("chaos-runner/"), "something still says that a run is on it: {all}");
    rights::withdraw(&shop, &name);
}

#[test]
fn a_killed_restart_owes_nothing_but_its_announcement() {
    let Some(shop) = Shop::or_skip() else { return };
    let file = shop.scenario("restart.chaos", &[("hold     15s", "hold     90s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let run = running.run();
    running.signal(Signal::SIGKILL);
    running.end();
    let context = shop.kubectl(&["config", "current-context"]);
    let elsewhere = chaos_tests::Chaos::new();
    let restored = shop.start_elsewhere(&elsewhere, &["restore", &run, "--cluster", &context]).end().exits(0);
    restored.says(&format!("{run}: restored"));
    let web = object(&shop, "deployment", "web");
    assert!(!web.to_string().contains("chaos-runner/"), "{web}");
    let annotations = &web["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "no second rollout: {web}");
}

#[test]
fn a_restart_that_would_replace_nothing_is_refused_by_the_plan() {
    let Some(shop) = Shop::or_skip() else { return };
    shop.kubectl(&["-n", &shop.namespace, "rollout", "pause", "deployment", "web"]);
    let file = shop.scenario("restart.chaos", &[]);
    let refused = shop.start(&["plan", &file]).end();
    assert!(refused.code != Some(0) && refused.said("is paused"), "{refused}");
    shop.kubectl(&["-n", &shop.namespace, "rollout", "resume", "deployment", "web"]);
    let few = shop.scenario("restart.chaos", &[("at most 2 pods", "at most 1 pod")]);
    let refused = shop.start(&["plan", &few]).end();
    assert!(refused.code != Some(0) && refused.said("allows at most 1 pods"), "{refused}");
}

#[test]
fn a_killed_run_leaves_an_outage_that_anybody_restores() {
    let Some(shop) = Shop::or_skip() else { return };
    let before = specification(&shop, "deployment", "other");
    let file = shop.scenario("outage.chaos", &[("hold     12s", "hold     90s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let run = running.run();
    running.signal(Signal::SIGKILL);
    running.end();
    let there = object(&shop, "deployment", "other");
    assert_eq!(there["spec"]["replicas"], 0, "it stays as it is: the plan said so");
    let annotations = there["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let announced = annotations.iter().find(|(key, _)| key.starts_with("chaos-runner/fault-"));
    let announced = announced.and_then(|(_, value)| value.as_str()).unwrap_or_default();
    assert!(announced.contains(&run) && announced.contains("team-shop"), "{annotations:?}");

    // Another runner does not take it over.
    let other = shop.start(&["run", &file]).end().exits(5);
    other
        .says("nothing of deployment")
        .says("`spec.replicas` is 0 already")
        .says(&format!("chaos restore {run}"));

    let context = shop.kubectl(&["config", "current-context"]);
    let elsewhere = chaos_tests::Chaos::new();
    let config = shop.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    elsewhere.file("kubeconfig", config);
    let mut restore = elsewhere.command(&["restore", &run, "--cluster", &context]);
    restore.env("KUBECONFIG", elsewhere.path().join("kubeconfig"));
    let restored = elsewhere.start_prepared(restore, "restore".to_owned()).end().exits(0);
    restored.says(&format!("{run}: restored"));
    assert_eq!(specification(&shop, "deployment", "other"), before);
}

#[test]
fn a_record_whose_fields_were_forged_is_not_believed() {
    let Some(shop) = Shop::or_skip() else { return };
    let file = shop.scenario("outage.chaos", &[("hold     12s", "hold     90s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let run = running.run();
    running.signal(Signal::SIGKILL);
    running.end();
    let uid = object(&shop, "deployment", "other")["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let name = format!("chaos-{uid}");
    let lease = object(&shop, "lease", &name);
    let annotations = lease["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let (key, debt) = annotations.iter().find(|(key, _)| key.contains("/debt-")).expect("something is owed");
    // Whoever may write Leases would have the restorer write a field of a Deployment.
    let mut forged: Value = serde_json::from_str(debt.as_str().unwrap_or_default()).expect("it is JSON");
    forged["undo"]["state"]["changes"][0]["before"] = 7.into();
    let write = |debt: &str| {
        let value = format!("{key}={debt}");
        shop.kubectl(&["-n", &shop.namespace, "annotate", "lease", &name, "--overwrite", &value]);
    };
    write(&forged.to_string());
    let context = shop.kubectl(&["config", "current-context"]);
    let refused = shop.start(&["restore", &run, "--cluster", &context]).end();
    assert!(refused.code != Some(0) && refused.said("is not what the run announced"), "{refused}");
    assert_eq!(object(&shop, "deployment", "other")["spec"]["replicas"], 0);
    write(debt.as_str().unwrap_or_default());
    shop.start(&["restore", &run, "--cluster", &context]).end().exits(0);
    assert_eq!(object(&shop, "deployment", "other")["spec"]["replicas"], 1);
}

#[test]
fn somebody_who_sets_the_field_meanwhile_ends_the_run_and_keeps_the_field() {
    let Some(shop) = Shop::or_skip() else { return };
    let file = shop.scenario("outage.chaos", &[("hold     12s", "hold     60s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    shop.kubectl(&["-n", &shop.namespace, "scale", "deployment", "other", "--replicas=3"]);
    let ended = running.end().exits(4);
    let ended = ended.says("`spec.replicas` of deployment").says("became 3").says("kubectl");
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
    assert_eq!(object(&shop, "deployment", "other")["spec"]["replicas"], 3, "it is theirs");
}

#[test]
fn what_cannot_be_changed_is_refused_before_anything_is_touched() {
    let Some(shop) = Shop::or_skip() else { return };
    let fault = "fault typo = patch service \"web\" {\n    spec.selector.app = \"wbe\"\n  }";
    for (instead, said) in [
        ("fault typo = patch service \"web\" { spec.selectr.app = \"x\" }", "unknown field"),
        ("fault typo = patch service \"web\" { spec.clusterIP = \"10.96.7.7\" }", "may not change once set"),
        ("fault typo = patch service \"web\" { \"/spec/ports/7/port\" = 1 }", "has no element `7`"),
        ("fault typo = patch service \"web\" { spec.selector.app = \"web\" }", "already"),
        ("fault typo = patch service \"webb\" { spec.selector.app = \"x\" }", "there is no service `webb`"),
        ("fault typo = patch \"widgets.v1.example.com\" \"w\" { spec.x = 1 }", "knows no `widgets`"),
        ("fault typo = scale deployment \"web\" to 0", "which no limit of the blast radius counts"),
    ] {
        let file = shop.scenario("selector.chaos", &[(fault, instead)]);
        let refused = shop.start(&["plan", &file]).end();
        assert!(refused.code != Some(0) && refused.said(said), "{instead}: {refused}");
    }
    // A disruption budget that allows nothing.
    shop.kubectl(&[
        "-n",
        &shop.namespace,
        "create",
        "poddisruptionbudget",
        "all",
        "--selector=app=web",
        "--min-available=2",
    ]);
    let started = Instant::now();
    while object(&shop, "poddisruptionbudget", "all")["status"]["expectedPods"] != 2 {
        assert!(started.elapsed() < RECOVERY, "the budget counts no pods");
    }
    let file = shop.scenario("evict.chaos", &[]);
    let refused = shop.start(&["plan", &file]).end();
    assert!(refused.code != Some(0) && refused.said("disruption budget"), "{refused}");
    settle(&shop);
}

#[test]
fn what_the_server_makes_of_a_value_is_taken_back_and_what_others_put_beside_it_stays() {
    let Some(shop) = Shop::or_skip() else { return };
    let before = specification(&shop, "deployment", "other");
    let fields = "patch deployment \"other\" {
    # The server keeps it as `150m`.
    \"/spec/template/spec/containers/0/resources/requests/cpu\" = \"0.15\"
    # There are no annotations yet, and it adds defaults to a probe.
    spec.template.metadata.annotations.ours = \"x\"
    \"/spec/template/spec/containers/0/livenessProbe/tcpSocket/port\" = 8080
  }";
    let file = shop.scenario("outage.chaos", &[("outage of deployment \"other\" by scale", fields)]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let template = &object(&shop, "deployment", "other")["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"]["cpu"], "150m", "{template}");
    assert_eq!(container["livenessProbe"]["failureThreshold"], 3, "{template}");
    shop.kubectl(&["-n", &shop.namespace, "rollout", "restart", "deployment", "other"]);
    let ended = running.end();
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
    assert_ne!(ended.code, Some(4), "somebody's annotation beside is no loss: {ended}");
    let mut after = specification(&shop, "deployment", "other");
    let annotations =
        after["spec"]["template"]["metadata"].as_object_mut().and_then(|meta| meta.remove("annotations"));
    let annotations = annotations.unwrap_or_default();
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "it is theirs: {annotations}");
    assert_eq!(annotations.as_object().map(serde_json::Map::len), Some(1), "{annotations}");
    assert_eq!(after, before);
}
