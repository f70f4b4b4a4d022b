//! What a cluster has of what experiments in it need.

use chaos_core::{capability::Capability, model::Cluster, trouble::Trouble};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::{Access, Link, image, query};

/// The label by which a namespace says what its pods may be.
const LEVEL: &str = "pod-security.kubernetes.io/enforce";

/// How many images a node names in its status, the largest first, where its kubelet is not set otherwise.
const NAMED_IMAGES: usize = 50;

/// What a cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cluster and the namespace.
    pub cluster: Vec<Capability>,
    /// What this user may do in the namespace.
    pub rights: Vec<Capability>,
    /// What the nodes are, and whether they have the agent's image.
    pub nodes: Vec<Capability>,
}

/// Looks at the cluster of a context: what experiments in a namespace of it would lack that start their agents from this image. Reads
/// only.
///
/// # Errors
/// There is no such context, nobody answers, or this user is unknown there.
pub async fn diagnose(context: &str, namespace: &str, image: &str) -> Result<Diagnosis, Trouble> {
    // Which cluster it is, is found out here.
    let cluster = Cluster { context: context.into(), uid: "".into(), namespace: namespace.into() };
    let link = Link::to(&cluster);
    let client = link.connect().await?;
    of(&link, &client, namespace, image).await
}

async fn of(link: &Link, client: &Client, namespace: &str, image: &str) -> Result<Diagnosis, Trouble> {
    let version = link.ask("ask for the version", client.apiserver_version()).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut cluster = vec![Capability::found("API server", version.git_version)];
    cluster.push(match link.ask("read the namespace `kube-system`", namespaces.get("kube-system")).await {
        Ok(system) => Capability::found("uid", system.metadata.uid.unwrap_or_default()),
        Err(trouble) => denied("uid", trouble),
    });
    let own = link.ask(&format!("read the namespace `{namespace}`"), namespaces.get_opt(namespace)).await;
    cluster.push(security(namespace, own));
    let mut needed = Access::default();
    needed.agents(namespace);
    let rights = needed.capabilities(link, client).await?;
    Ok(Diagnosis { cluster, rights, nodes: nodes(link, client, image).await })
}

fn denied(name: &str, trouble: Trouble) -> Capability {
    let remedy = trouble.help.unwrap_or_else(|| "look at the cluster with `kubectl`".to_owned());
    Capability::missing(name, trouble.message, remedy)
}

/// Says whether the namespace is there, and whether its level of Pod Security lets an agent in.
fn security(namespace: &str, found: Result<Option<Namespace>, Trouble>) -> Capability {
    const NAME: &str = "namespace";
    match found {
        Ok(Some(own)) => match own.labels().get(LEVEL).map(String::as_str) {
            Some(level @ ("baseline" | "restricted")) => Capability::missing(
                NAME,
                format!(
                    "`{namespace}` enforces the Pod Security level `{level}`, which refuses the agent's capabilities"
                ),
                format!(
                    "`kubectl label namespace {namespace} {LEVEL}=privileged --overwrite`, or use another namespace"
                ),
            ),
            Some(level) => Capability::found(NAME, format!("`{namespace}`, Pod Security `{level}`")),
            None => {
                Capability::found(NAME, format!("`{namespace}`, without a Pod Security level of its own"))
            }
        },
        Ok(None) => Capability::missing(
            NAME,
            format!("`{namespace}` does not exist"),
            "`--namespace NAME` names another; `kubectl get namespaces` shows those there are",
        ),
        // A role for one namespace does not cover reading what it is labelled with: an agent is then let in or refused when a run starts.
        Err(trouble) if trouble.is_denied() => Capability::found(
            NAME,
            format!("`{namespace}`; its Pod Security level is not known, since {}", trouble.message),
        ),
        Err(trouble) => denied(NAME, trouble),
    }
}

