//! `chaos check`: as text, as JSON, as annotations of a pull request ([`github`]), or for code scanning ([`sarif`]).

mod github;
mod sarif;

use std::path::Path;

use chaos_dsl::{Compiled, Diagnostic, SourceMap, diagnostic::Record};
use serde::Serialize;

use crate::{
    args::{Check, Checks},
    exit_code::Exit,
    render, scenario,
};

/// What `--format json` prints for each file.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    experiments: Vec<String>,
    diagnostics: Vec<Record>,
}

/// Finds all errors of all files; what should be known beside them is reported, and changes nothing unless warnings are denied.
pub(crate) fn run(args: &Check) -> Exit {
    let files = match scenario::found(&args.files) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Passed;
    let mut checked = Vec::new();
    for file in &files {
        let Some(compiled) = compiled(&file.path, args) else { return Exit::BadInput };
        // A file of parts is as good as its parts.
        let missed = |d: &&Diagnostic| !(compiled.only_parts && d.is_error());
        let remarks = compiled.remarks();
        let all: Vec<&Diagnostic> = compiled.diagnostics.iter().filter(missed).chain(&remarks).collect();
        let errors = all.iter().filter(|d| d.is_error()).count();
        let denied = args.deny.is_some() && errors < all.len();
        if errors > 0 || denied {
            exit = Exit::BadInput;
        }
        match args.format {
            Checks::Text => {
                let all: Vec<Diagnostic> = all.into_iter().cloned().collect();
                render::diagnostics(&all, &compiled.sources);
                if errors == 0 {
                    say(&name(&file.path), &compiled, all.len(), denied);
                }
            }
            Checks::Json | Checks::Github | Checks::Sarif => checked.push(Checked {
                file: name(&file.path),
                ok: errors == 0 && !denied,
                experiments: compiled.experiments.iter().map(|e| e.name.value.clone()).collect(),
                diagnostics: all.into_iter().map(|d| d.record(&compiled.sources)).collect(),
            }),
        }
    }
    match args.format {
        Checks::Text => {}
        Checks::Json => render::json(&checked),
        Checks::Github => render::raw(&github::commands(&checked)),
        Checks::Sarif => render::json(&sarif::log(&checked)),
    }
    exit
}

/// Compiles a file, or standard input; `None` where that cannot be read, which is said.
fn compiled(path: &Path, args: &Check) -> Option<Compiled> {
    if path != Path::new("-") {
        return Some(chaos_dsl::compile_file(path, &args.settings.given()));
    }
    match scenario::from_stdin() {
        Ok(text) => Some(chaos_dsl::compile(&name(path), &text, &args.settings.given().set)),
        Err(diagnostics) => {
            render::diagnostics(&diagnostics, &SourceMap::new());
            None
        }
    }
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Says that a file has no errors.
fn say(name: &str, compiled: &Compiled, warnings: usize, denied: bool) {
    let holds = match compiled.only_parts {
        true => "parts for other files".to_owned(),
        false => counted(compiled.experiments.len(), "experiment"),
    };
    let warned = match (warnings, denied) {
        (0, _) => String::new(),
        (warnings, false) => format!(", {}", counted(warnings, "warning")),
        (warnings, true) => format!(", {}, denied", counted(warnings, "warning")),
    };
    render::print(&format!("{name}: {holds}, no errors{warned}\n"));
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
