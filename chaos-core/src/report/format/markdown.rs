//! Markdown for pull requests and incident notes.

use std::io;

use super::{Format, Reports, Subject};
use crate::report::{markdown, matrix, search};

pub(super) const FORMAT: Format =
    Format { name: "markdown", about: "A report to paste into a pull request", live: false, file, write };

fn file(_: &Subject<'_>) -> &'static str {
    "report.md"
}

fn write(reports: &Reports<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    for (i, reported) in reports.all.iter().enumerate() {
        if i > 0 {
            out.write_all(b"\n")?;
        }
        let text = match &reported.subject {
            Subject::Run(record) | Subject::Trial(record) => markdown::render(record, reported.file),
            Subject::NotRun(not_run) => markdown::not_run(not_run),
            Subject::Matrix(matrix, _) => matrix::markdown(matrix, reported.file.unwrap_or("FILE")),
            Subject::Search(record) => search::markdown(record, reported.file),
        };
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}
