//! What protects a pod, beside what its identity says.

use std::{fs, sync::OnceLock};

use chaos_core::place::Protection;
use k8s_openapi::api::core::v1::Pod;

/// The folders of a node in which the network of its pods is configured: whatever puts files there makes that network.
const NETWORK: [&str; 4] = ["/etc/cni", "/opt/cni", "/var/lib/cni", "/etc/kubernetes/cni"];

/// The names that the API server goes by, as a container and as the label `component` of its pod.
const API_SERVER: &str = "kube-apiserver";

/// Returns what protects a pod.
pub(crate) fn of(pod: &Pod) -> Vec<Protection> {
    protections(pod, own())
}

fn protections(pod: &Pod, own: Option<&str>) -> Vec<Protection> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("component"));
    let server = label.is_some_and(|label| label == API_SERVER)
        || spec.containers.iter().any(|container| container.name == API_SERVER);
    let mut mounted = spec.volumes.iter().flatten().filter_map(|volume| volume.host_path.as_ref());
    let network = mounted.any(|folder| NETWORK.iter().any(|network| within(&folder.path, network)));
    let itself = own.is_some() && pod.metadata.uid.as_deref() == own;
    [
        (server, Protection::ApiServer),
        (network, Protection::Cni),
        (spec.host_network == Some(true), Protection::HostNetwork),
        (itself, Protection::Runner),
    ]
    .into_iter()
    .filter_map(|(is, what)| is.then_some(what))
    .collect()
}

/// Returns whether a path is a folder or lies in it.
fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the uid of the pod that this process runs in, if it runs in one.
fn own() -> Option<&'static str> {
    static OWN: OnceLock<Option<String>> = OnceLock::new();
    let found = || in_mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?);
    OWN.get_or_init(found).as_deref()
}

/// Finds the uid of a pod in its mounts, in the form of `proc(5)`.
///
/// The kubelet mounts `/etc/hosts` into every container from a folder that is named after the pod's uid, wherever it keeps those
/// folders. A host name would not do: with the node's network it is the node's, and anybody may set it.
fn in_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let folder = root.strip_suffix("/etc-hosts").filter(|_| point == "/etc/hosts")?;
        let (pods, uid) = folder.rsplit_once('/')?;
        (pods.ends_with("/pods") && !uid.is_empty()).then(|| uid.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake;

    #[test]
    fn what_a_node_or_the_cluster_lives_on_is_known_by_what_it_does() {
        let of = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut pod = fake::pod("a", "o");
            change(&mut pod);
            protections(&serde_json::from_value(pod).unwrap(), Some("uid-own"))
        };
        assert_eq!(of(&|_| {}), []);
        assert_eq!(of(&|pod| pod["spec"]["hostNetwork"] = json!(true)), [Protection::HostNetwork]);
        assert_eq!(of(&|pod| pod["metadata"]["uid"] = json!("uid-own")), [Protection::Runner]);
        let server = |pod: &mut serde_json::Value| {
            pod["spec"]["hostNetwork"] = json!(true);
            pod["spec"]["containers"] = json!([{ "name": "kube-apiserver" }]);
        };
        assert_eq!(of(&server), [Protection::ApiServer, Protection::HostNetwork]);
        let labelled =
            |pod: &mut serde_json::Value| pod["metadata"]["labels"]["component"] = json!("kube-apiserver");
        assert_eq!(of(&labelled), [Protection::ApiServer]);
        for (path, makes) in
            [("/etc/cni/net.d", true), ("/opt/cni", true), ("/opt/cnix", false), ("/var/log", false)]
        {
            let volumes = json!([{ "name": "v", "hostPath": { "path": path } }]);
            let found = of(&|pod| pod["spec"]["volumes"] = volumes.clone());
            assert_eq!(found.contains(&Protection::Cni), makes, "{path}");
        }
    }

    #[test]
    fn a_process_knows_its_own_pod_by_where_its_hosts_come_from() {
        let uid = "3f2a7c1e-0000-4000-8000-000000000000";
        let other = "31 25 8:1 /x /etc/resolv.conf rw - ext4 /dev/sda1 rw\n";
        for kubelet in ["/var/lib/kubelet", "", "/data/kubelet"] {
            let mounts = format!(
                "{other}32 25 8:1 {kubelet}/pods/{uid}/etc-hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw\n"
            );
            assert_eq!(in_mounts(&mounts).as_deref(), Some(uid), "{mounts}");
        }
        let docker = "32 25 8:1 /var/lib/docker/containers/4f/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";
        assert_eq!(in_mounts(&format!("{other}{docker}")), None);
        // A node sees the folders of all of its pods, and is in none of them.
        let node =
            format!("32 25 8:1 /var/lib/kubelet/pods/{uid}/etc-hosts /run/x/etc/hosts rw - ext4 d rw\n");
        assert_eq!(in_mounts(&node), None);
    }
}
