//! Compiling the files of a command.

use std::path::{Path, PathBuf};

use chaos_core::{explain, fingerprint, model::Experiment};
use chaos_dsl::Compiled;

use crate::{exit_code::Exit, render};

/// A file without errors.
pub(crate) struct Scenario {
    /// Its path as given.
    pub(crate) path: PathBuf,
    /// What it was compiled to.
    pub(crate) compiled: Compiled,
}

impl Scenario {
    /// Returns a fingerprint of the file, of all that it uses, and of what the command line sets.
    pub(crate) fn fingerprint(&self, set: &[String]) -> String {
        let texts = self.compiled.sources.files().map(|(_, file)| file.text.as_str());
        let parts = texts.chain(set.iter().map(String::as_str));
        fingerprint::text(parts.flat_map(|part| part.bytes().chain([0])))
    }

    /// Returns what the file as a whole does, where it holds more than one run.
    pub(crate) fn series(&self) -> Option<String> {
        let question = self.compiled.search.as_ref().map(|asked| &asked.question);
        explain::series(&self.compiled.experiments, question)
    }

    /// Returns whether the file, or one that it uses, is no longer what was compiled.
    pub(crate) fn changed(&self) -> bool {
        let now = chaos_dsl::compile_file(&self.path, &[]);
        let texts = |compiled: &Compiled| -> Vec<String> {
            compiled.sources.files().map(|(_, file)| file.text.to_string()).collect()
        };
        texts(&now) != texts(&self.compiled)
    }
}

/// Compiles every file; prints all there is to say of all of them, and stops if there is an error anywhere.
pub(crate) fn compile(files: &[PathBuf], set: &[String]) -> Result<Vec<Scenario>, Exit> {
    let mut good = true;
    let mut scenarios = Vec::new();
    for path in files {
        let compiled = chaos_dsl::compile_file(path, set);
        render::diagnostics(&compiled.diagnostics, &compiled.sources);
        good &= compiled.is_ok();
        scenarios.push(Scenario { path: path.clone(), compiled });
    }
    if good { Ok(scenarios) } else { Err(Exit::BadInput) }
}

/// Compiles one file.
pub(crate) fn compile_one(file: &Path, set: &[String]) -> Result<Scenario, Exit> {
    let mut scenarios = compile(&[file.to_owned()], set)?;
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
