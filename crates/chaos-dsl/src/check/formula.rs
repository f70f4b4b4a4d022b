//! Claims: what stands in `expect { … }` and behind `proven by`.

use std::time::Duration;

use chaos_core::{
    model::{
        Claim, Comparison, Event, Expectation, Function, Phase, Predicate, Step, Timeline, Unit,
        formula::{Bound, Op},
        quantity::format_seconds,
    },
    span::{Span, Spanned},
};

use super::{Checker, Names, predicate::Where};
use crate::{
    codes::Code,
    suggest,
    syntax::{Clause, ClauseKind, Formula, FormulaKind, Item, Logic, Prefix, Statement, Term, Word},
};

/// The clauses of a claim, gathered from every level that they may stand on.
#[derive(Debug, Default)]
struct Clauses {
    lasting: Option<Spanned<Duration>>,
    within: Option<Spanned<Duration>>,
    after: Option<Spanned<Event>>,
    during: Option<Spanned<Phase>>,
    observed: Option<Span>,
}

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

    fn claim(&mut self, formula: &Formula<'_>, outer: &[&Clause<'_>], names: &Names) -> Option<Claim> {
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
                match comparison.metric.over {
                    None => self.statistic(comparison, clauses),
                    Some(_) => self.instant(Predicate::Compare(comparison), clauses, formula.span),
                }
            }
            FormulaKind::Holds(term) => {
                self.bare(term);
                None
            }
            FormulaKind::Given(_) | FormulaKind::ForEach(_) => {
                self.not_yet(formula.span, "`given` and `for each`");
                None
            }
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
        if !observed {
            self.confirmable(&comparison);
        }
        Some(Claim::Statistic { comparison, during: during.value, observed })
    }

    /// Refuses a share of all or none that no number of measurements can confirm.
    fn confirmable(&mut self, comparison: &Comparison) {
        let Bound::Constant(limit) = comparison.bound else { return };
        let (whole, none) = (limit.value == 1.0, limit.value == 0.0);
        let all = match (comparison.metric.function, comparison.op) {
            (Function::Success | Function::Errors, Op::AtLeast) => whole,
            (Function::Success | Function::Errors, Op::AtMost) => none,
            _ => false,
        };
        if all {
            let message = format!("`{comparison}` can never be confirmed: the next measurement may differ");
            self.error(Code::Undecidable, comparison.span, message).help = Some(
                "add `observed` to judge what was measured and no more, or leave room: `>= 99.9%`, `<= 0.1%`"
                    .into(),
            );
        }
    }

    /// A predicate without `always` or the like: its clauses say what is claimed.
    fn instant(&mut self, predicate: Predicate, clauses: Clauses, span: Span) -> Option<Claim> {
        self.not_observed(&clauses)?;
        match (clauses.lasting, clauses.within, clauses.after, clauses.during) {
            (lasting, Some(within), Some(after), None) => Some(Claim::Within {
                predicate: persisting(predicate, lasting),
                within: within.value,
                after: after.value,
            }),
            (Some(lasting), None, Some(after), None) => {
                Some(Claim::Stays { predicate, lasting: lasting.value, after: after.value })
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
        // What the parser left on the predicate and belongs to the claim: all but `for`.
        let (own, raised): (Vec<&Clause<'_>>, Vec<&Clause<'_>>) =
            inner.clauses.iter().partition(|c| matches!(c.kind, ClauseKind::For(_)));
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
        // `always p for 10s during f`: the parser may put `for` on either side of `always`.
        let predicate = match (prefix.value, clauses.lasting.take()) {
            (_, None) => predicate,
            (Prefix::Always | Prefix::Never | Prefix::Eventually | Prefix::Stops | Prefix::Not, lasting) => {
                persisting(predicate, lasting)
            }
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

    fn not_observed(&mut self, clauses: &Clauses) -> Option<()> {
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

    fn clauses(&mut self, all: &[&Clause<'_>], names: &Names) -> Option<Clauses> {
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
                ClauseKind::Observed => found.observed.replace(span).is_some(),
            };
            if twice {
                self.error(Code::DuplicateClause, span, format!("`{}` stands twice", clause.kind.keyword()));
                return None;
            }
        }
        Some(found)
    }

    fn span_of_time(&mut self, item: &Item<'_>, what: &str) -> Option<Duration> {
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
                self.error(Code::UnknownName, span, format!("unknown phase `{}`", texts.join(" "))).help =
                    Some("a phase is `baseline`, a fault's name, `fault`, `watch` or `whole run`".into());
                None
            }
        }
    }

    fn event(&mut self, term: &Term<'_>, names: &Names) -> Option<Event> {
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
                let help = texts.first().and_then(|w| suggest::did_you_mean(w, ["rollback"]));
                self.error(Code::UnknownName, term.span(), "unknown event").help = help.or_else(|| {
                    Some("an event is `rollback`, `rollback starts`, `FAULT starts` or `FAULT ends`".into())
                });
                None
            }
        }
    }

    /// Refuses claims on phases and events that the timeline never comes to, or whose windows a phase never fills.
    pub(super) fn takes_place(&mut self, expectations: &[Expectation], timeline: &Timeline) {
        for expectation in expectations {
            self.claim_takes_place(&expectation.claim, expectation.span, timeline);
        }
    }

    fn claim_takes_place(&mut self, claim: &Claim, span: Span, timeline: &Timeline) {
        let injected = |fault: &str| {
            timeline.steps.iter().any(|s| matches!(&s.value, Step::Inject(name) if name.value == fault))
        };
        let (phase, event, predicate) = match claim {
            Claim::All(all) | Claim::Any(all) => {
                for claim in all {
                    self.claim_takes_place(claim, span, timeline);
                }
                return;
            }
            Claim::Statistic { during, .. } => (Some(during), None, None),
            Claim::Always { predicate, during } | Claim::Never { predicate, during } => {
                (Some(during), None, Some((predicate, Duration::ZERO)))
            }
            Claim::Eventually { predicate, during, within } => {
                (Some(during), None, Some((predicate, *within)))
            }
            Claim::Within { after, .. }
            | Claim::Stops { after, .. }
            | Claim::Stays { after, .. }
            | Claim::Settles { after, .. } => (None, Some(after), None),
        };
        let fault = match (phase, event) {
            (Some(Phase::Fault(Some(name))), _) => Some(name),
            (_, Some(Event::Starts(name) | Event::Ends(name))) => Some(name),
            _ => None,
        };
        if let Some(fault) = fault.filter(|f| !injected(f)) {
            let message = format!("the timeline never injects `{fault}`, so this is never put to the test");
            self.error(Code::Undecidable, span, message).help =
                Some(format!("add `inject {fault}` to the timeline, or remove the claim"));
            return;
        }
        let Some(phase) = phase else { return };
        let length = match phase {
            Phase::Baseline => timeline.baseline(),
            Phase::Watch => timeline.watch(),
            Phase::WholeRun | Phase::Fault(None) => timeline.planned(),
            Phase::Fault(Some(name)) => timeline.held(name),
        };
        let text = |d: Duration| format_seconds(d.as_secs_f64());
        if length.is_zero() && matches!(phase, Phase::Baseline | Phase::Watch) {
            let (code, message, help) = match phase {
                Phase::Baseline => (
                    Code::NoBaseline,
                    "the timeline has no baseline to speak of",
                    "add `baseline 1m` before the first `inject`",
                ),
                _ => (
                    Code::TooShort,
                    "the timeline has no watch to speak of",
                    "add `watch 30s` after the rollback",
                ),
            };
            self.error(code, span, message).help = Some(help.into());
            return;
        }
        let Some((predicate, within)) = predicate else { return };
        let (reach, phase_is) = (reach(predicate), text(length));
        if within > length {
            let message = format!(
                "the deadline of {} lies behind the end of {phase}, which lasts {phase_is}",
                text(within)
            );
            self.error(Code::TooShort, span, message).help =
                Some("shorten the deadline, or lengthen the phase".into());
        } else if reach >= length {
            let message =
                format!("{phase} lasts {phase_is}, and this is first known {} after it began", text(reach));
            self.error(Code::TooShort, span, message).help =
                Some("shorten the window and what `for` asks, or lengthen the phase".into());
        }
    }

    /// Refuses claims that the planned phases are too short for; returns what the watch must last at least.
    pub(super) fn long_enough(
        &mut self,
        expectations: &[Expectation],
        timeline: &Timeline,
        plain: bool,
    ) -> Duration {
        let mut needed = Duration::ZERO;
        for expectation in expectations {
            let (watch, deadline_of) = after_rollback(&expectation.claim);
            needed = needed.max(watch);
            if !plain && watch > timeline.watch() {
                let needed = format_seconds(watch.as_secs_f64());
                let there = match timeline.watch() {
                    Duration::ZERO => "there is no watch".to_owned(),
                    lasting => format!("the watch lasts {}", format_seconds(lasting.as_secs_f64())),
                };
                let message =
                    format!("`{}` needs {needed} after the rollback, and {there}", expectation.name);
                self.error(Code::TooShort, expectation.span, message).help =
                    Some(format!("write `watch {needed}` at the end of the timeline"));
            }
            if let Some((window, within)) = deadline_of
                && window > within
            {
                let text = |d: Duration| format_seconds(d.as_secs_f64());
                let message = format!(
                    "the window of {} is longer than the deadline of {}, so it still holds what was before",
                    text(window),
                    text(within)
                );
                self.error(Code::TooShort, expectation.span, message).help =
                    Some("shorten the window, or lengthen the deadline".into());
            }
        }
        needed
    }
}

