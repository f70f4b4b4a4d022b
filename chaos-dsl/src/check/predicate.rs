//! Predicates: what is true or false at each instant.

use std::time::Duration;

use chaos_core::model::{Predicate, Unit};

use super::{Checker, Names, alert::is_alert};
use crate::{
    codes::Code,
    syntax::{ClauseKind, Formula, FormulaKind, Logic, Prefix, Term},
};

/// What a formula may use where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    /// The window of calls that have none of their own.
    pub(super) over: Option<Duration>,
    /// Whether a call must have a window.
    pub(super) windows: bool,
    /// Whether there is a baseline to compare with.
    pub(super) baseline: bool,
}

impl Checker {
    /// Checks something that is true or false at each instant.
    pub(super) fn predicate(
        &mut self,
        formula: &Formula<'_>,
        names: &Names,
        place: Where,
    ) -> Option<Predicate> {
        let predicate = match &formula.kind {
            FormulaKind::Compare(compare) => {
                if let Some(settles) = &compare.settles {
                    self.error(Code::ClauseMisfit, settles.span, "`settles` is a claim for `expect`").help =
                        Some("write the comparison itself: `p95(probe.latency, over 10s) <= 250ms`".into());
                    return None;
                }
                Predicate::Compare(self.comparison(compare, formula, names, place)?)
            }
            FormulaKind::Group(inner) => self.predicate(inner, names, place)?,
            FormulaKind::Prefix(prefix, inner) if prefix.value == Prefix::Not => {
                Predicate::Not(Box::new(self.predicate(inner, names, place)?))
            }
            FormulaKind::Prefix(prefix, _) if prefix.value == Prefix::Confident => {
                let message = "`confident` is a whole abort condition on its own";
                self.error(Code::ClauseMisfit, prefix.span, message).help = Some(
                    "write `abort when confident errors(probe) > 5%`; several `abort` lines may stand".into(),
                );
                return None;
            }
            FormulaKind::Prefix(prefix, _) => {
                let message = format!("`{}` is a claim for `expect`", prefix.value.as_str());
                self.error(Code::ClauseMisfit, prefix.span, message).help =
                    Some("here stands what is true or false at each instant: `success(probe, over 10s) < 95% for 10s`".into());
                return None;
            }
            FormulaKind::Join(logic, all) => {
                let all: Vec<Option<Predicate>> =
                    all.iter().map(|f| self.predicate(f, names, place)).collect();
                let all: Vec<Predicate> = all.into_iter().collect::<Option<_>>()?;
                match logic {
                    Logic::And => Predicate::All(all),
                    Logic::Or => Predicate::Any(all),
                }
            }
            FormulaKind::Holds(term) if is_alert(term) => self.fires(term, formula.span, names)?,
            FormulaKind::Holds(term) => {
                self.bare(term);
                return None;
            }
            FormulaKind::Given(_) | FormulaKind::ForEach(_) => {
                let word = if matches!(formula.kind, FormulaKind::Given(_)) { "given" } else { "for each" };
                self.error(Code::ClauseMisfit, formula.span, format!("`{word}` is a claim for `expect`"))
                    .help = Some(
                    "here stands what is true or false at each instant: `success(probe, over 10s) < 95%`"
                        .into(),
                );
                return None;
            }
        };
        self.lasting(predicate, formula, names)
    }

    /// Applies `for 10s`; other clauses do not belong to a predicate.
    fn lasting(
        &mut self,
        mut predicate: Predicate,
        formula: &Formula<'_>,
        _names: &Names,
    ) -> Option<Predicate> {
        for clause in &formula.clauses {
            match &clause.kind {
                ClauseKind::For(item) => {
                    let value = self.value(item, Unit::Seconds, "the time behind `for`")?;
                    let lasting = self.duration(value, "the time behind `for`", false)?;
                    predicate = Predicate::For { predicate: Box::new(predicate), lasting };
                }
                other => {
                    let message = format!("`{}` does not belong to a condition", other.keyword());
                    self.error(Code::ClauseMisfit, clause.span, message).help = Some(
                        "conditions are judged at each instant; phases and deadlines belong to `expect`"
                            .into(),
                    );
                    return None;
                }
            }
        }
        Some(predicate)
    }

    /// Reports a claim that is not a comparison.
    pub(super) fn bare(&mut self, term: &Term<'_>) {
        match term {
            Term::Phrase(items) if items.first().is_some_and(|i| i.is_word("completes")) => {
                self.error(Code::Misplaced, term.span(), "`completes` speaks of single requests").help = Some(
                    "write `for each request of PROBE open when FAULT starts: completes ok within 30s`"
                        .into(),
                );
            }
            _ => {
                self.error(Code::NotAMetric, term.span(), "this is compared with nothing").help =
                    Some("write a comparison: `success(probe) >= 99%`".into());
            }
        }
    }
}
