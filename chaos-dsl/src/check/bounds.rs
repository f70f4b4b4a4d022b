//! Lines that bound a run and what is kept of it: `blast radius`, `abort`, `evidence`.

#![warn(clippy::wildcard_enum_match_arm)]

use chaos_core::{
    model::{
        Abort, Evidence, Function, Pods, Selector,
        cluster::{Criterion, Workload, WorkloadKind},
        formula::Bound,
        scope::{Allowance, Amount, RadiusLimit, RadiusUnit},
    },
    place::Protection,
    span::{Span, Spanned},
};

use super::{Checker, Names, experiment::Parts, join_words, predicate::Where};
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest,
    syntax::{Clause, Cursor, Formula, FormulaKind, Item, Prefix, Statement, Term},
};

impl Checker {
    pub(super) fn blast_radius(&mut self, line: &Statement<'_>, names: &Names, parts: &mut Parts) {
        let Some(block) = line.block() else {
            let cursor = line.cursor();
            self.expected(&cursor, "limits in braces")
                .advise("write `blast radius { at most 1 host }`")
                .because(Cause::NoBlock);
            return;
        };
        let mut limited = false;
        for line in &block.statements {
            let mut cursor = line.cursor();
            if let Some(allow) = cursor.take_word("allow") {
                self.allowance(allow, &mut cursor, parts);
                continue;
            }
            limited = true;
            if cursor.take_words(&["at", "most"]).is_none() {
                self.expected(&cursor, "`at most`").help = Some("write `at most 1 host`".into());
                continue;
            }
            let percent = cursor
                .peek()
                .and_then(Item::as_quantity)
                .is_some_and(|q| q.unit == crate::syntax::Unit::Percentage);
            let at_most = if percent {
                self.take_share(&mut cursor, "the limit", true).map(Amount::Share)
            } else {
                self.take_count(&mut cursor, "the limit", 0, 1_000_000).map(Amount::Count)
            };
            let Some(at_most) = at_most else { continue };
            cursor.take_word("of");
            let of = match cursor.peek().and_then(Item::as_word).map(|w| w.text) {
                Some("pods" | "pod") if cursor.rest().len() == 1 && self.in_cluster => {
                    cursor.take();
                    Some(RadiusUnit::Pods)
                }
                Some("nodes" | "node") if cursor.rest().len() == 1 && self.in_cluster => {
                    cursor.take();
                    Some(RadiusUnit::Nodes)
                }
                Some("objects" | "object") if cursor.rest().len() == 1 && self.in_cluster => {
                    cursor.take();
                    Some(RadiusUnit::Objects)
                }
                Some(word @ ("hosts" | "host" | "processes" | "process")) if self.in_cluster => {
                    let message = format!("a cluster has no {word} to count");
                    self.error(Code::Misplaced, cursor.span(), message).help =
                        Some("write `at most 1 pod`, or `at most 50% of service \"NAME\"`".into());
                    continue;
                }
                // `hosts` alone counts all of them; `hosts api-*` those that match.
                Some("hosts" | "host") if cursor.rest().len() == 1 => {
                    cursor.take();
                    Some(RadiusUnit::Hosts)
                }
                Some("processes" | "process") if cursor.rest().len() == 1 => {
                    cursor.take();
                    Some(RadiusUnit::Processes)
                }
                Some(_) => {
                    self.selector(&mut cursor, names).map(|counted| RadiusUnit::Of(endpoints(counted)))
                }
                None => {
                    self.expected(&cursor, "what is counted").help =
                        Some("write `at most 1 host`, or `at most 50% of api-*`".into());
                    None
                }
            };
            self.end(&cursor, &[]);
            if let Some(of) = of {
                parts.blast_radius.push(RadiusLimit { at_most, of, span: line.span });
            }
        }
        if !limited {
            let unit = if self.in_cluster { "pod" } else { "host" };
            self.error(Code::MissingLine, block.span, "the blast radius has no limit").help =
                Some(format!("write `at most 1 {unit}`"));
        }
    }

