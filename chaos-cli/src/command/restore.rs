//! `chaos restore`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chaos::Restorers;
use chaos_core::{
    injector::Injector,
    journal::Registry,
    restore::{Outcome, RestorePolicy, restore, restore_journal},
};

use crate::{args::Restore, exit_code::Exit, render, world};

/// Reverts what killed runs left behind.
pub(crate) fn run(args: &Restore, state: &Path) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let restorers = match world::executable().and_then(|executable| Restorers::of(&executable)) {
        Ok(restorers) => restorers,
        Err(error) => {
            render::error(&error.message, error.help.as_deref());
            return Exit::Refused;
        }
    };
    runtime.block_on(async {
        let exit = all(args, state, restorers.injectors()).await;
        if let Err(error) = restorers.close().await {
            render::error(&error.message, error.help.as_deref());
        }
        exit
    })
}

async fn all(args: &Restore, state: &Path, injectors: &[Arc<dyn Injector>]) -> Exit {
    let policy = RestorePolicy::default();
    let asked: Vec<Option<&str>> =
        if args.runs.is_empty() { vec![None] } else { args.runs.iter().map(|r| Some(r.as_str())).collect() };
    let mut exit = Exit::Passed;
    for asked in asked {
        if let Some(path) =
            asked.map(PathBuf::from).filter(|p| p.is_file() || p.join("journal.jsonl").is_file())
        {
            let path = if path.is_dir() { path.join("journal.jsonl") } else { path };
            exit = exit.max(match restore_journal(&path, injectors, &policy).await {
                Ok(outcome) => report(&path.display().to_string(), &outcome, true),
                Err(error) => {
                    render::error(&error.message, error.help.as_deref());
                    Exit::BadInput
                }
            });
            continue;
        }
        let restored = match Registry::open(state) {
            Ok(registry) => restore(&registry, asked, injectors, &policy).await,
            Err(error) => Err(error),
        };
        match restored {
            Ok(runs) if runs.is_empty() => render::print("nothing to do\n"),
            Ok(runs) => {
                for run in runs {
                    exit = exit.max(report(&run.run, &run.outcome, asked.is_some()));
                }
            }
            Err(error) => {
                render::error(&error.to_string(), error.help().as_deref());
                exit = exit.max(Exit::BadInput);
            }
        }
    }
    exit
}

/// Prints how a restore ended, and returns its exit code.
///
/// A run that is alive is refused where somebody `named` it, and passed over where all were asked for.
fn report(run: &str, outcome: &Outcome, named: bool) -> Exit {
    match outcome {
        Outcome::NothingToDo => {
            render::print(&format!("{run}: nothing to do\n"));
            Exit::Passed
        }
        Outcome::StillRunning { run: id, pid } => {
            let process = pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
            let said = format!("{run}: still running{process}, which restores on its own");
            let help = format!("end it with `chaos stop {}`", id.as_deref().unwrap_or("RUN"));
            if !named {
                render::print(&format!("{said}; {help}\n"));
                return Exit::Passed;
            }
            render::error(&said, Some(&help));
            Exit::Refused
        }
        Outcome::Restored { parts } => {
            render::print(&format!("{run}: restored\n{}", list(parts)));
            Exit::Passed
        }
        Outcome::NotRestored { parts, left } => {
            render::print(&format!("{run}: not restored\n{}", list(parts)));
            for line in left {
                render::error(line, None);
            }
            render::error(
                "something is still in place",
                Some(&format!("remove the cause and run `chaos restore {run}` again")),
            );
            Exit::NotRestored
        }
        Outcome::Unreadable { reason, help } => {
            render::error(&format!("{run}: {reason}"), help.as_deref());
            Exit::NotRestored
        }
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}
