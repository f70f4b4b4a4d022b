//! The usual world of an experiment.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chaos_agent::AgentInjector;
use chaos_core::{
    environment::Environment,
    injector::Injector,
    inventory::Inventory,
    journal::FileJournal,
    model::{Experiment, Outside, Scope},
    place::{Kind, ObjectId, Place},
    plan::{self, Origin, Plan, PlanError},
    probe::Probers,
    remark::Remark,
    run::{Control, Finished, Restoration, Runner, RunnerBuilder, new_id},
    trouble::Trouble,
};

use crate::{machine, roles};

/// Everything that one experiment needs of the world: where objects are found, what surrounds the run, what injects, what
/// measures.
///
/// Dropping it ends the agent, which takes back whatever is still in place; [`World::close`] also says whether it could.
pub struct World {
    inventory: Arc<dyn Inventory>,
    environment: Arc<dyn Environment>,
    network: Arc<AgentInjector>,
    #[cfg(feature = "kube")]
    pods: Option<Arc<chaos_kube::PodInjector>>,
    injectors: Vec<Arc<dyn Injector>>,
    probers: Arc<dyn Probers>,
    exec: bool,
    journals: PathBuf,
}

impl World {
    /// Wires the usual world: the experiment's lab, or this machine; network faults; the standard probes. Touches nothing.
    ///
    /// Where `main` calls [`play`](crate::play), this executable also is the agent and holds the lab. Elsewhere, as in a
    /// `#[test]`, faults are held by a thread, which offers only those that the kernel ends with the process.
    ///
    /// # Errors
    /// The lab cannot be laid out, or takes an executable or a feature that is not there.
    pub fn of(experiment: &Experiment) -> Result<World, Trouble> {
        WorldBuilder::new().build(experiment)
    }

