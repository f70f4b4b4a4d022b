//! A search for the breaking point: what was found, and every trial, as a [plot], text, JSON, JUnit and Markdown.

mod junit;
mod markdown;
mod plot;

use std::io;

use super::line::{Line, Style, WIDTH, plain, wrap};
use crate::{
    model::quantity::format_seconds,
    outcome::Verdict,
    search::{Conclusion, Outcome, SearchRecord},
};

pub(super) use junit::suite;
pub use markdown::render as markdown;
pub use plot::plot;

/// Folds a search to plain text.
pub fn render(record: &SearchRecord) -> String {
    plain(&lines(record))
}

/// Folds a search to styled lines, none wider than [`WIDTH`].
pub fn lines(record: &SearchRecord) -> Vec<Line> {
    let question = &record.header.question;
    let (style, word) = headline(record);
    let mut out =
        vec![Line::at(0).piece(style, word.to_uppercase()).plain("  ").strong(&record.header.experiment)];
    out.push(Line::at(2).plain(found(record)));
    out.push(Line::at(2).plain(counted(record)));
    out.push(Line::blank());
    out.push(Line::title("Intensity against outcome"));
    out.extend(plot(record).into_iter().map(|line| Line::at(2).plain(line)));
    out.push(Line::blank());
    out.push(Line::title("Trials"));
    for trial in &record.trials {
        let style = style_of(&trial.outcome);
        out.push(
            Line::at(2)
                .hang(4)
                .piece(style, format!("{} ", super::text::sign(style)))
                .plain(format!("{:>3}  ", trial.number))
                .strong(format!("{:>8}  ", trial.level.to_string()))
                .plain(trial.outcome.words())
                .dim(trial.run.as_ref().map(|run| format!("  {run}")).unwrap_or_default())
                .plain(if trial.reason.is_empty() { String::new() } else { format!("  {}", trial.reason) }),
        );
    }
    out.push(Line::blank());
    out.push(Line::at(2).dim(format!(
        "search {}, seed {}, {} .. {} to within {}",
        record.header.search,
        record.header.seed,
        question.low(),
        question.high(),
        question.tolerance()
    )));
    wrap(out, WIDTH)
}

/// Writes a search as one JSON object, indented.
pub fn json(record: &SearchRecord, out: impl io::Write) -> io::Result<()> {
    super::json::object(record, out)
}

/// Returns the JSON schema of what [`json()`] writes (draft 2020-12).
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<SearchRecord>()
}

/// The word that a report begins with, and its style.
fn headline(record: &SearchRecord) -> (Style, &'static str) {
    match &record.conclusion {
        _ if record.verdict() == Verdict::NotKept => (Style::Unsure, Verdict::NotKept.words()),
        Some(Conclusion::Found { enough: true, .. }) => (Style::Good, "found"),
        Some(Conclusion::NotFound { .. }) => (Style::Good, "nothing found"),
        Some(Conclusion::AlreadyFails { .. }) => (Style::Bad, "already fails"),
        Some(Conclusion::Found { enough: false, .. } | Conclusion::Undecided { .. }) => {
            (Style::Unsure, "inconclusive")
        }
        Some(Conclusion::NotMonotone { .. }) => (Style::Unsure, "no single number"),
        Some(Conclusion::Ended { by, .. }) => (super::text::style(*by), by.words()),
        None => (Style::Unsure, "stopped"),
    }
}

/// Describes what was found, in one sentence.
fn found(record: &SearchRecord) -> String {
    let found = match &record.conclusion {
        Some(conclusion) => conclusion.describe(record.header.question.param()),
        None => {
            let (_, lower, upper) = record.estimate;
            format!("not over; so far the breaking point is thought to lie between {lower} and {upper}")
        }
    };
    match &record.unkept {
        Some(lost) => format!("{found}; not all of its evidence could be kept: {lost}"),
        None => found,
    }
}

/// How many trials there were, of which kinds, and how long they took.
fn counted(record: &SearchRecord) -> String {
    let of = |outcome: fn(&Outcome) -> bool| record.count(outcome);
    let (held, not) = (of(|o| *o == Outcome::Held), of(|o| *o == Outcome::NotHeld));
    let mut parts = vec![format!("{held} held"), format!("{not} did not")];
    for (count, what) in [
        (of(|o| *o == Outcome::Inconclusive), "inconclusive"),
        (of(|o| *o == Outcome::Interrupted), "interrupted"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let took: f64 = record.trials.iter().map(|t| t.took.as_secs_f64()).sum();
    let all = record.trials.len();
    let noun = if all == 1 { "trial" } else { "trials" };
    format!("{all} {noun} in {}: {}", format_seconds(took), parts.join(", "))
}

fn style_of(outcome: &Outcome) -> Style {
    match outcome {
        Outcome::Held => Style::Good,
        Outcome::NotHeld | Outcome::Ended { .. } => Style::Bad,
        Outcome::Inconclusive => Style::Unsure,
        Outcome::Interrupted => Style::Plain,
    }
}

#[cfg(test)]
mod tests;
