//! JSON for programs: an object, or an array of them where several things were asked for.

use std::io;

use serde::Serialize;

use super::{Format, Reported, Reports, Subject};
use crate::{
    outcome::NotRun,
    report::{json, matrix, search},
};

pub(super) const FORMAT: Format =
    Format { name: "json", about: "The whole record, for programs", live: false, file, write };

fn file(subject: &Subject<'_>) -> &'static str {
    match subject {
        Subject::Run(_) | Subject::Trial(_) | Subject::NotRun(_) => "record.json",
        Subject::Matrix(..) => "matrix.json",
        Subject::Search(_) => "search.json",
    }
}

fn write(reports: &Reports<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    if !reports.several {
        return reports.all.iter().try_for_each(|reported| one(reported, out));
    }
    out.write_all(b"[\n")?;
    for (i, reported) in reports.all.iter().enumerate() {
        if i > 0 {
            out.write_all(b",\n")?;
        }
        one(reported, out)?;
    }
    out.write_all(b"]\n")
}

fn one(reported: &Reported<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    match &reported.subject {
        Subject::Run(record) | Subject::Trial(record) => json::write(record, out),
        Subject::Matrix(matrix, _) => matrix::json(matrix, out),
        Subject::Search(record) => search::json(record, out),
        Subject::NotRun(not_run) => json::object(&Refusal::of(not_run), out),
    }
}

/// What was not run, with its result where a run has it.
#[derive(Serialize)]
struct Refusal<'a> {
    result: RefusalResult<'a>,
    experiment: &'a str,
}

#[derive(Serialize)]
struct RefusalResult<'a> {
    verdict: crate::outcome::Verdict,
    meaning: &'static str,
    reasons: Vec<&'a str>,
}

impl<'a> Refusal<'a> {
    fn of(not_run: &'a NotRun) -> Refusal<'a> {
        let reasons = std::iter::once(&not_run.reason).chain(&not_run.help).map(String::as_str).collect();
        let result = RefusalResult { verdict: not_run.verdict, meaning: not_run.verdict.meaning(), reasons };
        Refusal { result, experiment: &not_run.experiment }
    }
}
