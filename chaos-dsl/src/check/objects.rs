//! `fault NAME = scale …`, `patch …`, `detach …`, `delete …`, `evict …`, `restart …`, `drain …`, `outage …`: what is done to
//! objects of a cluster's API.

use chaos_core::{
    model::{
        Action, ObjectFault, Selector, Service,
        objects::{FieldChange, FieldPath},
        watched::{ObjectRef, Resource},
    },
    non_empty::NonEmpty,
    span::Spanned,
};
use serde_json::Value;

use super::{Checker, Names, fault::Acting, join_words};
use crate::{
    codes::Code,
    diagnostic::Label,
    suggest,
    syntax::{Cursor, Item, ItemKind, Statement, Symbol},
};

/// Kinds whose objects have replicas that are counted when they are scaled.
const SCALED: [&str; 2] = ["deployment", "statefulset"];

/// Kinds whose pods a rollout replaces.
const ROLLED: [&str; 3] = ["deployment", "statefulset", "daemonset"];

/// The word for a field that is taken away.
const ABSENT: &str = "absent";

impl Checker {
    /// Checks what stands behind `=` where it begins with a word for these.
    pub(super) fn objects(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let word = cursor.take_any_word()?;
        if !self.in_cluster {
            self.needs_cluster(word.span, &format!("the fault `{}`", word.text));
            return None;
        }
        let (fault, on, clauses): (_, _, &[&str]) = match word.text {
            "scale" => {
                let on = self.scaled(&mut cursor)?;
                if cursor.take_word("to").is_none() {
                    self.expected(&cursor, "`to` and a number").help =
                        Some(format!("write `scale {on} to 0`"));
                    return None;
                }
                let to = self.take_count(&mut cursor, "the number of replicas", 0, 10_000)?;
                (ObjectFault::Scale { to }, Selector::Object(on), &[])
            }
            "outage" => {
                let on = self.outage(&mut cursor)?;
                (ObjectFault::Scale { to: 0 }, Selector::Object(on), &[])
            }
            "restart" => {
                let start = cursor.span();
                let on = self.object(&mut cursor)?;
                if !is_one(&on, &ROLLED) {
                    let message = format!("a {} has no pods that a rollout replaces", on.kind);
                    self.error(Code::Misplaced, start, message).help = Some(format!(
                        "restart a {}; a pod is replaced by `evict` or `delete`",
                        join_words(&ROLLED)
                    ));
                    return None;
                }
                (ObjectFault::Restart, Selector::Object(on), &[])
            }
            "drain" => {
                let start = cursor.span();
                let on = self.object(&mut cursor)?;
                if !is_one(&on, &["node"]) {
                    let message = format!("a {} is not drained", on.kind);
                    self.error(Code::Misplaced, start, message).help =
                        Some("write `drain node \"node1\"`; pods of a workload are ended by `evict`".into());
                    return None;
                }
                let bare = cursor.take_word("including").is_some();
                if bare && cursor.take_words(&["bare", "pods"]).is_none() {
                    self.expected(&cursor, "`bare pods`").help =
                        Some(format!("write `drain {on} including bare pods`"));
                    return None;
                }
                (ObjectFault::Drain { bare }, Selector::Object(on), &["including"])
            }
            "patch" => return self.patch(cursor, statement, names),
            "detach" => {
                let on = self.ended(&mut cursor, names)?;
                if cursor.take_words(&["from", "service"]).is_none() {
                    self.expected(&cursor, "`from service` and its name").help =
                        Some("write `detach web from service \"web\"`".into());
                    return None;
                }
                let name = self.take_string(&mut cursor, "the Service's name in quotes")?;
                (ObjectFault::Detach { from: Service { name, namespace: None } }, on, &[])
            }
            "delete" => {
                let on = self.ended(&mut cursor, names)?;
                let mut grace = None;
                if cursor.take_word("grace").is_some() {
                    grace = Some(self.take_duration(&mut cursor, "the grace period", true)?);
                    if grace.is_some_and(|grace| grace.subsec_nanos() != 0) {
                        let message = "a grace period is whole seconds";
                        self.error(Code::OutOfRange, cursor.previous(), message).help = Some(
                            "write `grace 30s`, or `grace 0s` to have its programs killed at once".into(),
                        );
                        return None;
                    }
                }
                (ObjectFault::Delete { grace }, on, &["grace"])
            }
            _ => (ObjectFault::Evict, self.ended(&mut cursor, names)?, &[]),
        };
        let proven_by = self.proven_by(&mut cursor, names);
        if let Some(more) = cursor.peek().filter(|_| clauses.is_empty()) {
            let message = format!("{} does not belong here", more.describe());
            self.error(Code::Misplaced, more.span, message).help =
                Some(format!("remove it: `{}` is about the object itself, not about packets", word.text));
            return None;
        }
        self.end(&cursor, clauses);
        Some(Acting { action: Action::Objects(fault), on, proven_by })
    }

