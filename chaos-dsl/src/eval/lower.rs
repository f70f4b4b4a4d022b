//! Trees to core formulas.
//!
//! What is counted from an event or a phase is a claim with instants of its own ([`super::claim`]) and stands at the top,
//! joined by logic only; everything else is a formula that has a value at each instant.

use chaos_core::span::{Span, Spanned};
use chaos_core::time::Nanos;
use chaos_core::verdict::monitor::{Formula, Statement, lookback};

use super::{Comparison, Setting};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS};
use crate::suggest::Advice;
use crate::syntax::{Logic, Operator, Temporal, TemporalClause, TemporalKind, Window, WindowEnd, Word};

/// What is known while a tree is gone through.
pub(super) struct Lowering<'s> {
    pub(super) setting: &'s Setting,
    pub(super) text: &'s str,
    pub(super) reports: Vec<Diagnostic>,
    pub(super) signals: Vec<String>,
    pub(super) comparisons: Vec<Comparison>,
}

impl<'s> Lowering<'s> {
    pub(super) fn new(setting: &'s Setting, text: &'s str) -> Self {
        Lowering { setting, text, reports: Vec::new(), signals: Vec::new(), comparisons: Vec::new() }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        if self.reports.len() < MAX_DIAGNOSTICS {
            self.reports.push(diagnostic);
        }
    }

    pub(super) fn misfit<T>(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<Advice>,
    ) -> Option<T> {
        self.report(Diagnostic::new(Code::ClauseMisfit, message).at(span, "does not fit").help(help));
        None
    }

    /// Lowers what stands at the top.
    pub(super) fn statement(&mut self, tree: &Temporal<'_>) -> Option<Statement> {
        if !is_anchored(tree) {
            return self.formula(tree).map(Statement::Formula);
        }
        if !tree.clauses.is_empty() {
            return self.claim(tree);
        }
        match &tree.kind {
            TemporalKind::Not(inner) => Some(Statement::Not(Box::new(self.statement(inner)?))),
            TemporalKind::Join(_, parts) if parts.len() == 1 => self.statement(&parts[0]),
            TemporalKind::Join(logic, parts) => {
                let parts: Vec<Option<Statement>> = parts.iter().map(|part| self.statement(part)).collect();
                let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
                Some(match logic {
                    Logic::And => Statement::All(parts),
                    Logic::Or => Statement::Any(parts),
                })
            }
            TemporalKind::Implies(parts) => {
                let (given, then) = (self.statement(&parts.0), self.statement(&parts.1));
                Some(Statement::Any(vec![Statement::Not(Box::new(given?)), then?]))
            }
            _ => self.claim(tree),
        }
    }

    /// Lowers what has a value at each instant.
    pub(super) fn formula(&mut self, tree: &Temporal<'_>) -> Option<Formula> {
        if let Some(clause) = tree.clauses.iter().find(|clause| is_anchor(&clause.value)) {
            let word = clause.value.keyword();
            return self.misfit(
                clause.span,
                format!("`{word}` counts from an event or a phase, and what is inside an operator has a value at each instant"),
                "let it speak of the whole formula, or leave it out",
            );
        }
        let lasting = find(tree, |clause| match clause {
            TemporalClause::For(length) => Some(*length),
            _ => None,
        });
        let within = find(tree, |clause| match clause {
            TemporalClause::Within(length) => Some(*length),
            _ => None,
        });
        match &tree.kind {
            TemporalKind::Compare { settles: Some(span), .. } => self.misfit(
                *span,
                "`settles` does not say since when",
                "add `within 30s after rollback`, or write `eventually[0s,30s] always[0s,10s] (x <= 5)`",
            ),
            TemporalKind::Prefixed(word, inner) => self.prefixed(word, inner, lasting, within, tree.span),
            _ => {
                let predicate = self.bare(tree)?;
                let predicate = match lasting {
                    Some(lasting) => predicate.lasting(lasting.value),
                    None => predicate,
                };
                Some(match within {
                    Some(within) => predicate.eventually(within.value),
                    None => predicate,
                })
            }
        }
    }

    /// Lowers a tree without its clauses.
    pub(super) fn bare(&mut self, tree: &Temporal<'_>) -> Option<Formula> {
        match &tree.kind {
            TemporalKind::Holds(signal) => self.holds(signal),
            TemporalKind::Compare { left, op, right, .. } => self.relation(left, op, right),
            TemporalKind::Not(inner) => self.formula(inner).map(Formula::negated),
            TemporalKind::Join(_, parts) if parts.len() == 1 => self.formula(&parts[0]),
            TemporalKind::Join(logic, parts) => {
                let parts: Vec<Option<Formula>> = parts.iter().map(|part| self.formula(part)).collect();
                let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
                Some(match logic {
                    Logic::And => Formula::And(parts),
                    Logic::Or => Formula::Or(parts),
                })
            }
            TemporalKind::Implies(parts) => {
                let (given, then) = (self.formula(&parts.0), self.formula(&parts.1));
                Some(Formula::Implies(Box::new(given?), Box::new(then?)))
            }
            TemporalKind::Windowed(operator, window, inner) => {
                let body = self.formula(inner);
                self.windowed(operator, window, body?)
            }
            TemporalKind::Until(window, parts) => {
                let (left, right) = (self.formula(&parts.0), self.formula(&parts.1));
                let within = self.until_window(window)?;
                Some(Formula::Until { within, left: Box::new(left?), right: Box::new(right?) })
            }
            TemporalKind::Unless(parts) => {
                let (left, right) = (self.formula(&parts.0), self.formula(&parts.1));
                let (left, right) = (left?, right?);
                let held = left.clone().throughout(0, Some(self.setting.end));
                let within = self.setting.end.saturating_sub(1).max(0);
                let until = Formula::Until { within, left: Box::new(left), right: Box::new(right) };
                Some(Formula::Or(vec![until, held]))
            }
            TemporalKind::Prefixed(word, inner) => self.prefixed(word, inner, None, None, tree.span),
        }
    }

