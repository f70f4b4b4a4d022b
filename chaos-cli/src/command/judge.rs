//! `chaos judge`

use std::path::{Path, PathBuf};

use chaos::Scenario;
use chaos_core::{
    bundle,
    judge::Standard,
    model::Experiment,
    outcome, recorded,
    report::{self, Reported, Subject},
    run::{Completion, Finished, Record},
};
use chaos_dsl::SourceMap;

use super::run::{alone, exit_of, shown};
use crate::{args::Judge, exit_code::Exit, render, scenario};

/// The word for the run that was begun last.
const LATEST: &str = "latest";

/// Judges a recorded run again.
pub(crate) fn run(args: &Judge) -> Exit {
    match judged(args) {
        Ok((finished, folder, scenario)) => print_report(args, &finished, &folder, scenario.as_ref()),
        Err(exit) => exit,
    }
}

fn judged(args: &Judge) -> Result<(Finished, PathBuf, Option<Scenario>), Exit> {
    let scenario =
        args.with.as_deref().map(|file| scenario::compile_one(file, &args.settings.given())).transpose()?;
    let folder = find(&args.run, &args.out)?;
    let mut finished = bundle::load(&folder).map_err(|error| {
        render::error(&error.to_string(), error.help().as_deref());
        Exit::BadInput
    })?;
    if let Completion::Refused { reason, .. } = &finished.record.completion {
        let message = format!("run `{}` injected nothing, so there is nothing to judge", finished.record.run);
        render::error(&message, Some(&format!("it was refused: {reason}")));
        return Err(exit_of(outcome::result(&finished.record).verdict));
    }
    if let Some(scenario) = &scenario {
        let with = experiment(scenario, &finished)?;
        recorded::replace_claims(&mut finished.record, with).map_err(|errors| {
            for error in errors {
                render::at(&scenario.compiled.sources, &error);
            }
            Exit::BadInput
        })?;
    }
    recorded::judge(&mut finished, &Standard::new());
    if let Some(scenario) = &scenario {
        other_files(&mut finished.record, scenario);
    }
    Ok((finished, folder, scenario))
}

/// Adds the files in which the claims now stand to those of the run.
fn other_files(record: &mut Record, scenario: &Scenario) {
    let before = record.scenario.len() as u32;
    record.scenario.extend(Vec::from(scenario.compiled.sources.clone()));
    for judged in record.expectations.iter_mut().filter(|judged| !judged.span.is_none()) {
        judged.span.file.0 += before;
    }
}

/// Finds the folder of a run by its path, its id, or the word for the last one.
fn find(run: &str, out: &Path) -> Result<PathBuf, Exit> {
    let path = PathBuf::from(run);
    if path.is_dir() {
        return Ok(path);
    }
    if run != LATEST {
        let below = out.join(run);
        return if below.is_dir() {
            Ok(below)
        } else {
            let message = format!("no run is named `{run}`: there is no folder `{}`", below.display());
            render::error(
                &message,
                Some("name the folder of a run, or where the folders are with `--out DIR`"),
            );
            Err(Exit::BadInput)
        };
    }
    // Ids begin with the time, so they sort by it.
    let runs = std::fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.path());
    runs.filter(|path| path.join("record.json").is_file()).max().ok_or_else(|| {
        render::error(
            &format!("no run has left a record in `{}`", out.display()),
            Some("run an experiment first, or say where its folder is with `--out DIR`"),
        );
        Exit::BadInput
    })
}

/// Finds the experiment of a file that speaks of the run: the one of the same title, or the only one.
fn experiment<'a>(scenario: &'a Scenario, finished: &Finished) -> Result<&'a Experiment, Exit> {
    let title = &finished.record.plan.experiment.name.value;
    let experiments = &scenario.compiled.experiments;
    match experiments.iter().find(|e| e.name.value == *title).or(match experiments.as_slice() {
        [only] => Some(only),
        _ => None,
    }) {
        Some(experiment) => Ok(experiment),
        None => {
            let message = format!("`{}` has no experiment \"{title}\"", scenario.path.display());
            render::error(&message, Some("give one of them the title of the run's experiment"));
            Err(Exit::BadInput)
        }
    }
}

/// Prints the report of a run that was judged again, and returns its exit code.
fn print_report(args: &Judge, finished: &Finished, folder: &Path, scenario: Option<&Scenario>) -> Exit {
    let record = &finished.record;
    if args.format.live {
        render::lines(&report::text::lines(record));
        let sources = SourceMap::from(record.scenario.clone());
        for underline in report::underlines(record) {
            // Records of before did not hold the files.
            if sources.file(underline.span.file).is_some() {
                render::at(&sources, &underline);
            }
        }
        let by = match scenario {
            Some(scenario) => format!(" by the expectations of {}", scenario.path.display()),
            None => String::new(),
        };
        render::print(&format!("\njudged again{by}, from {}\n", shown(folder)));
    } else {
        let file = args.with.as_deref().map(Path::to_string_lossy);
        let reported = Reported { subject: Subject::Run(record), file: file.as_deref() };
        render::document(args.format, &alone(reported));
    }
    exit_of(outcome::result(record).verdict)
}
