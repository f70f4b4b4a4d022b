//! What is protected is touched only where the file allows it by name.

use crate::shop::Shop;

/// A shorter run of `delay.chaos`.
const SHORT: [(&str, &str); 3] =
    [("baseline 5s", "baseline 1s"), ("hold     10s", "hold     2s"), ("watch    5s", "watch    1s")];

/// Changes the pods of the client's Deployment, and waits for the new ones.
fn change_client(shop: &Shop, spec: &str) {
    let patch = format!(
        r#"{{"spec":{{"strategy":{{"type":"Recreate","rollingUpdate":null}},"template":{{"spec":{spec}}}}}}}"#
    );
    let namespace = &shop.namespace;
    shop.kubectl(&["-n", namespace, "patch", "deployment", "client", "-p", &patch]);
    shop.kubectl(&["-n", namespace, "rollout", "status", "deployment/client", "--timeout=60s"]);
}

#[test]
fn what_the_cluster_lives_on_is_planned_only_where_it_is_allowed() {
    let Some(shop) = Shop::or_skip() else { return };
    let system = ("pods of deployment \"client\"", "pods of deployment \"coredns\" in \"kube-system\"");
    let file = shop.scenario("delay.chaos", &[system]);
    let refused = shop.start(&["run", &file]).end();
    assert!(refused.code.is_some_and(|code| code != 0) && refused.said("`allow kube-system`"), "{refused}");
    let allowed = ("at most 1 pod", "at most 1 pod\n    allow kube-system");
    let file = shop.scenario("delay.chaos", &[system, allowed]);
    shop.start(&["plan", &file]).end().exits(0).says("allowed: objects of the namespace `kube-system`");

    change_client(&shop, r#"{"hostNetwork":true}"#);
    let file = shop.scenario("delay.chaos", &[]);
    let refused = shop.start(&["run", &file]).end();
    assert!(refused.code.is_some_and(|code| code != 0) && refused.said("`allow hostNetwork`"), "{refused}");
    assert!(shop.agents(&shop.pod("client")).is_empty(), "a pod was touched");
    // On a shared node's own network nothing is injected here.
    let file = shop.scenario("delay.chaos", &[("at most 1 pod", "at most 1 pod\n    allow hostNetwork")]);
    shop.start(&["plan", &file]).end().exits(0);
}

#[test]
fn a_protected_pod_is_like_any_other_once_it_is_allowed() {
    let Some(shop) = Shop::or_skip() else { return };
    // What makes the network of a node keeps its settings there.
    change_client(&shop, r#"{"volumes":[{"name":"network","hostPath":{"path":"/etc/cni"}}]}"#);
    let file = shop.scenario("delay.chaos", &SHORT);
    let refused = shop.start(&["run", &file]).end();
    assert!(refused.code.is_some_and(|code| code != 0) && refused.said("`allow cni`"), "{refused}");
    assert!(shop.agents(&shop.pod("client")).is_empty(), "a pod was touched");
    let allowed = ("at most 1 pod", "at most 1 pod\n    allow cni");
    let changes: Vec<_> = SHORT.into_iter().chain([allowed]).collect();
    let ended = shop.start(&["run", &shop.scenario("delay.chaos", &changes)]).end();
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
    assert_eq!(ended.record()["parts"][0]["state"], "reverted", "{ended}");
}
