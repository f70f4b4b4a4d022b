//! Wiring the libraries together for one experiment.

use std::{path::PathBuf, sync::Arc};

use chaos_agent::{AgentInjector, Agents, ChildProcess};
use chaos_core::{
    environment::Environment,
    injector::Injector,
    inventory::Inventory,
    model::{Experiment, Probe, ProbeKind},
    plan::{self, Plan, PlanError},
    probe::Probers,
};
use chaos_faults::{MachineEnvironment, MachineInventory, Settings};
use chaos_lab::{LabEnvironment, LabInventory, LabPrograms, Programs};

use crate::args::Planning;

/// Everything that one experiment needs of the world.
pub(crate) struct World {
    inventory: Box<dyn Inventory>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) injector: Arc<AgentInjector>,
    programs: Option<Arc<LabPrograms>>,
    pub(crate) probers: Arc<dyn Probers>,
    allow_exec: bool,
}

impl World {
    /// Wires the usual set; touches nothing.
    pub(crate) fn of(experiment: &Experiment, planning: &Planning) -> Result<World, String> {
        let exe = executable()?;
        let mut programs = None;
        let (inventory, environment): (Box<dyn Inventory>, Arc<dyn Environment>) = match experiment.lab() {
            Some(lab) => {
                let environment = Arc::new(LabEnvironment::new(lab.clone(), Programs::of(&exe)));
                programs = Some(Arc::new(LabPrograms::new(environment.clone())));
                (Box::new(LabInventory::new(lab).map_err(|e| e.to_string())?), environment)
            }
            None => (Box::new(MachineInventory), Arc::new(MachineEnvironment)),
        };
        let mut probers = chaos_probes::StandardProbers::new().secrets(|name| std::env::var(name).ok());
        if planning.allow_exec {
            probers = probers.allow_exec();
        }
        let (injector, probers) = (injector(&planning.backend)?, Arc::new(probers));
        Ok(World { inventory, environment, injector, programs, probers, allow_exec: planning.allow_exec })
    }

    /// Returns everything that can change this world.
    pub(crate) fn injectors(&self) -> Vec<Arc<dyn Injector>> {
        let mut injectors: Vec<Arc<dyn Injector>> = vec![self.injector.clone()];
        injectors.extend(self.programs.iter().map(|programs| programs.clone() as Arc<dyn Injector>));
        injectors
    }

    /// Plans the experiment.
    pub(crate) async fn plan(&self, experiment: &Experiment, seed: u64) -> Result<Plan, PlanError> {
        let exec = |probe: &&Probe| matches!(probe.kind, ProbeKind::Exec { .. });
        if let Some(probe) = experiment.probes.iter().find(exec).filter(|_| !self.allow_exec) {
            return Err(PlanError::Unsound {
                message: format!("the probe `{}` runs a command, which needs your permission", probe.name),
                help: Some("read the command, then allow it with `--allow-exec`".into()),
                span: probe.span,
            });
        }
        plan::plan(experiment, &*self.inventory, &self.injectors(), seed).await
    }
}

/// Makes the injector whose agent is this executable.
pub(crate) fn injector(backends: &[String]) -> Result<Arc<AgentInjector>, String> {
    let agents = Agents::new(ChildProcess::new(executable()?, ["agent"]));
    if !backends.is_empty() {
        agents.set(chaos_faults::NAME, &Settings::only(backends)).map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(agents.injector(chaos_faults::NAME, chaos_faults::does)))
}

/// Returns this executable's path, which still opens it after it was replaced or its folder went away.
fn executable() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("cannot find this executable: {e}"))
}

/// Draws a seed where none was given.
pub(crate) fn seed(given: Option<u64>) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library keys each of its hashers from the operating system's random numbers.
    given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish() >> 16)
}
