//! `chaos run`: each experiment of a file for itself, all cells of an `each` ([`matrix`]), or a [`search`].

mod matrix;
mod search;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chaos::World;
use chaos_core::{
    bundle::Folder,
    journal::{FileJournal, Registry, RunEntry},
    judge::Standard,
    model::Experiment,
    outcome::{self, Verdict},
    plan::Plan,
    remark::Remark,
    report,
    run::{
        Completion, Control, Finished, Record, new_id,
        record::{AbortKind, Refusal},
    },
};

use crate::{
    args::{Format, Run},
    exit_code::Exit,
    progress, render,
    scenario::{self, Scenario},
    signals, world,
};

/// Runs the experiments of all files, one after another.
pub(crate) fn run(args: &Run, state: &Path) -> Exit {
    let scenarios = match scenario::compile(&args.files, &args.planning.settings.set) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    if let Err(exit) = scenario::make_room_for_labs(scenarios.iter().flat_map(|s| &s.compiled.experiments)) {
        return exit;
    }
    if args.resume.is_some() && !matches!(scenarios.as_slice(), [one] if one.compiled.search.is_some()) {
        render::error(
            "only a file with `search` can be resumed",
            Some("name the one file that the search was begun with"),
        );
        return Exit::BadInput;
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let seed = world::seed(args.planning.seed);
    let mut exit = Exit::Passed;
    for scenario in &scenarios {
        let session =
            Session { args, state, runtime: &runtime, scenario, out: args.out.clone(), seed, alone: true };
        let (this, stopped) = if let Some(asked) = &scenario.compiled.search {
            search::run(&session, asked)
        } else if scenario.compiled.experiments.iter().any(|e| !e.varied.is_empty()) {
            matrix::run(&session)
        } else {
            plainly(&session)
        };
        exit = exit.max(this);
        // Whoever stops a run does not want the next one; and nothing runs on a world that is not restored.
        if stopped || this == Exit::NotRestored {
            break;
        }
    }
    exit
}

/// What the runs of one file share.
struct Session<'a> {
    args: &'a Run,
    state: &'a Path,
    runtime: &'a tokio::runtime::Runtime,
    scenario: &'a Scenario,
    /// Where the folders of the runs are made.
    out: PathBuf,
    seed: u64,
    /// Whether each run is told for itself, as it ends.
    alone: bool,
}

/// Runs the experiments of a file; returns whether somebody stopped them.
fn plainly(session: &Session<'_>) -> (Exit, bool) {
    let (exit, runs, stopped) = experiments(session);
    let file = session.scenario.path.to_string_lossy();
    match session.args.format {
        // Text is printed as each run ends.
        Format::Text => {}
        // One document for each run, one after another: what reads a stream of JSON reads it.
        Format::Json => runs.iter().for_each(|finished| render::print(&json(finished))),
        Format::Junit => render::print(&junit(runs.iter().map(|finished| &finished.record))),
        Format::Markdown => {
            for finished in &runs {
                render::print(&report::markdown::render(&finished.record, Some(&file)));
            }
        }
    }
    (exit, stopped)
}

/// Runs every experiment of a file until somebody stops one, or one is not restored.
fn experiments(session: &Session<'_>) -> (Exit, Vec<Finished>, bool) {
    let (mut exit, mut runs, mut stopped) = (Exit::Passed, Vec::new(), false);
    for experiment in &session.scenario.compiled.experiments {
        let id = new_id();
        let one = one(session, session.scenario, experiment, &id, session.seed);
        let (this, finished) = session.runtime.block_on(one);
        exit = exit.max(this);
        stopped = finished.as_ref().is_some_and(stopped_by_hand);
        runs.extend(finished);
        if stopped || this == Exit::NotRestored {
            break;
        }
    }
    (exit, runs, stopped)
}

async fn one(
    session: &Session<'_>,
    scenario: &Scenario,
    experiment: &Experiment,
    id: &str,
    seed: u64,
) -> (Exit, Option<Finished>) {
    let args = session.args;
    let sources = &scenario.compiled.sources;
    let wired = world::of(experiment, &args.planning).map_err(|m| super::plan::unsound(experiment, m));
    let world = match wired {
        Ok(world) => world,
        Err(error) => return (super::plan::failed(&error, sources), None),
    };
    let plan = match world.plan(experiment, seed).await {
        Ok(plan) => plan,
        Err(error) => return (super::plan::failed(&error, sources), None),
    };
    for warning in &plan.warnings {
        let message = format!("warning: {}", warning.message);
        render::at(sources, &Remark { message, ..warning.clone() });
    }
    let (folder, finished) = match carry_out(session, scenario, &world, &plan, id).await {
        Ok(done) => done,
        Err((exit, message, help)) => {
            render::error(&message, help.as_deref());
            return (exit, None);
        }
    };
    let record = &finished.record;
    let reports = [
        ("record.json", json(&finished)),
        ("verdict.txt", report::text::render(record)),
        ("report.md", report::markdown::render(record, Some(&scenario.path.to_string_lossy()))),
        ("junit.xml", junit([record])),
    ];
    if let Err(error) = folder.keep(&finished, &reports) {
        render::warning(&format!("the folder of the run is not complete: {error}"), None);
    }
    if args.format == Format::Text && session.alone {
        render::print(&render::styled(&report::text::lines(record)));
        for underline in report::underlines(record) {
            render::at(sources, &underline);
        }
        render::print(&format!("\nkept in {}\n", shown(folder.path())));
        let file = scenario.path.display().to_string();
        let set: String = args.planning.settings.set.iter().map(|s| format!(" --set {s}")).collect();
        render::print(&format!("again:   chaos run {file}{set} --seed {seed}\n"));
        render::print(&format!("next:    {}\n", next(record, &file, folder.path())));
    }
    (exit_of(outcome::result(record).verdict), Some(finished))
}

