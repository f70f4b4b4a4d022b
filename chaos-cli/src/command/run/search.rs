//! The search for a breaking point: one whole run after another, each written down before the next begins.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use chaos_core::{
    bundle,
    model::Quantity,
    outcome::{self, Verdict},
    plan::seed,
    report,
    run::{Finished, new_id},
    search::{Conclusion, EndedBy, Entry, Header, Next, Outcome, SCHEMA_VERSION, SearchRecord, Trial},
};
use chaos_dsl::Asked;

use super::{Session, in_memory, one, shown};
use crate::{args::Format, exit_code::Exit, render, scenario, scenario::Scenario};

/// The journal of a search, in its folder.
const JOURNAL: &str = "search.jsonl";

/// Searches, or goes on with a search; returns whether somebody stopped it.
pub(super) fn run(session: &Session<'_>, asked: &Asked) -> (Exit, bool) {
    let begun = match &session.args.resume {
        Some(folder) => taken_up(session, asked, folder),
        None => begun(session, asked),
    };
    let mut search = match begun {
        Ok(search) => search,
        Err(exit) => return (exit, false),
    };
    if !session.args.quiet {
        render::say(&format!(
            "searching {} from {} to {}, kept in {}\n",
            asked.question.param(),
            asked.question.low(),
            asked.question.high(),
            shown(&search.folder)
        ));
    }
    let mut stopped = false;
    while let Next::Try(level) = search.record.search().next() {
        let trial = match search.trial(session, level) {
            Ok(trial) => trial,
            Err(exit) => {
                search.tell(session);
                return (exit, false);
            }
        };
        if !session.args.quiet {
            let (_, lower, upper) = search.record.estimate;
            render::say(&format!(
                "  trial {} at {}: {} (so far {lower} .. {upper})\n",
                trial.number,
                trial.level,
                trial.outcome.words()
            ));
        }
        if trial.outcome == Outcome::Interrupted {
            stopped = true;
            break;
        }
    }
    search.tell(session);
    (exit_of(&search.record), stopped)
}

/// A search under way, with its folder.
struct Search {
    folder: PathBuf,
    journal: File,
    record: SearchRecord,
}

fn refused(message: &str, help: &str) -> Exit {
    render::error(message, Some(help));
    Exit::Refused
}

/// Makes the folder of a new search, and begins its journal.
fn begun(session: &Session<'_>, asked: &Asked) -> Result<Search, Exit> {
    let id = new_id();
    let folder = std::path::absolute(session.out.join(&id)).unwrap_or_else(|_| session.out.join(&id));
    let experiment = &session.scenario.compiled.experiments[0];
    let header = Header {
        version: SCHEMA_VERSION,
        search: id,
        experiment: experiment.name.value.clone(),
        question: asked.question.clone(),
        seed: session.seed,
        started: jiff::Timestamp::now(),
        scenario: session.scenario.fingerprint(&session.args.planning.settings.set),
    };
    let journal = fs::create_dir_all(&folder)
        .and_then(|()| OpenOptions::new().append(true).create_new(true).open(folder.join(JOURNAL)));
    let journal = journal.and_then(|file| locked(file, &folder)).map_err(|error| {
        let message = format!("cannot make a folder for the search in `{}`: {error}", session.out.display());
        refused(&message, "choose another with `--out DIR`")
    })?;
    let mut search = Search { folder, journal, record: SearchRecord::new(header.clone()) };
    search.write(&Entry::Search(Box::new(header)))?;
    Ok(search)
}

/// Reads the journal of a search that was stopped or killed, and makes sure that it asked the same.
fn taken_up(session: &Session<'_>, asked: &Asked, folder: &Path) -> Result<Search, Exit> {
    let bad = |message: String, help: &str| {
        render::error(&message, Some(help));
        Exit::BadInput
    };
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let path = folder.join(JOURNAL);
    let text = fs::read_to_string(&path).map_err(|error| {
        bad(
            format!("`{}` is not the folder of a search: {JOURNAL}: {error}", folder.display()),
            "name the folder that the search printed after `kept in`",
        )
    })?;
    let record = SearchRecord::read(&text).map_err(|error| {
        bad(format!("`{}`: {error}", path.display()), "begin a new search, without `--resume`")
    })?;
    let set = &session.args.planning.settings.set;
    let same = record.header.question == asked.question
        && record.header.scenario == session.scenario.fingerprint(set);
    if !same {
        return Err(bad(
            format!("the search in `{}` was begun with another file, or other settings", folder.display()),
            "begin a new search, without `--resume`: trials of different experiments do not add up",
        ));
    }
    let journal = OpenOptions::new().append(true).open(&path).and_then(|file| locked(file, &folder));
    let mut journal = journal
        .map_err(|error| bad(format!("`{}`: {error}", path.display()), "end the other search first"))?;
    if !text.ends_with('\n') {
        // The line was cut off when its writer was killed; what follows begins on a line of its own, and the rest is dropped.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let cut = journal.set_len(whole as u64).and_then(|()| journal.flush());
        cut.map_err(|error| bad(format!("`{}`: {error}", path.display()), "make it writable"))?;
    }
    let mut search = Search { folder, journal, record };
    if !search.record.conclusion.as_ref().is_some_and(over) {
        search.write(&Entry::Resumed { at: jiff::Timestamp::now() })?;
        search.record.resume();
    }
    Ok(search)
}

/// Whether a search that came to this can only come to it again.
fn over(conclusion: &Conclusion) -> bool {
    !matches!(conclusion, Conclusion::Ended { .. } | Conclusion::Undecided { .. })
}

/// Makes sure that nobody else goes on with the same search.
fn locked(file: File, folder: &Path) -> io::Result<File> {
    file.try_lock().map_err(|_| {
        io::Error::other(format!("another process goes on with the search in `{}`", folder.display()))
    })?;
    Ok(file)
}