    /// Reads which pods are meant.
    fn ended(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Selector> {
        let number = cursor.peek().and_then(Item::as_quantity).map(|number| number.text);
        let Some(number) = number else { return self.selector(cursor, names) };
        self.expected(cursor, "the name of a target").help = Some(format!(
            "declare `target api = pods of service \"api\" pick {number}` in the scope, and name `api`"
        ));
        None
    }

    /// Reads an object that has replicas.
    fn scaled(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<ObjectRef> {
        let start = cursor.span();
        let object = self.object(cursor)?;
        if !is_one(&object, &SCALED) {
            let message = format!("a {} has no replicas", object.kind);
            self.error(Code::Misplaced, start, message).help = Some(format!(
                "scale a {}; a field of any other object is set by `patch`",
                join_words(&SCALED)
            ));
            return None;
        }
        Some(object)
    }

    /// Reads `of deployment "x" by scale`.
    fn outage(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<ObjectRef> {
        const SHAPE: &str = "write `outage of deployment \"controller\" by scale`";
        if cursor.take_word("of").is_none() {
            self.expected(cursor, "`of` and what is to be away").help = Some(SHAPE.into());
            return None;
        }
        let on = self.scaled(cursor)?;
        if cursor.take_word("by").is_none() {
            self.expected(cursor, "`by scale`").help = Some(SHAPE.into());
            return None;
        }
        match cursor.take_any_word() {
            Some(word) if word.text == "scale" => Some(on),
            Some(word) if matches!(word.text, "freeze" | "isolate" | "lease") => {
                self.not_yet(word.span, &format!("an outage by `{}`", word.text)).help = Some(SHAPE.into());
                None
            }
            _ => {
                self.error(Code::UnknownKind, cursor.previous(), "an outage is made by `scale`").help =
                    Some(SHAPE.into());
                None
            }
        }
    }

    /// Reads `KIND "x" { PATH = VALUE … }`.
    fn patch(
        &mut self,
        mut cursor: Cursor<'_, '_>,
        statement: &Statement<'_>,
        names: &Names,
    ) -> Option<Acting> {
        let start = cursor.span();
        let on = self.object(&mut cursor)?;
        if on.kind.group.is_empty() && on.kind.plural == "secrets" {
            let message =
                "a Secret is not patched: what is in it would stand in the plan, the record and on a Lease";
            self.error(Code::Misplaced, start, message).help =
                Some("leave it out, or exchange the Secret outside of the experiment".into());
            return None;
        }
        let mut fields = Vec::<FieldChange>::new();
        let mut proven_by = None;
        let before = self.out.len();
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "fields in braces").help =
                Some(format!("write `patch {on} {{ spec.selector.app = \"wrong\" }}`"));
            return None;
        };
        for line in &block.statements {
            match (line.keyword(), line.formula()) {
                ("proven", Some(formula)) => proven_by = self.proof(formula, names),
                _ => fields.extend(self.field_change(line)),
            }
        }
        self.end(&cursor, &[]);
        self.apart(&fields)?;
        let replicas = |field: &&FieldChange| field.path.names() == ["spec", "replicas"];
        if let Some(field) = fields.iter().find(replicas).filter(|_| is_one(&on, &SCALED)) {
            let message = "pods go with replicas, and a patch does not count them";
            self.error(Code::Misplaced, field.path.span, message).help =
                Some(format!("write `scale {on} to N`"));
            return None;
        }
        if self.out.len() > before {
            return None;
        }
        let Ok(fields) = NonEmpty::try_from(fields) else {
            self.error(Code::MissingLine, statement.span, format!("nothing of {on} is changed")).help =
                Some("name a field: `spec.selector.app = \"wrong\"`".into());
            return None;
        };
        let action = Action::Objects(ObjectFault::Patch { fields });
        Some(Acting { action, on: Selector::Object(on), proven_by })
    }

    /// Reads `spec.selector.app = "wrong"`, `"/metadata/labels/a.b~1c" = "x"`, `spec.paused = true`, `spec.x = absent`.
    fn field_change(&mut self, line: &Statement<'_>) -> Option<FieldChange> {
        let mut cursor = line.cursor();
        let item = cursor.take()?;
        let path = match &item.kind {
            ItemKind::Word(word) => FieldPath::dotted(word),
            ItemKind::Text(text) => FieldPath::pointer(&self.text(text)),
            _ => {
                self.error(
                    Code::Misplaced,
                    item.span,
                    format!("expected a field, found {}", item.describe()),
                )
                .help = Some("write `spec.selector.app = \"wrong\"`".into());
                return None;
            }
        };
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                self.error(Code::Misplaced, item.span, error.to_string()).help = Some(
                    "write `spec.selector.app`, or `\"/metadata/labels/app.kubernetes.io~1name\"`".into(),
                );
                return None;
            }
        };
        if matches!(path.names().first().map(String::as_str), Some("status" | "kind" | "apiVersion"))
            || matches!(path.names(), [first, second, ..] if first == "metadata" && !matches!(second.as_str(), "labels" | "annotations"))
            || path.names().len() == 1
            || (path.names().len() == 2 && path.names().first().is_some_and(|first| first == "metadata"))
        {
            let message = format!("`{path}` is not for anybody to set");
            self.error(Code::Misplaced, item.span, message).help =
                Some("set a field below `spec` or `data`, a label, or an annotation".into());
            return None;
        }
        if cursor.take_symbol(Symbol::Equals).is_none() {
            self.expected(&cursor, "`=` and a value").help = Some(format!("write `{path} = \"…\"`"));
            return None;
        }
        let to = match cursor.take() {
            Some(value) => self.json_value(value)?,
            None => {
                self.expected(&cursor, "a value").help = Some(format!("write `{path} = \"…\"`"));
                return None;
            }
        };
        self.end(&cursor, &[]);
        Some(FieldChange { path: Spanned::new(path, item.span), to })
    }

    /// Reads what a field becomes; none takes it away.
    #[expect(clippy::option_option, reason = "the outer one is a mistake that has been reported")]
    fn json_value(&mut self, item: &Item<'_>) -> Option<Option<Value>> {
        Some(match &item.kind {
            ItemKind::Text(text) => Some(Value::String(self.text(text))),
            ItemKind::Word("true") => Some(Value::Bool(true)),
            ItemKind::Word("false") => Some(Value::Bool(false)),
            ItemKind::Word(word) if *word == ABSENT => None,
            ItemKind::Quantity(written) if written.unit == crate::syntax::Unit::Count => {
                let number = super::value::quantity(written).value;
                // What is whole is written without a fraction, as the API has it.
                Some(if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) })
            }
            ItemKind::List(list) => {
                let mut values = Vec::new();
                for item in list {
                    values.push(self.json_value(item)?.unwrap_or_default());
                }
                Some(Value::Array(values))
            }
            _ => {
                let near = match item.as_word() {
                    Some(word) => suggest::did_you_mean(word.text, ["true", "false", ABSENT]),
                    None => None,
                };
                let message = format!("a field cannot become {}", item.describe());
                self.error(Code::Misplaced, item.span, message).advise(near.unwrap_or_else(|| {
                    "write a string in quotes, a number, `true`, `false`, a list, or `absent` to take it away".into()
                }));
                return None;
            }
        })
    }

    /// Refuses a field that stands twice, or inside of another.
    fn apart(&mut self, fields: &[FieldChange]) -> Option<()> {
        for (n, field) in fields.iter().enumerate() {
            let names = field.path.names();
            let overlaps = |other: &&FieldChange| {
                other.path.names().starts_with(names) || names.starts_with(other.path.names())
            };
            let Some(first) = fields.iter().take(n).find(overlaps) else { continue };
            let message = format!("`{}` is set twice", field.path.value);
            let error = self.error(Code::DuplicateLine, field.path.span, message);
            error.secondary.push(Label { span: first.path.span, message: "here first".into() });
            error.help = Some("remove one of them".into());
            return None;
        }
        Some(())
    }
}

/// Returns whether an object is of one of these kinds.
fn is_one(object: &ObjectRef, kinds: &[&str]) -> bool {
    kinds.iter().any(|word| Resource::of_word(word).as_ref() == Some(&object.kind))
}
