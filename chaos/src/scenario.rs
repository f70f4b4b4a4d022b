//! A `.chaos` file, with what is set on its parameters.

use std::path::{Path, PathBuf};

use chaos_core::{
    explain, fingerprint,
    model::{Experiment, Quantity},
    series::Search,
    trouble::Trouble,
};
use chaos_dsl::{Compiled, Diagnostic, Given};

/// A file of experiments, compiled with some of its parameters set.
///
/// A file with `search` is compiled anew for each level:
///
/// ```no_run
/// use chaos::{Scenario, Worlds, core::search::SearchRecord, dsl::Given};
///
/// # async fn searched() -> Result<SearchRecord, Box<dyn std::error::Error>> {
/// let scenario = Scenario::read("breaking-point.chaos".as_ref(), &Given::default());
/// let mut search = scenario.search("runs".as_ref(), 7)?;
/// search.drive(|level| scenario.at(level), &Worlds::usual(), |_, _| {}).await?;
/// # Ok(search.into_record())
/// # }
/// ```
#[derive(Debug)]
pub struct Scenario {
    /// Its path as given.
    pub path: PathBuf,
    /// What it was given: values of parameters, and folders that it may read from.
    pub given: Given,
    /// What it was compiled to; only a file without errors has experiments.
    pub compiled: Compiled,
}

impl Scenario {
    /// Compiles a file and all that it uses; what is wrong with it is in `compiled`.
    pub fn read(path: &Path, given: &Given) -> Scenario {
        let compiled = chaos_dsl::compile_file(path, given);
        Scenario { path: path.to_owned(), given: given.clone(), compiled }
    }

    /// Returns a fingerprint of the file, of all that it uses, and of what is set.
    pub fn fingerprint(&self) -> String {
        let texts = self.compiled.sources.files().map(|(_, file)| file.text.as_str());
        let parts = texts.chain(self.given.set.iter().map(String::as_str));
        fingerprint::text(parts.flat_map(|part| part.bytes().chain([0])))
    }

    /// Returns what the file as a whole does, where it holds more than one run.
    pub fn series(&self) -> Option<String> {
        let question = self.compiled.search.as_ref().map(|asked| &asked.question);
        explain::series(&self.compiled.experiments, question)
    }

    /// Begins the search that the file asks for, in a folder of its own in `out`.
    ///
    /// # Errors
    /// The file asks for none, or the folder cannot be made.
    pub fn search(&self, out: &Path, seed: u64) -> Result<Search, Trouble> {
        let asked = self.asked()?;
        let title = self.compiled.experiments.first().map_or("", |experiment| &experiment.name.value);
        Search::begin(out, title, &asked.question, seed, &self.fingerprint())
    }

    /// Takes up the search in a folder, where it was stopped or killed.
    ///
    /// # Errors
    /// The file asks for none, or for another than was begun there.
    pub fn resume(&self, folder: &Path) -> Result<Search, Trouble> {
        Search::resume(folder, &self.asked()?.question, &self.fingerprint())
    }

    fn asked(&self) -> Result<&chaos_dsl::Asked, Trouble> {
        self.compiled.search.as_ref().ok_or_else(|| {
            Trouble::absent(format!("`{}` has no `search`", self.path.display()))
                .with_help("write `search NAME in LOW .. HIGH to within T` at its top")
        })
    }

    /// Compiles the file once more, with the parameter that it searches set to a level.
    ///
    /// # Errors
    /// The file is no longer the same, or has errors at this level.
    pub fn at(&self, level: Quantity) -> Result<Experiment, NoExperiment> {
        if self.changed() {
            return Err(NoExperiment::Changed);
        }
        let asked = self.asked().map_err(NoExperiment::Trouble)?;
        let mut given = self.given.clone();
        given.set.push(format!("{}={level}", asked.question.param()));
        let mut compiled = chaos_dsl::compile_file(&self.path, &given);
        match compiled.experiments.is_empty() {
            false => Ok(compiled.experiments.swap_remove(0)),
            true => Err(NoExperiment::Errors(compiled.diagnostics)),
        }
    }

    /// Returns whether the file, or one that it uses, is no longer what was compiled.
    fn changed(&self) -> bool {
        let given = Given { set: Vec::new(), ..self.given.clone() };
        let now = chaos_dsl::compile_file(&self.path, &given);
        let texts = |compiled: &Compiled| -> Vec<String> {
            compiled.sources.files().map(|(_, file)| file.text.to_string()).collect()
        };
        texts(&now) != texts(&self.compiled)
    }
}

/// Why there is no experiment for a trial.
#[derive(Debug, thiserror::Error)]
pub enum NoExperiment {
    /// The file is not the one that the search was begun with.
    #[error("the file was changed while it was searched")]
    Changed,
    /// It has errors with this value.
    #[error("the file has errors at this level: {}", .0.first().map_or("", |first| &first.message))]
    Errors(Vec<Diagnostic>),
    /// The search itself cannot go on.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl NoExperiment {
    /// Returns the likely fix.
    pub fn help(&self) -> Option<&str> {
        match self {
            NoExperiment::Changed => {
                Some("begin a new search: trials of different experiments do not add up")
            }
            NoExperiment::Errors(_) => None,
            NoExperiment::Trouble(trouble) => trouble.help.as_deref(),
        }
    }
}