impl Search {
    /// Writes a line of the journal, and waits until the disk has it.
    fn write(&mut self, entry: &Entry) -> Result<(), Exit> {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        self.journal.write_all(&line).and_then(|()| self.journal.sync_data()).map_err(|error| {
            let message = format!("the journal of the search cannot be written: {error}");
            refused(&message, "make room, and go on with `--resume`")
        })
    }

    /// Runs the experiment at a level, and writes down the result.
    fn trial(&mut self, session: &Session<'_>, level: Quantity) -> Result<Trial, Exit> {
        let number = self.record.trials.len() as u32 + 1;
        let scenario = self.at(session, level)?;
        let run = new_id();
        self.write(&Entry::Begun { number, level, run: run.clone() })?;
        let trials = Session { out: self.folder.clone(), alone: false, ..*session };
        let seed = seed::derive(self.record.header.seed, &format!("trial {number}")) >> 16;
        let since = Instant::now();
        let experiment = &scenario.compiled.experiments[0];
        let (exit, finished) = session.runtime.block_on(one(&trials, &scenario, experiment, &run, seed));
        let trial = trial(number, level, run, exit, finished.as_ref(), since);
        self.write(&Entry::Over(trial.clone()))?;
        self.record.push(trial.clone());
        // For readers who look before the end; the search continues without it.
        if let Err(error) = fs::write(self.folder.join("search.json"), self.json()) {
            tracing::warn!(%error, "the record of the search was not written");
        }
        Ok(trial)
    }

    /// Compiles the file once more, with the level set.
    fn at(&self, session: &Session<'_>, level: Quantity) -> Result<Scenario, Exit> {
        let header = &self.record.header;
        let mut set = session.args.planning.settings.set.clone();
        if session.scenario.changed() {
            return Err(refused(
                "the file was changed while it was searched",
                "begin a new search: trials of different experiments do not add up",
            ));
        }
        set.push(format!("{}={level}", header.question.param()));
        scenario::compile_one(&session.scenario.path, &set)
    }

    fn json(&self) -> String {
        in_memory("JSON", |out| report::search::json(&self.record, out))
    }

    /// Keeps and prints what is known.
    fn tell(&self, session: &Session<'_>) {
        let file = session.scenario.path.display().to_string();
        let reports = [
            ("search.json", self.json()),
            ("verdict.txt", report::search::render(&self.record)),
            ("report.md", report::search::markdown(&self.record, Some(&file))),
            ("junit.xml", in_memory("JUnit", |out| report::search::junit(&self.record, out))),
        ];
        if let Err(error) = bundle::keep(&self.folder, &reports) {
            render::warning(&format!("the folder of the search is not complete: {error}"), None);
        }
        let kept = |name: &str| reports.iter().find(|(n, _)| *n == name).map_or("", |(_, text)| text);
        match session.args.format {
            Format::Json => render::print(kept("search.json")),
            Format::Junit => render::print(kept("junit.xml")),
            Format::Markdown => render::print(kept("report.md")),
            Format::Text => {
                render::print(&render::styled(&report::search::lines(&self.record)));
                render::print(&format!(
                    "\nkept in {}, each trial in a folder of its own\n",
                    shown(&self.folder)
                ));
                let set: String =
                    session.args.planning.settings.set.iter().map(|s| format!(" --set {s}")).collect();
                let ended = self.record.conclusion.as_ref().is_some_and(over);
                let next = if ended {
                    let param = self.record.header.question.param();
                    let (point, ..) = self.record.estimate;
                    format!(
                        "next:    chaos run {file}{set} --set {param}={point}    (one run at that level)\n"
                    )
                } else {
                    format!("go on:   chaos run {file}{set} --resume {}\n", shown(&self.folder))
                };
                render::print(&next);
            }
        }
    }
}

fn trial(
    number: u32,
    level: Quantity,
    run: String,
    exit: Exit,
    finished: Option<&Finished>,
    since: Instant,
) -> Trial {
    let (outcome, verdict, reason) = match finished {
        Some(finished) => {
            let overall = outcome::result(&finished.record);
            let reason = match overall.verdict {
                Verdict::Passed => String::new(),
                _ => overall.reasons.first().cloned().unwrap_or_default(),
            };
            (Outcome::of(&finished.record), Some(overall.verdict), reason)
        }
        None => {
            // The error itself was printed.
            let reason = "the run could not be planned".to_owned();
            let by = if exit == Exit::NotPermitted { EndedBy::NotPermitted } else { EndedBy::Refused };
            (Outcome::Ended { by, reason: reason.clone() }, None, reason)
        }
    };
    let run = finished.map(|_| run);
    Trial { number, level, run, outcome, verdict, reason, took: since.elapsed() }
}

/// Ranks what a search came to: an answer is what was asked for, and only what fails everywhere has failed.
fn exit_of(record: &SearchRecord) -> Exit {
    match &record.conclusion {
        Some(Conclusion::Found { enough: true, .. } | Conclusion::NotFound { .. }) => Exit::Passed,
        Some(Conclusion::AlreadyFails { .. }) => Exit::Failed,
        Some(Conclusion::Found { .. } | Conclusion::NotMonotone { .. } | Conclusion::Undecided { .. }) => {
            Exit::Inconclusive
        }
        Some(Conclusion::Ended { by: EndedBy::Refused, .. }) => Exit::Refused,
        Some(Conclusion::Ended { by: EndedBy::NotPermitted, .. }) => Exit::NotPermitted,
        Some(Conclusion::Ended { by: EndedBy::NotRestored, .. }) => Exit::NotRestored,
        None => Exit::Aborted,
    }
}
