//! Driving a search: one whole run after another, each written down before the next begins.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use super::{Carrier, Order, Part};
use crate::{
    bundle,
    model::{Experiment, Quantity},
    ordinary,
    outcome::{NotRun, Verdict, result},
    owned::{NotOwned, OwnedFolder},
    plan::seed,
    report::{Reported, Subject},
    run::{Record, new_id},
    search::{Entry, Header, Next, Outcome, Question, SCHEMA_VERSION, SearchRecord, Trial},
    trouble::Trouble,
};

/// The journal of a search, in its folder.
pub const JOURNAL: &str = "search.jsonl";

/// A search under way, with its folder; nobody else goes on with it meanwhile.
#[derive(Debug)]
pub struct Search {
    folder: PathBuf,
    journal: File,
    record: SearchRecord,
    /// Whether it was begun before, and that it goes on is not yet written down.
    taken_up: bool,
}

impl Search {
    /// Makes the folder of a new search in `out`, and begins its journal; `scenario` is a fingerprint of all that decides a
    /// trial but its level.
    ///
    /// # Errors
    /// The folder cannot be made, or not written.
    pub fn begin(
        out: &Path,
        experiment: &str,
        question: &Question,
        seed: u64,
        scenario: &str,
    ) -> Result<Search, Trouble> {
        let id = new_id();
        let folder = std::path::absolute(out.join(&id)).unwrap_or_else(|_| out.join(&id));
        let header = Header {
            version: SCHEMA_VERSION,
            search: id,
            experiment: experiment.to_owned(),
            question: question.clone(),
            seed,
            started: jiff::Timestamp::now(),
            scenario: scenario.to_owned(),
        };
        let journal = OwnedFolder::open(&folder)
            .and_then(|folder| folder.create(JOURNAL))
            .and_then(|file| locked(file, &folder))
            .map_err(|error| {
                Trouble::unable(format!(
                    "cannot make a folder for the search in `{}`: {error}",
                    out.display()
                ))
                .of_kind((&error).into())
                .with_help("choose another folder")
            })?;
        let record = SearchRecord::new(header.clone());
        let mut search = Search { folder, journal, record, taken_up: false };
        search.write(&Entry::Search(Box::new(header)))?;
        Ok(search)
    }

