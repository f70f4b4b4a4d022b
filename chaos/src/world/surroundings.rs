//! What the scope of an experiment surrounds a run with: a lab, this machine, or a cluster.

use std::{path::Path, sync::Arc};

use chaos_core::{
    environment::Environment,
    injector::Injector,
    inventory::Inventory,
    model::{Experiment, Scope},
    trouble::Trouble,
};

#[cfg(feature = "kube")]
use crate::machine;

/// What a run takes place in, with what injects there because only it can.
pub(super) struct Surroundings {
    pub(super) inventory: Arc<dyn Inventory>,
    pub(super) environment: Arc<dyn Environment>,
    pub(super) programs: Option<Arc<dyn Injector>>,
    #[cfg(feature = "kube")]
    pub(super) cluster: Option<(Arc<chaos_kube::Link>, Arc<chaos_kube::PodInjector>)>,
}

impl Surroundings {
    /// Those of a harness.
    pub(super) fn stated(inventory: Arc<dyn Inventory>, environment: Arc<dyn Environment>) -> Self {
        Surroundings {
            inventory,
            environment,
            programs: None,
            #[cfg(feature = "kube")]
            cluster: None,
        }
    }

    /// The experiment's lab or cluster, or this machine where it has none.
    pub(super) fn of(
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
