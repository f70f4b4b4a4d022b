//! All cells of an `each`, and one report for them.

use chaos_core::{
    bundle,
    report::{self, matrix::Matrix},
    run::{Finished, new_id},
};

use super::{Session, experiments, in_memory, junit, shown};
use crate::{args::Format, exit_code::Exit, render};

/// Runs every cell of a file, each in a folder of its own below that of the matrix; returns whether somebody stopped it.
pub(super) fn run(session: &Session<'_>) -> (Exit, bool) {
    let id = new_id();
    let out = session.out.join(&id);
    let planned = session.scenario.compiled.experiments.len();
    let file = session.scenario.path.display().to_string();
    if !session.args.quiet {
        render::say(&format!("{file}: {planned} runs, kept in {}\n", out.display()));
    }
    let cells = Session { out: out.clone(), alone: false, ..*session };
    let (exit, runs, stopped) = experiments(&cells);
    let records = || runs.iter().map(|finished: &Finished| &finished.record);
    let matrix = Matrix::of(&id, planned, records());
    let reports = [
        ("matrix.json", in_memory("JSON", |out| report::matrix::json(&matrix, out))),
        ("verdict.txt", report::matrix::render(&matrix)),
        ("report.md", report::matrix::markdown(&matrix, &file)),
        ("junit.xml", junit(records())),
    ];
    if let Err(error) = bundle::keep(&out, &reports) {
        render::warning(&format!("the folder of the runs is not complete: {error}"), None);
    }
    match session.args.format {
        Format::Text => {
            render::print(&render::styled(&report::matrix::lines(&matrix)));
            render::print(&format!("\nkept in {}, each run in a folder of its own\n", shown(&out)));
            let set: String =
                session.args.planning.settings.set.iter().map(|s| format!(" --set {s}")).collect();
            render::print(&format!("again:   chaos run {file}{set} --seed {}\n", session.seed));
            if let Some(worst) = matrix.cells.iter().max_by_key(|cell| cell.verdict) {
                let run = out.join(&worst.run).join("verdict.txt");
                render::print(&format!("next:    less {}\n", shown(&run)));
            }
        }
        Format::Json | Format::Junit | Format::Markdown => {
            let name = match session.args.format {
                Format::Json => "matrix.json",
                Format::Junit => "junit.xml",
                Format::Text | Format::Markdown => "report.md",
            };
            let text = reports.iter().find(|(file, _)| *file == name).map_or("", |(_, text)| text);
            render::print(text);
        }
    }
    (exit, stopped)
}
