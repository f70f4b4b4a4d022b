//! Nodes that are drained: cordoned, which is put back, and their pods evicted, which is not.

use std::{sync::Arc, time::Duration};

use chaos_core::{
    place::{Object, ObjectId},
    trouble::Trouble,
};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, ResourceExt as _},
};

use super::{
    ending::{self, Answer, MIRROR},
    held::Progress,
};
use crate::{Link, fields::Change, pod, query};

/// How long evictions are asked for again that a disruption budget does not allow yet.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long until the next time.
const PAUSE: Duration = Duration::from_secs(2);

/// How many evictions are asked for at once.
const AT_ONCE: usize = 16;

/// Pods that a drain evicts, and what stays.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// Those that are evicted.
    pub(super) takes: Vec<Object>,
    /// Those of them that have data on the node, which is lost with them.
    pub(super) local: Vec<ObjectId>,
    /// How many stay, being of a DaemonSet or of the node itself.
    pub(super) stay: usize,
}

/// Returns the pods that a drain of a node evicts.
///
/// # Errors
/// Nothing would make some of them again, and that was not asked for; or they cannot be listed.
pub(super) async fn going(
    link: &Link,
    client: &Client,
    node: &ObjectId,
    bare: bool,
) -> Result<Drained, Trouble> {
    let (mut drained, mut lost) = (Drained::default(), Vec::new());
    for pod in on(link, client, node).await? {
        match fate(&pod) {
            Fate::Goes | Fate::Bare if bare || fate(&pod) == Fate::Goes => {
                drained.takes.push(pod::object(&pod));
                drained.local.extend(has_local_data(&pod).then(|| pod::id(&pod)));
            }
            Fate::Goes | Fate::Bare => lost.push(pod::id(&pod).to_string()),
            Fate::Stays => drained.stay += 1,
            Fate::Over => {}
        }
    }
    if lost.is_empty() {
        return Ok(drained);
    }
    Err(Trouble::unable(format!(
        "draining {node} would end pods for ever that nothing owns, and nothing makes again: {}",
        lost.join(", ")
    ))
    .with_help(format!(
        "end them yourself before; where it is meant, write `drain {} \"{}\" including bare pods`",
        node.kind, node.name
    )))
}

