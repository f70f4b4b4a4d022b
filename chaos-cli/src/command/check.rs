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

/// Finds all errors of all files; what should be known beside them is reported, and changes nothing.
pub(crate) fn run(args: &Check) -> Exit {
    let mut exit = Exit::Passed;
    let mut checked = Vec::new();
    for path in &args.files {
        let compiled = chaos_dsl::compile_file(path, &args.settings.given());
        if !compiled.is_ok() {
            exit = Exit::BadInput;
        }
        let remarks = compiled.remarks();
        match args.format {
            Shape::Text => {
                render::diagnostics(&compiled.diagnostics, &compiled.sources);
                render::diagnostics(&remarks, &compiled.sources);
                if compiled.is_ok() {
                    let experiments = counted(compiled.experiments.len(), "experiment");
                    let warnings = compiled.diagnostics.len() + remarks.len();
                    let warned = match warnings {
                        0 => String::new(),
                        warnings => format!(", {}", counted(warnings, "warning")),
                    };
                    render::print(&format!("{}: {experiments}, no errors{warned}\n", path.display()));
                }
            }
            Shape::Json => checked.push(Checked {
                file: path.display().to_string(),
                ok: compiled.is_ok(),
                experiments: compiled.experiments.iter().map(|e| e.name.value.clone()).collect(),
                diagnostics: compiled
                    .diagnostics
                    .iter()
                    .chain(&remarks)
                    .map(|d| d.record(&compiled.sources))
                    .collect(),
            }),
        }
    }
    if args.format == Shape::Json {
        render::json(&checked);
    }
    exit
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
