//! A cluster as a scope, and what selects its pods and Services.

use chaos_core::{
    model::{
        Cluster, Pods, Selector, Service,
        cluster::{Criterion, Key, Requirement, Test, Workload, WorkloadKind},
    },
    non_empty::NonEmpty,
    span::{Span, Spanned},
};

use super::{Checker, join_words};
use crate::{
    codes::Code,
    suggest,
    syntax::{self, Condition, Cursor, Item, ItemKind, Logic, Relation, Statement, Word},
};

const PODS: &str = "write `pods where app = \"api\"`, or `pods of deployment \"api\"`";

impl Checker {
    /// Reads `cluster "context" uid "…"` and `namespace "…"` of a scope; nothing where it has no `cluster`.
    pub(super) fn cluster(&mut self, scoped: &[&Statement<'_>]) -> Option<Cluster> {
        let line = scoped.iter().find(|line| line.keyword() == "cluster")?;
        let mut cursor = line.cursor();
        cursor.take();
        let nothing = || Spanned::new(String::new(), line.span);
        let context = self.take_string(&mut cursor, "the context's name in quotes").unwrap_or_else(nothing);
        let uid = match cursor.take_word("uid") {
            Some(_) => self.take_string(&mut cursor, "the uid in quotes"),
            None => {
                let message = format!("`cluster \"{context}\"` does not say which cluster that is");
                self.error(Code::MissingLine, line.span, message).help = Some(
                    "add `uid \"…\"` with what `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints: \
                     a context may lead elsewhere tomorrow"
                        .into(),
                );
                None
            }
        };
        self.end(&cursor, &["uid"]);
        let namespace = match scoped.iter().find(|line| line.keyword() == "namespace") {
            Some(line) => {
                let mut cursor = line.cursor();
                cursor.take();
                let name = self.take_string(&mut cursor, "the namespace in quotes");
                self.end(&cursor, &[]);
                name
            }
            None => {
                self.error(Code::MissingLine, line.span, "the scope does not say which namespace").help =
                    Some("add `namespace \"shop\"`; a target elsewhere says `in \"other\"`".into());
                None
            }
        };
        let uid = uid.unwrap_or_else(nothing);
        Some(Cluster { context, uid, namespace: namespace.unwrap_or_else(nothing) })
    }

    /// Reads what stands behind `pods` or `service`.
    pub(super) fn of_cluster(&mut self, word: Word<'_>, cursor: &mut Cursor<'_, '_>) -> Option<Selector> {
        if word.text == "service" {
            let name = self.take_string(cursor, "the Service's name in quotes")?;
            let namespace = self.elsewhere(cursor)?;
            return Some(Selector::Service(Service { name, namespace }));
        }
        let by = if cursor.take_word("where").is_some() {
            let Some(Item { kind: ItemKind::Condition(condition), .. }) = cursor.take() else { return None };
            let mut all = Vec::new();
            self.requirements(condition, &mut all)?;
            Criterion::Where(NonEmpty::try_from(all).ok()?)
        } else if cursor.take_word("of").is_some() {
            Criterion::Of(self.workload(cursor)?)
        } else {
            self.expected(cursor, "`where` or `of`").help = Some(PODS.into());
            return None;
        };
        let namespace = self.elsewhere(cursor)?;
        Some(Selector::Pods(Pods { by, namespace, span: word.span.to(cursor.previous()) }))
    }

    /// Reads `deployment "x"` and the like.
    fn workload(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Workload> {
        let words = WorkloadKind::ALL.map(WorkloadKind::word);
        let Some(word) = cursor.take_any_word() else {
            self.expected(cursor, &join_words(&words)).help = Some(PODS.into());
            return None;
        };
        let Some(kind) = WorkloadKind::ALL.into_iter().find(|kind| kind.word() == word.text) else {
            let near = suggest::did_you_mean(word.text, words);
            self.error(Code::UnknownKind, word.span, format!("pods cannot be of a `{}`", word.text))
                .advise(near.unwrap_or_else(|| format!("there is {}", join_words(&words)).into()));
            return None;
        };
        Some(Workload { kind, name: self.take_string(cursor, "its name in quotes")? })
    }

    /// Reads `in "namespace"`, where it stands.
    #[expect(clippy::option_option, reason = "the outer one is a mistake that has been reported")]
    pub(super) fn elsewhere(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Option<Spanned<String>>> {
        match cursor.take_word("in") {
            Some(_) => self.take_string(cursor, "the namespace in quotes").map(Some),
            None => Some(None),
        }
    }

    fn requirements(&mut self, condition: &Condition<'_>, all: &mut Vec<Requirement>) -> Option<()> {
        match condition {
            Condition::Group(inner) => self.requirements(inner, all),
            Condition::Join(Logic::And, parts) => {
                parts.iter().try_for_each(|part| self.requirements(part, all))
            }
            Condition::Join(Logic::Or, parts) => {
                let place = parts.iter().map(place).fold(Span::NONE, Span::to);
                let message = "labels are joined by `and`: the API server selects by nothing else";
                self.error(Code::Misplaced, place, message).help =
                    Some("for values of one label write `app in [\"a\", \"b\"]`, else two targets".into());
                None
            }
            Condition::Test(test) => {
                all.push(self.requirement(test)?);
                Some(())
            }
        }
    }

    /// Reads `app = "api"`, `not tier in ["a", "b"]`, `canary`, `label "example.com/x" = "y"`, `field "spec.nodeName" = "n1"`.
    fn requirement(&mut self, test: &syntax::Test<'_>) -> Option<Requirement> {
        let quoted = matches!(test.key.text, "label" | "field");
        let (named, value) = match (&test.of, test.relation) {
            (Some(of), _) if quoted => (Some(of), test.value.as_ref()),
            (None, Relation::Is) if quoted => (test.value.as_ref(), None),
            _ => (None, test.value.as_ref()),
        };
        let key = match named {
            Some(item) => {
                let Some(text) = item.as_text() else {
                    self.error(Code::Misplaced, item.span, "the name stands in quotes").help =
                        Some(format!("write `{} \"name\"`", test.key.text));
                    return None;
                };
                let name = self.text(text);
                if test.key.text == "field" { Key::Field(name) } else { Key::Label(name) }
            }
            None => Key::Label(test.key.text.to_owned()),
        };
        let equals = !test.negated;
        let is = match (test.relation, value) {
            (Relation::Exists | Relation::Is, None) if equals => Test::Exists,
            (Relation::Exists | Relation::Is, None) => Test::Absent,
            (Relation::Equal, Some(value)) => of_values(equals, NonEmpty::one(self.label_value(value)?)),
            (Relation::NotEqual, Some(value)) => of_values(!equals, NonEmpty::one(self.label_value(value)?)),
            (Relation::In, Some(Item { kind: ItemKind::List(list), .. })) => {
                let values = list.iter().map(|item| self.label_value(item)).collect::<Option<Vec<_>>>()?;
                of_values(equals, NonEmpty::try_from(values).ok()?)
            }
            (relation, _) => {
                let message = format!("a label is not compared by `{}`", relation.as_str());
                self.error(Code::Misplaced, test.span, message).help = Some(
                    "write `app = \"api\"`, `app != \"api\"`, `app in [\"a\", \"b\"]`, `app` or `not app`"
                        .into(),
                );
                return None;
            }
        };
        // What the API server can do with a field.
        let one = matches!(&is, Test::In(all) | Test::NotIn(all) if all.len() == 1);
        if matches!(key, Key::Field(_)) && !one {
            self.error(Code::Misplaced, test.span, "a field is selected by `=` and `!=` only").help =
                Some("write `field \"spec.nodeName\" = \"node-1\"`".into());
            return None;
        }
        Some(Requirement { of: key, is })
    }

    fn label_value(&mut self, item: &Item<'_>) -> Option<String> {
        if let Some(text) = item.as_text() {
            return Some(self.text(text));
        }
        self.error(Code::Misplaced, item.span, format!("expected a string, found {}", item.describe()))
            .help = Some("the value of a label stands in quotes: `app = \"api\"`".into());
        None
    }

    /// Refuses a Service as what is acted on: nothing runs there.
    pub(super) fn no_service(&mut self, selector: &Selector) -> Option<()> {
        let Selector::Service(service) = selector else { return Some(()) };
        let message = format!("nothing runs in {service} itself");
        self.error(Code::Misplaced, service.name.span, message).help =
            Some(format!("name its pods: `target api = pods of service \"{}\" pick 1`", service.name));
        None
    }

    /// Refuses objects of a cluster that no target picks.
    pub(super) fn counted(&mut self, selector: &Selector) -> Option<()> {
        self.no_service(selector)?;
        let Selector::Pods(pods) = selector else { return Some(()) };
        self.error(Code::MissingLine, pods.span, "it is not said how many of these pods").help =
            Some(format!("declare `target api = {pods} pick 1` in the scope, and name `api`"));
        None
    }
}

fn of_values(equals: bool, values: NonEmpty<String>) -> Test {
    if equals { Test::In(values) } else { Test::NotIn(values) }
}

fn place(condition: &Condition<'_>) -> Span {
    match condition {
        Condition::Test(test) => test.span,
        Condition::Group(inner) => place(inner),
        Condition::Join(_, all) => all.iter().map(place).fold(Span::NONE, Span::to),
    }
}