/// Lists the pods of a node, of all namespaces, page by page.
async fn on(link: &Link, client: &Client, node: &ObjectId) -> Result<Vec<Pod>, Trouble> {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut params = ListParams::default().fields(&format!("spec.nodeName={}", node.name)).limit(query::PAGE);
    let mut all = Vec::new();
    loop {
        let page = link.ask(&format!("list the pods of {node}"), pods.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// What becomes of a pod whose node is drained.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Goes,
    /// It would go, and nothing makes it again.
    Bare,
    /// It is a DaemonSet's or the kubelet's own: it would be back at once.
    Stays,
    /// It ends or has ended.
    Over,
}

/// Whether something in a pod is kept on its node alone, as long as the pod is there.
fn has_local_data(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    // One in memory is not meant to last.
    let lasts = |medium: Option<&str>| medium != Some("Memory");
    volumes.filter_map(|volume| volume.empty_dir.as_ref()).any(|dir| lasts(dir.medium.as_deref()))
}

fn fate(pod: &Pod) -> Fate {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed")) {
        return Fate::Over;
    }
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    match owner {
        _ if pod.annotations().contains_key(MIRROR) => Fate::Stays,
        Some(owner) if owner.kind == "DaemonSet" => Fate::Stays,
        Some(_) => Fate::Goes,
        None => Fate::Bare,
    }
}

/// Tries each eviction, which changes nothing; says why that could not be tried.
///
/// # Errors
/// A disruption budget does not allow one of them now, or the API server refuses.
pub(super) async fn tried(link: &Link, client: &Client, takes: &[Object]) -> Result<Option<String>, Trouble> {
    // Owned: a closure over references would be too narrow for a future that others poll.
    let pods: Vec<ObjectId> = takes.iter().map(|pod| pod.id.clone()).collect();
    let asked = stream::iter(pods).map(|pod| async move { ending::asked(link, client, &pod, true).await });
    let answers: Vec<Result<Answer, Trouble>> = asked.buffered(AT_ONCE).collect().await;
    let mut untried = None;
    for answer in answers {
        match answer {
            Ok(Answer::Done | Answer::Gone) => {}
            Ok(Answer::Later(why)) => return Err(why),
            // Whoever may only read sees the plan all the same; a run is refused by the look at its rights.
            Err(trouble) if trouble.is_denied() => {
                untried = Some(format!("could not be tried: {trouble}"));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(untried)
}

/// Says what a drain does, a line each.
pub(super) fn does(changes: &[Change], drained: &Drained) -> Vec<String> {
    let mut lines = Vec::new();
    match changes {
        [] => lines.push("leaves it as it is, since it takes no more pods already".to_owned()),
        _ => lines.push("has it take no more pods: sets `spec.unschedulable` to true".to_owned()),
    }
    let names: Vec<String> = drained.takes.iter().map(|pod| pod.id.to_string()).collect();
    lines.push(format!(
        "evicts what is on it, as the disruption budgets allow, for up to {} s: {}",
        PATIENCE.as_secs(),
        names.join(", ")
    ));
    if !drained.local.is_empty() {
        let names: Vec<String> = drained.local.iter().map(ToString::to_string).collect();
        lines.push(format!("with them goes for ever what their emptyDir volumes hold: {}", names.join(", ")));
    }
    if drained.stay > 0 {
        lines.push(format!("{} on it stay: of DaemonSets, or made by the node itself", drained.stay));
    }
    lines
}

/// Evicts the pods that a drain was planned with; returns those that are still there, because a disruption budget does not allow
/// them to go yet or for another reason, and the last of the other reasons.
///
/// A pod that came to the node since then is in nobody's count and is left there.
pub(super) async fn evict(
    link: &Link,
    client: &Client,
    pods: Vec<ObjectId>,
    progress: &Progress,
) -> (Vec<ObjectId>, Option<Trouble>) {
    let asked = stream::iter(pods).map(|pod| async move {
        let answer = ending::asked(link, client, &pod, false).await;
        (pod, answer)
    });
    let answers: Vec<(ObjectId, Result<Answer, Trouble>)> = asked.buffered(AT_ONCE).collect().await;
    let (mut evicted, mut gone, mut held, mut failed) = (0, 0, Vec::new(), None);
    for (pod, answer) in answers {
        match answer {
            Ok(Answer::Done) => evicted += 1,
            Ok(Answer::Gone) => gone += 1,
            Ok(Answer::Later(why)) => held.push((pod, why.message)),
            Err(trouble) => {
                held.push((pod, trouble.message.clone()));
                failed = Some(trouble);
            }
        }
    }
    let left = held.iter().map(|(pod, _)| pod.clone()).collect();
    progress.add(evicted, gone, held);
    (left, failed)
}

/// Makes sure that a drain still is what it was planned to be: pods that came to the node since then stay there, and some of those
/// that were counted are still on it.
///
/// # Errors
/// None of them is, or nothing would make one of them again by now, and that was not asked for.
pub(super) async fn still(
    link: &Link,
    client: &Client,
    node: &ObjectId,
    bare: bool,
    counted: &[Object],
) -> Result<(), Trouble> {
    let pods = on(link, client, node).await?;
    let is_counted = |pod: &&Pod| counted.iter().any(|object| object.id.uid == pod.metadata.uid);
    let fates: Vec<(Fate, &Pod)> = pods.iter().filter(is_counted).map(|pod| (fate(pod), pod)).collect();
    if fates.is_empty() {
        return Err(Trouble::unable(format!("none of the pods that were counted is on {node} any more"))
            .with_help("plan again"));
    }
    match fates.iter().find(|(fate, _)| *fate == Fate::Bare && !bare) {
        None => Ok(()),
        Some((_, pod)) => Err(Trouble::unable(format!(
            "nothing owns {} any more, so draining {node} would end it for ever",
            pod::id(pod)
        ))
        .with_help("plan again")),
    }
}

/// Asks again and again for evictions that a disruption budget did not allow, for a bounded time.
pub(super) async fn insist(link: Arc<Link>, client: Client, mut left: Vec<ObjectId>, progress: Progress) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !left.is_empty() && tokio::time::Instant::now() < until {
        tokio::time::sleep(PAUSE).await;
        // What fails for another reason than a budget is asked for once more as well, and said by then.
        (left, _) = evict(&link, &client, left, &progress).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    fn pod(change: impl Fn(&mut Value)) -> Pod {
        let mut pod = fake::pod("a", "o");
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    }

    fn node() -> ObjectId {
        ObjectId {
            kind: chaos_core::place::Kind::NODE,
            namespace: None,
            name: "n1".into(),
            uid: Some("1".into()),
        }
    }

    #[test]
    fn only_what_is_made_again_elsewhere_goes() {
        assert_eq!(fate(&pod(|_| {})), Fate::Goes);
        assert_eq!(fate(&pod(|pod| pod["metadata"]["ownerReferences"] = json!([]))), Fate::Bare);
        assert_eq!(
            fate(&pod(|pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet"))),
            Fate::Stays
        );
        assert_eq!(fate(&pod(|pod| pod["metadata"]["annotations"] = json!({ MIRROR: "x" }))), Fate::Stays);
        assert_eq!(fate(&pod(|pod| pod["status"]["phase"] = json!("Succeeded"))), Fate::Over);
        let ending = json!("2026-11-27T12:00:00Z");
        assert_eq!(fate(&pod(|pod| pod["metadata"]["deletionTimestamp"] = ending.clone())), Fate::Over);
    }

    #[tokio::test]
    async fn pods_that_nothing_makes_again_go_only_where_the_file_says_so() {
        let bare = |path: &str, query: &str| {
            assert_eq!(path, "/api/v1/pods");
            assert!(query.contains("spec.nodeName%3Dn1"), "{query}");
            let mut pod = fake::pod("lonely", "o");
            pod["metadata"]["ownerReferences"] = json!([]);
            Some(fake::list(vec![pod, fake::pod("a", "o")]))
        };
        let (link, client) = (fake::link(bare), fake::client(bare));
        let refused = going(&link, &client, &node(), false).await.unwrap_err();
        assert!(
            refused.message.contains("pod shop/lonely") && !refused.message.contains("shop/a"),
            "{refused}"
        );
        assert!(refused.help.unwrap_or_default().contains("`drain node \"n1\" including bare pods`"));
        assert_eq!(going(&link, &client, &node(), true).await.unwrap().takes.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_eviction_that_a_budget_forbids_is_asked_for_again_and_then_said() {
        let forbidden = |path: &str, _: &str| {
            path.ends_with("/eviction")
                .then(|| fake::refusal(429, "TooManyRequests", "it would violate the budget `all`"))
        };
        let (link, client) = (fake::link(forbidden), fake::client(forbidden));
        let pod = pod::id(&pod(|_| {}));
        let progress = Progress::default();
        let (left, failed) = evict(&link, &client, vec![pod.clone()], &progress).await;
        assert_eq!((left.as_slice(), failed), (&[pod][..], None));
        let started = tokio::time::Instant::now();
        insist(link, client, left, progress.clone()).await;
        assert!(started.elapsed() >= PATIENCE && started.elapsed() < PATIENCE + PAUSE * 2);
        let said = progress.said(1);
        assert!(said.starts_with("0 of 1 pods are evicted; pod shop/a is still there"), "{said}");
        assert!(said.contains("the budget `all`"), "{said}");
    }

    #[tokio::test]
    async fn what_cannot_be_evicted_is_said_and_what_is_evicted_counts_once() {
        let some = |path: &str, _: &str| match path.ends_with("/eviction") {
            true if path.contains("/pods/b/") => Some(fake::refusal(500, "InternalError", "two budgets")),
            true if path.contains("/pods/c/") => Some(fake::refusal(404, "NotFound", "no c")),
            true => Some(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })),
            false => None,
        };
        let (link, client) = (fake::link(some), fake::client(some));
        let pods = ["a", "b", "c"].map(|name| pod::id(&pod(|pod| pod["metadata"]["name"] = json!(name))));
        let progress = Progress::default();
        let (left, failed) = evict(&link, &client, pods.to_vec(), &progress).await;
        assert_eq!(left, [pods[1].clone()]);
        assert!(failed.unwrap().message.contains("two budgets"));
        let (left, _) = evict(&link, &client, left, &progress).await;
        assert_eq!(left, [pods[1].clone()]);
        let said = progress.said(3);
        assert!(
            said.starts_with("1 of 3 pods are evicted, 1 had gone before; pod shop/b is still there"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_drain_is_of_the_pods_that_were_counted() {
        let now = |path: &str, _: &str| {
            (path == "/api/v1/pods").then(|| {
                let mut orphan = fake::pod("b", "o");
                orphan["metadata"]["ownerReferences"] = json!([]);
                fake::list(vec![fake::pod("a", "o"), orphan])
            })
        };
        let (link, client) = (fake::link(now), fake::client(now));
        let object = |name: &str| pod::object(&serde_json::from_value(fake::pod(name, "o")).unwrap());
        let [a, b, other] = ["a", "b", "other"].map(object);
        let node = node();
        // One that came since then is nobody's concern.
        still(&link, &client, &node, false, std::slice::from_ref(&a)).await.unwrap();
        let gone = still(&link, &client, &node, false, &[other]).await.unwrap_err();
        assert!(gone.message.starts_with("none of the pods that were counted is on node n1"), "{gone}");
        let orphaned = still(&link, &client, &node, false, &[a.clone(), b.clone()]).await.unwrap_err();
        assert!(orphaned.message.starts_with("nothing owns pod shop/b any more"), "{orphaned}");
        still(&link, &client, &node, true, &[a, b]).await.unwrap();
    }

    #[test]
    fn data_that_is_lost_with_a_pod_is_known() {
        let volumes = |volumes: Value| pod(|pod| pod["spec"]["volumes"] = volumes.clone());
        assert!(has_local_data(&volumes(json!([{ "name": "q", "emptyDir": {} }]))));
        assert!(!has_local_data(&volumes(json!([{ "name": "q", "emptyDir": { "medium": "Memory" } }]))));
        assert!(!has_local_data(&volumes(json!([{ "name": "q", "configMap": { "name": "c" } }]))));
    }
}
