//! The runs of a cluster, as anybody who may read its Leases sees them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chaos_core::{
    injector::Injector,
    journal::{Entry, Header, History, Journal},
    model::Cluster,
    restore::{Outcome, RestorePolicy, pay},
    trouble::Trouble,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Namespace},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};

use crate::{
    Link, PodInjector, claim,
    lease::{self, Debt, Request},
};

/// How many Leases are asked for at once.
const AT_ONCE: usize = 16;

/// The runs of a cluster, or of one namespace of it.
pub struct Runs {
    link: Arc<Link>,
    namespace: Option<String>,
}

/// A run that has claimed pods.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// What its Leases say of it; none where that cannot be read.
    pub header: Option<Header>,
    leases: Vec<Lease>,
}

impl Runs {
    /// Takes the cluster that a context of the kubeconfig leads to, whichever it is, and all of its namespaces or one.
    ///
    /// # Errors
    /// There is no such context, nobody answers, or the namespace `kube-system` may not be read.
    pub async fn of(context: &str, namespace: Option<&str>) -> Result<Runs, Trouble> {
        let named = |uid: String| Cluster {
            context: context.into(),
            uid: uid.into(),
            namespace: namespace.unwrap_or_default().into(),
        };
        let link = Link::to(&named(String::new()));
        let namespaces: Api<Namespace> = Api::all(link.connect().await?);
        let system = link.ask("read the namespace `kube-system`", namespaces.get("kube-system")).await?;
        let link = Link::to(&named(system.metadata.uid.unwrap_or_default()));
        Ok(Runs { link, namespace: namespace.map(Into::into) })
    }

    /// Has records of this cluster lead to it by the context that was named here, which may have another name elsewhere.
    pub fn reached_by(&self, pods: &PodInjector) {
        pods.reach(&self.link);
    }

    /// Lists the runs that have claimed pods: those alive, and those that died.
    ///
    /// # Errors
    /// The Leases may not be listed, or nobody answers.
    pub async fn all(&self) -> Result<Vec<Run>, Trouble> {
        let leases = self.api().await?;
        let ours = ListParams::default().labels(lease::OURS);
        let listed = self.link.ask("list Leases", leases.list(&ours)).await?;
        let mut runs = BTreeMap::<String, Vec<Lease>>::new();
        for lease in listed {
            runs.entry(lease::run_of(&lease).to_owned()).or_default().push(lease);
        }
        let run = |(id, leases): (String, Vec<Lease>)| Run {
            id,
            header: leases.first().and_then(lease::header),
            leases,
        };
        Ok(runs.into_iter().map(run).collect())
    }

    /// Asks a run to stop: the first time it reverts and ends, the second time it hurries, the third time it gives up.
    ///
    /// # Errors
    /// There is no such run, or a right is missing.
    pub async fn stop(&self, run: &str, by: &str) -> Result<Run, Trouble> {
        let run = self.find(run).await?;
        self.ask_to_stop(&run, by).await?;
        Ok(run)
    }

    /// Blocks new runs in the cluster until [`release`](Runs::release), and asks all to stop; returns those.
    ///
    /// # Errors
    /// A right is missing; annotating the namespace `kube-system` is the one that few have.
    pub async fn stop_all(&self, by: &str) -> Result<Vec<Run>, Trouble> {
        let request = Request { times: 1, by: by.to_owned(), at: Timestamp::now() };
        let request =
            serde_json::to_string(&request).map_err(|error| Trouble::internal(error.to_string()))?;
        self.block(Some(request)).await?;
        let runs = self.all().await?;
        for run in &runs {
            self.ask_to_stop(run, by).await?;
        }
        Ok(runs)
    }

    /// Lets runs begin again; returns whether they were blocked.
    ///
    /// # Errors
    /// A right is missing.
    pub async fn release(&self) -> Result<bool, Trouble> {
        self.block(None).await
    }

    /// Puts back what runs owe that are no longer alive: one of them, or all; never touches one that is alive.
    ///
    /// It takes up to a quarter of a minute to be sure that nobody renews the claim of a run.
    ///
    /// # Errors
    /// There is no such run, or the Leases cannot be read.
    pub async fn restore(
        &self,
        run: Option<&str>,
        injectors: &[Arc<dyn Injector>],
        policy: &RestorePolicy,
    ) -> Result<Vec<(Run, Outcome)>, Trouble> {
        let runs = match run {
            Some(run) => vec![self.find(run).await?],
            None => self.all().await?,
        };
        let restoring = stream::iter(runs).map(|run| async {
            let outcome = self.restore_one(&run, injectors, policy).await?;
            Ok::<_, Trouble>((run, outcome))
        });
        let mut restored: Vec<(Run, Outcome)> = restoring.buffer_unordered(AT_ONCE).try_collect().await?;
        restored.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        Ok(restored)
    }

