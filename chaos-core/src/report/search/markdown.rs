//! A search as Markdown.

use std::fmt::Write as _;

use super::{counted, found, headline, plot};
use crate::{
    model::quantity::format_seconds,
    report::{
        line::Style,
        markdown::{cell, table},
    },
    search::SearchRecord,
};

/// Folds a search to Markdown; `file` is the scenario's path as a reader would write it to repeat the search.
pub fn render(record: &SearchRecord, file: Option<&str>) -> String {
    let (style, word) = headline(record);
    let sign = match style {
        Style::Good => "✅",
        Style::Bad => "❌",
        _ => "❔",
    };
    let mut out = String::new();
    let what = cell(&record.header.experiment);
    // Writing to a string cannot fail.
    let _ = write!(out, "## {sign} {}: {what}\n\n", word.to_uppercase());
    let _ = write!(out, "- {}\n- {}\n\n```text\n", cell(&found(record)), cell(&counted(record)));
    for line in plot(record) {
        let _ = writeln!(out, "{line}");
    }
    let _ = write!(out, "```\n\n### Trials\n\n");
    let rows = record.trials.iter().map(|trial| {
        [
            trial.number.to_string(),
            trial.level.to_string(),
            trial.outcome.words().to_owned(),
            format_seconds(trial.took.as_secs_f64()),
            trial.run.clone().unwrap_or_default(),
            cell(&trial.reason),
        ]
    });
    table(&mut out, ["trial", "level", "outcome", "took", "run", "why"], rows);
    let file = crate::report::shell::quoted(file.unwrap_or("FILE"));
    let _ = write!(out, "\n### Repeat it\n\n    chaos run {file} --seed {}\n", record.header.seed);
    out
}