    /// Begins a world that differs from the usual one.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::new()
    }

    /// Says what exactly a run would touch, with what, and how it is undone; touches nothing that lasts.
    ///
    /// # Errors
    /// The experiment cannot be carried out here; the error says why, and what would help.
    pub async fn plan(&self, experiment: &Experiment, seed: u64) -> Result<Plan, PlanError> {
        for probe in &experiment.probes {
            if let Some(Trouble { message, help, .. }) = self.probers.refuses(probe) {
                let remark = Remark::error(probe.span, message);
                return Err(PlanError::unsound(match help {
                    Some(help) => remark.with_help(help),
                    None => remark,
                }));
            }
        }
        if !self.exec
            && let Some(program) = Outside::of(experiment).programs.first()
        {
            return Err(PlanError::unsound(program.refusal()));
        }
        let mut plan = plan::plan(experiment, &*self.inventory, &self.injectors, seed).await?;
        let warnings = self.strangers(&plan).await?;
        plan.warnings.extend(warnings);
        Ok(plan)
    }

    /// Warns of probes whose server has no address now, as their place knows names; refuses those that can never have one.
    async fn strangers(&self, plan: &Plan) -> Result<Vec<Remark>, PlanError> {
        let mut warnings = Vec::new();
        for (probe, planned) in plan.experiment.probes.iter().zip(&plan.probes) {
            for place in self.places(&planned.from, &plan.experiment.scope).await {
                let where_from = |why: String| format!("from {}, {why}", place.object);
                match self.probers.find(probe, &place).await {
                    Ok(None) => {}
                    Ok(Some(why)) => warnings.push(Remark::warning(probe.span, where_from(why)).with_help(
                        "a probe that cannot find its server fails; correct the name, or what the place knows of names",
                    )),
                    Err(Trouble { message, help, .. }) => {
                        let remark = Remark::error(probe.span, where_from(message));
                        return Err(PlanError::unsound(match help {
                            Some(help) => remark.with_help(help),
                            None => remark,
                        }));
                    }
                }
            }
        }
        Ok(warnings)
    }

    /// Returns the places of a probe that are there before the run: those of a lab are not.
    async fn places(&self, from: &Origin, scope: &Scope) -> Vec<Place> {
        match (from, scope) {
            (Origin::Runner, _) => vec![Place::runner()],
            (Origin::Places(_), Scope::Lab(_)) => Vec::new(),
            (Origin::Places(objects), Scope::Machine | Scope::Cluster(_)) => {
                let mut places = Vec::new();
                for object in objects {
                    // What is not there is the run's to say.
                    places.extend(self.environment.place(object).await);
                }
                places
            }
        }
    }

    /// Runs a plan to its end and puts everything back, whatever happens on the way.
    ///
    /// The journal is a file of its own in the folder for journals; it is removed once everything is put back, and stays, named
    /// in the record, where something is left. For events, stop requests, a registration or a journal elsewhere, use
    /// [`World::runner`].
    ///
    /// # Errors
    /// The journal cannot be made; nothing was touched.
    pub async fn run(&self, plan: &Plan) -> Result<Finished, Trouble> {
        let id = new_id();
        let path = self.journals.join(format!("chaos-{id}.jsonl"));
        let journal = FileJournal::create(&path)?;
        let runner = self
            .runner()
            .id(id)
            .journal(Arc::new(journal))
            .restore_command(format!("chaos restore {}", path.display()))
            .build()
            .map_err(|missing| Trouble::unable(missing.to_string()))?;
        let finished = runner.run(plan, Control::new()).await;
        if finished.record.restoration == Restoration::Restored {
            // What it kept is in the record; one that stays is only untidy.
            let _ = std::fs::remove_file(&path);
        }
        Ok(finished)
    }

    /// Returns a runner to finish: environment, injectors and probers are set, a journal is still needed.
    pub fn runner(&self) -> RunnerBuilder {
        Runner::builder()
            .inventory(self.inventory.clone())
            .environment(self.environment.clone())
            .injectors(self.injectors.iter().cloned())
            .probers(self.probers.clone())
    }

    /// Returns the kernel's cookies of the network namespaces that objects are in; none for those of a lab, which has namespaces
    /// of its own, and where it cannot be found out. For a [`RunEntry`](chaos_core::journal::RunEntry).
    pub async fn namespaces(&self, objects: &[ObjectId]) -> Vec<Option<u64>> {
        let mut cookies = Vec::new();
        for object in objects {
            cookies.push(match self.environment.place(object).await {
                Ok(place) if object.kind != Kind::HOST => chaos_faults::namespace_cookie(&place.site),
                _ => None,
            });
        }
        cookies
    }

    /// Returns everything that can change this world.
    pub fn injectors(&self) -> &[Arc<dyn Injector>] {
        &self.injectors
    }

    /// Takes back whatever is still in place, and ends the agent.
    ///
    /// # Errors
    /// Something could not be reverted.
    pub async fn close(&self) -> Result<(), Trouble> {
        let closed = self.network.close().await;
        #[cfg(feature = "kube")]
        let closed = match &self.pods {
            Some(pods) => closed.and(pods.close().await),
            None => closed,
        };
        closed
    }
}

/// Collects how a [`World`] differs from the usual one.
#[must_use]
pub struct WorldBuilder {
    executable: Option<PathBuf>,
    network: Option<Arc<AgentInjector>>,
    backends: Vec<String>,
    agent_image: String,
    inventory: Option<Arc<dyn Inventory>>,
    environment: Option<Arc<dyn Environment>>,
    injectors: Vec<Arc<dyn Injector>>,
    probers: Option<Arc<dyn Probers>>,
    exec: bool,
    ssh: bool,
    journals: PathBuf,
    #[cfg(feature = "probes")]
    standard: chaos_probes::StandardProbers,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        WorldBuilder::new()
    }
}

impl WorldBuilder {
    /// Begins with the usual world.
    pub fn new() -> Self {
        WorldBuilder {
            executable: roles::own_executable(),
            network: None,
            backends: Vec::new(),
            agent_image: machine::AGENT_IMAGE.to_owned(),
            inventory: None,
            environment: None,
            injectors: Vec::new(),
            probers: None,
            exec: false,
            ssh: false,
            journals: std::env::temp_dir(),
            #[cfg(feature = "probes")]
            standard: chaos_probes::StandardProbers::new(),
        }
    }

    /// Sets the executable that is the agent and holds the lab: the `chaos` command, or any whose `main` calls
    /// [`play`](crate::play).
    pub fn executable(mut self, executable: impl Into<PathBuf>) -> Self {
        self.executable = Some(executable.into());
        self
    }

