use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chaos_core::{
    model::cluster::{Key, Requirement, Test},
    place::Protection,
    span::Span,
    trouble::Kind as Stands,
};
use serde_json::{Value, json};

use super::*;
use crate::fake;

fn by_label(value: &str) -> Selector {
    let is = Test::In(NonEmpty::one(value.into()));
    let requirement = Requirement { of: Key::Label("app".into()), is };
    Selector::Pods(Pods {
        by: Criterion::Where(NonEmpty::one(requirement)),
        namespace: None,
        span: Span::NONE,
    })
}

fn of(kind: WorkloadKind, name: &str) -> Selector {
    let by = Criterion::Of(Workload { kind, name: name.into() });
    Selector::Pods(Pods { by, namespace: None, span: Span::NONE })
}

async fn found(
    selector: &Selector,
    answers: impl Fn(&str, &str) -> Option<Value> + Send + Sync + 'static,
) -> Result<Vec<Object>, Trouble> {
    ClusterInventory::new(fake::link(answers)).find(selector).await.map(NonEmpty::into_vec)
}

fn names(objects: &[Object]) -> Vec<&str> {
    objects.iter().map(|object| object.id.name.as_str()).collect()
}

#[tokio::test]
async fn every_page_is_read_and_the_order_is_fixed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let objects = found(&by_label("api"), move |path, query| {
        assert_eq!(path, "/api/v1/namespaces/shop/pods");
        assert!(query.contains("labelSelector=app%3Dapi") && query.contains("limit=500"), "{query}");
        counted.fetch_add(1, Ordering::Relaxed);
        let mut page = match query.contains("continue=more") {
            true => fake::list(vec![fake::pod("a", "o")]),
            false => fake::list(vec![fake::pod("c", "o"), fake::pod("b", "o")]),
        };
        if !query.contains("continue=more") {
            page["metadata"]["continue"] = json!("more");
        }
        Some(page)
    })
    .await
    .unwrap();
    assert_eq!((names(&objects), asked.load(Ordering::Relaxed)), (vec!["a", "b", "c"], 2));
    let first = &objects[0];
    assert_eq!(first.id.to_string(), "pod shop/a");
    assert_eq!(first.id.uid.as_deref(), Some("uid-a"));
    assert_eq!(
        (first.node.as_deref(), first.addresses[0].to_string().as_str()),
        (Some("node-of-a"), "10.244.1.7")
    );
}