    /// Reads the journal of a search that was stopped or killed, and makes sure that it asked the same.
    ///
    /// # Errors
    /// There is no such search, it asked something else, or somebody else goes on with it.
    pub fn resume(folder: &Path, question: &Question, scenario: &str) -> Result<Search, Trouble> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let path = folder.join(JOURNAL);
        let text = ordinary::read(&path, bundle::MOST_RECORD).map_err(|error| {
            Trouble::absent(format!(
                "`{}` is not the folder of a search: {JOURNAL}: {error}",
                folder.display()
            ))
            .with_help("name the folder that the search printed after `kept in`")
        })?;
        let bad = |error: &dyn std::fmt::Display| Trouble::unable(format!("`{}`: {error}", path.display()));
        let record = SearchRecord::read(&text)
            .map_err(|error| bad(&error).with_help("begin a new search, without `--resume`"))?;
        if record.header.question != *question || record.header.scenario != scenario {
            return Err(Trouble::unable(format!(
                "the search in `{}` was begun with another file, or other settings",
                folder.display()
            ))
            .with_help(
                "begin a new search, without `--resume`: trials of different experiments do not add up",
            ));
        }
        let journal = OwnedFolder::open(&folder).and_then(|folder| folder.append(JOURNAL));
        let journal = journal.map_err(|error| match NotOwned::of(&error) {
            Some(why) => bad(&error).with_help(why.help(&path)),
            None => bad(&error).with_help("make it writable"),
        })?;
        let journal = locked(journal, &folder);
        let mut journal = journal.map_err(|error| bad(&error).with_help("end the other search first"))?;
        if !text.ends_with('\n') {
            // The line was cut off when its writer was killed; what follows begins on a line of its own, and the rest is dropped.
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            let cut = journal.set_len(whole as u64).and_then(|()| journal.flush());
            cut.map_err(|error| bad(&error).with_help("make it writable"))?;
        }
        Ok(Search { folder, journal, record, taken_up: true })
    }

    /// Returns where it is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns everything that is known of it.
    pub fn record(&self) -> &SearchRecord {
        &self.record
    }

    /// Returns everything that is known of it, and ends its hold on the folder.
    pub fn into_record(self) -> SearchRecord {
        self.record
    }

    /// Makes trials until there is an answer, or somebody stops one; `at` makes the experiment at a level, `over` hears of
    /// every trial as it ends. Returns whether somebody stopped it.
    ///
    /// # Errors
    /// The experiment cannot be made at a level, or what a trial taught cannot be written down. What is known stays, and a
    /// later [`resume`](Search::resume) goes on from there.
    pub async fn drive<E: From<Trouble>>(
        &mut self,
        at: impl Fn(Quantity) -> Result<Experiment, E>,
        carrier: &dyn Carrier,
        mut over: impl FnMut(&SearchRecord, &Trial),
    ) -> Result<bool, E> {
        if std::mem::take(&mut self.taken_up) && !self.record.is_over() {
            self.write(&Entry::Resumed { at: jiff::Timestamp::now() })?;
            self.record.resume();
        }
        while let Next::Try(level) = self.record.search().next() {
            let experiment = at(level)?;
            let trial = self.trial(&experiment, level, carrier).await?;
            over(&self.record, &trial);
            if trial.outcome == Outcome::Interrupted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps the reports of it in its folder, and notes in the record where that failed; `file` is the scenario's path as they write it.
    ///
    /// # Errors
    /// Some of them could not be written.
    pub fn keep(&mut self, file: Option<&str>) -> io::Result<()> {
        let kept = self.reports(file);
        if let Err(error) = &kept {
            self.record.unkept.get_or_insert_with(|| error.to_string());
            // What can still be written says so as well.
            let _ = self.reports(file);
        }
        kept
    }

    fn reports(&self, file: Option<&str>) -> io::Result<()> {
        let reported = Reported { subject: Subject::Search(&self.record), file };
        reported.files().and_then(|files| bundle::keep(&self.folder, &files))
    }

    /// Carries out the experiment at a level, and writes down the result.
    async fn trial(
        &mut self,
        experiment: &Experiment,
        level: Quantity,
        carrier: &dyn Carrier,
    ) -> Result<Trial, Trouble> {
        let number = self.record.trials.len() as u32 + 1;
        let run = new_id();
        self.write(&Entry::Begun { number, level, run: run.clone() })?;
        let seed = seed::derive(self.record.header.seed, &format!("trial {number}")) >> 16;
        let since = Instant::now();
        let order = Order { experiment, run: &run, out: &self.folder, seed, part: Part::Trial };
        let ran = carrier.carry_out(&order).await;
        let lost = ran.as_ref().ok().and_then(|record| record.unkept.clone());
        self.record.unkept = self.record.unkept.take().or(lost);
        let trial = Trial { took: since.elapsed(), ..trial(number, level, run, ran) };
        self.write(&Entry::Over(trial.clone()))?;
        self.record.push(trial.clone());
        // For readers who look before the end; the search continues without it.
        if let Err(error) = self.reports(None) {
            tracing::warn!(%error, "the reports of the search were not written");
        }
        Ok(trial)
    }

    /// Writes a line of the journal, and waits until the disk has it.
    fn write(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let mut line = serde_json::to_vec(entry).map_err(|error| {
            Trouble::internal(format!("an entry of the search has no JSON form: {error}"))
        })?;
        line.push(b'\n');
        self.journal.write_all(&line).and_then(|()| self.journal.sync_data()).map_err(|error| {
            Trouble::unable(format!("the journal of the search cannot be written: {error}"))
                .of_kind((&error).into())
                .with_help("make room, and go on with `--resume`")
        })
    }
}

/// Makes sure that nobody else goes on with the same search.
fn locked(file: File, folder: &Path) -> io::Result<File> {
    file.try_lock().map_err(|_| {
        io::Error::other(format!("another process goes on with the search in `{}`", folder.display()))
    })?;
    Ok(file)
}

fn trial(number: u32, level: Quantity, run: String, ran: Result<Record, NotRun>) -> Trial {
    let took = std::time::Duration::ZERO;
    match ran {
        Ok(record) => {
            let overall = result(&record);
            let reason = match overall.verdict {
                Verdict::Passed => String::new(),
                _ => overall.reasons.into_iter().next().unwrap_or_default(),
            };
            let (outcome, verdict) = (Outcome::of(&record), Some(overall.verdict));
            Trial { number, level, run: Some(run), outcome, verdict, reason, took }
        }
        Err(NotRun { verdict: by, reason, .. }) => {
            let outcome = Outcome::Ended { by, reason: reason.clone() };
            Trial { number, level, run: None, outcome, verdict: None, reason, took }
        }
    }
}
