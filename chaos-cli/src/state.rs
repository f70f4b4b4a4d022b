//! The register of runs on this machine.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chaos::Restorers;
use chaos_core::{
    journal::{Registry, RegistryError},
    owned, restore,
};

use crate::{render, world};

/// How long a command that only looks waits for somebody else who holds the register.
const GLANCE: Duration = Duration::from_secs(1);

/// Returns where runs are registered: as asked, else in a directory of the user that nobody else writes to. Below the temporary
/// directory only where there is none: somebody else may have made the one of that name, which is then refused when it is opened.
///
/// Decided before a user namespace is entered, in which every user looks like root.
pub(crate) fn directory(asked: Option<PathBuf>) -> PathBuf {
    if let Some(asked) = asked {
        return asked;
    }
    let user = nix::unistd::geteuid();
    if user.is_root() {
        return PathBuf::from("/run/chaos");
    }
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|d| d.is_absolute());
    // `su` and `sudo` leave the variable of another user; at, cron and ssh without a session leave none.
    let runtime = [named("XDG_RUNTIME_DIR"), Some(PathBuf::from(format!("/run/user/{user}")))];
    // Not its default below the home, which several machines may share.
    runtime
        .into_iter()
        .chain([named("XDG_STATE_HOME")])
        .flatten()
        .find(|directory| owned::is_own_folder(directory))
        .map_or_else(
            || std::env::temp_dir().join(format!("chaos-{user}")),
            |directory| directory.join("chaos"),
        )
}

/// Looks whether anything is left of runs that died, and says once of those of which nothing is.
fn settle(registry: &Registry) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let Ok(restorers) = world::executable().and_then(|executable| Restorers::of(&executable)) else { return };
    let settled = runtime.block_on(async {
        let settled = restore::settle(registry, restorers.injectors()).await;
        // It holds nothing.
        let _ = restorers.close().await;
        settled
    });
    for run in settled.unwrap_or_default() {
        let line =
            format!("run `{}` (\"{}\") was killed, and nothing of it is left", run.run, run.experiment);
        render::warning(&line, None);
    }
}

/// Says which runs died without putting everything back; every start says it until that is done, of those of which nothing is
/// left only the next one.
pub(crate) fn warn_of_leftovers(directory: &Path) {
    if directory.symlink_metadata().is_err() {
        return;
    }
    let blind = |error: &RegistryError| {
        let message = format!("cannot see whether a run was killed and left something: {error}");
        render::warning(&message, error.help().as_deref());
    };
    let registry = match Registry::open(directory) {
        Ok(registry) => registry.with_patience(GLANCE),
        Err(error) => return blind(&error),
    };
    let dead = || registry.runs().map(|runs| runs.into_iter().filter(|run| !run.alive).collect::<Vec<_>>());
    let found = match dead() {
        Ok(found) => found,
        Err(error) => return blind(&error),
    };
    if !found.is_empty() {
        settle(&registry);
    }
    for run in dead().unwrap_or_default() {
        render::warning(
            &format!(
                "run `{}` (\"{}\") was killed and may have left faults in place",
                run.entry.header.run, run.entry.header.experiment
            ),
            Some(&format!("put everything back with `chaos restore {}`", run.entry.header.run)),
        );
    }
}
