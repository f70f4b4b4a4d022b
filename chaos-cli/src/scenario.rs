//! Compiling the files of a command.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use chaos::{Scenario, dsl::Given};
use chaos_core::{model::Experiment, trouble::Trouble};
use chaos_dsl::{Code, Diagnostic, read};

use crate::{
    exit_code::Exit,
    files::{self, File},
    render,
};

/// Compiles every file, also those of folders and patterns; prints all there is to say of all of them, and stops if there is an
/// error anywhere. Files that are only parts of others are passed over where nobody named them.
pub(crate) fn compile(files: &[PathBuf], given: &Given) -> Result<Vec<Scenario>, Exit> {
    let mut good = true;
    let mut scenarios = Vec::new();
    for File { path, named } in found(files)? {
        let scenario = Scenario::read(&path, given);
        if scenario.compiled.only_parts && !named {
            continue;
        }
        render::diagnostics(&scenario.compiled.diagnostics, &scenario.compiled.sources);
        good &= scenario.compiled.is_ok();
        scenarios.push(scenario);
    }
    if good && scenarios.is_empty() {
        render::error(
            "none of these files holds an experiment",
            Some("write `experiment \"title\" { … }` in one of them"),
        );
        good = false;
    }
    if good { Ok(scenarios) } else { Err(Exit::BadInput) }
}

/// Reads a scenario from standard input.
pub(crate) fn from_stdin() -> Result<String, Vec<Diagnostic>> {
    let mut bytes = Vec::new();
    let limit = read::MAX_FILE_BYTES as u64 + 1;
    let unreadable = |message: String| vec![Diagnostic::new(Code::UnreadableFile, message)];
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(format!("cannot read standard input: {e}")))?;
    String::from_utf8(bytes)
        .map_err(|e| unreadable(format!("standard input is not UTF-8: {}", e.utf8_error())))
}

/// Finds the files that a command line means.
pub(crate) fn found(files: &[PathBuf]) -> Result<Vec<File>, Exit> {
    files::find(files).map_err(|Trouble { message, help, .. }| {
        render::error(&message, help.as_deref());
        Exit::BadInput
    })
}

/// Compiles one file.
pub(crate) fn compile_one(file: &Path, given: &Given) -> Result<Scenario, Exit> {
    let scenario = Scenario::read(file, given);
    render::diagnostics(&scenario.compiled.diagnostics, &scenario.compiled.sources);
    if scenario.compiled.is_ok() { Ok(scenario) } else { Err(Exit::BadInput) }
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
