//! Carrying out one experiment: from its plan to the folder of its run.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use chaos::{Scenario, World};
use chaos_core::{
    bundle::Folder,
    journal::{FileJournal, Registry, RunEntry},
    judge::Standard,
    outcome::{self, NotRun, Ran, Verdict},
    plan::Plan,
    remark::Remark,
    report::{self, shell::quoted},
    run::{Control, Finished, Record, header},
    series::{Carrier, Order, Part},
    trouble::Trouble,
};

use super::{exit_of, in_command, shown};
use crate::{args::Run, command::plan, exit_code::Exit, progress, render, signals, world};

/// What the runs of one file share.
pub(super) struct Session<'a> {
    pub(super) args: &'a Run,
    state: &'a Path,
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    ends: Mutex<Ends>,
}

/// How the runs ended so far.
struct Ends {
    worst: Exit,
    kept: Exit,
}

impl<'a> Session<'a> {
    pub(super) fn new(args: &'a Run, state: &'a Path, scenario: &'a Scenario, seed: u64) -> Self {
        let ends = Mutex::new(Ends { worst: Exit::Passed, kept: Exit::Passed });
        Session { args, state, scenario, seed, ends }
    }

    /// Returns the file as reports name it.
    pub(super) fn file(&self) -> String {
        self.scenario.path.display().to_string()
    }

    /// Returns what the command line sets, as it would be written again.
    pub(super) fn set(&self) -> String {
        let given = &self.scenario.given;
        let set = given.set.iter().map(|set| format!(" --set {}", quoted(set)));
        let include = given.include.iter().map(|folder| format!(" --include {}", in_command(folder)));
        set.chain(include).collect()
    }

    /// Returns the worst end of a run.
    pub(super) fn exit(&self) -> Exit {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.worst.max(ends.kept)
    }

    /// Returns whether everything could be kept, whatever came of the runs.
    pub(super) fn kept(&self) -> Exit {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).kept
    }

    fn ended(&self, exit: Exit) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.worst = ends.worst.max(exit);
    }

    /// Says that something of what was asked for is lost.
    pub(super) fn lost(&self, what: &str, error: &io::Error) {
        render::error(
            &format!("{what} could not be kept whole: {error}"),
            Some(
                "make room, or choose another folder with `--out DIR`; without its evidence, nothing has passed",
            ),
        );
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).kept = Exit::NotKept;
    }

    /// Says why there was no run.
    fn not_run(&self, order: &Order<'_>, exit: Exit, trouble: Trouble) -> NotRun {
        render::error(&trouble.message, trouble.help.as_deref());
        self.ended(exit);
        NotRun::because(order.experiment, trouble)
    }

    async fn planned(&self, order: &Order<'_>) -> Result<(World, Plan), NotRun> {
        let wired = world::of(order.experiment, &self.args.planning, None)
            .map_err(|trouble| plan::unsound(order.experiment, trouble));
        let planned = match wired {
            Ok(world) => world.plan(order.experiment, order.seed).await.map(|plan| (world, plan)),
            Err(error) => Err(error),
        };
        planned.map_err(|error| {
            self.ended(plan::failed(&error, &self.scenario.compiled.sources));
            NotRun::unplanned(order.experiment, &error)
        })
    }

    async fn run(&self, order: &Order<'_>, world: &World, plan: &Plan) -> Result<(Folder, Finished), NotRun> {
        let refused = |trouble: Trouble| self.not_run(order, Exit::Refused, trouble);
        let unusable = |what: String, error: &io::Error, help: &str| {
            refused(Trouble::unable(format!("{what}: {error}")).with_help(help))
        };
        let folder = Folder::create(order.out, order.run, self.scenario.compiled.sources.all(), plan)
            .map_err(|error| {
                let what = format!("cannot make a folder for the run in `{}`", order.out.display());
                unusable(what, &error, "choose another with `--out DIR`")
            })?;
        let events = folder.events().map_err(|error| {
            unusable("cannot write the run's events".into(), &error, "nothing was injected")
        })?;
        let journal = FileJournal::create(folder.journal()).map_err(refused)?;
        let namespaces = world.namespaces(&plan.radius.touched).await;
        let header = header(order.run, plan, namespaces);
        let entry = RunEntry { header, journal: folder.journal() };
        let control = Control::new();
        let registration = Registry::open(self.state)
            .and_then(|registry| registry.register(&entry))
            .map_err(|error| refused(Trouble { help: error.help(), ..Trouble::unable(error.to_string()) }))?;
        let entered = match world.enter(plan, &entry.header, &control).await {
            Ok(entered) => entered,
            Err(trouble) => {
                // Nothing was touched, so nothing is to be restored.
                if let Err(error) = registration.finish() {
                    tracing::warn!(%error, "the entry of a run that did not begin stays");
                }
                let exit = if trouble.is_denied() { Exit::NotPermitted } else { Exit::Refused };
                return Err(self.not_run(order, exit, trouble));
            }
        };
        let mut builder = world
            .runner()
            .journal(Arc::new(journal))
            .judge(Arc::new(Standard::new()))
            .on_event(events)
            .registration(registration);
        if !self.args.quiet {
            builder = builder.on_event(progress::sink());
        }
        let runner = builder.build().map_err(|missing| refused(Trouble::internal(missing.to_string())))?;
        let guard = signals::pass_on(&control, format!("chaos restore {}", order.run));
        let mut finished = runner.run(plan, control).await;
        finished.record.scenario = self.scenario.compiled.sources.clone().into();
        drop(guard);
        if let Err(error) = entered.leave().await {
            let help = "`chaos restore --cluster CONTEXT` takes it away; what the experiment did is put back, or else reported";
            render::warning(&format!("the run's own entry in the cluster stays: {error}"), Some(help));
        }
        if let Err(error) = world.close().await {
            tracing::warn!(error = error.message, "the agent did not end cleanly");
        }
        Ok((folder, finished))
    }

    /// Prints what a person reads of a run that ended.
    fn show(&self, record: &Record, folder: &Path) {
        let (file, set) = (quoted(&self.file()), self.set());
        render::lines(&report::text::lines(record));
        for underline in report::underlines(record) {
            render::at(&self.scenario.compiled.sources, &underline);
        }
        render::print(&format!("\n{}\n", kept_in(folder, record.unkept.is_none(), "")));
        render::print(&format!("again:   chaos run {file}{set} --seed {}\n", self.seed));
        render::print(&format!("next:    {}\n", next(record, &file, folder)));
    }
}

