//! Whether what was put back is whole again: a workload that has its replicas back still has to start them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chaos_core::{injector::Recovered, model::ObjectFault, place::ObjectId};
use futures_util::StreamExt as _;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

/// The taint that a node has for as long as it takes no more pods.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// An object that is watched from its rollback on.
#[derive(Debug)]
pub(super) struct Recovery {
    calls: Duration,
    watching: Mutex<Option<AbortOnDropHandle<Option<Duration>>>>,
}

impl Recovery {
    /// Begins to watch an object whose rollback began then, and has just ended.
    pub(super) fn watch(
        objects: Api<DynamicObject>,
        object: &ObjectId,
        fault: ObjectFault,
        ready: Option<u64>,
        began: Instant,
    ) -> Arc<Recovery> {
        let params = watcher::Config::default().fields(&format!("metadata.name={}", object.name));
        let uid = object.uid.clone();
        let watching = tokio::spawn(async move {
            let mut states = std::pin::pin!(watcher(objects, params).default_backoff());
            // Whether a new list has it: what is not in one is gone.
            let mut listed = true;
            while let Some(state) = states.next().await {
                match state {
                    Ok(Event::Init) => listed = false,
                    Ok(Event::InitApply(state) | Event::Apply(state)) if state.metadata.uid == uid => {
                        listed = true;
                        if serde_json::to_value(&state).is_ok_and(|now| is_whole(&fault, &now, ready)) {
                            return Some(began.elapsed());
                        }
                    }
                    Ok(Event::InitDone) if !listed => return None,
                    Ok(Event::Delete(state)) if state.metadata.uid == uid => return None,
                    // Another of the same name is not the one that was changed; an interrupted watch goes on.
                    Ok(_) | Err(_) => {}
                }
            }
            None
        });
        let watching = Mutex::new(Some(AbortOnDropHandle::new(watching)));
        Arc::new(Recovery { calls: began.elapsed(), watching })
    }

    /// Waits until the object is whole; none where it is gone, and where that was waited for already.
    pub(super) async fn wait(&self) -> Option<Recovered> {
        let watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let after = watching.await.ok()??;
        Some(Recovered { after: after.max(self.calls), calls: self.calls })
    }
}

/// Returns whether a fault is of a kind whose object takes time to be whole again.
pub(super) fn takes_time(fault: &ObjectFault) -> bool {
    match fault {
        ObjectFault::Scale { .. } | ObjectFault::Restart | ObjectFault::Drain { .. } => true,
        ObjectFault::Patch { .. }
        | ObjectFault::Detach { .. }
        | ObjectFault::Delete { .. }
        | ObjectFault::Evict => false,
    }
}

/// How many pods of a workload are ready.
pub(super) fn ready(object: &Value) -> Option<u64> {
    let status = &object["status"];
    status["readyReplicas"].as_u64().or_else(|| status["numberReady"].as_u64())
}

/// Returns whether a workload has as many pods as it is to have, all of its own template, and as many of them ready as before; or whether a
/// node takes pods again.
fn is_whole(fault: &ObjectFault, now: &Value, before: Option<u64>) -> bool {
    if let ObjectFault::Drain { .. } = fault {
        let mut taints = now["spec"]["taints"].as_array().into_iter().flatten();
        return now["spec"]["unschedulable"] != true && !taints.any(|taint| taint["key"] == UNSCHEDULABLE);
    }
    let status = |name: &str| now["status"][name].as_u64();
    let seen = now["status"]["observedGeneration"].as_i64() >= now["metadata"]["generation"].as_i64();
    let (wanted, there, updated) = match status("desiredNumberScheduled") {
        Some(wanted) => (wanted, status("currentNumberScheduled"), status("updatedNumberScheduled")),
        None => {
            let wanted = now["spec"]["replicas"].as_u64().unwrap_or(1);
            (wanted, status("replicas"), status("updatedReplicas"))
        }
    };
    let rolled = match fault {
        ObjectFault::Restart => updated.unwrap_or(0) >= wanted.saturating_sub(kept(now)),
        // Whatever rollout goes on there is not of this fault.
        _ => true,
    };
    // What was not ready before is not waited for.
    let enough = before.unwrap_or(0).min(wanted);
    seen && there.unwrap_or(0) == wanted && rolled && ready(now).unwrap_or(0) >= enough
}

/// How many pods a rollout leaves as they are: those of a StatefulSet below its partition.
pub(super) fn kept(object: &Value) -> u64 {
    let spec = &object["spec"];
    let first = spec["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or(0);
    let start = spec["ordinals"]["start"].as_u64().unwrap_or(0);
    first.saturating_sub(start).min(spec["replicas"].as_u64().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workload_is_whole_with_as_many_ready_pods_as_before() {
        let of = |observed: u64, replicas: u64, updated: u64, ready: u64| {
            json!({
                "metadata": { "generation": 4 },
                "spec": { "replicas": 3 },
                "status": { "observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready },
            })
        };
        let scale = ObjectFault::Scale { to: 0 };
        assert!(is_whole(&scale, &of(4, 3, 3, 3), Some(3)));
        assert!(!is_whole(&scale, &of(3, 3, 3, 3), Some(3)), "its controller has not seen it");
        assert!(!is_whole(&scale, &of(4, 3, 3, 2), Some(3)));
        assert!(is_whole(&scale, &of(4, 3, 3, 2), Some(2)), "one was not ready before either");
        assert!(!is_whole(&scale, &of(4, 4, 3, 3), Some(3)), "one has to go yet");
        assert!(is_whole(&scale, &of(4, 3, 1, 3), Some(3)), "somebody's rollout is not waited for");
        assert!(!is_whole(&ObjectFault::Restart, &of(4, 3, 1, 3), Some(3)));
        assert!(is_whole(&ObjectFault::Restart, &of(4, 3, 3, 3), Some(3)));
        let mut partitioned = of(4, 3, 1, 3);
        partitioned["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        assert!(is_whole(&ObjectFault::Restart, &partitioned, Some(3)), "those below it are never replaced");
    }

    #[test]
    fn a_daemonset_is_counted_by_its_nodes_and_a_node_by_its_taint() {
        let daemons = |updated: u64| {
            json!({ "status": { "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": 2,
                                "updatedNumberScheduled": updated } })
        };
        assert!(!is_whole(&ObjectFault::Restart, &daemons(1), Some(2)));
        assert!(is_whole(&ObjectFault::Restart, &daemons(2), Some(2)));
        let drain = ObjectFault::Drain { bare: false };
        let tainted = json!({ "spec": { "taints": [{ "key": UNSCHEDULABLE, "effect": "NoSchedule" }] } });
        assert!(!is_whole(&drain, &tainted, None));
        assert!(is_whole(&drain, &json!({ "spec": {} }), None));
    }
}
