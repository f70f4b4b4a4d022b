//! A run's claim to the pods it touches, for as long as it lives.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chaos_core::{
    injector::{Injector, Undo},
    journal::Header,
    model::Cluster,
    place::ObjectId,
    run::Control,
    trouble::Trouble,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, coordination::v1::Lease, core::v1::Namespace},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use serde_json::Value;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    Link,
    lease::{self, DURATION, Debt, Notice, RENEWAL, Request},
    object, record,
};

/// How many Leases are asked for at once.
const AT_ONCE: usize = 16;

/// How much later than its deadline a fault may end: what an agent waits for in silence, and time to put things back.
const GRACE: Duration = Duration::from_secs(5);

/// The objects that a run has claimed. Dropping it leaves the Leases to whoever restores.
pub struct Claim {
    link: Arc<Link>,
    header: Header,
    targets: Vec<ObjectId>,
    debts: AtomicU64,
    /// What is taken off Leases and pods beside the run.
    tidying: Mutex<JoinSet<Result<(), Trouble>>>,
    keeping: Vec<JoinHandle<()>>,
}

impl Claim {
    /// Claims the targets of a run, all or none, goes on to renew the claim, and asks the run to stop when somebody asks
    /// for that by the cluster.
    ///
    /// A dead run gives way of which nothing stands any more, as the injectors say.
    ///
    /// # Errors
    /// Another run is on one of them, or has left something there; runs are blocked in the cluster; a right is missing.
    pub async fn take(
        link: &Arc<Link>,
        injectors: &[Arc<dyn Injector>],
        header: &Header,
        control: &Control,
    ) -> Result<Arc<Claim>, Trouble> {
        let client = link.client().await?;
        refuse_blocked(link, &client).await?;
        // What has a uid is of the cluster.
        let targets: Vec<ObjectId> =
            header.targets.iter().filter(|object| object.uid.is_some()).cloned().collect();
        let by = &client;
        let asked = stream::iter(targets.clone())
            .map(|object| async move { claim(link, by, injectors, header, &object).await });
        let taken: Vec<Result<Lease, Trouble>> = asked.buffer_unordered(AT_ONCE).collect().await;
        if let Some(trouble) = taken.iter().find_map(|taken| taken.as_ref().err()).cloned() {
            for lease in taken.into_iter().flatten() {
                // Nothing is owed there; one that stays is taken over by the next run.
                let _ = remove(link, &client, &lease).await;
            }
            return Err(trouble);
        }
        let mut keeping = vec![tokio::spawn(renew(Arc::clone(link), client.clone(), targets.clone()))];
        for namespace in namespaces(&targets) {
            let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
            keeping.push(tokio::spawn(hear(leases, header.run.clone(), control.clone())));
        }
        Ok(Arc::new(Claim {
            link: Arc::clone(link),
            header: header.clone(),
            targets,
            debts: AtomicU64::new(0),
            tidying: Mutex::default(),
            keeping,
        }))
    }

    /// Returns of which run it is.
    pub(crate) fn run(&self) -> &str {
        &self.header.run
    }

