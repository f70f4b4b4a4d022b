//! How a world may differ from the usual one.

use std::{path::PathBuf, sync::Arc};

use chaos_core::{
    environment::Environment, injector::Injector, inventory::Inventory, model::Experiment, probe::Probers,
    trouble::Trouble,
};

use super::{World, surroundings::Surroundings};
use crate::{
    machine::{self, OnMachine},
    roles,
};

/// Collects how a [`World`] differs from the usual one.
#[must_use]
pub struct WorldBuilder {
    executable: Option<PathBuf>,
    machine: Option<OnMachine>,
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
            machine: None,
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
        self.machine = Some(world.machine.clone());
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
        let machine = match self.machine {
            Some(machine) => machine,
            None => machine::on_machine(executable, &self.backends, self.ssh)?,
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
                let placed = chaos_kube::PlacedProbers::new(Arc::clone(link), probers, pods.probers(link));
                let injectors: Vec<Arc<dyn Injector>> = vec![Arc::clone(pods) as _, Arc::new(pods.objects())];
                (Arc::new(placed) as Arc<dyn Probers>, injectors)
            }
            None => (probers, machine::all(machine.clone(), surroundings.programs)),
        };
        #[cfg(not(feature = "kube"))]
        let mut injectors = machine::all(machine.clone(), surroundings.programs);
        injectors.extend(self.injectors);
        Ok(World {
            inventory: surroundings.inventory,
            environment: surroundings.environment,
            machine,
            #[cfg(feature = "kube")]
            cluster: surroundings.cluster,
            injectors,
            probers,
            exec: self.exec,
            journals: self.journals,
        })
    }
}
