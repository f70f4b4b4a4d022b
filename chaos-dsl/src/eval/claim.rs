//! Claims that are counted from events and phases.

use chaos_core::span::Spanned;
use chaos_core::time::Nanos;
use chaos_core::verdict::monitor::{Claim, Events, Span as Stretch, Statement, lookback};
use chaos_core::verdict::steps::shifted;

use super::lower::{Lowering, raised};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::{self, Advice};
use crate::syntax::{Anchor, Happening, Temporal, TemporalClause, TemporalKind, Word};
use chaos_core::time::exact as length;

/// What the clauses behind a claim say.
struct Clauses<'t, 'a> {
    lasting: Option<Spanned<Nanos>>,
    within: Option<Spanned<Nanos>>,
    after: Option<Spanned<&'t Happening<'a>>>,
    during: Option<Spanned<Word<'a>>>,
    at: Option<Spanned<&'t Anchor<'a>>>,
}

impl Lowering<'_> {
    /// Lowers a claim with instants of its own.
    pub(super) fn claim(&mut self, tree: &Temporal<'_>) -> Option<Statement> {
        let clauses = clauses(tree);
        if let Some(at) = &clauses.at {
            if let Some(other) = tree
                .clauses
                .iter()
                .find(|clause| matches!(clause.value, TemporalClause::After(_) | TemporalClause::During(_)))
            {
                let word = other.value.keyword();
                return self.misfit(
                    other.span,
                    format!("`{word}` and `@` both say when"),
                    "keep one of them",
                );
            }
            let mut unanchored = tree.clone();
            unanchored.clauses.retain(|clause| !matches!(clause.value, TemporalClause::At(_)));
            let formula = self.formula(&unanchored);
            let at = self.instants(at.value)?;
            return Some(claimed(Claim::Holds { formula: formula?, at: complete(at) }));
        }
        if let (Some(after), Some(during)) = (&clauses.after, &clauses.during) {
            let span = after.span.to(during.span);
            return self.misfit(span, "`after` and `during` both say when", "keep one of them");
        }
        match &tree.kind {
            TemporalKind::Compare { settles: Some(settles), .. } => {
                let body = self.bare(tree);
                let (Some(within), Some(after)) = (clauses.within, clauses.after) else {
                    return self.misfit(
                        *settles,
                        "`settles` does not say until when, and since when",
                        "write `x settles to <= 5 within 30s after rollback`",
                    );
                };
                let after = complete(self.happening(after.value)?);
                Some(claimed(Claim::Settles {
                    body: body?,
                    within: within.value,
                    lasting: clauses.lasting.map(|lasting| lasting.value),
                    after,
                    end: Some(self.setting.end),
                }))
            }
            TemporalKind::Prefixed(word, inner) => self.prefixed_claim(word, inner, clauses, tree),
            TemporalKind::Unless(parts) => {
                let (left, right) = (self.formula(&parts.0), self.formula(&parts.1));
                let stretches = self.stretches(&clauses, tree)?;
                let (left, right) = (left?, right?);
                let each = stretches.into_iter().map(|(start, end)| {
                    claimed(Claim::Unless {
                        left: left.clone(),
                        right: right.clone(),
                        within: end.saturating_sub(start).saturating_sub(1).max(0),
                        after: Events::once(start),
                        end: Some(end),
                    })
                });
                Some(joined(each.collect()))
            }
            _ => self.predicate_claim(tree, clauses),
        }
    }

    fn prefixed_claim(
        &mut self,
        word: &Word<'_>,
        inner: &Temporal<'_>,
        clauses: Clauses<'_, '_>,
        tree: &Temporal<'_>,
    ) -> Option<Statement> {
        let end = Some(self.setting.end);
        match word.text {
            "always" | "never" => {
                if let Some(within) = clauses.within {
                    let message = format!("`within` does not belong to `{}`", word.text);
                    return self.misfit(
                        within.span,
                        message,
                        "write `eventually … within 10s` for a deadline",
                    );
                }
                let body = self.formula(inner);
                let stretches = self.stretches(&clauses, tree)?;
                let body = body?;
                let warm_up = lookback(&body);
                if stretches.iter().all(|(start, end)| end.saturating_sub(*start) <= warm_up) {
                    self.report(
                        Diagnostic::new(Code::TooShort, "it looks back further than the stretch is long")
                            .at(tree.span, format!("looks back {}", length(warm_up)))
                            .help("a longer phase, or a shorter `for`"),
                    );
                    return None;
                }
                let spans =
                    stretches.into_iter().map(|(start, end)| Stretch { start, end: Some(end) }).collect();
                Some(claimed(match word.text {
                    "never" => Claim::never(body, spans, warm_up),
                    _ => Claim::Always { body, spans, warm_up },
                }))
            }
            "eventually" => {
                let body = self.formula(inner);
                let Some(within) = clauses.within else {
                    return self.misfit(
                        tree.span,
                        "`eventually` does not say until when",
                        "add `within 10s`",
                    );
                };
                let starts = self.stretches(&clauses, tree)?.into_iter().map(|(start, _)| start).collect();
                Some(claimed(Claim::Within { body: body?, within: within.value, after: complete(starts) }))
            }
            "stops" => {
                let body = self.formula(inner);
                let (Some(within), Some(after)) = (clauses.within, clauses.after) else {
                    let help = "write `stops p within 10s after rollback`";
                    return self.misfit(tree.span, "`stops` does not say until when, and since when", help);
                };
                let after = complete(self.happening(after.value)?);
                Some(claimed(Claim::Stops { body: body?, within: within.value, after, end }))
            }
            _ => {
                let (lasting, inner) = raised(inner, clauses.lasting);
                let body = self.formula(&inner);
                let (Some(lasting), Some(after), None) = (lasting, clauses.after, clauses.within) else {
                    let help = "write `stays p for 10s after rollback`";
                    return self.misfit(tree.span, "`stays` says for how long, and since when", help);
                };
                let after = complete(self.happening(after.value)?);
                let body = body?;
                let warm_up = lookback(&body);
                Some(claimed(Claim::Stays { body, lasting: lasting.value, warm_up, after }))
            }
        }
    }

    /// A predicate without `always` or the like.
    fn predicate_claim(&mut self, tree: &Temporal<'_>, clauses: Clauses<'_, '_>) -> Option<Statement> {
        let body = self.bare(tree);
        if let Some(during) = clauses.during {
            return self.misfit(
                during.span,
                "a predicate is true or false at each instant: at which of them?",
                format!(
                    "write `always … during {}`, or `eventually … within 10s during …`",
                    during.value.text
                ),
            );
        }
        let Some(after) = clauses.after else { return Some(Statement::Formula(body?)) };
        let instants = self.happening(after.value);
        match (clauses.within, clauses.lasting) {
            (Some(within), lasting) => {
                let body = body?;
                let body = match lasting {
                    Some(lasting) => body.lasting(lasting.value),
                    None => body,
                };
                Some(claimed(Claim::Within { body, within: within.value, after: complete(instants?) }))
            }
            (None, Some(lasting)) => {
                let body = body?;
                let warm_up = lookback(&body);
                let after = complete(instants?);
                Some(claimed(Claim::Stays { body, lasting: lasting.value, warm_up, after }))
            }
            (None, None) => self.misfit(
                after.span,
                "a predicate is true or false at each instant: at which of them?",
                "write `… within 10s after rollback`, or `always … after rollback`",
            ),
        }
    }

    /// The stretches of the phase a claim speaks of, or from each event to the end.
    fn stretches(&mut self, clauses: &Clauses<'_, '_>, tree: &Temporal<'_>) -> Option<Vec<(Nanos, Nanos)>> {
        let end = self.setting.end;
        match (&clauses.during, &clauses.after) {
            (Some(phase), _) => self.phase(&phase.value),
            (None, Some(after)) => {
                let instants = self.happening(after.value)?;
                Some(instants.into_iter().map(|at| (at, end)).collect())
            }
            (None, None) => {
                self.misfit(tree.span, "it does not say when", "add `during fault` or `after rollback`")
            }
        }
    }

    fn phase(&mut self, name: &Word<'_>) -> Option<Vec<(Nanos, Nanos)>> {
        if let Some(found) = self.setting.phase(name.text) {
            return Some(found);
        }
        let names = || self.setting.phases.iter().map(|(name, ..)| name.as_str()).chain(["whole run"]);
        let help = suggest::nearest(name.text, names()).map_or_else(
            || match self.setting.phases.is_empty() {
                true => format!("say when it was: `--phases {}=30s..60s`", name.text).into(),
                false => format!("there are {}", listed(names())).into(),
            },
            Advice::meant,
        );
        self.report(
            Diagnostic::new(Code::UnknownName, format!("no phase is called `{}`", name.text))
                .at(name.span, "not known")
                .help(help),
        );
        None
    }

    fn instants(&mut self, anchor: &Anchor<'_>) -> Option<Vec<Nanos>> {
        match anchor {
            Anchor::Instant(at) => Some(vec![*at]),
            Anchor::StartOf(phase) => Some(self.phase(phase)?.into_iter().map(|(start, _)| start).collect()),
            Anchor::Each(happening) => self.happening(happening),
            Anchor::Later(length, from) => {
                Some(self.instants(from)?.into_iter().map(|at| shifted(at, *length)).collect())
            }
        }
    }

    /// The instants of an event.
    fn happening(&mut self, happening: &Happening<'_>) -> Option<Vec<Nanos>> {
        let (name, found) = match happening {
            Happening::Named(name) => (name, self.setting.event(name.text)),
            Happening::Starts(name) if name.text == "rollback" => {
                (name, self.setting.rollback_starts().into_iter().collect())
            }
            Happening::Starts(name) => {
                return Some(self.phase(name)?.into_iter().map(|(start, _)| start).collect());
            }
            Happening::Ends(name) => {
                return Some(self.phase(name)?.into_iter().map(|(_, end)| end).collect());
            }
        };
        if !found.is_empty() {
            return Some(found);
        }
        let events = || self.setting.events.iter().map(|(name, _)| name.as_str()).chain(["rollback"]);
        let help = if self.setting.phase(name.text).is_some() {
            format!("write `after {0} starts` or `after {0} ends`", name.text).into()
        } else if name.text == "rollback" {
            "say when the fault was: `--phases fault=30s..60s`, or when the rollback was: `--event rollback=60s`".into()
        } else if let Some(near) = suggest::nearest(name.text, events()) {
            Advice::meant(near)
        } else {
            format!("say when it was: `--event {}=30s`", name.text).into()
        };
        self.report(
            Diagnostic::new(Code::UnknownName, format!("no event is called `{}`", name.text))
                .at(name.span, "not known")
                .help(help),
        );
        None
    }
}

fn clauses<'t, 'a>(tree: &'t Temporal<'a>) -> Clauses<'t, 'a> {
    let mut found = Clauses { lasting: None, within: None, after: None, during: None, at: None };
    for clause in &tree.clauses {
        match &clause.value {
            TemporalClause::For(length) => found.lasting = Some(Spanned::new(*length, clause.span)),
            TemporalClause::Within(length) => found.within = Some(Spanned::new(*length, clause.span)),
            TemporalClause::After(event) => found.after = Some(Spanned::new(event, clause.span)),
            TemporalClause::During(phase) => found.during = Some(Spanned::new(*phase, clause.span)),
            TemporalClause::At(anchor) => found.at = Some(Spanned::new(anchor, clause.span)),
        }
    }
    found
}

fn complete(instants: Vec<Nanos>) -> Events {
    Events { instants, complete: true }
}

fn claimed(claim: Claim) -> Statement {
    Statement::Claim(claim)
}

fn joined(mut parts: Vec<Statement>) -> Statement {
    if parts.len() == 1 { parts.swap_remove(0) } else { Statement::All(parts) }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
