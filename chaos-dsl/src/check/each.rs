//! `for each … : claim`: what a claim goes over.

use chaos_core::{
    model::{Claim, Selector},
    span::{Span, Spanned},
};

use super::{Checker, Names, target::CLUSTER_SELECTORS};
use crate::{
    codes::Code,
    syntax::{Clause, ClauseKind, ForEach, Formula, FormulaKind, Item, Term},
};

/// What stands for one of many.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Whether the claim speaks of it.
    pub(super) used: bool,
}

const SHAPES: &str = "write `for each h in HOSTS: claim`, and `where LABEL = h` in it, or `for each request of PROBE open when FAULT starts: completes ok within 30s`";

impl Checker {
    /// Checks a claim about each of many.
    pub(super) fn for_each(
        &mut self,
        each: &ForEach<'_>,
        outer: &[&Clause<'_>],
        names: &Names,
        span: Span,
    ) -> Option<Claim> {
        let words: Vec<&str> = each.binder.iter().map(|i| i.as_word().map_or("", |w| w.text)).collect();
        let place = each.binder.iter().fold(Span::NONE, |span, item| span.to(item.span));
        match words.as_slice() {
            ["request" | "requests", "of", _, "open"] => self.each_request(each, &each.binder[2], names),
            [variable, "in", _] => {
                let variable = Spanned::new((*variable).to_owned(), each.binder[0].span);
                self.each_host(variable, &each.binder[2], each, outer, names)
            }
            [kind, ..] if CLUSTER_SELECTORS.contains(kind) => {
                self.needs_cluster(span, &format!("`for each {kind}`"));
                None
            }
            _ => {
                self.error(Code::Misplaced, place, "this is nothing that a claim can go over").help =
                    Some(SHAPES.into());
                None
            }
        }
    }

    /// `for each h in api [when EVENT]: claim`
    fn each_host(
        &mut self,
        variable: Spanned<String>,
        of: &Item<'_>,
        each: &ForEach<'_>,
        outer: &[&Clause<'_>],
        names: &Names,
    ) -> Option<Claim> {
        let keys = self.keys(of, names)?;
        if names.hosts().contains(&variable.value) || self.variables.iter().any(|v| v.name == variable.value)
        {
            let message = format!("`{variable}` already means something else");
            self.error(Code::DuplicateName, variable.span, message).help =
                Some("choose a name that nothing else has: `h`".into());
            return None;
        }
        // What is owed when something happens is owed after it.
        let after = each
            .event
            .as_ref()
            .map(|event| Clause { kind: ClauseKind::After(Box::new(event.clone())), span: event.span() });
        let clauses: Vec<&Clause<'_>> = after.iter().chain(outer.iter().copied()).collect();
        self.variables.push(Variable { name: variable.value.clone(), used: false });
        let claim = self.claim(&each.claim, &clauses, names);
        let used = self.variables.pop().is_some_and(|v| v.used);
        let claim = claim?;
        if !used {
            let message = format!("the claim says nothing of `{variable}`, so it is the same for each");
            self.error(Code::Undecidable, variable.span, message).help =
                Some(format!("write `where LABEL = {variable}` in its metrics, or leave out `for each`"));
            return None;
        }
        let text = of.as_word().map_or_else(|| of.describe(), |w| w.text.to_owned());
        let of = Spanned::new(text, of.span);
        Some(Claim::Each { variable: variable.value, of, keys, claim: Box::new(claim) })
    }

    /// The hosts that a claim goes over: those of a name, a glob or a named target.
    fn keys(&mut self, of: &Item<'_>, names: &Names) -> Option<Vec<String>> {
        let Some(word) = of.as_word() else {
            self.error(Code::Misplaced, of.span, format!("expected hosts, found {}", of.describe())).help =
                Some("write a host of the lab, a glob such as `api-*`, or a target".into());
            return None;
        };
        let target = self.targets.iter().find(|t| t.name.value == word.text);
        let pattern = match target.map(|t| &t.selector) {
            Some(Selector::Hosts(pattern)) => pattern.value.clone(),
            Some(other) => {
                let message = format!("`{}` means {other}, which is not a host of a lab", word.text);
                self.error(Code::Misplaced, of.span, message).help = Some("name hosts of the lab".into());
                return None;
            }
            None => word.text.to_owned(),
        };
        let keys = names.hosts_matching(&pattern);
        if keys.is_empty() && !names.scope.has_lab() {
            self.error(Code::Misplaced, of.span, "`for each` goes over the hosts of a lab").help =
                Some("write one claim for each value of the label".into());
            return None;
        }
        if keys.is_empty() {
            let known = names.hosts();
            let targets = self.targets.iter().map(|t| t.name.value.clone());
            let known: Vec<String> = known.into_iter().chain(targets).collect();
            self.unknown("host", word, known.iter().map(String::as_str));
            return None;
        }
        Some(keys)
    }

    /// `for each request of get open when slow starts: completes ok within 30s`
    fn each_request(&mut self, each: &ForEach<'_>, probe: &Item<'_>, names: &Names) -> Option<Claim> {
        let probe = match probe.as_word() {
            Some(word) => self.refer("probe", word, &names.probes),
            None => None,
        };
        let open_at = match &each.event {
            Some(event) => self.event(event, names),
            None => {
                self.error(Code::ClauseMisfit, each.claim.span, "it does not say open when").help =
                    Some(SHAPES.into());
                None
            }
        };
        let within = self.completes(&each.claim);
        Some(Claim::Completes { probe: probe?, within: within?, open_at: open_at? })
    }

    /// `completes ok within 30s`
    fn completes(&mut self, claim: &Formula<'_>) -> Option<std::time::Duration> {
        let completes = match &claim.kind {
            FormulaKind::Holds(Term::Phrase(items)) => {
                matches!(items.as_slice(), [a, b] if a.is_word("completes") && b.is_word("ok"))
            }
            _ => false,
        };
        match claim.clauses.as_slice() {
            [Clause { kind: ClauseKind::Within(item), .. }] if completes => {
                self.span_of_time(item, "the deadline")
            }
            _ => {
                self.error(Code::ClauseMisfit, claim.span, "of single requests one claim can be made").help =
                    Some("write `completes ok within 30s`".into());
                None
            }
        }
    }

    /// Whether a word stands for one of many; from then on the claim has spoken of it.
    pub(super) fn is_variable(&mut self, word: &str) -> bool {
        let variable = self.variables.iter_mut().find(|v| v.name == word);
        variable.map(|v| v.used = true).is_some()
    }
}