async fn nodes(link: &Link, client: &Client, image: &str) -> Vec<Capability> {
    // As the nodes name it.
    let image = &match image::whole(image) {
        Ok(image) => image,
        Err(error) => {
            return vec![Capability::missing(
                "image",
                error.to_string(),
                "`--agent-image IMAGE` names another",
            )];
        }
    };
    let all: Api<Node> = Api::all(client.clone());
    let mut params = ListParams::default().limit(query::PAGE);
    let mut found = Vec::new();
    loop {
        match link.ask("list the nodes", all.list(&params)).await {
            Ok(page) => {
                found.extend(page.items.iter().map(|of| node(of, image)));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => params = params.continue_token(&token),
                    None => return found,
                }
            }
            // Who may not see nodes can run experiments all the same.
            Err(trouble) if trouble.is_denied() => {
                let detail = format!("not known, since {}", trouble.message);
                return vec![Capability::found("nodes", detail)];
            }
            Err(trouble) => return vec![denied("nodes", trouble)],
        }
    }
}

fn node(node: &Node, image: &str) -> Capability {
    let name = node.name_any();
    let status = node.status.clone().unwrap_or_default();
    let Some(info) = status.node_info else {
        return Capability::missing(
            name,
            "it says nothing of itself yet",
            "wait until its kubelet has registered it",
        );
    };
    let is = format!("{} {}, {}", info.operating_system, info.architecture, info.container_runtime_version);
    if info.operating_system != "linux" {
        return Capability::missing(name, is, "the agent needs Linux: name pods of other nodes");
    }
    if !["amd64", "arm64"].contains(&info.architecture.as_str()) {
        return Capability::missing(
            name,
            is,
            "`chaos image --binary FILE` needs an agent that was built for this processor",
        );
    }
    let images = status.images.unwrap_or_default();
    if images.iter().flat_map(|held| held.names.iter().flatten()).any(|held| held == image) {
        return Capability::found(name, format!("{is}, has `{image}`"));
    }
    // Nobody can pull it from there.
    if !image.starts_with("localhost/") {
        return Capability::found(name, format!("{is}, is to pull `{image}`"));
    }
    if images.len() >= NAMED_IMAGES {
        return Capability::found(
            name,
            format!("{is}, names so many images that `{image}` may be among the others"),
        );
    }
    let remedy = loading(node, &info.container_runtime_version, image);
    Capability::missing(name, format!("{is}, has no `{image}`"), remedy)
}

