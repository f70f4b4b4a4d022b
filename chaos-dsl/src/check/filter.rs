//! Filters: which of a probe's samples a metric looks at.

use chaos_core::{
    model::metric::Filter,
    span::{Span, Spanned},
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    syntax::{Condition, Item, ItemKind, Logic, Relation, Word},
};

/// The place of a condition.
fn place(condition: &Condition<'_>) -> Span {
    match condition {
        Condition::Test(test) => test.span,
        Condition::Group(inner) => place(inner),
        Condition::Join(_, all) => all.iter().map(place).fold(Span::NONE, Span::to),
    }
}

impl Checker {
    /// Checks which samples count.
    pub(super) fn filters(
        &mut self,
        condition: &Condition<'_>,
        names: &Names,
        probe: &str,
    ) -> Option<Vec<Filter>> {
        match condition {
            Condition::Group(inner) => self.filters(inner, names, probe),
            Condition::Join(Logic::And, all) => {
                let all: Vec<Option<Vec<Filter>>> =
                    all.iter().map(|c| self.filters(c, names, probe)).collect();
                Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
            }
            Condition::Join(Logic::Or, _) => {
                let span = place(condition);
                self.error(Code::ClauseMisfit, span, "filters are joined by `and`").help =
                    Some("write `backend in [\"a\", \"b\"]`".into());
                None
            }
            Condition::Test(test) => {
                let known: Vec<&str> = names
                    .labels
                    .iter()
                    .filter(|(p, _)| p == probe)
                    .map(|(_, label)| label.as_str())
                    .chain(["from", "status"])
                    .collect();
                if !known.contains(&test.key.text) {
                    self.unknown("label", test.key, known);
                    return None;
                }
                let negated = test.negated != (test.relation == Relation::NotEqual);
                let label = Spanned::new(test.key.text.to_owned(), test.key.span);
                if let (Relation::Equal | Relation::NotEqual, Some(ItemKind::Word(word))) =
                    (test.relation, test.value.as_ref().map(|v| &v.kind))
                    && self.is_variable(word)
                {
                    let variable = Some((*word).to_owned());
                    return Some(vec![Filter { label, values: Vec::new(), variable, negated }]);
                }
                let values = match (test.relation, &test.value) {
                    (Relation::Equal | Relation::NotEqual | Relation::Is | Relation::In, Some(item)) => {
                        self.filter_values(item, names)?
                    }
                    _ => {
                        self.error(
                            Code::ClauseMisfit,
                            test.span,
                            "a filter compares with `=`, `!=` or `in`",
                        )
                        .help =
                            Some(format!("write `{0} = \"…\"` or `{0} in [\"…\", \"…\"]`", test.key.text));
                        return None;
                    }
                };
                Some(vec![Filter { label, values, variable: None, negated }])
            }
        }
    }

    /// A filter's values: strings, lists of them, numbers, or hosts by name, which stand for the names of their copies.
    fn filter_values(&mut self, item: &Item<'_>, names: &Names) -> Option<Vec<String>> {
        match &item.kind {
            ItemKind::Text(text) => Some(vec![self.text(text)]),
            ItemKind::Quantity(q) => Some(vec![q.text.to_owned()]),
            ItemKind::List(items) => {
                let all: Vec<Option<Vec<String>>> =
                    items.iter().map(|i| self.filter_values(i, names)).collect();
                Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
            }
            ItemKind::Word(word) => {
                let hosts = names.hosts_matching(word);
                if hosts.is_empty() {
                    let name = Word { text: word, span: item.span };
                    let known = names.hosts();
                    self.unknown("host", name, known.iter().map(String::as_str));
                    return None;
                }
                Some(hosts)
            }
            _ => {
                self.error(Code::Misplaced, item.span, "expected a string, a list of strings or a host")
                    .help =
                    Some("write `backend = \"a\"`, `backend in [\"a\", \"b\"]` or `from = client`".into());
                None
            }
        }
    }
}