    /// Uses the agents of another world, with their mechanisms, instead of starting some: what planning many experiments mostly
    /// takes is the time that agents need to find out what is possible here. Closing either world ends them for both.
    pub fn agents_of(mut self, world: &World) -> Self {
        self.network = Some(world.network.clone());
        self
    }

    /// Offers no other mechanisms than these, by the names that plans show.
    pub fn backends<S: Into<String>>(mut self, backends: impl IntoIterator<Item = S>) -> Self {
        self.backends.extend(backends.into_iter().map(Into::into));
        self
    }

    /// Sets the image that agents in pods are started from; its entry point is the agent. Without it, that of this version in the
    /// nodes' own stores, `localhost/chaos-agent:VERSION`.
    pub fn agent_image(mut self, image: impl Into<String>) -> Self {
        self.agent_image = image.into();
        self
    }

    /// Replaces where objects are found.
    pub fn inventory(mut self, inventory: Arc<dyn Inventory>) -> Self {
        self.inventory = Some(inventory);
        self
    }

    /// Replaces what surrounds the run.
    pub fn environment(mut self, environment: Arc<dyn Environment>) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Adds an injector; an experiment reaches it by what it handles. Hand it to restoring, too.
    pub fn injector(mut self, injector: Arc<dyn Injector>) -> Self {
        self.injectors.push(injector);
        self
    }

    /// Replaces all that measures.
    pub fn probers(mut self, probers: Arc<dyn Probers>) -> Self {
        self.probers = Some(probers);
        self
    }

    /// Adds what opens the custom probes of this name, beside the standard probes.
    #[cfg(feature = "probes")]
    pub fn prober(mut self, name: impl Into<String>, probers: Arc<dyn Probers>) -> Self {
        self.standard = self.standard.with(name, probers);
        self
    }

    /// Sets where the values of secrets come from; without it there are none.
    #[cfg(feature = "probes")]
    pub fn secrets(mut self, find: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.standard = self.standard.secrets(find);
        self
    }

    /// Allows the programs that the experiment names: those of its lab's hosts, and the commands of probes, which run with the
    /// rights of this process.
    pub fn allow_exec(mut self) -> Self {
        self.exec = true;
        #[cfg(feature = "probes")]
        {
            self.standard = self.standard.allow_exec();
        }
        self
    }

    /// Allows faults on this machine that would be on its established ssh sessions, and so may cut off who watches the run.
    pub fn allow_ssh(mut self) -> Self {
        self.ssh = true;
        self
    }

    /// Sets the folder for the journals of [`World::run`]; without it that for temporary files.
    pub fn journals(mut self, folder: impl Into<PathBuf>) -> Self {
        self.journals = folder.into();
        self
    }

    /// Wires the world of an experiment; touches nothing.
    ///
    /// # Errors
    /// As [`World::of`].
    pub fn build(self, experiment: &Experiment) -> Result<World, Trouble> {
        let executable = self.executable.as_deref();
        let network = match self.network {
            Some(network) => network,
            None => machine::network(executable, &self.backends, self.ssh)?,
        };
        let surroundings = match (self.inventory, self.environment) {
            (Some(inventory), Some(environment)) => Surroundings::stated(inventory, environment),
            (inventory, environment) => {
                let usual = Surroundings::of(experiment, executable, &self.agent_image, &self.backends)?;
                Surroundings {
                    inventory: inventory.unwrap_or(usual.inventory),
                    environment: environment.unwrap_or(usual.environment),
                    ..usual
                }
            }
        };
        let probers: Arc<dyn Probers> = match self.probers {
            Some(probers) => probers,
            #[cfg(feature = "probes")]
            None => Arc::new(self.standard),
            #[cfg(not(feature = "probes"))]
            None => {
                return Err(Trouble::absent("this build has no probes of its own")
                    .with_help("hand in probers, or build `chaos` with its feature `probes`"));
            }
        };
        #[cfg(feature = "kube")]
        let (probers, mut injectors) = match &surroundings.cluster {
            // The agent of the runner's machine reaches no pod.
            Some((link, pods)) => {
                let placed = chaos_kube::PlacedProbers::new(probers, pods.probers(link));
                (Arc::new(placed) as Arc<dyn Probers>, vec![Arc::clone(pods) as Arc<dyn Injector>])
            }
            None => (probers, machine::all(network.clone(), surroundings.programs)),
        };
        #[cfg(not(feature = "kube"))]
        let mut injectors = machine::all(network.clone(), surroundings.programs);
        injectors.extend(self.injectors);
        Ok(World {
            inventory: surroundings.inventory,
            environment: surroundings.environment,
            network,
            #[cfg(feature = "kube")]
            pods: surroundings.cluster.map(|(_, pods)| pods),
            injectors,
            probers,
            exec: self.exec,
            journals: self.journals,
        })
    }
}

