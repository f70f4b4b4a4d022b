//! `chaos restore`

#[cfg(feature = "kube")]
mod cluster;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chaos::Restorers;
use chaos_core::{
    injector::Injector,
    journal::Registry,
    restore::{Outcome, RestorePolicy, RestoredRun, restore, restore_journal},
};

use crate::{args::Restore, exit_code::Exit, person, render, world};

/// Reverts what killed runs left behind.
pub(crate) fn run(args: &Restore, state: &Path) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    #[cfg(feature = "kube")]
    let image = &*args.agent_image;
    #[cfg(not(feature = "kube"))]
    let image = chaos::AGENT_IMAGE;
    let restorers =
        world::executable().and_then(|executable| Restorers::with_agents_from(image, &executable));
    let restorers = match restorers {
        Ok(restorers) => restorers,
        Err(error) => {
            render::error(&error.message, error.help.as_deref());
            return Exit::Refused;
        }
    };
    runtime.block_on(async {
        #[cfg(feature = "kube")]
        let exit = match &args.cluster {
            Some(context) => cluster::all(context, args, &restorers).await,
            None => all(args, state, restorers.injectors()).await,
        };
        #[cfg(not(feature = "kube"))]
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
        let registry = match Registry::open(state) {
            Ok(registry) => registry,
            Err(error) => {
                render::error(&error.to_string(), error.help().as_deref());
                exit = exit.max(Exit::BadInput);
                continue;
            }
        };
        let path = asked.and_then(journal);
        // A run that the list knows is restored as such, whatever it is named by: the list knows its targets as well.
        let known = path.as_deref().and_then(|path| known_by(&registry, path));
        if let (Some(path), None) = (&path, &known) {
            exit = exit.max(match restore_journal(path, injectors, &policy).await {
                Ok(outcome) => report(&path.display().to_string(), "", &outcome, true),
                Err(error) => {
                    render::error(&error.message, error.help.as_deref());
                    Exit::BadInput
                }
            });
            continue;
        }
        let run = known.as_deref().or(asked);
        match restore(&registry, run, injectors, &policy).await {
            Ok(runs) if runs.is_empty() => render::print("nothing to do\n"),
            Ok(runs) => {
                for run in runs {
                    let this = report(&run.run, "", &run.outcome, asked.is_some());
                    let forgotten = args.forget && !run.outcome.is_clean() && forget(&registry, &run);
                    exit = exit.max(if forgotten { Exit::Passed } else { this });
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

/// Returns the journal that a path leads to; what is written as a path is one, also where nothing is there.
fn journal(asked: &str) -> Option<PathBuf> {
    let (path, inside) = (PathBuf::from(asked), Path::new(asked).join("journal.jsonl"));
    if path.is_file() {
        return Some(path);
    }
    (inside.is_file() || asked.contains('/')).then_some(inside)
}

/// Finds the run whose journal is at a path, by whichever way that leads there.
fn known_by(registry: &Registry, path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let same = |other: &Path| {
        let (one, other) = (fs::metadata(path).ok()?, fs::metadata(other).ok()?);
        Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    let runs = registry.runs().ok()?;
    runs.into_iter()
        .find(|known| same(&known.entry.journal) == Some(true))
        .map(|known| known.entry.header.run)
}

/// Takes a run off the list that cannot be restored; returns whether that is on record.
fn forget(registry: &Registry, run: &RestoredRun) -> bool {
    let by = person::name();
    let forgotten = match registry.claim(&run.run) {
        Ok(Some(claimed)) => claimed.forget(&by, &run.outcome.left()),
        Ok(None) => return false,
        Err(error) => Err(error),
    };
    match forgotten {
        Ok(record) => {
            let record = record.display();
            render::print(&format!(
                "{}: forgotten by {by}, with what is left; recorded in {record}\n",
                run.run
            ));
            true
        }
        Err(error) => {
            render::error(&error.to_string(), error.help().as_deref());
            false
        }
    }
}

/// Prints how a restore ended, and returns its exit code.
///
/// A run that is alive is refused where somebody `named` it, and passed over where all were asked for. Commands that help are
/// shown with what says `at` which place.
fn report(run: &str, at: &str, outcome: &Outcome, named: bool) -> Exit {
    match outcome {
        Outcome::NothingToDo => {
            render::print(&format!("{run}: nothing to do\n"));
            Exit::Passed
        }
        Outcome::StillRunning { run: id, pid } => {
            let process = pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
            let said = format!("{run}: still running{process}, which restores on its own");
            let help = format!("end it with `chaos stop {}{at}`", id.as_deref().unwrap_or("RUN"));
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
                Some(&format!(
                    "remove the cause and run `chaos restore {run}{at}` again{}",
                    if at.is_empty() { "; `--forget` takes the run off the list as it is" } else { "" }
                )),
            );
            Exit::NotRestored
        }
        Outcome::NothingLeft { why } => {
            render::print(&format!("{run}: {why}; nothing of it stands on its targets\n"));
            Exit::Passed
        }
        Outcome::LeftOver { why, found } => {
            render::error(&format!("{run}: {why}, and something stands on its targets"), None);
            found.iter().for_each(|line| render::error(line, None));
            let help = format!("remove it, and run `chaos restore {run}{at}` again");
            render::error("something is still in place", Some(&help));
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