    /// Writes down on the Lease what is owed to a pod, and announces the fault on the pod; before it is injected.
    pub(crate) async fn owe(&self, undo: &Undo) -> Result<(), Trouble> {
        let object = &undo.offer.ask.object;
        let client = self.link.client().await?;
        let debt = Debt { number: self.debts.fetch_add(1, Ordering::Relaxed), undo: undo.clone() };
        let run = &self.header.run;
        let notice = Notice {
            run,
            experiment: &self.header.experiment,
            owner: self.header.owner.as_deref(),
            fault: format!("{}: {}", undo.offer.ask.fault, undo.offer.ask.work),
            ends: Timestamp::now() + undo.deadline + GRACE,
            seal: record::seal(undo)?,
            stop: format!("chaos stop {run} --cluster {}", self.link.cluster().context),
        };
        let written = |error: serde_json::Error| Trouble::internal(error.to_string());
        let debt = serde_json::to_string(&debt).map_err(written)?;
        let notice = serde_json::to_string(&notice).map_err(written)?;
        // Announced first: a debt that is not on the Lease is not owed, and the run ends here.
        let key = lease::fault_key(run, undo);
        annotate(&self.link, &client, object, &key, Some(notice)).await?;
        let owing = lease::annotated(&lease::debt_key(undo), Some(debt));
        let owed = match patch_lease(&self.link, &client, object, &owing).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => Err(Trouble::unable(format!("the Lease of this run on {object} is gone"))
                .with_help("somebody deleted it, or another pod has taken the pod's place; plan again")),
            Err(error) => Err(error),
        };
        // What was announced will not be; a right that is missing here was missing a moment ago, too.
        let _ = annotate(&self.link, &client, object, &key, None).await;
        owed
    }

    /// Takes off what was written down of a debt that is paid, without making the run wait.
    pub(crate) fn paid(&self, undo: &Undo) {
        let (link, run, undo) = (Arc::clone(&self.link), self.header.run.clone(), undo.clone());
        let mut tidying = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        tidying.spawn(async move { settle(&link, &run, &undo).await.map(drop) });
    }

    /// Ends the claim: Leases on which nothing is owed go, the others stay for whoever restores.
    ///
    /// # Errors
    /// Something of the run's bookkeeping stays on pods or Leases; `chaos restore --cluster` takes it away.
    pub async fn leave(&self) -> Result<(), Trouble> {
        for task in &self.keeping {
            task.abort();
        }
        let mut tidying = std::mem::take(&mut *self.tidying.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = Ok(());
        while let Some(tidied) = tidying.join_next().await {
            left = left.and(tidied.unwrap_or_else(|error| Err(Trouble::internal(error.to_string()))));
        }
        let client = self.link.client().await?;
        let by = &client;
        let asked = stream::iter(self.targets.clone()).map(|object| async move {
            match read(&self.link, by, &object).await? {
                Some(lease) if lease::run_of(&lease) == self.run() && !lease::owes(&lease) => {
                    remove(&self.link, by, &lease).await
                }
                _ => Ok(()),
            }
        });
        left.and(asked.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for task in &self.keeping {
            task.abort();
        }
    }
}

/// Takes a paid debt of a run off the pod and its Lease, and returns the Lease as it is then.
///
/// # Errors
/// The API server refuses, or gives no answer; a pod or a Lease that is gone is none.
pub(crate) async fn settle(link: &Arc<Link>, run: &str, undo: &Undo) -> Result<Option<Lease>, Trouble> {
    let client = link.client().await?;
    let object = &undo.offer.ask.object;
    annotate(link, &client, object, &lease::fault_key(run, undo), None).await?;
    match read(link, &client, object).await? {
        Some(lease) if lease::run_of(&lease) == run => {
            patch_lease(link, &client, object, &lease::annotated(&lease::debt_key(undo), None)).await
        }
        _ => Ok(None),
    }
}

/// Removes a Lease, unless it has changed since it was read.
pub(crate) async fn remove(link: &Link, client: &Client, lease: &Lease) -> Result<(), Trouble> {
    let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let unchanged = Preconditions {
        resource_version: lease.metadata.resource_version.clone(),
        uid: lease.metadata.uid.clone(),
    };
    let parameters = DeleteParams { preconditions: Some(unchanged), ..DeleteParams::default() };
    let removed = link.ask(&format!("delete the Lease `{name}`"), leases.delete(name, &parameters)).await;
    match removed {
        Ok(_) => Ok(()),
        Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

/// Waits whether a Lease is renewed: whether its run is alive. Returns it as it is then; none where it is gone.
///
/// Clocks of two machines may differ, so what it says of the time is not believed.
pub(crate) async fn watched(
    link: &Link,
    client: &Client,
    lease: Lease,
) -> Result<Option<(Lease, bool)>, Trouble> {
    let namespace = lease.metadata.namespace.clone().unwrap_or_default();
    let name = lease.metadata.name.clone().unwrap_or_default();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let renewal = |lease: &Lease| {
        let spec = lease.spec.as_ref();
        spec.map(|spec| (spec.holder_identity.clone(), spec.renew_time.clone()))
    };
    let (first, started) = (renewal(&lease), Instant::now());
    let mut last = lease;
    while started.elapsed() < DURATION {
        sleep(RENEWAL / 3).await;
        let read = link.ask(&format!("read the Lease `{name}`"), leases.get_opt(&name)).await?;
        let Some(lease) = read else { return Ok(None) };
        last = lease;
        if renewal(&last) != first {
            return Ok(Some((last, true)));
        }
    }
    Ok(Some((last, false)))
}

async fn refuse_blocked(link: &Link, client: &Client) -> Result<(), Trouble> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = link.ask("read the namespace `kube-system`", namespaces.get("kube-system")).await?;
    let Some(request) = system.metadata.annotations.iter().flatten().find(|(key, _)| *key == lease::BLOCKED)
    else {
        return Ok(());
    };
    let context = &link.cluster().context;
    let by = serde_json::from_str::<Request>(request.1)
        .map_or_else(|_| "somebody".to_owned(), |request| format!("{} at {:.0}", request.by, request.at));
    Err(Trouble::unable(format!(
        "all runs in the cluster `{context}` were stopped by {by}, and new ones are blocked until that is released"
    ))
    .with_help(format!("release it with `chaos stop --release --cluster {context}`")))
}

/// Makes the Lease on one object; a run that is gone and owes nothing gives way.
async fn claim(
    link: &Arc<Link>,
    client: &Client,
    injectors: &[Arc<dyn Injector>],
    header: &Header,
    object: &ObjectId,
) -> Result<Lease, Trouble> {
    let owner = owner(link, client, object).await?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), object::home(object));
    let parameters = PostParams::default();
    // Once more where the one that was in the way has gone meanwhile.
    for _ in 0..3 {
        let new = lease::new(header, object, owner.clone(), Timestamp::now())?;
        match tokio::time::timeout(DURATION, leases.create(&parameters, &new)).await {
            Ok(Ok(made)) => return Ok(made),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => return Err(link.refused(&format!("claim {object}"), &error)),
            Err(_) => return Err(Trouble::unable(format!("cannot claim {object}: no answer in time"))),
        }
        let Some(there) = read(link, client, object).await? else { continue };
        let Some((there, alive)) = watched(link, client, there).await? else { continue };
        if alive {
            return Err(in_the_way(link, object, &there, alive));
        }
        match absent(injectors, link.cluster(), &there).await {
            Some(debts) => give_way(link, client, there, &debts).await?,
            None => return Err(in_the_way(link, object, &there, alive)),
        }
    }
    Err(Trouble::unable(format!("cannot claim {object}: others claim it again and again")))
}

