//! Tree to model: names, units, and what makes sense.
//!
//! The order of work, in [`compilation`]: [`load`] reads the file and all that it uses, [`params`] gives every parameter its value, then each
//! experiment is checked line by line: [`lab`], [`target`], [`probe`] with [`service`], [`reading`] and [`alert`], [`fault`] with [`custom`], [`timeline`], [`formula`], and at last
//! what only shows in the whole ([`experiment`]). Every check goes on after a mistake, so one run reports all of them.

mod address;
mod alert;
mod answer;
mod bounds;
mod change;
mod clause;
mod cluster;
mod command;
mod comparison;
mod compilation;
mod custom;
mod each;
mod echo;
mod experiment;
mod fault;
mod filter;
mod formula;
mod inherited;
mod lab;
mod load;
mod metric;
mod names;
mod objects;
mod params;
mod predicate;
mod probe;
mod processes;
mod query;
mod reading;
mod report;
mod search;
mod series;
mod service;
mod soundness;
mod target;
mod text;
mod timeline;
mod value;
mod watched;

use std::path::{Path, PathBuf};

use chaos_core::{
    model::{Experiment, Target},
    span::{FileId, Span},
};

use crate::{
    codes::Code,
    confined::{Confined, Given},
    diagnostic::Diagnostic,
    source::SourceMap,
};

pub use experiment::LINES;
pub use metric::FUNCTIONS;
pub use probe::SETTINGS as PROBE_SETTINGS;
pub use search::Asked;
pub use series::MOST_RUNS;

use names::Names;
use params::Params;
use report::join_words;

/// A checked file: its experiments, and everything there is to say about it.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The file and all that it uses.
    pub sources: SourceMap,
    /// The experiments, one for each cell of an `each`; empty when there is an error anywhere.
    pub experiments: Vec<Experiment>,
    /// What is searched for; the experiment then stands at the level of the first trial. None where the command line sets the
    /// parameter.
    pub search: Option<Asked>,
    /// Errors and warnings, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the file is nothing but parts that others [`use`](crate::compile_file), so that all that is wrong with it
    /// is that it holds no experiment.
    pub only_parts: bool,
}

impl Compiled {
    /// Returns whether the file can be used.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Returns what should be known before running, each once: what the experiments can hardly show as they are written.
    ///
    /// Planning says the same; this is for those who only read the file, as a reviewer does.
    pub fn remarks(&self) -> Vec<Diagnostic> {
        let mut out: Vec<Diagnostic> = Vec::new();
        for finding in self.experiments.iter().flat_map(chaos_core::soundness::remarks) {
            let remark = Diagnostic::of(Code::Unsound, finding.remark);
            if !out.contains(&remark) {
                out.push(remark);
            }
        }
        out
    }
}

/// Checks a file and all that it uses.
///
/// What it names (other scenarios, certificates) must be below its own folder, or one that is [given](Given::include).
pub fn compile_file(path: &Path, given: &Given) -> Compiled {
    let mut sources = SourceMap::new();
    let confined = Confined::to(path, &given.include);
    let (files, out) = load::from_path(path, &confined, &mut sources);
    compilation::compile(sources, &files, out, &given.set, Some(confined))
}

/// Checks a text that uses no other file; `name` is what messages call it.
pub fn compile(name: &str, text: &str, set: &[String]) -> Compiled {
    let mut sources = SourceMap::new();
    let (files, out) = load::from_text(name, text, &mut sources);
    compilation::compile(sources, &files, out, set, None)
}

/// What checking carries along.
struct Checker {
    out: Vec<Diagnostic>,
    params: Params,
    /// Statements that are not known where they stand.
    strange: Vec<Span>,
    /// The named targets that the experiment has declared so far.
    targets: Vec<Target>,
    /// Whether the experiment takes place in a cluster.
    in_cluster: bool,
    /// Whether the place of a probe is being read.
    probing: bool,
    /// What the claim under way goes over, the innermost last.
    variables: Vec<each::Variable>,
    /// The folder of each file, which paths in it are relative to.
    folders: Vec<(FileId, PathBuf)>,
    /// Where files may be that it names; none where it stands in no file.
    confined: Option<Confined>,
    /// Where the experiment stands that is being checked.
    experiment: Span,
}
