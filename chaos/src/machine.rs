//! Who injects, from which executable: one list for running and for restoring.

use std::{path::Path, sync::Arc};

use chaos_agent::{AgentInjector, Agents, ChildProcess, Host, OwnThread};
use chaos_core::{injector::Injector, non_empty::NonEmpty, trouble::Trouble};
use chaos_faults::{NetworkInjector, ProcessInjector, Settings, backend::Holding, processes};

use crate::roles::{AGENT, with_names};

/// What injects on the runner's machine, and in its namespaces: one agent hosts all of it.
#[derive(Clone)]
pub(crate) struct OnMachine {
    network: Arc<AgentInjector>,
    processes: Arc<AgentInjector>,
}

impl OnMachine {
    /// Ends the agent.
    pub(crate) async fn close(&self) -> Result<(), Trouble> {
        self.network.close().await
    }
}

/// Makes what injects faults on packets and processes: an agent of `executable`, or, without one, a thread of this process, which
/// offers only faults that the kernel ends with the process.
///
/// They are to use only `backends`, where some are named, and may be on ssh sessions of this machine where `ssh` says so.
pub(crate) fn on_machine(
    executable: Option<&Path>,
    backends: &[String],
    ssh: bool,
) -> Result<OnMachine, Trouble> {
    let agents = match executable {
        Some(executable) => Agents::new(ChildProcess::new(executable, [AGENT])),
        None => Agents::new(OwnThread::new(|settings| {
            let network = NetworkInjector::of(settings, Holding::KernelOnly)?;
            Ok(Host::new().injector(with_names(network)).injector(ProcessInjector::new(Holding::KernelOnly)))
        })),
    };
    // None named at all leaves the choice to the injector.
    let only = NonEmpty::try_from(backends.to_vec()).map_or(Settings::default(), Settings::only);
    agents
        .set(chaos_faults::NAME, &Settings { ssh, ..only })
        .map_err(|error| Trouble::internal(error.to_string()))?;
    Ok(OnMachine {
        network: Arc::new(agents.injector(chaos_faults::NAME, chaos_faults::handles)),
        processes: Arc::new(agents.injector(processes::NAME, processes::handles)),
    })
}

/// Every injector that a run of this library may have used, to revert what a killed run left behind with
/// [`chaos_core::restore`].
pub struct Restorers {
    machine: OnMachine,
    #[cfg(feature = "kube")]
    pods: Arc<chaos_kube::PodInjector>,
    injectors: Vec<Arc<dyn Injector>>,
}

impl Restorers {
    /// Wires them; `executable` plays the agent, as in [`WorldBuilder::executable`](crate::WorldBuilder::executable). Touches
    /// nothing.
    ///
    /// # Errors
    /// The settings of an injector cannot be written.
    pub fn of(executable: &Path) -> Result<Restorers, Trouble> {
        Restorers::with_agents_from(AGENT_IMAGE, executable)
    }

    /// Wires them with the image that agents in pods are started from where a record does not name one that is to be believed.
    ///
    /// # Errors
    /// As of [`Restorers::of`].
    #[cfg_attr(
        not(feature = "kube"),
        expect(unused_variables, reason = "only a build with Kubernetes has pods")
    )]
    pub fn with_agents_from(image: &str, executable: &Path) -> Result<Restorers, Trouble> {
        let machine = on_machine(Some(executable), &[], false)?;
        #[cfg(feature = "lab")]
        let programs = Some(Arc::new(chaos_lab::LabPrograms::of_dead_runs()) as Arc<dyn Injector>);
        #[cfg(not(feature = "lab"))]
        let programs = None;
        #[cfg_attr(
            not(feature = "kube"),
            expect(unused_mut, reason = "only a build with Kubernetes adds to them")
        )]
        let mut injectors = all(machine.clone(), programs);
        #[cfg(feature = "kube")]
        let pods = {
            // The records of this machine name the image that their agent was started from.
            let pods = Arc::new(pods(image, &[])?);
            injectors.push(pods.clone());
            injectors.push(Arc::new(pods.objects()));
            pods
        };
        Ok(Restorers {
            injectors,
            machine,
            #[cfg(feature = "kube")]
            pods,
        })
    }

    /// Adds an injector that a harness brought to its runs.
    #[must_use]
    pub fn with(mut self, injector: Arc<dyn Injector>) -> Self {
        self.injectors.push(injector);
        self
    }

    /// Returns the injectors.
    pub fn injectors(&self) -> &[Arc<dyn Injector>] {
        &self.injectors
    }

    /// Has records of a cluster lead to it by the context that its runs were found by.
    #[cfg(feature = "kube")]
    pub fn reach(&self, runs: &chaos_kube::Runs) {
        runs.reached_by(&self.pods);
    }

    /// Ends the agent.
    ///
    /// # Errors
    /// Something that it held could not be reverted.
    pub async fn close(&self) -> Result<(), Trouble> {
        let closed = self.machine.close().await;
        #[cfg(feature = "kube")]
        let closed = closed.and(self.pods.close().await);
        closed
    }
}

/// The image of agents in pods where none is named, from the nodes' own stores.
pub const AGENT_IMAGE: &str = concat!("localhost/chaos-agent:", env!("CARGO_PKG_VERSION"));

/// Makes what injects network faults in pods.
#[cfg(feature = "kube")]
pub(crate) fn pods(image: &str, backends: &[String]) -> Result<chaos_kube::PodInjector, Trouble> {
    let network = chaos_kube::Hosted { name: chaos_faults::NAME, handles: chaos_faults::handles };
    let pods = chaos_kube::PodInjector::new(network, image);
    match NonEmpty::try_from(backends.to_vec()) {
        Ok(backends) => {
            let settings = serde_json::to_value(Settings::only(backends));
            Ok(pods.set(settings.map_err(|error| Trouble::internal(error.to_string()))?))
        }
        Err(_) => Ok(pods),
    }
}

/// The one list: whatever a run injects with, restoring knows too.
pub(crate) fn all(machine: OnMachine, programs: Option<Arc<dyn Injector>>) -> Vec<Arc<dyn Injector>> {
    let OnMachine { network, processes } = machine;
    [network as Arc<dyn Injector>, processes].into_iter().chain(programs).collect()
}
