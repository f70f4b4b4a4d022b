//! Carrying out many runs in their usual worlds.

use std::sync::Arc;

use async_trait::async_trait;
use chaos_core::{
    bundle::Folder,
    journal::FileJournal,
    model::Experiment,
    outcome::NotRun,
    run::{Control, Record},
    series::{Carrier, Order},
    source::SourceFile,
    trouble::Trouble,
};

use crate::World;

/// How a world is wired for an experiment.
type Wire = Box<dyn Fn(&Experiment) -> Result<World, Trouble> + Send + Sync>;

/// Carries every experiment of a series out in a world of its own, and keeps each run in a folder of its own.
///
/// ```no_run
/// use chaos::{Worlds, core::{model::Experiment, series::{matrix, Carrier}}};
///
/// # async fn table(cells: &[Experiment]) {
/// let (table, runs, kept) = matrix(cells, "runs/nightly".as_ref(), 7, None, &Worlds::usual()).await;
/// # }
/// ```
pub struct Worlds {
    wire: Wire,
    sources: Vec<SourceFile>,
}

impl Worlds {
    /// Wires the usual world for each experiment.
    pub fn usual() -> Worlds {
        Worlds::wired(World::of)
    }

    /// Wires a world of the harness's own for each experiment.
    pub fn wired(wire: impl Fn(&Experiment) -> Result<World, Trouble> + Send + Sync + 'static) -> Worlds {
        Worlds { wire: Box::new(wire), sources: Vec::new() }
    }

    /// Sets the files that the experiments come from: they are kept with each run, and reports quote them.
    #[must_use]
    pub fn sources(mut self, sources: impl Into<Vec<SourceFile>>) -> Worlds {
        self.sources = sources.into();
        self
    }

    async fn run(&self, world: &World, order: &Order<'_>) -> Result<Record, NotRun> {
        let experiment = order.experiment;
        let refused = |trouble: Trouble| NotRun::because(experiment, trouble);
        let plan = world.plan(experiment, order.seed).await.map_err(|e| NotRun::unplanned(experiment, &e))?;
        let unusable = |error: std::io::Error| {
            let message = format!("cannot make a folder for the run in `{}`: {error}", order.out.display());
            refused(Trouble::unable(message).of_kind((&error).into()))
        };
        let folder = Folder::create(order.out, order.run, &self.sources, &plan).map_err(unusable)?;
        let events = folder.events().map_err(unusable)?;
        let journal = FileJournal::create(folder.journal()).map_err(refused)?;
        let runner = world
            .runner()
            .id(order.run)
            .journal(Arc::new(journal))
            .restore_command(format!("chaos restore {}", folder.journal().display()))
            .on_event(events)
            .build()
            .map_err(|missing| refused(Trouble::unable(missing.to_string())))?;
        let mut finished = runner.run(&plan, Control::new()).await;
        finished.record.scenario = self.sources.clone();
        // Where it fails, the record says so.
        let _ = order.keep(&folder, &mut finished, self.file());
        Ok(finished.record)
    }

    fn file(&self) -> Option<&str> {
        self.sources.first().map(|file| file.name.as_str())
    }
}

#[async_trait]
impl Carrier for Worlds {
    async fn carry_out(&self, order: &Order<'_>) -> Result<Record, NotRun> {
        let world = (self.wire)(order.experiment).map_err(|e| NotRun::because(order.experiment, e))?;
        let ran = self.run(&world, order).await;
        match (ran, world.close().await) {
            (Ok(mut record), Err(trouble)) => {
                record.warnings.push(format!("the agent did not end cleanly: {trouble}"));
                Ok(record)
            }
            (ran, _) => ran,
        }
    }
}
