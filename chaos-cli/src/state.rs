//! The register of runs on this machine.

use std::path::{Path, PathBuf};

use chaos::Restorers;
use chaos_core::{journal::Registry, restore};

use crate::{render, world};

/// Returns where runs are registered: as asked, else in the runtime directory of the user.
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
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_dir()) {
        Some(directory) => directory.join("chaos"),
        None => std::env::temp_dir().join(format!("chaos-{user}")),
    }
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
    if !directory.is_dir() {
        return;
    }
    let Ok(registry) = Registry::open(directory) else { return };
    let dead = || registry.runs().map(|runs| runs.into_iter().filter(|run| !run.alive).collect::<Vec<_>>());
    if dead().is_ok_and(|dead| !dead.is_empty()) {
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
