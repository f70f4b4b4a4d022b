//! JUnit XML for continuous integration: one `testsuites`, whatever was asked for.

use std::io;

use super::{Format, Reports, Subject};
use crate::{
    outcome::Ran,
    report::{junit, search},
};

pub(super) const FORMAT: Format =
    Format { name: "junit", about: "A test suite for CI systems", live: false, file, write };

fn file(subject: &Subject<'_>) -> &'static str {
    match subject {
        // CI systems collect `*.xml`, and would count what a search looks for as a failure.
        Subject::Trial(_) => "trial.junit",
        Subject::Run(_) | Subject::NotRun(_) | Subject::Matrix(..) | Subject::Search(_) => "junit.xml",
    }
}

fn write(reports: &Reports<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let suites = reports.all.iter().flat_map(|reported| match reported.subject {
        Subject::Run(record) | Subject::Trial(record) => vec![junit::suite(record)],
        Subject::NotRun(not_run) => vec![junit::not_run(not_run, reported.file)],
        Subject::Search(record) => vec![search::suite(record)],
        Subject::Matrix(matrix, cells) => cells
            .iter()
            .map(|cell| match cell {
                Ran::Run(record) => junit::suite(record),
                Ran::Not(not_run) => junit::not_run(not_run, reported.file),
            })
            .chain(junit::unkept_matrix(matrix))
            .collect(),
    });
    junit::write_suites(suites, out)
}
