//! Readings of a cluster's own state: what a watch has brought last, at each moment of measuring.
//!
//! One watch for each probe, whatever its rate: the API server is not asked for each reading. A watch that nothing comes from looks
//! the same whether nothing changes or the API server hangs, so beside it the server is asked for a sign of life, and without one
//! nothing is read: an old number is no reading.

use std::{
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chaos_core::{
    model::{
        Cluster,
        cluster::Criterion,
        watched::{ObjectRef, ObjectSays, PodCount, Watched},
    },
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};
use futures_util::StreamExt as _;
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    runtime::{
        WatchStreamExt as _,
        reflector::{
            self,
            store::{Store, Writer},
        },
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    Link, link,
    object::{resource, unknown_kind},
    query,
};

/// How often the API server is asked for a sign of life.
const LIFE: Duration = Duration::from_secs(2);

/// After which silence nothing is read any more.
const SILENCE: Duration = Duration::from_secs(3);

/// Reads one number of a cluster's state.
pub(crate) struct WatchedProber {
    current: Box<dyn Current>,
    /// Why there is no current state, where there is none.
    blind: Arc<Blind>,
    tasks: [JoinHandle<()>; 2],
}

/// Why nothing can be read, as the watch and the server's signs of life say.
#[derive(Default)]
struct Blind {
    watch: Mutex<Option<Arc<str>>>,
    server: Mutex<Option<Arc<str>>>,
}

impl Blind {
    fn why(&self) -> Option<Arc<str>> {
        [&self.server, &self.watch]
            .into_iter()
            .find_map(|why| why.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn set(why: &Mutex<Option<Arc<str>>>, to: Option<Arc<str>>) {
    *why.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

/// The state that a watch keeps, and the number that is read of it.
#[async_trait]
trait Current: Send + Sync {
    /// Returns it, as soon as the watch has brought everything there is.
    async fn read(&self) -> Result<f64, Arc<str>>;
}

struct Kept<K, F>
where
    K: kube::Resource + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    store: Store<K>,
    number: F,
}

#[async_trait]
impl<K, F> Current for Kept<K, F>
where
    K: kube::Resource + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
    F: Fn(&[Arc<K>]) -> Result<f64, String> + Send + Sync,
{
    async fn read(&self) -> Result<f64, Arc<str>> {
        self.store.wait_until_ready().await.map_err(|_| Arc::from("the watch has ended"))?;
        (self.number)(&self.store.state()).map_err(Arc::from)
    }
}

impl WatchedProber {
    /// Begins to watch.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub(crate) async fn open(link: &Arc<Link>, watched: &Watched) -> Result<WatchedProber, Trouble> {
        let client = link.client().await?;
        let cluster = link.cluster();
        let blind = Arc::<Blind>::default();
        let (current, watching): (Box<dyn Current>, _) = match watched {
            Watched::ReadyEndpoints(service) => {
                let namespace = within(service.namespace.as_ref().map(|n| n.value.as_str()), cluster);
                let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
                let params = watcher::Config::default().labels(&of_service(&service.name));
                follow(slices, params, &blind, (), |slices| Ok(ready_endpoints(slices)))
            }
            Watched::Pods { pods, count } => {
                let namespace = within(pods.namespace.as_ref().map(|n| n.value.as_str()), cluster);
                let Criterion::Where(requirements) = &pods.by else {
                    return Err(Trouble::unable(format!("`{pods}` cannot be watched"))
                        .with_help("name them by their labels: `pods where app = \"api\"`"));
                };
                let (asked, count) = (query::params(requirements), *count);
                let mut params = watcher::Config::default();
                if let Some(labels) = &asked.label_selector {
                    params = params.labels(labels);
                }
                if let Some(fields) = &asked.field_selector {
                    params = params.fields(fields);
                }
                let all: Api<Pod> = Api::namespaced(client.clone(), namespace);
                follow(all, params, &blind, (), move |pods| Ok(counted(pods, count)))
            }
            Watched::Object { object, says } => {
                let kind = resource(&object.kind);
                let namespace = within(object.namespace.as_ref().map(|n| n.value.as_str()), cluster);
                let all: Api<DynamicObject> = if object.kind.is_of_no_namespace() {
                    Api::all_with(client.clone(), &kind)
                } else {
                    Api::namespaced_with(client.clone(), namespace, &kind)
                };
                let params = watcher::Config::default().fields(&named(&object.name));
                let (object, says) = (object.to_string(), says.clone());
                follow(all, params, &blind, kind, move |found| match found {
                    [] => Err(format!("there is no {object}")),
                    [one, ..] => said(one, &says),
                })
            }
        };
        let alive = tokio::spawn(live(client, Arc::clone(&blind)));
        Ok(WatchedProber { current, blind, tasks: [watching, alive] })
    }
}

impl Drop for WatchedProber {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Prober for WatchedProber {
    async fn once(&self) -> Observation {
        if let Some(why) = self.blind.why() {
            return Observation::failed(why);
        }
        match self.current.read().await {
            Ok(number) => Observation { value: Some(number), ..Observation::ok() },
            Err(why) => Observation::failed(why),
        }
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        progress.waits_for("the watch");
        self.once().await
    }
}

/// Looks, when planning, whether there is what is to be watched; says why not where that may still change.
///
/// # Errors
/// The kind is unknown in the cluster, or a right is missing.
pub(crate) async fn look(link: &Link, watched: &Watched) -> Result<Option<String>, Trouble> {
    let client = link.client().await?;
    let cluster = link.cluster();
    let object = match watched {
        Watched::Object { object, .. } => object.clone(),
        Watched::ReadyEndpoints(service) => {
            let namespace = within(service.namespace.as_ref().map(|n| n.value.as_str()), cluster);
            let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
            let params = ListParams::default().labels(&of_service(&service.name));
            let found =
                link.ask(&format!("list the endpoint slices of {service}"), slices.list(&params)).await?;
            return Ok(found
                .items
                .is_empty()
                .then(|| format!("{service} has no endpoint slice, if there is one")));
        }
        // None that match are a number, too.
        Watched::Pods { .. } => return Ok(None),
    };
    let ObjectRef { kind, name, namespace } = &object;
    let namespace = within(namespace.as_ref().map(|n| n.value.as_str()), cluster);
    let (all, within): (Api<DynamicObject>, _) = if kind.is_of_no_namespace() {
        (Api::all_with(client, &resource(kind)), "the cluster".to_owned())
    } else {
        (Api::namespaced_with(client, namespace, &resource(kind)), format!("`{namespace}`"))
    };
    let params = ListParams::default().fields(&named(name));
    let found = link.ask(&format!("list {} of {within}", kind.plural), all.list(&params)).await;
    match found {
        Ok(found) => Ok(found.items.is_empty().then(|| format!("there is no {object} in {within}"))),
        Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => Err(unknown_kind(kind)),
        Err(trouble) => Err(trouble),
    }
}

/// Keeps a store current for as long as the returned task runs.
fn follow<K, F>(
    api: Api<K>,
    params: watcher::Config,
    blind: &Arc<Blind>,
    kind: K::DynamicType,
    number: F,
) -> (Box<dyn Current>, JoinHandle<()>)
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
    F: Fn(&[Arc<K>]) -> Result<f64, String> + Send + Sync + 'static,
{
    let writer = Writer::new(kind);
    let store = writer.as_reader();
    let changes = reflector::reflector(writer, watcher(api, params)).default_backoff();
    let blind = Arc::clone(blind);
    let watching = tokio::spawn(async move {
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            let why = change.err().map(|error| Arc::from(format!("cannot watch: {}", link::chain(&error))));
            set(&blind.watch, why);
        }
    });
    (Box::new(Kept { store, number }), watching)
}

/// Asks the API server for signs of life, until it is dropped.
async fn live(client: Client, blind: Arc<Blind>) {
    loop {
        let why = match timeout(SILENCE, client.apiserver_version()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(format!("the API server cannot be reached: {}", link::chain(&error))),
            Err(_) => Some("the API server gives no answer".to_owned()),
        };
        set(&blind.server, why.map(Arc::from));
        sleep(LIFE).await;
    }
}

fn within<'a>(namespace: Option<&'a str>, cluster: &'a Cluster) -> &'a str {
    namespace.unwrap_or(&cluster.namespace)
}

fn of_service(name: &str) -> String {
    format!("kubernetes.io/service-name={name}")
}

fn named(name: &str) -> String {
    format!("metadata.name={name}")
}

/// Counts addresses that are ready; what does not say whether it is, counts as ready. An endpoint of both families stands in two
/// slices, and is one.
fn ready_endpoints(slices: &[Arc<EndpointSlice>]) -> f64 {
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false));
    let mut all: Vec<String> = ready
        .map(|endpoint| match &endpoint.target_ref {
            Some(of) => of.uid.clone().or_else(|| of.name.clone()).unwrap_or_default(),
            None => endpoint.addresses.join(","),
        })
        .collect();
    all.sort();
    all.dedup();
    all.len() as f64
}

fn counted(pods: &[Arc<Pod>], count: PodCount) -> f64 {
    let statuses = || pods.iter().filter_map(|pod| pod.status.as_ref());
    match count {
        PodCount::All => pods.len() as f64,
        PodCount::Ready => {
            let ready = |status: &&k8s_openapi::api::core::v1::PodStatus| {
                status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
            };
            statuses().filter(ready).count() as f64
        }
        PodCount::Restarts => {
            let each = statuses().flat_map(|status| status.container_statuses.iter().flatten());
            each.map(|container| f64::from(container.restart_count)).sum()
        }
    }
}

/// Reads what an object says of itself.
fn said(object: &DynamicObject, says: &ObjectSays) -> Result<f64, String> {
    match says {
        ObjectSays::Condition(name) => {
            let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
            let is = |condition: &&Value| condition["type"] == **name;
            let found = conditions.into_iter().flatten().find(is);
            Ok(f64::from(u8::from(found.is_some_and(|condition| condition["status"] == "True"))))
        }
        ObjectSays::Field(path) => {
            let (head, rest) = path.split_once('.').unwrap_or((path, ""));
            let metadata;
            let mut value = if head == "metadata" {
                metadata = serde_json::to_value(&object.metadata).map_err(|error| error.to_string())?;
                Some(&metadata)
            } else {
                object.data.get(head)
            };
            for name in rest.split('.').filter(|name| !name.is_empty()) {
                value = value.and_then(|value| match value {
                    Value::Array(all) => name.parse::<usize>().ok().and_then(|at| all.get(at)),
                    other => other.get(name),
                });
            }
            match value {
                None | Some(Value::Null) => Ok(0.0),
                Some(Value::Bool(is)) => Ok(f64::from(u8::from(*is))),
                Some(Value::Number(number)) => Ok(number.as_f64().unwrap_or_default()),
                Some(other) => Err(format!("`{path}` is {other}, which is not a number")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(endpoints: Value) -> Arc<EndpointSlice> {
        let slice = json!({ "addressType": "IPv4", "metadata": {}, "endpoints": endpoints, "ports": [] });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    #[test]
    fn an_endpoint_counts_once_while_it_is_ready() {
        let one = |uid: &str, ready: Value| json!({ "addresses": [uid], "conditions": { "ready": ready }, "targetRef": { "kind": "Pod", "uid": uid } });
        let v4 = slice(json!([one("a", json!(true)), one("b", json!(false)), one("c", Value::Null)]));
        let v6 = slice(json!([one("a", json!(true)), { "addresses": ["fd00::1"] }]));
        assert_eq!(ready_endpoints(&[v4, v6]), 3.0);
        assert_eq!(ready_endpoints(&[]), 0.0);
    }

    #[test]
    fn pods_are_counted_with_their_readiness_and_restarts() {
        let pod = |ready: &str, restarts: i32| {
            let status = json!({
                "conditions": [{ "type": "Ready", "status": ready }],
                "containerStatuses": [
                    { "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": restarts },
                    { "name": "b", "image": "", "imageID": "", "ready": true, "restartCount": 1 },
                ],
            });
            Arc::new(serde_json::from_value::<Pod>(json!({ "status": status })).unwrap())
        };
        let pods = [pod("True", 2), pod("False", 0), Arc::default()];
        let counted = |count| counted(&pods, count);
        assert_eq!(
            [counted(PodCount::All), counted(PodCount::Ready), counted(PodCount::Restarts)],
            [3.0, 1.0, 4.0]
        );
    }

    #[test]
    fn an_object_says_numbers_and_conditions_and_what_is_left_out_is_zero() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "x", "generation": 7 },
            "spec": { "replicas": 3, "paused": true, "text": "t" },
            "status": { "conditions": [{ "type": "Available", "status": "False" }, { "type": "Ready", "status": "True" }],
                        "list": [{ "n": 4 }] },
        }))
        .unwrap();
        let field = |path: &str| said(&object, &ObjectSays::Field(path.into()));
        let condition = |name: &str| said(&object, &ObjectSays::Condition(name.into()));
        let read = [
            "spec.replicas",
            "spec.paused",
            "metadata.generation",
            "status.list.0.n",
            "status.readyReplicas",
            "none.x",
        ];
        assert_eq!(read.map(field), [3.0, 1.0, 7.0, 4.0, 0.0, 0.0].map(Ok));
        assert_eq!(["Ready", "Available", "Other"].map(condition), [1.0, 0.0, 0.0].map(Ok));
        assert_eq!(field("spec.text"), Err("`spec.text` is \"t\", which is not a number".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_ends_the_readings_until_it_answers_again() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let hangs = Arc::new(AtomicBool::new(false));
        let server = Arc::clone(&hangs);
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let hangs = server.load(Ordering::Relaxed);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                let version = json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "",
                                      "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
                let body = kube::client::Body::from(version.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            }
        });
        let blind = Arc::<Blind>::default();
        let life = tokio::spawn(live(Client::new(service, "default"), Arc::clone(&blind)));
        struct Two;
        #[async_trait]
        impl Current for Two {
            async fn read(&self) -> Result<f64, Arc<str>> {
                Ok(2.0)
            }
        }
        let tasks = [life, tokio::spawn(async {})];
        let prober = WatchedProber { current: Box::new(Two), blind, tasks };
        sleep(Duration::from_secs(1)).await;
        assert_eq!(prober.once().await.value, Some(2.0));
        hangs.store(true, Ordering::Relaxed);
        sleep(LIFE + SILENCE).await;
        let seen = prober.once().await;
        assert_eq!((seen.value, seen.error.as_deref()), (None, Some("the API server gives no answer")));
        hangs.store(false, Ordering::Relaxed);
        sleep(LIFE + SILENCE).await;
        assert_eq!(prober.once().await.value, Some(2.0));
    }
}
