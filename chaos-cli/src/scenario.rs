//! Compiling the files of a command.

use std::path::{Path, PathBuf};

use chaos::{Scenario, dsl::Given};
use chaos_core::model::Experiment;

use crate::{exit_code::Exit, render};

/// Compiles every file; prints all there is to say of all of them, and stops if there is an error anywhere.
pub(crate) fn compile(files: &[PathBuf], given: &Given) -> Result<Vec<Scenario>, Exit> {
    let mut good = true;
    let mut scenarios = Vec::new();
    for path in files {
        let scenario = Scenario::read(path, given);
        render::diagnostics(&scenario.compiled.diagnostics, &scenario.compiled.sources);
        good &= scenario.compiled.is_ok();
        scenarios.push(scenario);
    }
    if good { Ok(scenarios) } else { Err(Exit::BadInput) }
}

/// Compiles one file.
pub(crate) fn compile_one(file: &Path, given: &Given) -> Result<Scenario, Exit> {
    let mut scenarios = compile(&[file.to_owned()], given)?;
    scenarios.pop().ok_or(Exit::BadInput)
}

/// For an ordinary user, enters a user namespace in which labs can be made; only where no experiment needs more than that.
///
/// Must come before any thread is started.
pub(crate) fn make_room_for_labs<'a>(
    experiments: impl IntoIterator<Item = &'a Experiment>,
) -> Result<(), Exit> {
    if nix::unistd::geteuid().is_root() || experiments.into_iter().any(|e| e.scope.needs_owner()) {
        return Ok(());
    }
    chaos_lab::enter_user_namespace().map_err(|error| {
        render::error(&error.to_string(), Some(error.remedy()));
        Exit::NotPermitted
    })
}
