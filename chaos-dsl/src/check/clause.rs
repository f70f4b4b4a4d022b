//! Clauses of a claim: how long, by when, after what, during which phase.

use std::time::Duration;

use chaos_core::{
    model::{Event, Phase, Predicate, Unit},
    span::{Span, Spanned},
};

use super::{Checker, Names, predicate::Where};
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest,
    syntax::{Clause, ClauseKind, Item, Term, Word},
};

/// The clauses of a claim, gathered from every level that they may stand on.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    pub(super) lasting: Option<Spanned<Duration>>,
    pub(super) within: Option<Spanned<Duration>>,
    pub(super) after: Option<Spanned<Event>>,
    pub(super) during: Option<Spanned<Phase>>,
    pub(super) observed: Option<Span>,
    pub(super) unless: Option<Spanned<Predicate>>,
    pub(super) confidence: Option<Spanned<f64>>,
}

impl Checker {
    /// Gathers the clauses of a claim; each may stand once.
    pub(super) fn clauses(&mut self, all: &[&Clause<'_>], names: &Names) -> Option<Clauses> {
        let mut found = Clauses::default();
        for clause in all {
            let span = clause.span;
            let twice = match &clause.kind {
                ClauseKind::For(item) => {
                    let value = self.span_of_time(item, "the time behind `for`")?;
                    found.lasting.replace(Spanned::new(value, span)).is_some()
                }
                ClauseKind::Within(item) => {
                    let value = self.span_of_time(item, "the deadline")?;
                    found.within.replace(Spanned::new(value, span)).is_some()
                }
                ClauseKind::After(term) => {
                    let event = self.event(term, names)?;
                    found.after.replace(Spanned::new(event, span)).is_some()
                }
                ClauseKind::During(words) => {
                    let phase = self.phase(words, names)?;
                    found.during.replace(Spanned::new(phase, span)).is_some()
                }
                ClauseKind::Unless(release) => {
                    let place = Where { over: None, windows: true, baseline: true };
                    let predicate = self.predicate(release, names, place)?;
                    found.unless.replace(Spanned::new(predicate, span)).is_some()
                }
                ClauseKind::With(item) => {
                    let share = self.value(item, Unit::Ratio, "the confidence")?;
                    let share = self.confidence(share.value.value, item.span)?;
                    found.confidence.replace(Spanned::new(share, span)).is_some()
                }
                ClauseKind::Observed => found.observed.replace(span).is_some(),
            };
            if twice {
                self.error(Code::DuplicateClause, span, format!("`{}` stands twice", clause.kind.keyword()));
                return None;
            }
        }
        Some(found)
    }

    /// Refuses a confidence that means nothing.
    pub(super) fn confidence(&mut self, share: f64, span: Span) -> Option<f64> {
        if (0.5..1.0).contains(&share) {
            return Some(share);
        }
        self.error(Code::OutOfRange, span, "a confidence lies between 50% and 100%").help =
            Some("write `95%`".into());
        None
    }

    pub(super) fn span_of_time(&mut self, item: &Item<'_>, what: &str) -> Option<Duration> {
        let value = self.value(item, Unit::Seconds, what)?;
        self.duration(value, what, false)
    }

    fn phase(&mut self, words: &[Word<'_>], names: &Names) -> Option<Phase> {
        let texts: Vec<&str> = words.iter().map(|w| w.text).collect();
        match texts.as_slice() {
            ["baseline"] => Some(Phase::Baseline),
            ["watch"] => Some(Phase::Watch),
            ["fault"] => Some(Phase::Fault(None)),
            ["whole", "run"] => Some(Phase::WholeRun),
            [_] => {
                let word = *words.first()?;
                if names.faults.iter().any(|f| f.value == word.text) {
                    return self.refer("fault", word, &names.faults).map(|f| Phase::Fault(Some(f.value)));
                }
                let mut known = vec!["baseline", "fault", "watch", "whole run"];
                known.extend(names.faults.iter().map(|f| f.value.as_str()));
                if names.faults.is_empty() && suggest::nearest(word.text, known.iter().copied()).is_none() {
                    return None;
                }
                self.unknown("phase", word, known);
                None
            }
            _ => {
                let span = words.iter().fold(Span::NONE, |s, w| s.to(w.span));
                let name = texts.join(" ");
                self.error(Code::UnknownName, span, format!("unknown phase `{name}`"))
                    .advise("a phase is `baseline`, a fault's name, `fault`, `watch` or `whole run`")
                    .because(Cause::Undeclared { name, misspelt: false });
                None
            }
        }
    }

    pub(super) fn event(&mut self, term: &Term<'_>, names: &Names) -> Option<Event> {
        let words: Vec<Word<'_>> = match term {
            Term::Item(item) => item.as_word().into_iter().collect(),
            Term::Phrase(items) => items.iter().filter_map(Item::as_word).collect(),
            _ => Vec::new(),
        };
        let texts: Vec<&str> = words.iter().map(|w| w.text).collect();
        match texts.as_slice() {
            ["rollback"] => Some(Event::Rollback),
            ["rollback", "starts"] => Some(Event::RollbackStarts),
            [_, "starts"] => {
                self.refer("fault", *words.first()?, &names.faults).map(|f| Event::Starts(f.value))
            }
            [_, "ends"] => self.refer("fault", *words.first()?, &names.faults).map(|f| Event::Ends(f.value)),
            [_, "made"] => {
                self.refer("change", *words.first()?, &names.changes).map(|c| Event::Made(c.value))
            }
            [name] if names.faults.iter().any(|f| f.value == *name) => {
                self.error(
                    Code::ClauseMisfit,
                    term.span(),
                    format!("`{name}` lasts: after which end of it?"),
                )
                .help = Some(format!("write `after {name} starts` or `after {name} ends`"));
                None
            }
            _ => {
                let near = texts.first().and_then(|w| suggest::did_you_mean(w, ["rollback"]));
                let shapes = "an event is `rollback`, `rollback starts`, `FAULT starts` or `FAULT ends`";
                let at = words.first().map_or(term.span(), |word| word.span);
                self.error(Code::UnknownName, term.span(), "unknown event")
                    .advise_on(at, near.unwrap_or_else(|| shapes.into()));
                None
            }
        }
    }
}