    /// Reads what `allow` names.
    fn allowance(&mut self, allow: Span, cursor: &mut Cursor<'_, '_>, parts: &mut Parts) {
        let here = |what: &Protection| (*what != Protection::System) == self.in_cluster;
        let words: Vec<&str> = Protection::ALL.into_iter().filter(here).map(Protection::word).collect();
        let Some(word) = cursor.take_any_word() else {
            let example = if self.in_cluster { "hostNetwork" } else { "system" };
            self.expected(cursor, &join_words(&words)).help = Some(format!("write `allow {example}`"));
            return;
        };
        // The name may be of several words.
        let named = |what: &Protection| {
            let mut words = what.word().split(' ');
            words.next() == Some(word.text) && words.all(|more| cursor.take_word(more).is_some())
        };
        let Some(what) = Protection::ALL.into_iter().find(named) else {
            let near = suggest::did_you_mean(word.text, words.iter().copied());
            let advice = near.unwrap_or_else(|| format!("there is {}", join_words(&words)).into());
            let cause = Cause::Undeclared { name: word.text.to_owned(), misspelt: advice.misspelt };
            let message = format!("nothing that is protected is called `{}`", word.text);
            self.error(Code::UnknownName, word.span, message).advise(advice).because(cause);
            return;
        };
        self.end(cursor, &[]);
        match (what == Protection::System, self.in_cluster) {
            (false, false) => {
                self.needs_cluster(allow.to(cursor.previous()), &format!("`allow {what}`"));
                return;
            }
            (true, true) => {
                let message = "`allow system` is about processes of a machine, and this experiment takes place in a cluster";
                self.error(Code::Misplaced, allow.to(cursor.previous()), message).help =
                    Some(format!("remove it, or write {}", join_words(&words)));
                return;
            }
            (true, false) | (false, true) => {}
        }
        if parts.allowed.iter().any(|line| line.what == what) {
            let message = format!("`allow {what}` stands twice");
            self.error(Code::DuplicateLine, word.span, message).help = Some("remove one of them".into());
            return;
        }
        parts.allowed.push(Allowance { what, span: allow.to(cursor.previous()) });
    }

    pub(super) fn abort(
        &mut self,
        line: &Statement<'_>,
        cursor: &mut Cursor<'_, '_>,
        names: &Names,
        parts: &mut Parts,
    ) {
        if cursor.take_word("never").is_some() {
            cursor.take_word("because");
            let Some(reason) = self.take_string(cursor, "the reason in quotes") else { return };
            if !names.scope.is_isolated() {
                self.error(Code::MissingLine, line.span, "`abort never` is for labs").help =
                    Some("write `abort when success(probe, over 10s) < 95% for 10s`".into());
            }
            parts.aborts.push(Abort::Never(reason));
            self.never_alone(line, parts);
            return;
        }
        let Some(formula) = line.formula() else {
            self.expected(cursor, "`when` and a condition").help =
                Some("write `abort when success(probe, over 10s) < 95% for 10s`".into());
            return;
        };
        let place = Where { over: None, windows: true, baseline: false };
        parts.aborts.extend(match &formula.kind {
            FormulaKind::Prefix(prefix, inner) if prefix.value == Prefix::Confident => {
                self.confident(prefix.span, inner, &formula.clauses, names)
            }
            FormulaKind::Holds(_)
            | FormulaKind::Compare(_)
            | FormulaKind::Prefix(..)
            | FormulaKind::Join(..)
            | FormulaKind::Group(_)
            | FormulaKind::Given(_)
            | FormulaKind::ForEach(_) => self.predicate(formula, names, place).map(Abort::When),
        });
        self.never_alone(line, parts);
    }

