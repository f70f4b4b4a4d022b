//! `chaos run`: each experiment of a file on its own, all cells of an `each` ([`matrix`]), or a [`search`].
//!
//! [`carry`] carries out one experiment for all of them. What goes on over many runs is in [`chaos_core::series`].

mod carry;
mod matrix;
mod reports;
mod search;
mod selection;

use std::path::{Path, PathBuf};

use chaos::Scenario;
use chaos_core::{
    outcome::Verdict,
    report::{Reported, Reports, shell::quoted, summary},
    series::{Part, Series, each},
    trouble::Trouble,
};

use self::{carry::Session, reports::Files};
use crate::{args::Run, exit_code::Exit, render, scenario, world};

/// Runs the experiments of all files, one after another.
pub(crate) fn run(args: &Run, state: &Path) -> Exit {
    let mut scenarios = match scenario::compile(&args.files, &args.planning.settings.given()) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    if let Err(Trouble { message, help, .. }) = selection::select(&mut scenarios, &args.selection) {
        render::error(&message, help.as_deref());
        return Exit::BadInput;
    }
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
    let sources = scenarios.iter().flat_map(|scenario| scenario.compiled.sources.all());
    let files = match Files::open(&args.report, sources.map(|source| Path::new(source.name.as_str()))) {
        Ok(files) => files,
        Err(Trouble { message, help, .. }) => {
            render::error(&message, help.as_deref());
            return Exit::BadInput;
        }
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let seed = world::seed(args.planning.seed);
    let mut exit = Exit::Passed;
    let mut done: Vec<(String, Series)> = Vec::new();
    for scenario in &scenarios {
        let session = Session::new(args, state, scenario, seed);
        let over = runtime.block_on(async {
            match kind(scenario) {
                Kind::Search => search::run(&session).await,
                Kind::Matrix => matrix::run(&session).await,
                Kind::Each => plainly(&session).await,
            }
        });
        exit = exit.max(over.exit);
        done.extend(over.series.map(|series| (session.file(), series)));
        if over.ended_early || (args.fail_fast && exit != Exit::Passed) {
            break;
        }
    }
    // Decided by what was asked for: whoever reads it must not have to know whether somebody stopped it.
    let several = scenarios.len() > 1 || scenarios.iter().any(|s| documents(s) > 1);
    let all = done.iter().flat_map(|(file, series)| series.reported(Some(file))).collect();
    let reports = Reports { all, several };
    if !args.format.live {
        render::document(args.format, &reports);
    } else if several {
        render::print("\n");
        render::lines(&[summary::line(&reports, scenarios.iter().map(experiments).sum())]);
    }
    exit.max(files.write(&reports))
}

/// What a file asks for.
enum Kind {
    Each,
    Matrix,
    Search,
}

fn kind(scenario: &Scenario) -> Kind {
    if scenario.compiled.search.is_some() {
        Kind::Search
    } else if scenario.compiled.experiments.iter().any(|e| !e.varied.is_empty()) {
        Kind::Matrix
    } else {
        Kind::Each
    }
}

/// Counts what a file is summed up as.
fn experiments(scenario: &Scenario) -> usize {
    match kind(scenario) {
        Kind::Each | Kind::Matrix => scenario.compiled.experiments.len(),
        Kind::Search => 1,
    }
}

/// Counts what a file is reported as.
fn documents(scenario: &Scenario) -> usize {
    match kind(scenario) {
        Kind::Each => scenario.compiled.experiments.len(),
        Kind::Matrix | Kind::Search => 1,
    }
}

/// What came of one file.
struct Over {
    exit: Exit,
    series: Option<Series>,
    /// Whether the files behind it are not wanted any more.
    ended_early: bool,
}

/// Runs the experiments of a file, each on its own.
async fn plainly(session: &Session<'_>) -> Over {
    let experiments = &session.scenario.compiled.experiments;
    let runs = each(experiments, &session.args.out, session.seed, Part::Alone, session).await;
    Over { exit: session.exit(), series: Some(Series::Each(runs.ran)), ended_early: runs.ended_early }
}

/// Makes one document of one thing.
pub(super) fn alone(reported: Reported<'_>) -> Reports<'_> {
    Reports { all: vec![reported], several: false }
}

pub(super) fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Passed => Exit::Passed,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::NotKept => Exit::NotKept,
        Verdict::Failed => Exit::Failed,
        Verdict::Aborted => Exit::Aborted,
        Verdict::Refused => Exit::Refused,
        Verdict::NotPermitted => Exit::NotPermitted,
        Verdict::NotRestored => Exit::NotRestored,
    }
}

/// Shortens a path, and quotes it for a shell: it stands in a command that is to be copied.
pub(super) fn in_command(path: &Path) -> String {
    quoted(&shown(path))
}

/// Shortens a path below the current folder.
pub(super) fn shown(path: &Path) -> String {
    let here: Option<PathBuf> = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(|p| p.display().to_string()))
        .unwrap_or_else(|| path.display().to_string())
}
