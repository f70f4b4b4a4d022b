//! The search for a breaking point: what it prints, and how it ends.

use chaos::NoExperiment;
use chaos_core::{
    outcome::Verdict,
    report::{self, shell::quoted},
    search::{SearchRecord, Trial},
    series::{Search, Series},
    trouble::Trouble,
};

use super::{Over, Session, carry::kept_in, exit_of, in_command, shown};
use crate::{exit_code::Exit, render};

/// Searches, or goes on with a search.
pub(super) async fn run(session: &Session<'_>) -> Over {
    let begun = match &session.args.resume {
        Some(folder) => session.scenario.resume(folder).map_err(|trouble| (Exit::BadInput, trouble)),
        None => session
            .scenario
            .search(&session.args.out, session.seed)
            .map_err(|trouble| (Exit::Refused, trouble.with_help("choose another folder with `--out DIR`"))),
    };
    let mut search = match begun {
        Ok(search) => search,
        Err((exit, Trouble { message, help, .. })) => {
            render::error(&message, help.as_deref());
            return Over { exit, series: None, ended_early: false };
        }
    };
    let quiet = session.args.quiet;
    if !quiet {
        let question = &search.record().header.question;
        render::say(&format!(
            "searching {} from {} to {}, kept in {}\n",
            question.param(),
            question.low(),
            question.high(),
            shown(search.folder())
        ));
    }
    let over = |record: &SearchRecord, trial: &Trial| {
        if !quiet {
            progress(record, trial);
        }
    };
    let driven = search.drive(|level| session.scenario.at(level), session, over).await;
    let kept = search.keep(Some(&session.file()));
    if let Err(error) = &kept {
        session.lost("the folder of the search", error);
    }
    if session.args.format.live {
        show(session, &search, kept.is_ok());
    }
    let verdict = search.record().verdict();
    let exit = match &driven {
        Ok(_) => exit_of(verdict),
        Err(error) => unmade(session, error),
    };
    Over {
        exit: exit.max(session.kept()),
        series: Some(Series::Search(Box::new(search.into_record()))),
        ended_early: matches!(driven, Ok(true)) || verdict == Verdict::NotRestored,
    }
}

/// Says that a trial is over.
fn progress(record: &SearchRecord, trial: &Trial) {
    let (_, lower, upper) = record.estimate;
    render::say(&format!(
        "  trial {} at {}: {} (so far {lower} .. {upper})\n",
        trial.number,
        trial.level,
        trial.outcome.words()
    ));
}

/// Says why a search cannot go on.
fn unmade(session: &Session<'_>, error: &NoExperiment) -> Exit {
    match error {
        NoExperiment::Errors(diagnostics) => {
            render::diagnostics(diagnostics, &session.scenario.compiled.sources);
            Exit::BadInput
        }
        NoExperiment::Changed | NoExperiment::Trouble(_) => {
            render::error(&error.to_string(), error.help());
            Exit::Refused
        }
    }
}

/// Prints what a person reads of a search that ended.
fn show(session: &Session<'_>, search: &Search, whole: bool) {
    let record = search.record();
    let (file, set) = (quoted(&session.file()), session.set());
    render::lines(&report::search::lines(record));
    let folder = in_command(search.folder());
    let kept = kept_in(search.folder(), whole, ", each trial in a folder of its own");
    render::print(&format!("\n{kept}\n"));
    let next = if record.is_over() {
        let param = record.header.question.param();
        let (point, ..) = record.estimate;
        format!("next:    chaos run {file}{set} --set {param}={point}    (one run at that level)\n")
    } else {
        format!("go on:   chaos run {file}{set} --resume {folder}\n")
    };
    render::print(&next);
}
