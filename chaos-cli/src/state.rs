//! The register of runs on this machine.

use std::path::{Path, PathBuf};

use chaos_core::journal::Registry;

use crate::render;

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

/// Says which runs died without putting everything back; every start says it until somebody restores them.
pub(crate) fn warn_of_leftovers(directory: &Path) {
    if !directory.is_dir() {
        return;
    }
    let Ok(runs) = Registry::open(directory).and_then(|r| r.runs()) else { return };
    for run in runs.into_iter().filter(|r| !r.alive) {
        render::warning(
            &format!(
                "run `{}` (\"{}\") was killed and may have left faults in place",
                run.entry.run, run.entry.experiment
            ),
            Some(&format!("put everything back with `chaos restore {}`", run.entry.run)),
        );
    }
}
