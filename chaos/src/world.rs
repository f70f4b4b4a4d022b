//! The usual world of an experiment.

mod builder;
mod surroundings;

use std::{path::PathBuf, sync::Arc};

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
    run::{Control, Finished, Restoration, Runner, RunnerBuilder, header, new_id},
    trouble::Trouble,
};

use crate::machine::OnMachine;

pub use builder::WorldBuilder;

/// Everything that one experiment needs of the world: where objects are found, what surrounds the run, what injects, what
/// measures.
///
/// Dropping it ends the agent, which reverts whatever is still in place; [`World::close`] also says whether it could.
pub struct World {
    inventory: Arc<dyn Inventory>,
    environment: Arc<dyn Environment>,
    machine: OnMachine,
    #[cfg(feature = "kube")]
    pub(crate) cluster: Option<(Arc<chaos_kube::Link>, Arc<chaos_kube::PodInjector>)>,
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
        #[cfg(feature = "kube")]
        if let (Some((link, pods)), Scope::Cluster(cluster)) = (&self.cluster, &experiment.scope) {
            let against = chaos_kube::opposition(link, pods.image(), &plan).await?;
            plan.warnings.extend(against);
            // Whoever may only read sees the plan all the same.
            let lacking = chaos_kube::Access::of(experiment).lacking(link).await.ok().flatten();
            plan.warnings.extend(lacking.map(|Trouble { message, help, .. }| {
                let remark = Remark::warning(cluster.context.span, message);
                match help {
                    Some(help) => remark.with_help(help),
                    None => remark,
                }
            }));
        }
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
        let control = Control::new();
        let entered = self.enter(plan, &header(&id, plan, Vec::new()), &control).await;
        let entered = entered.inspect_err(|_| {
            // Nothing was done, so it says nothing.
            let _ = std::fs::remove_file(&path);
        })?;
        let runner = self
            .runner()
            .id(id)
            .journal(Arc::new(journal))
            .restore_command(format!("chaos restore {}", path.display()))
            .build()
            .map_err(|missing| Trouble::unable(missing.to_string()))?;
        let finished = runner.run(plan, control).await;
        // What of the entry stays, other runs and `chaos restore --cluster` still see.
        let _ = entered.leave().await;
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

    /// Reverts whatever is still in place, and ends the agent.
    ///
    /// # Errors
    /// Something could not be reverted.
    pub async fn close(&self) -> Result<(), Trouble> {
        let closed = self.machine.close().await;
        #[cfg(feature = "kube")]
        let closed = match &self.cluster {
            Some((_, pods)) => closed.and(pods.close().await),
            None => closed,
        };
        closed
    }
}