    /// `confident errors(get) > 5%`: a share without a window, compared with a constant.
    fn confident(
        &mut self,
        word: Span,
        formula: &Formula<'_>,
        outer: &[Clause<'_>],
        names: &Names,
    ) -> Option<Abort> {
        const SHAPE: &str = "write `abort when confident errors(probe) > 5%`";
        let FormulaKind::Compare(compare) = &formula.kind else {
            self.error(Code::ClauseMisfit, formula.span, "`confident` weighs one comparison").help =
                Some(SHAPE.into());
            return None;
        };
        if let Some(clause) = formula.clauses.iter().chain(outer).next() {
            let message = format!("`{}` does not belong to `confident`", clause.kind.keyword());
            self.error(Code::ClauseMisfit, clause.span, message).help =
                Some("it fires as soon as the evidence is enough: leave it out".into());
            return None;
        }
        if let Term::Call(call) = &compare.left
            && let Some(window) = call.window()
        {
            let message = "`confident` weighs all requests since the trouble began, whatever the window";
            self.error(Code::ClauseMisfit, window.span, message).help = Some("leave out `over …`".into());
            return None;
        }
        let place = Where { over: None, windows: false, baseline: false };
        let comparison = self.comparison(compare, formula, names, place)?;
        let function = comparison.metric.function;
        if !matches!(function, Function::Success | Function::Errors) {
            let message = format!("`confident` weighs a share of requests, and `{function}` is none");
            self.error(Code::ClauseMisfit, comparison.metric.span, message).help = Some(format!(
                "write `confident errors({0}) > 5%`, or leave out `confident` and add a window",
                comparison.metric.probe
            ));
            return None;
        }
        let Bound::Constant(_) = comparison.bound else {
            self.error(Code::ClauseMisfit, comparison.span, "`confident` needs a limit fixed beforehand")
                .help = Some(SHAPE.into());
            return None;
        };
        if (function == Function::Success) != comparison.op.is_upper_bound() {
            let message = format!("`{comparison}` is good news: this would end a run that goes well");
            let turned =
                if function == Function::Success { "success(probe) < 95%" } else { "errors(probe) > 5%" };
            self.error(Code::ClauseMisfit, word.to(comparison.span), message).help =
                Some(format!("write `abort when confident {turned}`"));
            return None;
        }
        Some(Abort::Confident(comparison))
    }

    /// `abort never` beside a condition that does abort says two things.
    fn never_alone(&mut self, line: &Statement<'_>, parts: &Parts) {
        let never = parts.aborts.iter().filter(|a| matches!(a, Abort::Never(_))).count();
        if never > 0 && parts.aborts.len() == never + 1 && parts.aborts.len() > 1 || never > 1 {
            self.error(Code::Misplaced, line.span, "`abort never` stands beside another `abort`").help =
                Some("remove one of them".into());
        }
    }

    pub(super) fn evidence(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names, parts: &mut Parts) {
        for line in cursor.take_block().into_iter().flat_map(|b| &b.statements) {
            let mut cursor = line.cursor();
            let Some(word) = cursor.take_any_word() else { continue };
            let item = match word.text {
                "events" => Some(Evidence::Events),
                "kernel" | "qdiscs" | "links" => Some(Evidence::Kernel),
                "logs" => {
                    cursor.take_word("of");
                    self.selector(&mut cursor, names).map(Evidence::Logs)
                }
                "pods" | "endpointslices" => {
                    self.needs_cluster(word.span, &format!("`{}`", word.text));
                    continue;
                }
                "packets" => {
                    self.not_yet(line.span, "`packets`");
                    continue;
                }
                text => {
                    let near = suggest::did_you_mean(text, ["events", "kernel", "logs"]);
                    let advice =
                        near.unwrap_or_else(|| "there is `events`, `kernel` and `logs of HOST`".into());
                    let cause = Cause::Undeclared { name: text.to_owned(), misspelt: advice.misspelt };
                    self.error(Code::UnknownName, word.span, format!("unknown evidence `{text}`"))
                        .advise(advice)
                        .because(cause);
                    continue;
                }
            };
            self.end(&cursor, &[]);
            parts.evidence.extend(item.map(|i| Spanned::new(i, line.span)));
        }
    }
}

/// Counts a Service by the pods that are its ready endpoints.
fn endpoints(counted: Selector) -> Selector {
    let Selector::Service(service) = counted else { return counted };
    let span = service.name.span;
    let of = Workload { kind: WorkloadKind::Service, name: service.name };
    Selector::Pods(Pods { by: Criterion::Of(of), namespace: service.namespace, span })
}
