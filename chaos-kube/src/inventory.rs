//! Finding pods and Services.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use async_trait::async_trait;
use chaos_core::{
    inventory::Inventory,
    model::{
        self, Pods, Selector, Service as Named,
        cluster::{Criterion, Key, Requirement, Workload, WorkloadKind},
        watched::ObjectRef,
    },
    non_empty::{Empty, NonEmpty},
    place::{Kind, Object, ObjectId},
    trouble::Trouble,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::Job,
        core::v1::{Namespace, Node, Pod, Service},
        discovery::v1::{Endpoint, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;

use crate::{
    Link,
    object::{resource, unknown_kind},
    pod::{self, Unfit},
    query,
};

/// How many names are listed of what there is instead.
const SHOWN: usize = 8;

/// The label by which a node says in which zone it is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// Finds the pods and Services of one cluster.
pub struct ClusterInventory {
    link: Arc<Link>,
}

impl ClusterInventory {
    /// Looks at the cluster that a link leads to.
    pub fn new(link: Arc<Link>) -> Self {
        ClusterInventory { link }
    }

    fn namespace<'a>(&'a self, of: Option<&'a chaos_core::span::Spanned<String>>) -> &'a str {
        of.map_or(&self.link.cluster().namespace.value, |namespace| &namespace.value)
    }

    async fn pods(&self, pods: &Pods) -> Result<NonEmpty<Object>, Trouble> {
        let client = self.link.client().await?;
        let namespace = self.namespace(pods.namespace.as_ref());
        let found = match &pods.by {
            Criterion::Where(requirements) => {
                let found: Vec<Pod> =
                    list(&self.link, &client, namespace, query::params(requirements)).await?;
                if found.is_empty() {
                    let all: Vec<Pod> = list(&self.link, &client, namespace, ListParams::default()).await?;
                    let what = format!("no pod matches `{pods}`");
                    return Err(absent(&client, namespace, what, "pod", &like(requirements, &all)).await);
                }
                found
            }
            Criterion::Of(Workload { kind: WorkloadKind::Service, name }) => {
                self.behind(&client, namespace, name).await?
            }
            Criterion::Of(workload) => owned(&self.link, &client, namespace, workload).await?,
        };
        fit(found, &pods.to_string())
    }

    /// The pods that are the ready endpoints of a Service.
    async fn behind(&self, client: &Client, namespace: &str, name: &str) -> Result<Vec<Pod>, Trouble> {
        let service: Service = get(&self.link, client, namespace, "service", name).await?;
        let endpoints = self.endpoints(client, namespace, name).await?;
        let of_pod = |e: &Endpoint| {
            e.target_ref.as_ref().filter(|t| t.kind.as_deref() == Some("Pod")).and_then(|t| t.uid.clone())
        };
        let ready: BTreeSet<String> = endpoints.iter().filter_map(of_pod).collect();
        let labels = service.spec.and_then(|s| s.selector).unwrap_or_default();
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut found: Vec<Pod> =
            list(&self.link, client, namespace, ListParams::default().labels(&labels.join(","))).await?;
        let all = found.len();
        found.retain(|pod| pod.metadata.uid.as_ref().is_some_and(|uid| ready.contains(uid)));
        if found.is_empty() {
            return Err(Trouble::absent(format!(
                "the Service `{name}` of `{namespace}` has no ready endpoint"
            ))
            .with_help(format!("{all} pods match its selector; look why none of them is ready")));
        }
        Ok(found)
    }

    /// The ready endpoints of a Service, from its slices.
    async fn endpoints(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<Endpoint>, Trouble> {
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices: Vec<EndpointSlice> = list(&self.link, client, namespace, params).await?;
        // What does not say whether it is ready counts as ready.
        let ready = |e: &Endpoint| e.conditions.as_ref().and_then(|c| c.ready) != Some(false);
        Ok(slices.into_iter().flat_map(|slice| slice.endpoints).filter(ready).collect())
    }

    /// An object of any kind by its name.
    async fn object(&self, named: &ObjectRef) -> Result<Object, Trouble> {
        let ObjectRef { kind, name, namespace } = named;
        let namespace = self.namespace(namespace.as_ref());
        let client = self.link.client().await?;
        let (all, within): (Api<DynamicObject>, _) = if kind.is_of_no_namespace() {
            (Api::all_with(client.clone(), &resource(kind)), "the cluster".to_owned())
        } else {
            (
                Api::namespaced_with(client.clone(), namespace, &resource(kind)),
                format!("the namespace `{namespace}`"),
            )
        };
        let what = format!("read {named} in {within}");
        let found = match self.link.ask(&what, all.get_opt(name)).await {
            // Then the server has no such path, which is another answer than that there is no object.
            Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => {
                return Err(self.unknown(&client, kind).await);
            }
            found => found?,
        };
        if let Some(found) = found {
            if kind.word() == Kind::POD {
                let whole = serde_json::to_value(&found).and_then(serde_json::from_value);
                let whole: Pod = whole.map_err(|error| Trouble::internal(error.to_string()))?;
                return Ok(pod::object(&whole));
            }
            let (namespace, uid) = (found.metadata.namespace, found.metadata.uid);
            return Ok(ObjectId { kind: kind.word(), namespace, name: name.value.clone(), uid }.at([]));
        }
        let (what, params) = (format!("list {} of {within}", kind.plural), ListParams::default());
        match self.link.ask(&what, all.list(&params)).await {
            Ok(others) => {
                let names: Vec<String> = others.items.iter().map(ResourceExt::name_any).collect();
                let (word, what) = (kind.to_string(), format!("there is no {kind} `{name}`"));
                if kind.is_of_no_namespace() {
                    let help = format!("there is {}", some_of(&names));
                    return Err(Trouble::absent(format!("{what} in {within}")).with_help(help));
                }
                Err(absent(&client, namespace, what, &word, &names).await)
            }
            // Without the right to list them, what there is instead is not said.
            Err(_) => Err(Trouble::absent(format!("there is no {kind} `{name}` in {within}"))),
        }
    }

    /// Says why objects of a kind are not found in a namespace: the cluster does not know it, or its objects are of none.
    async fn unknown(&self, client: &Client, kind: &model::watched::Resource) -> Trouble {
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        let looked = self.link.ask("look for the kind", all.list(&ListParams::default().limit(1))).await;
        match looked {
            Ok(_) if !kind.is_of_no_namespace() => {
                let message = format!(
                    "`{}` are of no namespace, and of such kinds only those of Kubernetes itself are changed",
                    kind.plural
                );
                Trouble::unable(message).with_help("change it outside of the experiment")
            }
            _ => unknown_kind(kind),
        }
    }

    /// A Service as the other end of traffic.
    async fn service(&self, named: &Named) -> Result<Object, Trouble> {
        let client = self.link.client().await?;
        let namespace = self.namespace(named.namespace.as_ref());
        let service: Service = get(&self.link, &client, namespace, "service", &named.name).await?;
        let endpoints = self.endpoints(&client, namespace, &named.name).await?;
        let own = service.spec.and_then(|s| s.cluster_ips).unwrap_or_default();
        let behind = endpoints.into_iter().flat_map(|e| e.addresses);
        // A headless Service says `None` for its own.
        let addresses: BTreeSet<_> = own.into_iter().chain(behind).filter_map(|a| a.parse().ok()).collect();
        if addresses.is_empty() {
            return Err(Trouble::absent(format!(
                "{named} has no address: it is headless and has no ready endpoint"
            )));
        }
        let id = ObjectId {
            kind: Kind::SERVICE,
            namespace: Some(namespace.to_owned()),
            name: named.name.value.clone(),
            uid: service.metadata.uid,
        };
        Ok(id.at(addresses.into_iter().collect::<Vec<_>>()))
    }
}

#[async_trait]
impl Inventory for ClusterInventory {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        match selector {
            Selector::Pods(pods) => self.pods(pods).await,
            Selector::Service(service) => self.service(service).await.map(NonEmpty::one),
            Selector::Object(object) => self.object(object).await.map(NonEmpty::one),
            Selector::Hosts(_)
            | Selector::Here(_)
            | Selector::Netns(_)
            | Selector::Process(_)
            | Selector::Named(_) => Err(Trouble::absent(format!(
                "`{selector}` is not of the cluster `{}`",
                self.link.cluster().context
            ))
            .with_help("name pods: `pods where app = \"api\"`")),
        }
    }

    async fn zones(&self, nodes: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Trouble> {
        let client = self.link.client().await?;
        let all: Api<Node> = Api::all(client);
        let mut params = ListParams::default().labels(ZONE).limit(query::PAGE);
        let mut zones = BTreeMap::new();
        loop {
            let page = self.link.ask("list the nodes for their zones", all.list_metadata(&params)).await?;
            for node in page.items {
                let zone = node.labels().get(ZONE).cloned();
                let name = node.name_any();
                zones.extend(zone.filter(|_| nodes.contains(&name)).map(|zone| (name, zone)));
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(zones),
            }
        }
    }
}

/// Lists all of a kind, page by page.
async fn list<K>(link: &Link, client: &Client, namespace: &str, params: ListParams) -> Result<Vec<K>, Trouble>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let what = format!("list {} of the namespace `{namespace}`", K::plural(&K::DynamicType::default()));
    let mut params = params.limit(query::PAGE);
    let mut all = Vec::new();
    loop {
        let page = link.ask(&what, api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

async fn get<K>(link: &Link, client: &Client, namespace: &str, kind: &str, name: &str) -> Result<K, Trouble>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = link.ask(&format!("read the {kind} `{name}`"), api.get_opt(name)).await?;
    if let Some(found) = found {
        return Ok(found);
    }
    // Without the right to list them, what there is instead is not said.
    let others: Option<Vec<K>> = list(link, client, namespace, ListParams::default()).await.ok();
    let Some(others) = others else {
        return Err(Trouble::absent(format!("there is no {kind} `{name}` in the namespace `{namespace}`")));
    };
    let names: Vec<String> = others.iter().map(ResourceExt::name_any).collect();
    Err(absent(client, namespace, format!("there is no {kind} `{name}`"), kind, &names).await)
}

/// Says that something is not there, and what is.
async fn absent(client: &Client, namespace: &str, what: String, kind: &str, there: &[String]) -> Trouble {
    let all: Api<Namespace> = Api::all(client.clone());
    // Without the right to read namespaces, the names are all that can be said.
    if let Ok(None) = all.get_opt(namespace).await {
        return Trouble::absent(format!("{what}: the namespace `{namespace}` does not exist"))
            .with_help("correct `namespace` in the scope; `kubectl get namespaces` shows those there are");
    }
    let help = match there {
        [] => format!("there is no {kind} at all in `{namespace}`"),
        names => format!("there is {}", some_of(names)),
    };
    Trouble::absent(format!("{what} in the namespace `{namespace}`")).with_help(help)
}

/// The pods that a workload owns, through its ReplicaSets where it is a Deployment.
pub(crate) async fn owned(
    link: &Link,
    client: &Client,
    namespace: &str,
    workload: &Workload,
) -> Result<Vec<Pod>, Trouble> {
    let Workload { kind, name } = workload;
    let word = kind.word();
    let (selector, uid): (Option<LabelSelector>, _) = match kind {
        WorkloadKind::Deployment => {
            let found: Deployment = get(link, client, namespace, word, name).await?;
            (found.spec.map(|s| s.selector), found.metadata.uid)
        }
        WorkloadKind::Statefulset => {
            let found: StatefulSet = get(link, client, namespace, word, name).await?;
            (found.spec.map(|s| s.selector), found.metadata.uid)
        }
        WorkloadKind::Daemonset => {
            let found: DaemonSet = get(link, client, namespace, word, name).await?;
            (found.spec.map(|s| s.selector), found.metadata.uid)
        }
        WorkloadKind::Job => {
            let found: Job = get(link, client, namespace, word, name).await?;
            (found.spec.and_then(|s| s.selector), found.metadata.uid)
        }
        WorkloadKind::Service => (None, None),
    };
    let params = ListParams::default().labels(&selected(selector.unwrap_or_default()));
    let mut owners: BTreeSet<String> = uid.into_iter().collect();
    if *kind == WorkloadKind::Deployment {
        let sets: Vec<ReplicaSet> = list(link, client, namespace, params.clone()).await?;
        let own = sets.iter().filter(|set| pod::owner(&set.metadata).is_some_and(|uid| owners.contains(uid)));
        owners = own.filter_map(|set| set.metadata.uid.clone()).collect();
    }
    let mut found: Vec<Pod> = list(link, client, namespace, params).await?;
    found.retain(|pod| pod::owner(&pod.metadata).is_some_and(|uid| owners.contains(uid)));
    if found.is_empty() {
        return Err(Trouble::absent(format!("the {word} `{name}` of `{namespace}` has no pod"))
            .with_help("scale it up first"));
    }
    Ok(found)
}

/// Leaves out pods that do not run; refuses those that no agent can be in, and where none is left.
fn fit(found: Vec<Pod>, asked: &str) -> Result<NonEmpty<Object>, Trouble> {
    let mut idle: BTreeMap<String, usize> = BTreeMap::new();
    let mut fit = Vec::new();
    let count = found.len();
    for pod in &found {
        match pod::unfit(pod) {
            None => fit.push(pod::object(pod)),
            Some(Unfit::Idle(why)) => *idle.entry(why).or_default() += 1,
            Some(Unfit::Unable(why)) => {
                return Err(Trouble::unable(format!("`{asked}` means a pod that no agent can be in: {why}"))
                    .with_help("narrow the selector to pods of the application"));
            }
        }
    }
    fit.sort_by(|a, b| a.id.cmp(&b.id));
    fit.try_into().map_err(|Empty| {
        let idle: Vec<String> = idle.iter().map(|(why, n)| format!("{n} {why}")).collect();
        Trouble::absent(format!("{count} pods match `{asked}`, and none of them runs: {}", idle.join(", ")))
            .with_help("wait until they run, or name others")
    })
}

/// What the labels that were asked for are instead, with the number of pods; their names where none has them.
fn like(requirements: &[Requirement], there: &[Pod]) -> Vec<String> {
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    for Requirement { of, .. } in requirements {
        let Key::Label(label) = of else { continue };
        for value in there.iter().filter_map(|pod| pod.labels().get(label)) {
            *values.entry(format!("{label} = \"{value}\"")).or_default() += 1;
        }
    }
    if values.is_empty() {
        return there.iter().map(|pod| format!("the pod {}", pod.name_any())).collect();
    }
    values.into_iter().map(|(value, n)| format!("{value} ({n})")).collect()
}

fn some_of(names: &[String]) -> String {
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Writes a selector of an object as the API server reads it.
fn selected(selector: LabelSelector) -> String {
    let equal = selector.match_labels.unwrap_or_default().into_iter().map(|(k, v)| format!("{k}={v}"));
    let other = selector.match_expressions.unwrap_or_default().into_iter().map(|e| {
        let values = e.values.unwrap_or_default().join(",");
        match e.operator.as_str() {
            "In" => format!("{} in ({values})", e.key),
            "NotIn" => format!("{} notin ({values})", e.key),
            "DoesNotExist" => format!("!{}", e.key),
            _ => e.key,
        }
    });
    equal.chain(other).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
