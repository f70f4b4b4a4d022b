//! Others act on the cluster while a run does.

use std::fs;

use chaos_tests::{Chaos, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{rights, shop::Shop};

#[test]
fn two_runs_on_one_pod_exclude_each_other() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let file = shop.scenario("delay.chaos", &[("hold     10s", "hold     60s")]);
    let mut first = shop.start(&["run", &file]);
    first.until_stage("hold");
    // Before the second has a folder beside that of the first.
    let run = first.run();
    shop.start(&["run", &file]).end().exits(5).says(&format!("run `{run}`")).says("is already on pod");
    assert_eq!(shop.agents(&pod).len(), 1, "the second touched the pod");

    // From another machine, which knows nothing of the first.
    let elsewhere = Chaos::new();
    let text = fs::read(shop.chaos.path().join(&file)).expect("the file is there");
    let file = elsewhere.file(&file, text);
    let second = shop.start_elsewhere(&elsewhere, &["run", &file]).end().exits(5);
    let second = second.says(&format!("run `{run}` of team-shop is already on pod"));
    let second = second.says(&format!("chaos stop {run} --cluster"));
    assert_eq!(shop.agents(&pod).len(), 1, "the second touched the pod: {second}");

    // The first is as it was.
    let took = shop.request(&pod, "web").expect("the service answers");
    assert!(took >= 0.05, "the delay is gone: {took} s");
    first.signal(Signal::SIGTERM);
    let first = first.end().exits(4);
    assert_eq!(first.record()["restoration"]["state"], "restored", "{first}");
}

#[test]
fn of_two_runs_that_start_at_once_one_is_refused() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let file = shop.scenario("delay.chaos", &[("hold     10s", "hold     20s")]);
    let elsewhere = Chaos::new();
    let text = fs::read(shop.chaos.path().join(&file)).expect("the file is there");
    elsewhere.file(&file, text);
    let first = shop.start(&["run", &file]);
    let second = shop.start_elsewhere(&elsewhere, &["run", &file]);
    let ends = [first.end(), second.end()];
    let refused =
        ends.iter().filter(|ended| ended.code == Some(5) && ended.said("is already on pod")).count();
    assert_eq!(refused, 1, "{}{}", ends[0], ends[1]);
    // The other was not disturbed.
    let other = ends.iter().find(|ended| ended.code != Some(5)).expect("one ran");
    assert_eq!(other.code, Some(0), "{other}");
    assert_eq!(shop.agents(&pod).len(), 1, "the other touched the pod");
}

#[test]
fn a_service_that_shrank_meanwhile_is_counted_again_before_injecting() {
    let Some(shop) = Shop::or_skip() else { return };
    let changes = [
        ("baseline 5s", "baseline 15s"),
        ("pick 1\n", "pick 1\n    target server = pods of service \"web\" pick 1\n"),
        ("at most 1 pod", "at most 50% of service \"web\""),
        ("delay extra on client to service \"web\"", "delay extra on server to service \"other\""),
    ];
    let file = shop.scenario("delay.chaos", &changes);
    let planned = shop.start(&["plan", &file, "--seed", "7", "--format", "json"]).end().exits(0);
    let plan: Value = serde_json::from_str(&planned.stdout).expect("it prints JSON");
    let chosen = plan[0]["targets"]["server"][0]["id"]["name"].as_str().expect("a pod is chosen").to_owned();
    let mut running = shop.start(&["run", &file, "--seed", "7"]);
    running.until_stage("baseline");
    // The other one goes.
    let keep = "controller.kubernetes.io/pod-deletion-cost=100";
    shop.kubectl(&["-n", &shop.namespace, "annotate", "pod", &chosen, keep]);
    shop.kubectl(&["-n", &shop.namespace, "scale", "deployment", "web", "--replicas=1"]);
    let ready = "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}";
    let of_web =
        ["-n", &shop.namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", ready];
    assert!(wait_until(|| shop.kubectl(&of_web) == chosen), "{chosen} is not the only endpoint");
    let ended = running.end().exits(4).says(
        "the blast radius allows at most 50% of pods of service \"web\", and the faults would touch 1 of 1",
    );
    assert!(ended.record()["parts"][0]["injected"].is_null(), "{ended}");
}

#[test]
fn a_run_whose_rights_are_withdrawn_still_restores() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let name = format!("withdrawn-{}", shop.namespace);
    rights::account(&shop, &name);
    let file = shop.scenario("delay.chaos", &[("hold     10s", "hold     6s")]);
    let printed =
        shop.start(&["rbac", &file, "--account", &name, "--namespace", &shop.namespace]).end().exits(0);
    rights::allow(&shop, &printed.stdout);
    let mut running = shop.start_as("account.kubeconfig", &["run", &file]);
    running.until_stage("hold");
    rights::withdraw(&shop, &name);
    // What is open stays open: the agent is still heard, and takes the fault away when it is asked to.
    let ended = running.end().exits(0);
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
    assert_eq!(shop.network(&pod), before, "{ended}");
    // Another run is refused before it touches anything.
    shop.start_as("account.kubeconfig", &["run", &file])
        .end()
        .exits(6)
        .says("cannot get resource \"namespaces\"");
    assert_eq!(shop.agents(&pod).len(), 1);
}
