//! `chaos check`

use chaos_dsl::diagnostic::Record;
use serde::Serialize;

use crate::{
    args::{Check, Shape},
    exit_code::Exit,
    render,
};

/// What `--format json` prints for each file.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    experiments: Vec<String>,
    diagnostics: Vec<Record>,
}

/// Finds all errors of all files.
pub(crate) fn run(args: &Check) -> Exit {
    let mut exit = Exit::Passed;
    let mut checked = Vec::new();
    for path in &args.files {
        let compiled = chaos_dsl::compile_file(path, &args.settings.set);
        if !compiled.is_ok() {
            exit = Exit::BadInput;
        }
        match args.format {
            Shape::Text => {
                render::diagnostics(&compiled.diagnostics, &compiled.sources);
                if compiled.is_ok() {
                    let count = compiled.experiments.len();
                    let noun = if count == 1 { "experiment" } else { "experiments" };
                    render::print(&format!("{}: {count} {noun}, no errors\n", path.display()));
                }
            }
            Shape::Json => checked.push(Checked {
                file: path.display().to_string(),
                ok: compiled.is_ok(),
                experiments: compiled.experiments.iter().map(|e| e.name.value.clone()).collect(),
                diagnostics: compiled.diagnostics.iter().map(|d| d.record(&compiled.sources)).collect(),
            }),
        }
    }
    if args.format == Shape::Json {
        // These are plain structures of text and numbers, which always have a JSON form.
        let json = serde_json::to_string_pretty(&checked).unwrap_or_default();
        render::print(&format!("{json}\n"));
    }
    exit
}
