//! Claims: what stands in `expect { … }` and behind `proven by`.

use std::time::Duration;

use chaos_core::{
    model::{Claim, Comparison, Expectation, Phase, Predicate},
    span::{Span, Spanned},
};

use super::{Checker, Names, alert::is_alert, clause::Clauses, predicate::Where};
use crate::{
    codes::Code,
    syntax::{Clause, ClauseKind, Formula, FormulaKind, Logic, Prefix, Statement},
};

impl Checker {
    /// Checks one line of `expect`.
    pub(super) fn expectation(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Expectation> {
        let name = match &statement.label {
            Some(item) => match item.as_text() {
                Some(text) => Spanned::new(self.text(text), item.span),
                None => Spanned::new(item.describe().trim_matches('`').to_owned(), item.span),
            },
            // The parser has said that a name is missing.
            None => return None,
        };
        let formula = statement.formula()?;
        let claim = self.claim(formula, &[], names)?;
        Some(Expectation { name, claim, span: statement.span })
    }

    /// Checks what shows that a fault met traffic: one number, taken while the fault is in place.
    pub(super) fn proof(&mut self, formula: &Formula<'_>, names: &Names) -> Option<Comparison> {
        let FormulaKind::Compare(compare) = &formula.kind else {
            self.error(Code::ClauseMisfit, formula.span, "a proof is one comparison").help =
                Some("write `proven by p50(probe.latency) >= baseline + 50ms`".into());
            return None;
        };
        if let Some(clause) = formula.clauses.first() {
            self.error(
                Code::ClauseMisfit,
                clause.span,
                format!("`{}` does not belong to a proof", clause.kind.keyword()),
            )
            .help = Some("a proof is taken while the fault is in place".into());
            return None;
        }
        self.comparison(compare, formula, names, Where { over: None, windows: false, baseline: true })
    }

    pub(super) fn claim(
        &mut self,
        formula: &Formula<'_>,
        outer: &[&Clause<'_>],
        names: &Names,
    ) -> Option<Claim> {
        // `always (p) during fault` and `always p during fault` say the same, wherever the parser put the clause.
        let clauses: Vec<&Clause<'_>> = formula.clauses.iter().chain(outer.iter().copied()).collect();
        match &formula.kind {
            FormulaKind::Group(inner) => self.claim(inner, &clauses, names),
            FormulaKind::Join(logic, all) => {
                let all: Vec<Option<Claim>> = all.iter().map(|f| self.claim(f, &clauses, names)).collect();
                let all: Vec<Claim> = all.into_iter().collect::<Option<_>>()?;
                Some(match logic {
                    Logic::And => Claim::All(all),
                    Logic::Or => Claim::Any(all),
                })
            }
            FormulaKind::Prefix(prefix, inner) => self.prefixed(prefix, inner, &clauses, names, formula.span),
            FormulaKind::Compare(compare) => {
                let clauses = self.clauses(&clauses, names)?;
                if let Some(settles) = &compare.settles {
                    let place = Where { over: None, windows: true, baseline: true };
                    let comparison = self.comparison(compare, formula, names, place)?;
                    return self.settles(Predicate::Compare(comparison), clauses, settles.span);
                }
                let comparison = self.comparison(
                    compare,
                    formula,
                    names,
                    Where { over: None, windows: false, baseline: true },
                )?;
                match comparison.metric.is_signal() {
                    false => self.statistic(comparison, clauses),
                    true => self.instant(Predicate::Compare(comparison), clauses, formula.span),
                }
            }
            FormulaKind::Holds(term) if is_alert(term) => {
                let clauses = self.clauses(&clauses, names);
                let predicate = self.fires(term, formula.span, names)?;
                self.instant(predicate, clauses?, formula.span)
            }
            FormulaKind::Holds(term) => {
                self.bare(term);
                None
            }
            FormulaKind::Given(parts) => {
                let condition = self.claim(&parts.0, &[], names);
                let claim = self.claim(&parts.1, &clauses, names);
                Some(Claim::Given { condition: Box::new(condition?), claim: Box::new(claim?) })
            }
            FormulaKind::ForEach(each) => self.for_each(each, &clauses, names, formula.span),
        }
    }

    /// A metric without a window: one number of a phase.
    fn statistic(&mut self, comparison: Comparison, clauses: Clauses) -> Option<Claim> {
        let metric = comparison.metric.to_string();
        let windowed = metric.strip_suffix(')').map_or(metric.clone(), |m| format!("{m}, over 10s)"));
        let stray = [
            clauses.lasting.map(|c| ("for", c.span)),
            clauses.within.map(|c| ("within", c.span)),
            clauses.after.as_ref().map(|c| ("after", c.span)),
            clauses.unless.as_ref().map(|c| ("unless", c.span)),
        ];
        if let Some((word, span)) = stray.into_iter().flatten().next() {
            let message =
                format!("`{word}` speaks of instants, and `{metric}` is one number for a whole phase");
            self.error(Code::NeedsWindow, span, message).help =
                Some(format!("give it a window: `{windowed}`"));
            return None;
        }
        let Some(during) = clauses.during else {
            let message = format!("`{metric}` is one number, and does not say of which phase");
            self.error(Code::NeedsPhase, comparison.span, message).help =
                Some("add `during FAULT`, `during baseline`, `during watch` or `during whole run`".into());
            return None;
        };
        let observed = clauses.observed.is_some();
        if let (true, Some(confidence)) = (observed, &clauses.confidence) {
            let message = "the observed number decides, so there is nothing to be confident of";
            self.error(Code::ClauseMisfit, confidence.span, message).help =
                Some("leave out `observed`, or `with … confidence`".into());
            return None;
        }
        let confidence = clauses.confidence.map(|c| c.value);
        Some(Claim::Statistic { comparison, during: during.value, observed, confidence })
    }

    /// A predicate without `always` or the like: its clauses say what is claimed.
    fn instant(&mut self, predicate: Predicate, clauses: Clauses, span: Span) -> Option<Claim> {
        self.not_observed(&clauses)?;
        self.not_released(&clauses)?;
        match (clauses.lasting, clauses.within, clauses.after, clauses.during) {
            (lasting, Some(within), Some(after), None) => Some(Claim::Within {
                predicate: persisting(predicate, lasting),
                within: within.value,
                after: after.value,
            }),
            (Some(lasting), None, Some(after), None) => {
                Some(Claim::Stays { predicate, lasting: lasting.value, after: after.value })
            }
            (_, _, _, during) if predicate.comparisons().iter().all(|c| c.metric.is_gauge()) => {
                let message = format!("`{predicate}` is true or false at each instant: at which of them?");
                let during = during.map_or_else(|| "FAULT".to_owned(), |d| d.value.to_string());
                self.error(Code::ClauseMisfit, span, message).help = Some(format!(
                    "write `always … during {during}`, `never … during {during}` or `… within 30s after rollback`"
                ));
                None
            }
            (_, _, _, Some(during)) => {
                let message = "a metric with a window is true or false at each instant: at which of them?";
                self.error(Code::ClauseMisfit, span, message).help = Some(format!(
                    "write `always … during {0}`, or leave out the window for one number of the phase",
                    during.value
                ));
                None
            }
            _ => {
                self.error(Code::ClauseMisfit, span, "a metric with a window is true or false at each instant: at which of them?")
                    .help = Some("write `always … during FAULT`, `… within 30s after rollback` or `… settles to … within 30s after rollback`".into());
                None
            }
        }
    }

    fn settles(&mut self, predicate: Predicate, clauses: Clauses, span: Span) -> Option<Claim> {
        self.not_observed(&clauses)?;
        self.not_released(&clauses)?;
        let (Some(within), Some(after)) = (&clauses.within, &clauses.after) else {
            self.error(Code::ClauseMisfit, span, "`settles` does not say until when").help =
                Some("add `within 30s after rollback`".into());
            return None;
        };
        if let Some(during) = &clauses.during {
            self.error(Code::ClauseMisfit, during.span, "`during` does not belong to `settles`").help =
                Some("write `within 30s after rollback`".into());
            return None;
        }
        Some(Claim::Settles {
            predicate,
            within: within.value,
            lasting: clauses.lasting.map(|l| l.value),
            after: after.value.clone(),
        })
    }

    fn prefixed(
        &mut self,
        prefix: &Spanned<Prefix>,
        inner: &Formula<'_>,
        outer: &[&Clause<'_>],
        names: &Names,
        span: Span,
    ) -> Option<Claim> {
        if prefix.value == Prefix::Confident {
            self.error(Code::ClauseMisfit, prefix.span, "`confident` belongs to `abort when`").help =
                Some("one number of a phase is judged with confidence anyway: leave it out".into());
            return None;
        }
        // What the parser left on the predicate and belongs to the claim: all but `for`.
        let own = |c: &&Clause<'_>| matches!(c.kind, ClauseKind::For(_)) && prefix.value != Prefix::Stays;
        let (own, raised): (Vec<&Clause<'_>>, Vec<&Clause<'_>>) = inner.clauses.iter().partition(own);
        let bare = Formula {
            kind: inner.kind.clone(),
            clauses: own.into_iter().cloned().collect(),
            span: inner.span,
        };
        let all: Vec<&Clause<'_>> = raised.into_iter().chain(outer.iter().copied()).collect();
        let clauses = self.clauses(&all, names);
        let predicate = self.predicate(&bare, names, Where { over: None, windows: true, baseline: true });
        let (mut clauses, predicate) = (clauses?, predicate?);
        self.not_observed(&clauses)?;
        if let Some(unless) = clauses.unless.take() {
            return self.unless(prefix, predicate, unless, clauses);
        }
        if prefix.value == Prefix::Stays {
            return self.stays(predicate, clauses, span);
        }
        // `always p for 10s during f`: the parser may put `for` on either side of `always`.
        let predicate = match (prefix.value, clauses.lasting.take()) {
            (_, None) => predicate,
            (_, lasting) => persisting(predicate, lasting),
        };
        let word = prefix.value.as_str();
        match (prefix.value, clauses.within, clauses.after, clauses.during) {
            (Prefix::Always, None, None, Some(during)) => {
                Some(Claim::Always { predicate, during: during.value })
            }
            (Prefix::Never, None, None, Some(during)) => {
                Some(Claim::Never { predicate, during: during.value })
            }
            (Prefix::Always | Prefix::Never, None, None, None) => {
                self.error(Code::NeedsPhase, span, format!("`{word}` does not say during which phase"))
                    .help = Some("add `during FAULT`, `during watch` or `during whole run`".into());
                None
            }
            (Prefix::Eventually, Some(within), None, Some(during)) => {
                Some(Claim::Eventually { predicate, within: within.value, during: during.value })
            }
            (Prefix::Eventually, Some(within), Some(after), None) => {
                Some(Claim::Within { predicate, within: within.value, after: after.value })
            }
            (Prefix::Stops, Some(within), Some(after), None) => {
                Some(Claim::Stops { predicate, within: within.value, after: after.value })
            }
            (Prefix::Not, Some(within), Some(after), None) => Some(Claim::Within {
                predicate: Predicate::Not(Box::new(predicate)),
                within: within.value,
                after: after.value,
            }),
            _ => {
                let help = match prefix.value {
                    Prefix::Always | Prefix::Never => format!("write `{word} … during FAULT`"),
                    Prefix::Eventually => {
                        "write `eventually … within 10s after slow starts`, or `… within 10s during FAULT`"
                            .into()
                    }
                    Prefix::Stops => "write `stops … within 10s after rollback`".into(),
                    Prefix::Not => "write `never … during FAULT`".into(),
                    Prefix::Stays => "write `stays … for 15m after slow starts`".into(),
                    Prefix::Confident => "it belongs to `abort when`: write `always … during FAULT`".into(),
                };
                self.error(
                    Code::ClauseMisfit,
                    span,
                    format!("`{word}` stands with clauses that do not fit it"),
                )
                .help = Some(help);
                None
            }
        }
    }

    /// `always p unless q during f`
    fn unless(
        &mut self,
        prefix: &Spanned<Prefix>,
        predicate: Predicate,
        unless: Spanned<Predicate>,
        clauses: Clauses,
    ) -> Option<Claim> {
        const SHAPE: &str = "write `always p unless q during FAULT`";
        let predicate = persisting(predicate, clauses.lasting);
        match (prefix.value, clauses.within, clauses.after, clauses.during) {
            (Prefix::Always, None, None, Some(Spanned { value: Phase::WholeRun, span })) => {
                let message = "`unless` releases for the rest of one phase, and a whole run has several";
                self.error(Code::ClauseMisfit, span, message).help =
                    Some("write one claim for each phase".into());
                None
            }
            (Prefix::Always, None, None, Some(during)) => {
                Some(Claim::Unless { predicate, unless: unless.value, during: during.value })
            }
            (Prefix::Always, None, None, None) => {
                self.error(Code::NeedsPhase, prefix.span, "`always` does not say during which phase").help =
                    Some(SHAPE.into());
                None
            }
            (Prefix::Always, ..) => {
                let message = "`unless` stands with clauses that do not fit it";
                self.error(Code::ClauseMisfit, unless.span, message).help = Some(SHAPE.into());
                None
            }
            (other, ..) => {
                let message = format!("`unless` does not belong to `{}`", other.as_str());
                self.error(Code::ClauseMisfit, unless.span, message).help = Some(SHAPE.into());
                None
            }
        }
    }

    /// `stays p for 15m after slow starts`
    fn stays(&mut self, predicate: Predicate, clauses: Clauses, span: Span) -> Option<Claim> {
        match (clauses.lasting, clauses.within, clauses.after, clauses.during) {
            (Some(lasting), None, Some(after), None) => {
                Some(Claim::Stays { predicate, lasting: lasting.value, after: after.value })
            }
            (None, None, _, _) => {
                self.error(Code::ClauseMisfit, span, "`stays` does not say for how long").help =
                    Some("write `stays … for 15m after slow starts`, or `always … during FAULT`".into());
                None
            }
            _ => {
                self.error(Code::ClauseMisfit, span, "`stays` stands with clauses that do not fit it").help =
                    Some("write `stays … for 15m after slow starts`".into());
                None
            }
        }
    }

    /// Refuses `unless` where nothing lasts that it could release from.
    fn not_released(&mut self, clauses: &Clauses) -> Option<()> {
        let Some(unless) = &clauses.unless else { return Some(()) };
        self.error(Code::ClauseMisfit, unless.span, "`unless` releases from `always`, which is not there")
            .help = Some("write `always p unless q during FAULT`".into());
        None
    }

    fn not_observed(&mut self, clauses: &Clauses) -> Option<()> {
        if let Some(confidence) = &clauses.confidence {
            let message = "`with … confidence` belongs to one number of a phase";
            self.error(Code::ClauseMisfit, confidence.span, message).help =
                Some("claims at each instant are judged on what was observed: leave it out".into());
            return None;
        }
        match clauses.observed {
            Some(span) => {
                self.error(Code::ClauseMisfit, span, "`observed` belongs to one number of a phase").help =
                    Some(
                        "claims at each instant are always judged on what was observed: leave it out".into(),
                    );
                None
            }
            None => Some(()),
        }
    }
}

fn persisting(predicate: Predicate, lasting: Option<Spanned<Duration>>) -> Predicate {
    match lasting {
        Some(lasting) => Predicate::For { predicate: Box::new(predicate), lasting: lasting.value },
        None => predicate,
    }
}