fn persisting(predicate: Predicate, lasting: Option<Spanned<Duration>>) -> Predicate {
    match lasting {
        Some(lasting) => Predicate::For { predicate: Box::new(predicate), lasting: lasting.value },
        None => predicate,
    }
}

/// The longest window of a predicate, with what `for` adds.
fn reach(predicate: &Predicate) -> Duration {
    match predicate {
        Predicate::Compare(c) => c.metric.over.unwrap_or_default(),
        Predicate::For { predicate, lasting } => reach(predicate) + *lasting,
        Predicate::Not(p) => reach(p),
        Predicate::All(all) | Predicate::Any(all) => all.iter().map(reach).max().unwrap_or_default(),
    }
}

/// How long a claim needs to be watched after the rollback, and its window beside its deadline.
fn after_rollback(claim: &Claim) -> (Duration, Option<(Duration, Duration)>) {
    let late = |event: &Event| matches!(event, Event::Rollback | Event::RollbackStarts | Event::Ends(_));
    match claim {
        Claim::Within { predicate, within, after } | Claim::Stops { predicate, within, after } => {
            let watch = if late(after) { *within + reach(predicate) } else { Duration::ZERO };
            (watch, Some((reach(predicate), *within)))
        }
        Claim::Settles { predicate, within, lasting, after } => {
            let end = *within + reach(predicate) + lasting.unwrap_or_default();
            (if late(after) { end } else { Duration::ZERO }, Some((reach(predicate), *within)))
        }
        Claim::Stays { predicate, lasting, after } => {
            (if late(after) { *lasting + reach(predicate) } else { Duration::ZERO }, None)
        }
        Claim::All(all) | Claim::Any(all) => {
            let each: Vec<_> = all.iter().map(after_rollback).collect();
            let watch = each.iter().map(|(w, _)| *w).max().unwrap_or_default();
            (watch, each.into_iter().find_map(|(_, d)| d))
        }
        Claim::Statistic { .. } | Claim::Always { .. } | Claim::Never { .. } | Claim::Eventually { .. } => {
            (Duration::ZERO, None)
        }
    }
}