    /// `always`, `never` and the like without an event: at each instant they look from there to the end.
    fn prefixed(
        &mut self,
        word: &Word<'_>,
        inner: &Temporal<'_>,
        lasting: Option<Spanned<Nanos>>,
        within: Option<Spanned<Nanos>>,
        span: Span,
    ) -> Option<Formula> {
        let end = Some(self.setting.end);
        match (word.text, within) {
            ("always" | "never", Some(within)) => self.misfit(
                within.span,
                format!("`within` does not belong to `{}`", word.text),
                "write `always[0s,10s] (x <= 5)` for a stretch, or `eventually … within 10s`",
            ),
            ("always" | "never", None) => {
                let body = self.formula(inner)?;
                // What looks back, such as `for 10s`, is first known when there is so much to look back on.
                let warm_up = lookback(&body);
                let body = if word.text == "never" { body.negated() } else { body };
                Some(body.throughout(warm_up, end))
            }
            ("eventually", Some(within)) => Some(self.formula(inner)?.eventually(within.value)),
            ("eventually", None) => self.misfit(
                span,
                "`eventually` does not say until when",
                "add `within 10s`, or write `eventually[0s,10s]`",
            ),
            ("stays", None) => match raised(inner, lasting) {
                (Some(lasting), body) => Some(self.formula(&body)?.always(lasting.value)),
                (None, _) => {
                    self.misfit(span, "`stays` does not say for how long", "add `for 10s after rollback`")
                }
            },
            (word, _) => self.misfit(
                span,
                format!("`{word}` does not say since when"),
                format!("add `{} after rollback`", if word == "stops" { "within 10s" } else { "for 10s" }),
            ),
        }
    }

    fn windowed(&mut self, operator: &Spanned<Operator>, window: &Window, body: Formula) -> Option<Formula> {
        let from = window.from;
        let to = match window.to {
            // Time is in nanoseconds, so the last instant before an end is one of them earlier.
            WindowEnd::After(to) => to - i64::from(!window.closed),
            WindowEnd::End => {
                let end = Some(self.setting.end);
                return match operator.value {
                    Operator::Always => Some(body.throughout(from, end)),
                    Operator::Eventually => Some(body.negated().throughout(from, end).negated()),
                    other => {
                        let word = other.as_str();
                        let message = format!("`{word}` looks back, and the end lies ahead");
                        self.misfit(window.span, message, format!("write a length: `{word}[0s,10s]`"))
                    }
                };
            }
        };
        let body = Box::new(body);
        Some(match operator.value {
            Operator::Always => Formula::Always { from, to, body },
            Operator::Eventually => Formula::Eventually { from, to, body },
            Operator::Historically => Formula::Historically { from, to, body },
            Operator::Once => Formula::Once { from, to, body },
        })
    }

    fn until_window(&mut self, window: &Window) -> Option<Nanos> {
        if window.from != 0 {
            self.report(
                Diagnostic::new(Code::OutOfRange, "the window of `until` starts at 0s")
                    .at(window.span, "starts later")
                    .help(
                        "with a later start the formula could be true at single instants without a length, which no \
                         measured signal can show; write `always[0s,2s) (p) and eventually[2s,2s] ((p) until[0s,3s] (q))`",
                    ),
            );
            return None;
        }
        match window.to {
            WindowEnd::After(to) => Some(to - i64::from(!window.closed)),
            WindowEnd::End => self.misfit(
                window.span,
                "the window of `until` has a length",
                "write a length, or `p unless q`",
            ),
        }
    }
}

/// Returns a clause's value with its place.
pub(super) fn find<T>(
    tree: &Temporal<'_>,
    take: impl Fn(&TemporalClause<'_>) -> Option<T>,
) -> Option<Spanned<T>> {
    tree.clauses.iter().find_map(|clause| Some(Spanned::new(take(&clause.value)?, clause.span)))
}

fn is_anchor(clause: &TemporalClause<'_>) -> bool {
    matches!(clause, TemporalClause::After(_) | TemporalClause::During(_) | TemporalClause::At(_))
}

/// Returns whether a tree, or something in it, is counted from an event or a phase.
fn is_anchored(tree: &Temporal<'_>) -> bool {
    tree.clauses.iter().any(|clause| is_anchor(&clause.value))
        || match &tree.kind {
            TemporalKind::Holds(_) | TemporalKind::Compare { .. } => false,
            TemporalKind::Not(inner)
            | TemporalKind::Windowed(_, _, inner)
            | TemporalKind::Prefixed(_, inner) => is_anchored(inner),
            TemporalKind::Join(_, parts) => parts.iter().any(is_anchored),
            TemporalKind::Implies(parts) | TemporalKind::Until(_, parts) | TemporalKind::Unless(parts) => {
                is_anchored(&parts.0) || is_anchored(&parts.1)
            }
        }
}

/// Takes the `for` that belongs to `stays` off what it stands behind.
pub(super) fn raised<'a>(
    inner: &Temporal<'a>,
    outer: Option<Spanned<Nanos>>,
) -> (Option<Spanned<Nanos>>, Temporal<'a>) {
    let own = find(inner, |clause| match clause {
        TemporalClause::For(length) => Some(*length),
        _ => None,
    });
    let mut body = inner.clone();
    if outer.is_none() {
        body.clauses.retain(|clause| !matches!(clause.value, TemporalClause::For(_)));
    }
    (outer.or(own), body)
}
