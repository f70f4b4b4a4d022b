//! The cluster's own state as probes.

use crate::shop::Shop;

/// Probes of what the tests' own Deployments are, in place of a comment of the scenario.
const PROBES: &str = r#"probe ready    = kube ready endpoints of service "web"
  probe running  = kube count of pods where app = "web"
  probe restarts = kube restarts of pods where app = "client"
  probe there    = kube available of deployment "web"
  probe fine     = kube condition "Available" of deployment "other"
  probe wanted   = kube field "spec.replicas" of "deployments.v1.apps" "web" { every 500ms }

  # Measured in the pod"#;

#[test]
fn readings_follow_what_happens_to_a_deployment() {
    let Some(shop) = Shop::or_skip() else { return };
    let changes = [
        ("# Measured in the pod", PROBES),
        ("    success(get) >= 99%\n", "    success(get) >= 99%\n    value(fine) >= 1\n"),
        (
            "    \"nothing lost\"",
            "    \"one goes\":   value(ready) settles to <= 1 within 9s after slow starts
    \"was there\":  max(ready.value) >= 2 during baseline
    \"fewer pods\": min(running.value) <= 1 during slow
    \"available\":  min(there.value) <= 1 during slow
    \"wanted\":     last(wanted.value) <= 1 during slow
    \"no restart\": max(restarts.value) <= 0 during slow
    \"others\":     always value(fine) >= 1 during slow
    \"nothing lost\"",
        ),
        ("watch    5s", "watch    1s"),
    ];
    let file = shop.scenario("delay.chaos", &changes);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    assert!(planned.said("kube ready endpoints of service \"web\""), "{planned}");
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    shop.kubectl(&["-n", &shop.namespace, "scale", "deployment", "web", "--replicas=1"]);
    let ended = running.end();
    let record = ended.record();
    let claims = record["expectations"].as_array().cloned().expect("a record has expectations");
    for claim in claims {
        let name = claim["name"].as_str().unwrap_or_default().to_owned();
        let wanted = ["one goes", "was there", "fewer pods", "available", "wanted", "no restart", "others"];
        if wanted.contains(&&*name) {
            assert_eq!(claim["verdict"]["verdict"], "passed", "{name}: {ended}");
        }
    }
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
}

#[test]
fn a_fault_on_all_packets_of_a_pod_says_that_its_kubelet_meets_it() {
    let Some(shop) = Shop::or_skip() else { return };
    let all = [
        ("pods of deployment \"client\" pick 1", "pods of deployment \"other\" pick 1"),
        ("delay extra on client to service \"web\"", "delay extra on client"),
    ];
    let file = shop.scenario("delay.chaos", &all);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    planned.says("on the kubelet's own probes, too (readiness of `main`)");
    let file = shop.scenario("delay.chaos", &all[..1]);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    assert!(!planned.said("kubelet"), "the fault is on one destination: {planned}");
}

#[test]
fn what_cannot_be_watched_is_said_by_the_plan() {
    let Some(shop) = Shop::or_skip() else { return };
    let plan = |probe: &str| {
        let probes = format!("probe x = kube {probe}\n\n  # Measured in the pod");
        let file = shop.scenario("delay.chaos", &[("# Measured in the pod", &probes)]);
        shop.start(&["plan", &file]).end()
    };
    plan("condition \"Ready\" of \"widgets.v1.example.com\" \"w\"")
        .exits(2)
        .says("the cluster knows no `widgets` of `example.com/v1`");
    plan("available of deployment \"webb\"").exits(0).says("there is no deployment \"webb\"");
    plan("ready endpoints of service \"webb\"").exits(0).says("service \"webb\" has no endpoint slice");
    plan("count of pods where app = \"none\"").exits(0);
}
