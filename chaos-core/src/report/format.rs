//! The formats of reports: one table, read by the command line, by the folders of runs and by harnesses.
//!
//! A format writes what an invocation has to report as one document: a [`Subject`] as it stands, several of them together.
//! Another format is a file beside [`text`], with a row in [`FORMATS`].

mod json;
mod junit;
mod markdown;
mod text;

use std::io;

use crate::{
    outcome::{NotRun, Ran},
    report::matrix::Matrix,
    run::Record,
    search::SearchRecord,
};

/// Every format, the one for people first.
pub static FORMATS: [Format; 4] = [text::FORMAT, json::FORMAT, junit::FORMAT, markdown::FORMAT];

/// How a report is written.
#[derive(Debug)]
pub struct Format {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is for, without a full stop.
    pub about: &'static str,
    /// Whether a person reads it while the runs go on, each as it ends, rather than a program when all are over.
    pub live: bool,
    /// The file that it has in a folder.
    file: fn(&Subject<'_>) -> &'static str,
    /// Writes one document.
    write: fn(&Reports<'_>, &mut dyn io::Write) -> io::Result<()>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A run that was asked for.
    Run(&'a Record),
    /// A run that a search made on its way. That it does not hold is not a failure of what was asked for, so no file of it looks
    /// to a CI system like a test that failed.
    Trial(&'a Record),
    /// An experiment that was not run.
    NotRun(&'a NotRun),
    /// All cells of a file, in the order of the file, with their table.
    Matrix(&'a Matrix, &'a [Ran]),
    /// A search.
    Search(&'a SearchRecord),
}

/// Something to report, with the file that it is of.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// What it is about.
    pub subject: Subject<'a>,
    /// The scenario's path as a reader would write it to repeat it.
    pub file: Option<&'a str>,
}

/// All that one document reports.
#[derive(Clone, Debug)]
pub struct Reports<'a> {
    /// What there is, in the order in which it was asked for.
    pub all: Vec<Reported<'a>>,
    /// Whether more than one was asked for, however many there are: the shape of a document must not depend on who stopped it.
    pub several: bool,
}

impl Format {
    /// Finds a format by its name.
    pub fn named(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Folds everything to one document.
    ///
    /// # Errors
    /// What is reported has no such form.
    pub fn document(&self, reports: &Reports<'_>) -> io::Result<String> {
        let mut out = Vec::new();
        (self.write)(reports, &mut out)?;
        String::from_utf8(out).map_err(io::Error::other)
    }
}

impl<'a> Reported<'a> {
    /// Returns the record of a run.
    pub fn record(&self) -> Option<&'a Record> {
        match self.subject {
            Subject::Run(record) | Subject::Trial(record) => Some(record),
            Subject::NotRun(_) | Subject::Matrix(..) | Subject::Search(_) => None,
        }
    }

    /// Folds it to every format: the files of a folder, with their texts.
    ///
    /// # Errors
    /// It has no form in one of them.
    pub fn files(&self) -> io::Result<Vec<(&'static str, String)>> {
        let reports = Reports { all: vec![*self], several: false };
        FORMATS.iter().map(|format| Ok(((format.file)(&self.subject), format.document(&reports)?))).collect()
    }
}
