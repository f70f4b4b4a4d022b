//! Pods that a rollout replaces, as `kubectl rollout restart` has it done: nothing is put back, since that would be a second rollout.

use chaos_core::{
    injector::{Measured, Undo, Unit},
    place::{Object, ObjectId},
    trouble::Trouble,
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::Client;
use serde_json::{Value, json};

use super::{held::Seen, patched, prior, whole};
use crate::{Link, link::ANSWER, object, pod};

/// What a restart would do.
#[derive(Debug)]
pub(super) struct Offered {
    /// What it does, a line each.
    pub(super) does: Vec<String>,
    /// Why it could not be tried.
    pub(super) untried: Option<String>,
    /// The pods that are replaced.
    pub(super) takes: Vec<Object>,
}

/// Says what a restart would do, after a trial that changes nothing.
///
/// # Errors
/// Nothing would be replaced, or the API server would refuse the change.
pub(super) async fn offered(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
) -> Result<Offered, Trouble> {
    let takes = replaced(link, client, object, now).await?;
    let patch = rollout(now, Timestamp::now());
    let objects = object::api(client, object)?;
    let untried = match tokio::time::timeout(ANSWER, patched(&objects, object, &patch, true)).await {
        Ok(Ok(_)) => None,
        // Whoever may only read sees the plan all the same; a run is refused by the look at its rights.
        Ok(Err(kube::Error::Api(status))) if status.code == 403 && status.reason == "Forbidden" => {
            Some(format!("could not be tried: {}", status.message))
        }
        Ok(Err(error)) => {
            return Err(link.refused(&format!("restart {object}, as a dry run shows"), &error));
        }
        Err(_) => {
            return Err(Trouble::unable(format!("cannot try a restart of {object}: no answer in time")));
        }
    };
    let does = vec![
        "sets the annotation `kubectl.kubernetes.io/restartedAt` of its pod template to the time, as `kubectl rollout restart` does"
            .to_owned(),
        format!("replaces its pods, {} now, {}", takes.len(), pace(object, now)),
    ];
    Ok(Offered { does, untried, takes })
}

/// Returns the pods that a restart replaces.
///
/// # Errors
/// There is none, or its controller would replace none of them.
pub(super) async fn replaced(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
) -> Result<Vec<Object>, Trouble> {
    refuse_idle(object, now)?;
    let first = now["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or(0);
    let pods = prior::pods(link, client, object).await?;
    let pods: Vec<Object> = pods.iter().filter(|pod| ordinal(pod) >= first).map(pod::object).collect();
    if pods.is_empty() {
        return Err(Trouble::unable(format!("{object} has no pod that a restart would replace")));
    }
    Ok(pods)
}

/// Refuses what would change the template and replace nothing now.
fn refuse_idle(object: &ObjectId, now: &Value) -> Result<(), Trouble> {
    if now["spec"]["paused"] == true {
        return Err(Trouble::unable(format!(
            "{object} is paused: the pods would be replaced when somebody resumes it, not now"
        ))
        .with_help(format!("resume it first: `kubectl rollout resume deployment {}`", object.name)));
    }
    if now["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Err(Trouble::unable(format!(
            "{object} has the update strategy `OnDelete`: its pods would stay until somebody deletes them"
        ))
        .with_help("end them with `delete` or `evict`"));
    }
    Ok(())
}

/// The number of a pod of a StatefulSet; that of any other is past every partition.
fn ordinal(pod: &Pod) -> u64 {
    let labels = pod.metadata.labels.as_ref();
    let index = labels.and_then(|labels| labels.get("apps.kubernetes.io/pod-index"));
    index.and_then(|index| index.parse().ok()).unwrap_or(u64::MAX)
}

/// Says how many go at a time.
fn pace(object: &ObjectId, now: &Value) -> String {
    let strategy = match object.kind.as_str() {
        "deployment" => &now["spec"]["strategy"],
        _ => &now["spec"]["updateStrategy"],
    };
    let said = |name: &str| {
        let value = &strategy["rollingUpdate"][name];
        value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string()))
    };
    match (strategy["type"].as_str(), said("maxUnavailable"), said("maxSurge")) {
        (Some("Recreate"), ..) => "all at once, before the new ones begin".to_owned(),
        (_, Some(away), Some(more)) => format!("{away} of them away and {more} more at a time"),
        (_, Some(away), None) => format!("{away} of them away at a time"),
        _ => "one after another".to_owned(),
    }
}

/// The change of an object that makes its controller replace the pods.
fn rollout(now: &Value, at: Timestamp) -> Value {
    let [.., annotation] = prior::RESTARTED;
    // Whole seconds, as `kubectl` writes them.
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "metadata": { "resourceVersion": now["metadata"]["resourceVersion"] },
        "spec": { "template": { "metadata": { "annotations": { annotation: at } } } },
    })
}