type Refused = (Exit, String, Option<String>);

async fn carry_out(
    session: &Session<'_>,
    scenario: &Scenario,
    world: &World,
    plan: &Plan,
    id: &str,
) -> Result<(Folder, Finished), Refused> {
    let out = session.out.display();
    let folder = Folder::create(&session.out, id, scenario.compiled.sources.all(), plan).map_err(|e| {
        (
            Exit::Refused,
            format!("cannot make a folder for the run in `{out}`: {e}"),
            Some("choose another with `--out DIR`".into()),
        )
    })?;
    let unusable = |what: &str, e: String| {
        (Exit::Refused, format!("{what}: {e}"), Some("nothing was injected".to_owned()))
    };
    let events = folder.events().map_err(|e| unusable("cannot write the run's events", e.to_string()))?;
    let journal = FileJournal::create(folder.journal()).map_err(|e| (Exit::Refused, e.message, e.help))?;
    let entry = RunEntry {
        run: id.to_owned(),
        experiment: plan.experiment.title(),
        owner: plan.experiment.owner.as_ref().map(|o| o.value.clone()),
        pid: std::process::id(),
        started: jiff::Timestamp::now(),
        journal: folder.journal(),
        targets: plan.radius.touched.clone(),
    };
    let registration = Registry::open(session.state)
        .and_then(|registry| registry.register(&entry))
        .map_err(|e| (Exit::Refused, e.to_string(), e.help()))?;
    let mut builder = world
        .runner()
        .journal(Arc::new(journal))
        .judge(Arc::new(Standard::new()))
        .on_event(events)
        .registration(registration);
    if !session.args.quiet {
        builder = builder.on_event(progress::sink());
    }
    let runner = builder.build().map_err(|e| unusable("the runner is not complete", e.to_string()))?;
    let control = Control::new();
    let guard = signals::pass_on(&control, format!("chaos restore {id}"));
    let mut finished = runner.run(plan, control).await;
    finished.record.scenario = scenario.compiled.sources.clone().into();
    drop(guard);
    if let Err(error) = world.close().await {
        tracing::warn!(error = error.message, "the agent did not end cleanly");
    }
    Ok((folder, finished))
}

pub(super) fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Passed => Exit::Passed,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::Failed => Exit::Failed,
        Verdict::Aborted => Exit::Aborted,
        Verdict::Refused => Exit::Refused,
        Verdict::NotPermitted => Exit::NotPermitted,
        Verdict::NotRestored => Exit::NotRestored,
    }
}

fn stopped_by_hand(finished: &Finished) -> bool {
    let record = &finished.record;
    let refused = matches!(record.completion, Completion::Refused { by: Refusal::Stopped, .. });
    refused || record.abort.as_ref().is_some_and(|abort| abort.kind == AbortKind::Stopped)
}

pub(super) fn json(finished: &Finished) -> String {
    in_memory("JSON", |out| report::json::write(&finished.record, out))
}

pub(super) fn junit<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    in_memory("JUnit", |out| report::junit::write(records, out))
}

/// Writes a report to a string; what cannot be written is told, and is no reason to lose the other reports.
fn in_memory(format: &str, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    if let Err(error) = write(&mut out) {
        render::error(&format!("the record has no {format} form: {error}"), None);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Says what somebody would most likely do now.
fn next(record: &Record, file: &str, folder: &Path) -> String {
    let harder = record.plan.experiment.params.iter().find_map(|param| {
        let (_, most) = param.range?;
        (param.value != most)
            .then(|| format!("chaos run {file} --set {}={most}    (the end of its range)", param.name))
    });
    match outcome::result(record).verdict {
        Verdict::Passed => harder.unwrap_or_else(|| format!("less {}", shown(&folder.join("report.md")))),
        Verdict::Failed | Verdict::Inconclusive => {
            format!("chaos explain {file}    (what each expectation means and needs)")
        }
        Verdict::Aborted => format!("less {}", shown(&folder.join("events.jsonl"))),
        Verdict::Refused => format!("chaos plan {file}"),
        Verdict::NotPermitted => "chaos doctor".to_owned(),
        Verdict::NotRestored => format!("chaos restore {}", record.run),
    }
}

/// Shortens a path below the current folder.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(|p| p.display().to_string()))
        .unwrap_or_else(|| path.display().to_string())
}
