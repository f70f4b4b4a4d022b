//! A pod as a target.

use chaos_core::place::{Kind, Object, ObjectId};
use k8s_openapi::api::core::v1::Pod;

use crate::protection;

/// Why a pod cannot be a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is not running now: its phase, or that it is being deleted.
    Idle(String),
    /// No agent can be in it, and this is why.
    Unable(String),
}

/// Returns the identity of a pod.
pub(crate) fn id(pod: &Pod) -> ObjectId {
    ObjectId {
        kind: Kind::POD,
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone(),
    }
}

/// Returns a pod as an object, with what it has at the moment.
pub(crate) fn object(pod: &Pod) -> Object {
    let addresses = pod.status.iter().flat_map(|s| s.pod_ips.iter().flatten());
    let addresses: Vec<_> = addresses.filter_map(|a| a.ip.parse().ok()).collect();
    Object {
        node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
        protected: protection::of(pod),
        ..id(pod).at(addresses)
    }
}

/// Returns why a pod cannot be a target, if it cannot.
pub(crate) fn unfit(pod: &Pod) -> Option<Unfit> {
    let spec = pod.spec.as_ref();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if spec.and_then(|s| s.os.as_ref()).is_some_and(|os| os.name == "windows") {
        return Some(Unfit::Unable(format!("`{name}` runs on Windows, and the agent needs Linux")));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Unfit::Idle("terminating".into()));
    }
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Unknown");
    match phase {
        "Running" => None,
        "Succeeded" | "Failed" => Some(Unfit::Idle(format!("ended ({phase})"))),
        phase => Some(Unfit::Idle(phase.to_owned())),
    }
}

/// Returns which probes the kubelet sends to a pod by its network, such as "liveness of `main`".
pub(crate) fn probed(pod: &Pod) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let probes = containers.flat_map(|container| {
        let each = [
            ("startup", &container.startup_probe),
            ("liveness", &container.liveness_probe),
            ("readiness", &container.readiness_probe),
        ];
        each.map(|(word, probe)| {
            let probe = probe.as_ref()?;
            let by_network = probe.http_get.is_some() || probe.tcp_socket.is_some() || probe.grpc.is_some();
            by_network.then(|| format!("{word} of `{}`", container.name))
        })
    });
    probes.flatten().collect()
}

/// Returns the uid of the controller that owns an object.
pub(crate) fn owner(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.iter().flatten();
    owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str()).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_probes_of_the_kubelet_that_come_by_the_network_are_known() {
        let pod: Pod = serde_json::from_value(json!({ "spec": { "containers": [
            { "name": "main", "livenessProbe": { "httpGet": { "port": 80 } }, "readinessProbe": { "tcpSocket": { "port": 80 } } },
            { "name": "side", "livenessProbe": { "exec": { "command": ["true"] } }, "startupProbe": { "grpc": { "port": 9 } } },
            { "name": "none" },
        ] } }))
        .unwrap();
        assert_eq!(probed(&pod), ["liveness of `main`", "readiness of `main`", "startup of `side`"]);
        assert!(probed(&Pod::default()).is_empty());
    }
}