/// Begins the rollout; returns the generation that it is of.
///
/// # Errors
/// The object is gone, or the API server refuses.
pub(super) async fn begin(link: &Link, client: &Client, undo: &Undo) -> Result<Option<i64>, Trouble> {
    let object = &undo.offer.ask.object;
    let objects = object::api(client, object)?;
    for attempt in 1..=super::TRIES {
        let now = object::there(link, client, object).await?;
        refuse_idle(object, &now)?;
        let patch = rollout(&now, Timestamp::now());
        match tokio::time::timeout(ANSWER, patched(&objects, object, &patch, false)).await {
            Ok(Ok(made)) if made.metadata.generation != now["metadata"]["generation"].as_i64() => {
                return Ok(made.metadata.generation);
            }
            Ok(Ok(_)) => {
                return Err(Trouble::unable(format!("{object} was restarted within this second already"))
                    .with_help("plan again"));
            }
            // Somebody else changed it meanwhile, maybe its controller the status.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 && attempt < super::TRIES => {}
            Ok(Err(error)) => return Err(link.refused(&format!("restart {object}"), &error)),
            Err(_) => {
                return Err(Trouble::unable(format!("cannot restart {object}: no answer in time")));
            }
        }
    }
    Err(Trouble::unable(format!("cannot restart {object}: others change it again and again")))
}

/// Says how many pods were replaced, of those that there were when it was planned.
pub(super) fn measured(undo: &Undo, seen: &Seen) -> Measured {
    let mut measured = Measured::nothing(Unit::Objects);
    let Some(object) = &seen.object else { return measured };
    measured.met = undo.offer.takes.len() as u64;
    if let Some(after) = seen.observed {
        let old = old(object).min(measured.met);
        measured.changed = measured.met - old;
        measured.line = format!(
            "{} of {} pods are replaced; its controller saw it after {:.1} s",
            measured.changed,
            measured.met,
            after.as_secs_f64()
        );
    } else {
        measured.line = "its controller has not seen it yet".to_owned();
    }
    measured
}

/// How many pods of the template from before there still are.
fn old(object: &Value) -> u64 {
    let number = |name: &str| object["status"][name].as_u64().unwrap_or(0);
    let updated = number("updatedReplicas") + number("updatedNumberScheduled");
    (number("replicas") + number("currentNumberScheduled"))
        .saturating_sub(updated)
        .saturating_sub(whole::kept(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: &str) -> ObjectId {
        let kind = chaos_core::place::Kind::try_from(kind.to_owned()).unwrap();
        ObjectId { kind, namespace: Some("shop".into()), name: "x".into(), uid: Some("1".into()) }
    }

    #[test]
    fn pods_below_the_partition_are_no_old_ones() {
        let set = |start: u64| {
            json!({
                "spec": {
                    "replicas": 3, "ordinals": { "start": start },
                    "updateStrategy": { "rollingUpdate": { "partition": start + 2 } },
                },
                "status": { "replicas": 3, "updatedReplicas": 0 },
            })
        };
        for start in [0, 10] {
            let mut set = set(start);
            assert_eq!(old(&set), 1);
            set["status"]["updatedReplicas"] = json!(1);
            assert_eq!(old(&set), 0);
        }
    }

    #[test]
    fn what_would_replace_no_pod_now_is_refused_with_the_reason() {
        let paused = json!({ "spec": { "paused": true } });
        let refused = refuse_idle(&id("deployment"), &paused).unwrap_err();
        assert!(refused.message.contains("is paused"), "{refused}");
        for kind in ["statefulset", "daemonset"] {
            let waits = json!({ "spec": { "updateStrategy": { "type": "OnDelete" } } });
            let refused = refuse_idle(&id(kind), &waits).unwrap_err();
            assert!(refused.message.contains("`OnDelete`"), "{refused}");
        }
        let rolling = json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } });
        assert!(refuse_idle(&id("statefulset"), &rolling).is_ok());
    }

    #[test]
    fn pods_of_the_template_before_are_counted_for_each_kind() {
        let deployment = json!({ "status": { "replicas": 3, "updatedReplicas": 1 } });
        let daemon = json!({ "status": { "currentNumberScheduled": 2, "updatedNumberScheduled": 2 } });
        let starting = json!({ "status": { "replicas": 1 } });
        assert_eq!([old(&deployment), old(&daemon), old(&starting)], [2, 0, 1]);
    }

    #[test]
    fn the_pace_is_what_the_strategy_says() {
        let surge = json!({ "spec": { "strategy": { "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": 1 } } } });
        assert_eq!(pace(&id("deployment"), &surge), "25% of them away and 1 more at a time");
        let recreate = json!({ "spec": { "strategy": { "type": "Recreate" } } });
        assert_eq!(pace(&id("deployment"), &recreate), "all at once, before the new ones begin");
        let set = json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } });
        assert_eq!(pace(&id("statefulset"), &set), "one after another");
    }

    #[test]
    fn a_restart_sets_what_kubectl_sets_and_only_while_the_object_is_as_it_was_read() {
        let now = json!({ "metadata": { "resourceVersion": "7" } });
        let at = "2026-11-27T12:00:00.75Z".parse().unwrap();
        let patch = rollout(&now, at);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-11-27T12:00:00Z");
    }
}