#[tokio::test]
async fn nothing_found_says_what_there_is_instead() {
    let error = found(&by_label("ap"), |path, query| match path {
        "/api/v1/namespaces/shop" => Some(json!({ "metadata": { "name": "shop" } })),
        _ if query.contains("labelSelector") => Some(fake::list(Vec::new())),
        _ => Some(fake::list(vec![fake::pod("a", "o"), fake::pod("b", "o")])),
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind, Stands::Absent);
    assert_eq!(error.message, "no pod matches `pods where app = \"ap\"` in the namespace `shop`");
    assert_eq!(error.help.as_deref(), Some("there is app = \"api\" (2)"));
    let error =
        found(&by_label("ap"), |path, _| path.ends_with("/pods").then(|| fake::list(Vec::new()))).await;
    let error = error.unwrap_err();
    assert!(error.message.ends_with("the namespace `shop` does not exist"), "{error}");
    let error = found(&of(WorkloadKind::Deployment, "web"), |path, _| match path {
        "/apis/apps/v1/namespaces/shop/deployments" => {
            Some(fake::list(vec![json!({ "metadata": { "name": "website" } })]))
        }
        "/api/v1/namespaces/shop" => Some(json!({ "metadata": { "name": "shop" } })),
        _ => None,
    })
    .await
    .unwrap_err();
    assert_eq!(error.message, "there is no deployment `web` in the namespace `shop`");
    assert_eq!(error.help.as_deref(), Some("there is website"));
}

#[tokio::test]
async fn pods_that_do_not_run_are_left_out_and_what_protects_the_others_is_known() {
    let state = |name: &str, phase: &str| {
        let mut pod = fake::pod(name, "o");
        pod["status"]["phase"] = json!(phase);
        pod
    };
    let mut leaving = fake::pod("leaving", "o");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let idle = vec![state("new", "Pending"), state("done", "Succeeded"), state("dead", "Failed"), leaving];
    let all = idle.clone();
    let error = found(&by_label("api"), move |_, _| Some(fake::list(all.clone()))).await.unwrap_err();
    assert_eq!(
        error.message,
        "4 pods match `pods where app = \"api\"`, and none of them runs: 1 Pending, 1 ended (Failed), 1 ended (Succeeded), \
         1 terminating"
    );
    let with_one: Vec<Value> = idle.into_iter().chain([fake::pod("a", "o")]).collect();
    let objects = found(&by_label("api"), move |_, _| Some(fake::list(with_one.clone()))).await.unwrap();
    assert_eq!(names(&objects), ["a"]);

    let (mut host, mut windows) = (fake::pod("h", "o"), fake::pod("w", "o"));
    host["spec"]["hostNetwork"] = json!(true);
    host["metadata"]["namespace"] = json!("kube-system");
    windows["spec"]["os"] = json!({ "name": "windows" });
    let both = vec![fake::pod("a", "o"), host];
    let objects = found(&by_label("api"), move |_, _| Some(fake::list(both.clone()))).await.unwrap();
    let protected: Vec<Vec<Protection>> =
        objects.iter().map(|object| object.protections().into_iter().collect()).collect();
    assert_eq!(protected, [vec![Protection::KubeSystem, Protection::HostNetwork], vec![]], "{objects:?}");
    let both = vec![fake::pod("a", "o"), windows];
    let error = found(&by_label("api"), move |_, _| Some(fake::list(both.clone()))).await.unwrap_err();
    assert!(error.message.contains("Windows"), "{error}");
}

#[tokio::test]
async fn a_workload_owns_what_it_controls_and_not_what_looks_like_it() {
    let selector = json!({ "matchLabels": { "app": "api" }, "matchExpressions": [{ "key": "old", "operator": "DoesNotExist" }] });
    let chosen = "labelSelector=app%3Dapi%2C%21old";
    for (kind, path) in [
        (WorkloadKind::Deployment, "/apis/apps/v1/namespaces/shop/deployments/api"),
        (WorkloadKind::Statefulset, "/apis/apps/v1/namespaces/shop/statefulsets/api"),
        (WorkloadKind::Daemonset, "/apis/apps/v1/namespaces/shop/daemonsets/api"),
        (WorkloadKind::Job, "/apis/batch/v1/namespaces/shop/jobs/api"),
    ] {
        let selector = selector.clone();
        let template = json!({ "spec": { "containers": [] } });
        let objects = found(&of(kind, "api"), move |asked, query| match asked {
            _ if asked == path => Some(json!({
                "metadata": { "name": "api", "uid": "own" },
                "spec": { "selector": selector, "template": template, "serviceName": "api" },
            })),
            "/apis/apps/v1/namespaces/shop/replicasets" => {
                let set = |uid: &str, owner: &str| {
                    let owner = json!({ "apiVersion": "v1", "kind": "X", "name": "x", "uid": owner, "controller": true });
                    json!({ "metadata": { "name": uid, "uid": uid, "ownerReferences": [owner] } })
                };
                Some(fake::list(vec![set("set", "own"), set("foreign", "other")]))
            }
            "/api/v1/namespaces/shop/pods" => {
                assert!(query.contains(chosen), "{query}");
                let owner = if kind == WorkloadKind::Deployment { "set" } else { "own" };
                Some(fake::list(vec![fake::pod("mine", owner), fake::pod("alike", "foreign")]))
            }
            _ => None,
        })
        .await
        .unwrap();
        assert_eq!(names(&objects), ["mine"], "{kind:?}");
    }
}

/// A Service of three pods, one of which is not ready.
fn service(path: &str, own: &str) -> Option<Value> {
    let endpoint = |name: &str, address: &str, ready: Value| {
        let target = json!({ "kind": "Pod", "name": name, "uid": format!("uid-{name}") });
        json!({ "addresses": [address], "conditions": { "ready": ready }, "targetRef": target })
    };
    match path {
        "/api/v1/namespaces/shop/services/api" => Some(json!({
            "metadata": { "name": "api", "uid": "s" },
            "spec": { "clusterIPs": [own], "selector": { "app": "api" } },
        })),
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices" => Some(fake::list(vec![json!({
            "metadata": { "name": "api-1" }, "addressType": "IPv4",
            "endpoints": [
                endpoint("a", "10.244.1.1", json!(true)),
                endpoint("b", "10.244.1.2", json!(false)),
                // What does not say counts as ready.
                endpoint("c", "10.244.1.3", Value::Null),
            ],
        })])),
        "/api/v1/namespaces/shop/pods" => {
            Some(fake::list(["a", "b", "c", "stranger"].map(|name| fake::pod(name, "o")).to_vec()))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_service_is_its_ready_endpoints_and_its_own_addresses() {
    let objects =
        found(&of(WorkloadKind::Service, "api"), |path, _| service(path, "10.96.0.9")).await.unwrap();
    assert_eq!(names(&objects), ["a", "c"]);
    let named = Selector::Service(Named { name: "api".into(), namespace: None });
    let addresses = |objects: Vec<Object>| -> Vec<String> {
        objects.iter().flat_map(|object| object.addresses.iter().map(ToString::to_string)).collect()
    };
    let objects = found(&named, |path, _| service(path, "10.96.0.9")).await.unwrap();
    assert_eq!(addresses(objects), ["10.96.0.9", "10.244.1.1", "10.244.1.3"]);
    let headless = found(&named, |path, _| service(path, "None")).await.unwrap();
    assert_eq!(addresses(headless), ["10.244.1.1", "10.244.1.3"]);
}

#[tokio::test]
async fn what_is_of_another_scope_is_never_taken_for_a_pod() {
    for selector in [Selector::here(), Selector::netns("blue"), Selector::hosts("api")] {
        let error = found(&selector, |_, _| None).await.unwrap_err();
        assert!(error.message.contains("is not of the cluster `staging`"), "{error}");
    }
}

#[tokio::test]
async fn the_zone_of_a_node_is_what_its_label_says() {
    let node = |name: &str, zone: &str| json!({ "metadata": { "name": name, "labels": { ZONE: zone } } });
    let inventory = ClusterInventory::new(fake::link(move |path, query| {
        assert!(
            path == "/api/v1/nodes" && query.contains("labelSelector=topology.kubernetes.io%2Fzone"),
            "{query}"
        );
        Some(fake::list(vec![node("n1", "north"), node("n2", "south"), node("n3", "north")]))
    }));
    let asked = BTreeSet::from(["n1".to_owned(), "n2".to_owned(), "unlabelled".to_owned()]);
    let zones = inventory.zones(&asked).await.unwrap();
    let expected = [("n1", "north"), ("n2", "south")].map(|(node, zone)| (node.to_owned(), zone.to_owned()));
    assert_eq!(zones, BTreeMap::from(expected));
}
