//! Text for people.

use std::io;

use super::{Format, Reports, Subject};
use crate::report::{
    line::{Line, WIDTH, plain, wrap},
    matrix, search, text,
};

pub(super) const FORMAT: Format =
    Format { name: "text", about: "A verdict you can read in five seconds", live: true, file, write };

fn file(_: &Subject<'_>) -> &'static str {
    "verdict.txt"
}

fn write(reports: &Reports<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    for (i, reported) in reports.all.iter().enumerate() {
        if i > 0 {
            out.write_all(b"\n")?;
        }
        let lines = match &reported.subject {
            Subject::Run(record) | Subject::Trial(record) => text::lines(record),
            Subject::Matrix(matrix, _) => matrix::lines(matrix),
            Subject::Search(record) => search::lines(record),
            Subject::NotRun(not_run) => {
                let style = text::style(not_run.verdict);
                let head = Line::at(0).piece(style, not_run.verdict.words().to_uppercase()).plain("  ");
                let mut lines = vec![head.strong(&not_run.experiment), Line::at(2).plain(&not_run.reason)];
                lines.extend(not_run.help.iter().map(|help| Line::at(2).plain(help)));
                wrap(lines, WIDTH)
            }
        };
        out.write_all(plain(&lines).as_bytes())?;
    }
    Ok(())
}