/// Returns the object as the owner of its Lease, which then goes with it.
async fn owner(link: &Link, client: &Client, object: &ObjectId) -> Result<OwnerReference, Trouble> {
    let now = object::there(link, client, object).await?;
    let said = |name: &str| now[name].as_str().unwrap_or_default().to_owned();
    Ok(OwnerReference {
        api_version: said("apiVersion"),
        kind: said("kind"),
        name: object.name.clone(),
        uid: object.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    })
}

/// Says why what a Lease says is owed to an object is not believed: whoever may write Leases may write it, but only who may change the
/// object itself can have announced it there.
///
/// # Errors
/// The object cannot be read.
pub(crate) async fn doubted(
    link: &Link,
    client: &Client,
    run: &str,
    undo: &Undo,
) -> Result<Option<String>, Trouble> {
    let Some(seal) = record::seal(undo)? else { return Ok(None) };
    let (object, changes) = (&undo.offer.ask.object, record::object_state(undo)?.changes);
    let Some(now) = object::same(link, client, object).await? else {
        // It would have taken its Lease along.
        let why = format!("{object} is not there, though a Lease says what is owed to it");
        return Ok((!changes.is_empty()).then_some(why));
    };
    // What would write nothing needs no belief.
    if !changes.iter().any(|change| change.stands(&now) && !change.is_back(&now)) {
        return Ok(None);
    }
    let announced = now["metadata"]["annotations"][lease::fault_key(run, undo)].as_str();
    let announced = announced.and_then(|notice| serde_json::from_str::<Value>(notice).ok());
    let same = announced.is_some_and(|notice| notice["seal"] == *seal);
    Ok((!same).then(|| {
        format!(
            "what the Lease of {object} says of its fields is not what the run announced on {object} itself"
        )
    }))
}

/// Looks at what a dead run owes; returns that where nothing of it stands any more, and is known not to.
async fn absent(injectors: &[Arc<dyn Injector>], cluster: &Cluster, lease: &Lease) -> Option<Vec<Debt>> {
    let debts = lease::debts(lease, cluster).ok()?;
    for debt in &debts {
        let injector = injectors.iter().find(|injector| injector.name() == debt.undo.injector)?;
        if !injector.standing(&debt.undo).await.ok()?.is_empty() {
            return None;
        }
    }
    Some(debts)
}

/// Takes a dead run's bookkeeping away, of which nothing else is left.
async fn give_way(link: &Arc<Link>, client: &Client, lease: Lease, debts: &[Debt]) -> Result<(), Trouble> {
    let mut last = Some(lease);
    for debt in debts {
        let run = last.as_ref().map(|lease| lease::run_of(lease).to_owned()).unwrap_or_default();
        last = settle(link, &run, &debt.undo).await?;
    }
    match last {
        Some(lease) => remove(link, client, &lease).await,
        None => Ok(()),
    }
}

