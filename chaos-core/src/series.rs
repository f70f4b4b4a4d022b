//! Many runs of one file, and one report for them.
//!
//! 1. A [`Carrier`] is what a harness brings: it carries one experiment out, from its plan to the folder of its run.
//! 2. [`each`] carries experiments out one after another; [`matrix()`] keeps one table for all of them.
//! 3. A [`Search`] makes the trials of a [search](crate::search), each written down before the next begins, so that it can be
//!    taken up again after it was stopped or killed.
//! 4. [`Series`] holds the result of any of them, ready for every [format](crate::report::Format).

mod matrix;
mod search;

use std::{io, path::Path};

use async_trait::async_trait;

use crate::{
    bundle::Folder,
    model::Experiment,
    outcome::{NotRun, Ran, was_stopped},
    report::{Reported, Subject, html, matrix::Matrix},
    run::{Finished, Record, Restoration, new_id},
    search::SearchRecord,
};

pub use matrix::matrix;
pub use search::{JOURNAL, Search};

/// One run to carry out.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The run's id, and the name of its folder.
    pub run: &'a str,
    /// The folder in which the run gets its own.
    pub out: &'a Path,
    /// What fixes every random choice.
    pub seed: u64,
    /// What it is part of.
    pub part: Part,
}

/// What a run is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it was asked for.
    Alone,
    /// A matrix.
    Cell,
    /// A search.
    Trial,
}

impl Order<'_> {
    /// Returns what the reports in the folder of the run are about.
    pub fn subject<'r>(&self, record: &'r Record) -> Subject<'r> {
        match self.part {
            Part::Alone | Part::Cell => Subject::Run(record),
            Part::Trial => Subject::Trial(record),
        }
    }

    /// Keeps a run in its folder, with its reports. Where not all of it can be kept, the record notes it, and what can still be
    /// written says so as well: no report calls a run passed whose evidence is lost.
    ///
    /// # Errors
    /// Why not all of it could be kept.
    pub fn keep(&self, folder: &Folder, finished: &mut Finished, file: Option<&str>) -> io::Result<()> {
        let all = |finished: &Finished| {
            let reported = Reported { subject: self.subject(&finished.record), file };
            let page = (html::FILE, html::render(&finished.record, &finished.samples, file));
            reported.files().and_then(|files| folder.keep(finished, &[files, vec![page]].concat()))
        };
        let kept = all(finished);
        if let Err(error) = &kept {
            finished.record.unkept = Some(error.to_string());
            // It fails again, and writes what can be written.
            let _ = all(finished);
        }
        kept
    }
}

/// Carries out one experiment: plans it, runs the plan, and keeps what is left of it.
///
/// # Guarantees
/// When it returns, nothing goes on, and the record says whether everything is put back.
///
/// # Assumptions
/// One order is carried out at a time.
///
/// # Errors
/// There was no run: nothing was touched.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Carries out an order.
    async fn carry_out(&self, order: &Order<'_>) -> Result<Record, NotRun>;

    /// Returns whether the next one is wanted behind this.
    fn goes_on(&self, _ran: &Ran) -> bool {
        true
    }
}

/// What came of several experiments.
#[derive(Debug, Default)]
pub struct Runs {
    /// Each that was come to, in order.
    pub ran: Vec<Ran>,
    /// Whether the rest was left out: somebody stopped a run, one is not restored, or the carrier does not go on.
    pub ended_early: bool,
}

/// Carries experiments out, one after another.
///
/// Whoever stops a run does not want the next one, and nothing runs on a world that is not restored.
pub async fn each(
    experiments: &[Experiment],
    out: &Path,
    seed: u64,
    part: Part,
    carrier: &dyn Carrier,
) -> Runs {
    let mut runs = Runs::default();
    for experiment in experiments {
        let run = new_id();
        let order = Order { experiment, run: &run, out, seed, part };
        let ran = match carrier.carry_out(&order).await {
            Ok(record) => Ran::Run(Box::new(record)),
            Err(not_run) => Ran::Not(not_run),
        };
        let is_over = |record: &Record| was_stopped(record) || record.restoration != Restoration::Restored;
        runs.ended_early = ran.record().is_some_and(is_over) || !carrier.goes_on(&ran);
        runs.ran.push(ran);
        if runs.ended_early {
            break;
        }
    }
    runs
}

/// What came of a file.
#[derive(Debug)]
pub enum Series {
    /// Its experiments, each on its own.
    Each(Vec<Ran>),
    /// The cells of its `each`.
    Matrix(Box<Matrix>, Vec<Ran>),
    /// Its search.
    Search(Box<SearchRecord>),
}

impl Series {
    /// Returns what there is to report, one after another; `file` is the scenario's path.
    pub fn reported<'a>(&'a self, file: Option<&'a str>) -> Vec<Reported<'a>> {
        let subjects = match self {
            Series::Each(ran) => ran
                .iter()
                .map(|ran| match ran {
                    Ran::Run(record) => Subject::Run(record),
                    Ran::Not(not_run) => Subject::NotRun(not_run),
                })
                .collect(),
            Series::Matrix(matrix, cells) => vec![Subject::Matrix(matrix, cells)],
            Series::Search(record) => vec![Subject::Search(record)],
        };
        subjects.into_iter().map(|subject| Reported { subject, file }).collect()
    }
}

#[cfg(test)]
mod tests;