#[async_trait]
impl Carrier for Session<'_> {
    async fn carry_out(&self, order: &Order<'_>) -> Result<Record, NotRun> {
        let (world, plan) = self.planned(order).await?;
        for warning in &plan.warnings {
            let message = format!("warning: {}", warning.message);
            render::at(&self.scenario.compiled.sources, &Remark { message, ..warning.clone() });
        }
        let (folder, mut finished) = self.run(order, &world, &plan).await?;
        let file = self.file();
        if let Err(error) = order.keep(&folder, &mut finished, Some(&file)) {
            self.lost("the folder of the run", &error);
        }
        let record = finished.record;
        if self.args.format.live && order.part == Part::Alone {
            self.show(&record, folder.path());
        }
        self.ended(exit_of(outcome::result(&record).verdict));
        Ok(record)
    }

    fn goes_on(&self, ran: &Ran) -> bool {
        !self.args.fail_fast || ran.verdict() == Verdict::Passed
    }
}

/// Says where evidence is kept, and whether all of it is; `each` follows where the folder holds more folders.
pub(super) fn kept_in(folder: &Path, whole: bool, each: &str) -> String {
    let name = shown(folder);
    match (whole, folder.is_dir()) {
        (true, true) => format!("kept in {name}{each}"),
        (false, true) => format!("kept in part in {name}{each}"),
        (_, false) => format!("not kept: {name} is gone"),
    }
}

/// Says what somebody would most likely do now.
fn next(record: &Record, file: &str, folder: &Path) -> String {
    let harder = record.plan.experiment.params.iter().find_map(|param| {
        let (_, most) = param.range?;
        (param.value != most)
            .then(|| format!("chaos run {file} --set {}={most}    (the end of its range)", param.name))
    });
    match outcome::result(record).verdict {
        Verdict::Passed => {
            harder.unwrap_or_else(|| format!("less {}", in_command(&folder.join("report.md"))))
        }
        Verdict::Failed | Verdict::Inconclusive => {
            format!("chaos explain {file}    (what each expectation means and needs)")
        }
        Verdict::NotKept => format!("chaos run {file} --out DIR    (where there is room)"),
        // Without its folder there is nothing to read.
        Verdict::Aborted if !folder.is_dir() => {
            format!("chaos run {file} --out DIR    (where there is room)")
        }
        Verdict::Aborted => format!("less {}", in_command(&folder.join("events.jsonl"))),
        Verdict::Refused => format!("chaos plan {file}"),
        Verdict::NotPermitted => "chaos doctor".to_owned(),
        Verdict::NotRestored => format!("chaos restore {}", record.run),
    }
}