fn in_the_way(link: &Link, object: &ObjectId, lease: &Lease, alive: bool) -> Trouble {
    let (run, context) = (lease::run_of(lease), &link.cluster().context);
    let owner = lease::header(lease).and_then(|header| header.owner);
    let owner = owner.map(|owner| format!(" of {owner}")).unwrap_or_default();
    if alive {
        return Trouble::unable(format!("run `{run}`{owner} is already on {object}"))
            .with_help(format!("wait for it, or end it with `chaos stop {run} --cluster {context}`"));
    }
    Trouble::unable(format!("run `{run}`{owner}, which is no longer alive, has not put {object} back"))
        .with_help(format!("put it back with `chaos restore {run} --cluster {context}`"))
}

async fn read(link: &Link, client: &Client, object: &ObjectId) -> Result<Option<Lease>, Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), object::home(object));
    let name = lease::name(object)?;
    link.ask(&format!("read the Lease on {object}"), leases.get_opt(&name)).await
}

/// Changes the Lease on an object; returns it as it is then, none where it is gone.
async fn patch_lease(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    patch: &Value,
) -> Result<Option<Lease>, Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), object::home(object));
    let (name, patch) = (lease::name(object)?, Patch::Merge(patch));
    let parameters =
        PatchParams { field_manager: Some(object::MANAGER.to_owned()), ..PatchParams::default() };
    let patched = leases.patch(&name, &parameters, &patch);
    present(link.ask(&format!("write on the Lease on {object}"), patched).await)
}

/// Sets or removes an annotation of an object; one that is gone, or another of its name, is left alone.
async fn annotate(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    key: &str,
    value: Option<String>,
) -> Result<(), Trouble> {
    let Some(now) = object::same(link, client, object).await? else { return Ok(()) };
    let is_set = now["metadata"]["annotations"][key].is_string();
    if value.is_none() && !is_set {
        return Ok(());
    }
    let objects = object::api(client, object)?;
    let taken = value.is_none();
    let patch = Patch::Merge(lease::annotated(key, value));
    let parameters =
        PatchParams { field_manager: Some(object::MANAGER.to_owned()), ..PatchParams::default() };
    let patched = objects.patch(&object.name, &parameters, &patch);
    present(link.ask(&format!("annotate {object}"), patched).await).map(drop)?;
    if taken && object.kind.as_str() == "deployment" {
        return take_copies(link, client, object, key).await;
    }
    Ok(())
}

/// Takes an annotation of a Deployment off its ReplicaSets: its controller copies all of them there, and never takes one away.
async fn take_copies(link: &Link, client: &Client, object: &ObjectId, key: &str) -> Result<(), Trouble> {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let all =
        link.ask(&format!("list replicasets of `{namespace}`"), sets.list(&ListParams::default())).await?;
    for set in all {
        let mut owners = set.metadata.owner_references.iter().flatten();
        let owned = owners.any(|owner| Some(&owner.uid) == object.uid.as_ref());
        let copied = set.metadata.annotations.iter().flatten().any(|(name, _)| name == key);
        let Some(name) = set.metadata.name.filter(|_| owned && copied) else { continue };
        let (patch, parameters) = (Patch::Merge(lease::annotated(key, None)), PatchParams::default());
        let patched = sets.patch(&name, &parameters, &patch);
        present(link.ask(&format!("write on the replicaset `{name}`"), patched).await)?;
    }
    Ok(())
}

fn present<T>(answer: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn namespaces(targets: &[ObjectId]) -> Vec<String> {
    let mut all: Vec<String> = targets.iter().map(|object| object::home(object).to_owned()).collect();
    all.sort();
    all.dedup();
    all
}

/// Renews all Leases of a run, until it is dropped.
async fn renew(link: Arc<Link>, client: Client, targets: Vec<ObjectId>) {
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let patch = lease::renewed(Timestamp::now());
        let (link, client, patch) = (&link, &client, &patch);
        let asked = stream::iter(targets.clone())
            .map(|object| async move { patch_lease(link, client, &object, patch).await });
        // What cannot be renewed now is renewed later, or is somebody's whom nobody hears of any more.
        asked.buffer_unordered(AT_ONCE).for_each(|_| std::future::ready(())).await;
    }
}

/// Listens for requests to stop, until it is dropped.
async fn hear(leases: Api<Lease>, run: String, control: Control) {
    let own = watcher::Config::default().labels(&format!("{}={run}", lease::RUN));
    let mut changes = watcher(leases, own).default_backoff().applied_objects().boxed();
    while let Some(change) = changes.next().await {
        let Ok(lease) = change else { continue };
        if let Some(request) = lease::stop(&lease) {
            tracing::info!(by = request.by, "asked to stop by the cluster");
            control.stop_at_least(request.times);
        }
    }
}