/// What a run takes place in, with what injects there because only it can.
struct Surroundings {
    inventory: Arc<dyn Inventory>,
    environment: Arc<dyn Environment>,
    programs: Option<Arc<dyn Injector>>,
    #[cfg(feature = "kube")]
    cluster: Option<(Arc<chaos_kube::Link>, Arc<chaos_kube::PodInjector>)>,
}

impl Surroundings {
    /// Those of a harness.
    fn stated(inventory: Arc<dyn Inventory>, environment: Arc<dyn Environment>) -> Self {
        Surroundings {
            inventory,
            environment,
            programs: None,
            #[cfg(feature = "kube")]
            cluster: None,
        }
    }

    /// The experiment's lab or cluster, or this machine where it has none.
    fn of(
        experiment: &Experiment,
        executable: Option<&Path>,
        image: &str,
        backends: &[String],
    ) -> Result<Surroundings, Trouble> {
        match &experiment.scope {
            Scope::Lab(lab) => Surroundings::in_lab(lab, executable),
            Scope::Machine => Ok(Surroundings::stated(
                Arc::new(chaos_faults::MachineInventory),
                Arc::new(chaos_faults::MachineEnvironment),
            )),
            Scope::Cluster(cluster) => Surroundings::in_cluster(cluster, image, backends),
        }
    }

    #[cfg(feature = "kube")]
    fn in_cluster(
        cluster: &chaos_core::model::Cluster,
        image: &str,
        backends: &[String],
    ) -> Result<Surroundings, Trouble> {
        let link = chaos_kube::Link::to(cluster);
        let pods = Arc::new(machine::pods(image, backends)?);
        pods.reach(&link);
        Ok(Surroundings {
            cluster: Some((Arc::clone(&link), pods)),
            ..Surroundings::stated(
                Arc::new(chaos_kube::ClusterInventory::new(Arc::clone(&link))),
                Arc::new(chaos_kube::ClusterEnvironment::new(link)),
            )
        })
    }

    #[cfg(not(feature = "kube"))]
    fn in_cluster(
        cluster: &chaos_core::model::Cluster,
        _: &str,
        _: &[String],
    ) -> Result<Surroundings, Trouble> {
        Err(Trouble::absent(format!(
            "the cluster `{}` cannot be reached: this build has no Kubernetes",
            cluster.context
        ))
        .with_help("run it with a `chaos` that was built with its feature `kube`"))
    }

    #[cfg(feature = "lab")]
    fn in_lab(lab: &chaos_core::model::Lab, executable: Option<&Path>) -> Result<Surroundings, Trouble> {
        let executable = executable.ok_or_else(|| {
            Trouble::absent("a lab is held by a process, and there is no executable to start for it")
                .with_help("call `chaos::play()` first in `main`, or name an executable such as `chaos`")
        })?;
        let inventory =
            chaos_lab::LabInventory::new(lab).map_err(|error| Trouble::unable(error.to_string()))?;
        let programs = chaos_lab::Programs::of(executable);
        let environment = Arc::new(chaos_lab::LabEnvironment::new(lab.clone(), programs));
        Ok(Surroundings {
            inventory: Arc::new(inventory),
            programs: Some(Arc::new(chaos_lab::LabPrograms::new(environment.clone()))),
            environment,
            #[cfg(feature = "kube")]
            cluster: None,
        })
    }

    #[cfg(not(feature = "lab"))]
    fn in_lab(_: &chaos_core::model::Lab, _: Option<&Path>) -> Result<Surroundings, Trouble> {
        Err(Trouble::absent("this build has no labs").with_help("build `chaos` with its feature `lab`"))
    }
}