    async fn restore_one(
        &self,
        run: &Run,
        injectors: &[Arc<dyn Injector>],
        policy: &RestorePolicy,
    ) -> Result<Outcome, Trouble> {
        let client = self.link.client().await?;
        let watched =
            stream::iter(run.leases.clone()).map(|lease| claim::watched(&self.link, &client, lease));
        let watched: Vec<_> = watched.buffer_unordered(AT_ONCE).try_collect().await?;
        let there: Vec<(Lease, bool)> = watched.into_iter().flatten().collect();
        if there.iter().any(|(lease, alive)| *alive && lease::run_of(lease) == run.id) {
            return Ok(Outcome::StillRunning { run: Some(run.id.clone()), pid: None });
        }
        let leases: Vec<Lease> = there
            .into_iter()
            .map(|(lease, _)| lease)
            .filter(|lease| lease::run_of(lease) == run.id)
            .collect();
        let mut debts: Vec<Debt> = Vec::new();
        for lease in &leases {
            match lease::debts(lease, self.link.cluster()) {
                Ok(more) => debts.extend(more),
                Err(Trouble { message: reason, help, .. }) => {
                    return Ok(Outcome::Unreadable { reason, help });
                }
            }
        }
        let (mut believed, mut doubts) = (Vec::new(), Vec::new());
        for debt in debts {
            match claim::doubted(&self.link, &client, &run.id, &debt.undo).await? {
                Some(reason) => doubts.push(reason),
                None => believed.push(debt),
            }
        }
        let mut debts = believed;
        debts.sort_by_key(|debt| debt.number);
        let prepared = debts.into_iter().map(|debt| Entry::Prepared { undo: Arc::new(debt.undo) });
        let history = History::replay(&prepared.collect::<Vec<_>>())
            .map_err(|error| Trouble::unable(error.to_string()))?;
        let outcome = pay(&history, &OnLeases, injectors, policy).await;
        // What is believed is put back all the same.
        if let (true, Some(reason)) = (outcome.is_clean(), doubts.into_iter().next()) {
            let help = Some("look at the object, and put it back by hand".to_owned());
            return Ok(Outcome::Unreadable { reason, help });
        }
        if outcome.is_clean() {
            // Those on which something was owed went with the last debt.
            for lease in leases.iter().filter(|lease| !lease::owes(lease)) {
                claim::remove(&self.link, &client, lease).await?;
            }
        }
        Ok(outcome)
    }

    async fn find(&self, run: &str) -> Result<Run, Trouble> {
        let runs = self.all().await?;
        let known: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
        runs.into_iter().find(|known| known.id == run).ok_or_else(|| {
            let known = if known.is_empty() {
                "there is none at all".to_owned()
            } else {
                format!("known: {}", known.join(", "))
            };
            let context = &self.link.cluster().context;
            Trouble::absent(format!("no run `{run}` is known in the cluster `{context}`; {known}"))
        })
    }

    async fn ask_to_stop(&self, run: &Run, by: &str) -> Result<(), Trouble> {
        let client = self.link.client().await?;
        for lease in &run.leases {
            let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
            let patch = Patch::Merge(lease::stopped(lease, by, Timestamp::now())?);
            let parameters = PatchParams::default();
            let asked = leases.patch(name, &parameters, &patch);
            match self.link.ask(&format!("write on the Lease `{name}`"), asked).await {
                // It ended meanwhile, as it should.
                Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => {}
                asked => drop(asked?),
            }
        }
        Ok(())
    }

    /// Sets or removes the mark that blocks new runs; returns whether it was there.
    async fn block(&self, request: Option<String>) -> Result<bool, Trouble> {
        let namespaces: Api<Namespace> = Api::all(self.link.client().await?);
        let system = self.link.ask("read the namespace `kube-system`", namespaces.get("kube-system")).await?;
        let was = system.metadata.annotations.is_some_and(|all| all.contains_key(lease::BLOCKED));
        let patch = Patch::Merge(lease::annotated(lease::BLOCKED, request));
        let parameters = PatchParams::default();
        let patched = namespaces.patch("kube-system", &parameters, &patch);
        self.link.ask("annotate the namespace `kube-system`", patched).await?;
        Ok(was)
    }

    async fn api(&self) -> Result<Api<Lease>, Trouble> {
        let client = self.link.client().await?;
        Ok(match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        })
    }
}

/// The journal of a run that is known by its Leases alone: what is owed stands there, and reverting takes it off.
struct OnLeases;

#[async_trait]
impl Journal for OnLeases {
    async fn append(&self, _: &Entry) -> Result<(), Trouble> {
        Ok(())
    }
}