/// Says how a node gets the image that `chaos image --output agent.tar` writes.
fn loading(node: &Node, runtime: &str, image: &str) -> String {
    let provider = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
    // kind://docker/CLUSTER/NODE
    let kind = provider.strip_prefix("kind://").and_then(|rest| rest.split('/').nth(1));
    let load = if let Some(cluster) = kind {
        format!("`kind load image-archive agent.tar --name {cluster}`")
    } else if runtime.contains("k3s") || provider.starts_with("k3s://") {
        "`k3s ctr images import agent.tar` on the node".to_owned()
    } else if runtime.starts_with("containerd://") {
        "`ctr -n k8s.io images import agent.tar` on the node".to_owned()
    } else if runtime.starts_with("cri-o://") {
        format!("`skopeo copy oci-archive:agent.tar containers-storage:{image}` on the node")
    } else {
        "the way of its container runtime to load an OCI archive".to_owned()
    };
    format!(
        "`chaos image --output agent.tar`, then {load}; or `skopeo copy --all oci-archive:agent.tar docker://IMAGE` into a registry, and \
         `--agent-image IMAGE`"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    fn a_node(name: &str, provider: &str, runtime: &str, images: &[&str]) -> Value {
        let info = json!({
            "architecture": "amd64", "operatingSystem": "linux", "containerRuntimeVersion": runtime, "bootID": "", "machineID": "",
            "systemUUID": "", "kernelVersion": "", "osImage": "", "kubeletVersion": "", "kubeProxyVersion": "",
        });
        let images: Vec<Value> = images.iter().map(|image| json!({ "names": [image] })).collect();
        json!({ "metadata": { "name": name }, "spec": { "providerID": provider }, "status": { "nodeInfo": info, "images": images } })
    }

    /// A cluster with these nodes, of which the namespace has this level and the user no right to attach.
    async fn found(level: &'static str, nodes: Vec<Value>) -> Diagnosis {
        let client = fake::client(move |path, _| match path {
            "/version" => Some(json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "",
                "goVersion": "", "compiler": "", "platform": "",
            })),
            "/api/v1/namespaces/kube-system" => {
                Some(json!({ "metadata": { "name": "kube-system", "uid": "u-1" } }))
            }
            "/api/v1/namespaces/shop" => {
                Some(json!({ "metadata": { "name": "shop", "labels": { LEVEL: level } } }))
            }
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
                Some(json!({ "spec": {}, "status": { "allowed": false } }))
            }
            "/api/v1/nodes" => Some(fake::list(nodes.clone())),
            _ => None,
        });
        of(&Link::to(&fake::cluster()), &client, "shop", "localhost/chaos-agent:1").await.unwrap()
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_what_helps() {
        let nodes = vec![
            a_node("a", "", "containerd://1.7.2", &["localhost/chaos-agent:1"]),
            a_node("b", "kind://docker/mine/mine-worker", "containerd://2.0.1", &[]),
            a_node("c", "k3s://c", "containerd://2.0.1-k3s1", &[]),
            a_node("d", "", "containerd://1.7.2", &["another"]),
            a_node("e", "", "cri-o://1.30.0", &[]),
        ];
        let diagnosis = found("restricted", nodes).await;
        let works = |checks: &[Capability]| checks.iter().map(|check| check.available).collect::<Vec<_>>();
        assert_eq!(works(&diagnosis.cluster), [true, true, false]);
        assert_eq!(diagnosis.cluster[1].detail.as_deref(), Some("u-1"));
        let level = diagnosis.cluster[2].detail.as_deref().unwrap_or_default();
        assert!(level.contains("`restricted`"), "{:?}", diagnosis.cluster);
        let rights: Vec<_> =
            diagnosis.rights.iter().map(|check| (check.name.as_str(), check.available)).collect();
        let needed = [
            "get pods",
            "list pods",
            "patch pods",
            "watch pods",
            "create pods/attach",
            "get pods/attach",
            "patch pods/ephemeralcontainers",
            "create leases",
            "delete leases",
            "get leases",
            "list leases",
            "patch leases",
            "watch leases",
        ];
        assert_eq!(rights, needed.map(|name| (name, false)));
        assert_eq!(works(&diagnosis.nodes), [true, false, false, false, false]);
        let how = [
            "kind load image-archive agent.tar --name mine`",
            "`k3s ctr images import agent.tar` on the node",
            "`ctr -n k8s.io images import agent.tar` on the node",
            "containers-storage:localhost/chaos-agent:1` on the node",
        ];
        for (node, how) in diagnosis.nodes[1..].iter().zip(how) {
            let remedy = node.remedy.as_deref().unwrap();
            assert!(remedy.contains(how) && remedy.contains("docker://IMAGE"), "{}: {remedy}", node.name);
        }
    }

    #[tokio::test]
    async fn an_image_that_may_be_there_is_not_called_missing() {
        let many: Vec<String> = (0..NAMED_IMAGES).map(|n| format!("image{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let diagnosis = found("privileged", vec![a_node("a", "", "containerd://1.7.2", &many)]).await;
        assert!(
            diagnosis.cluster.iter().chain(&diagnosis.nodes).all(|check| check.available),
            "{diagnosis:?}"
        );
        // From a registry it is pulled when it is needed.
        let client = fake::client(|_, _| Some(fake::list(vec![a_node("a", "", "containerd://1.7.2", &[])])));
        let pulled = super::nodes(&Link::to(&fake::cluster()), &client, "example.com/agent:1").await;
        assert!(
            pulled[0].available
                && pulled[0]
                    .detail
                    .as_deref()
                    .unwrap_or_default()
                    .ends_with("is to pull `example.com/agent:1`"),
            "{pulled:?}"
        );
    }
}
