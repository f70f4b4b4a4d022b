//! What is kept of a search: a journal while it goes on, a record when it is over.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Conclusion, Next, Outcome, Question, Search};
use crate::{model::Quantity, outcome::Verdict};

/// The version of the journal and of the record; it grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What a search was begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The search's id.
    pub search: String,
    /// The title of the experiment.
    pub experiment: String,
    /// What is asked.
    pub question: Question,
    /// What fixes every random choice.
    pub seed: u64,
    /// When it was begun, by the wall clock.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// A fingerprint of the file and of all that it uses, and of the other parameters that were set.
    pub scenario: String,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Trial {
    /// Its number, from 1; also of those that do not count.
    pub number: u32,
    /// The level.
    pub level: Quantity,
    /// The run's id, and the name of its folder; `None` if there was no run.
    pub run: Option<String>,
    /// What came of it for the search.
    pub outcome: Outcome,
    /// The outcome of the run; `None` if there was no run.
    pub verdict: Option<Verdict>,
    /// Why, one line for people.
    pub reason: String,
    /// How long it took.
    pub took: Duration,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// The first line.
    Search(Box<Header>),
    /// A trial is about to begin.
    Begun {
        /// Its number.
        number: u32,
        /// The level.
        level: Quantity,
        /// The run's id.
        run: String,
    },
    /// A trial is over; on the disk before the next one begins.
    Over(Trial),
    /// The search was taken up again.
    Resumed {
        /// When, by the wall clock.
        at: Timestamp,
    },
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableJournal {
    /// It does not begin as one.
    #[error("it does not begin with what was asked")]
    NoHeader,
    /// It is of another version.
    #[error("it is of version {0}, and this `chaos` reads version {SCHEMA_VERSION}")]
    Version(u32),
    /// A line cannot be read.
    #[error("line {line} cannot be read: {error}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Why not.
        error: serde_json::Error,
    },
}

/// Everything that is known of a search: every report folds from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "chaos search record")]
pub struct SearchRecord {
    /// What it was begun with.
    #[serde(flatten)]
    pub header: Header,
    /// Every trial, also those that do not count.
    pub trials: Vec<Trial>,
    /// How many trials were there when it was taken up again, each time.
    pub resumed: Vec<usize>,
    /// The median of the breaking point as it is known, and the ends of its interval.
    pub estimate: (Quantity, Quantity, Quantity),
    /// What it found out; none while it is not over.
    pub conclusion: Option<Conclusion>,
    /// Why not all of its evidence could be kept, since it was begun or taken up again; none where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
}

impl SearchRecord {
    /// Begins a record.
    pub fn new(header: Header) -> Self {
        let mut record = SearchRecord {
            estimate: (header.question.low(), header.question.low(), header.question.high()),
            header,
            trials: Vec::new(),
            resumed: Vec::new(),
            conclusion: None,
            unkept: None,
        };
        record.refresh();
        record
    }

    /// Reads the lines of a journal; a last line that was cut off by a crash is as if it had never been begun.
    pub fn read(journal: &str) -> Result<Self, UnreadableJournal> {
        let whole = journal.ends_with('\n');
        let count = journal.lines().count();
        let mut record: Option<SearchRecord> = None;
        for (index, text) in journal.lines().enumerate() {
            let line = index + 1;
            let entry = match serde_json::from_str::<Entry>(text) {
                Ok(entry) => entry,
                Err(_) if line == count && !whole && line > 1 => break,
                Err(_) if line == 1 => return Err(UnreadableJournal::NoHeader),
                Err(error) => return Err(UnreadableJournal::Line { line, error }),
            };
            match (entry, &mut record) {
                (Entry::Search(header), None) if header.version == SCHEMA_VERSION => {
                    record = Some(SearchRecord::new(*header));
                }
                (Entry::Search(header), None) => return Err(UnreadableJournal::Version(header.version)),
                (Entry::Over(trial), Some(record)) => record.trials.push(trial),
                (Entry::Resumed { .. }, Some(record)) => record.resumed.push(record.trials.len()),
                (Entry::Begun { .. }, Some(_)) => {}
                (_, None) | (Entry::Search(_), Some(_)) => return Err(UnreadableJournal::NoHeader),
            }
        }
        let mut record = record.ok_or(UnreadableJournal::NoHeader)?;
        record.refresh();
        Ok(record)
    }

    /// Takes in a trial that is over.
    pub fn push(&mut self, trial: Trial) {
        self.trials.push(trial);
        self.refresh();
    }

    /// Takes it up again.
    pub fn resume(&mut self) {
        self.resumed.push(self.trials.len());
        self.refresh();
    }

    /// Goes through the whole search once more; the same record always gives the same.
    pub fn search(&self) -> Search {
        let mut search = Search::new(self.header.question.clone(), self.header.seed);
        for number in 0..=self.trials.len() {
            if self.resumed.contains(&number) {
                search.resume();
            }
            if let Some(trial) = self.trials.get(number) {
                search.learn(trial.level, trial.outcome.clone());
            }
        }
        search
    }

    /// Ranks it among the verdicts of runs; one that is not over was aborted, one whose evidence is lost has not passed.
    pub fn verdict(&self) -> Verdict {
        let found = self.conclusion.as_ref().map_or(Verdict::Aborted, Conclusion::verdict);
        if self.unkept.is_some() { found.max(Verdict::NotKept) } else { found }
    }

    /// Returns whether going on with it can only lead to what is known.
    pub fn is_over(&self) -> bool {
        let open = |c: &Conclusion| matches!(c, Conclusion::Ended { .. } | Conclusion::Undecided { .. });
        self.conclusion.as_ref().is_some_and(|conclusion| !open(conclusion))
    }

    /// Counts the trials with an outcome of some kind.
    pub fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.trials.iter().filter(|trial| of(&trial.outcome)).count()
    }

    /// Returns whether somebody interrupted it last.
    pub fn is_interrupted(&self) -> bool {
        self.conclusion.is_none()
            && self.trials.last().is_some_and(|trial| trial.outcome == Outcome::Interrupted)
    }

    fn refresh(&mut self) {
        let search = self.search();
        self.estimate = search.estimate();
        self.conclusion = match search.next() {
            Next::Done(conclusion) => Some(conclusion),
            Next::Try(_) => None,
        };
    }
}
