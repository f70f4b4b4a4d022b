//! Fields of an object's JSON: read, set, and written as the least merge patch (RFC 7386).

use chaos_core::model::objects::FieldPath;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A field with what it was before and what this run made of it; none where it was not, or is not to be, there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) path: FieldPath,
    pub(crate) before: Option<Value>,
    pub(crate) ours: Option<Value>,
}

impl Change {
    /// Plans a change of a field as it is now. Where its parents are not there, the change is of the first that is missing, so that
    /// taking it back leaves nothing of them.
    ///
    /// # Errors
    /// Something on the way is neither an object nor a list with that element.
    pub(crate) fn of(object: &Value, path: &FieldPath, to: Option<Value>) -> Result<Change, String> {
        let names = path.names();
        let mut at = object;
        for (n, name) in names.iter().enumerate() {
            let found = match at {
                Value::Object(fields) => fields.get(name),
                Value::Array(items) => {
                    let item = name.parse().ok().and_then(|index: usize| items.get(index));
                    Some(item.ok_or_else(|| {
                        format!("the list at `{}` has no element `{name}`", before(names, n))
                    })?)
                }
                _ => return Err(format!("`{}` is not an object that has a `{name}`", before(names, n))),
            };
            let Some(found) = found else {
                let path = FieldPath::try_from(pointer(names, n + 1)).map_err(|error| error.to_string())?;
                // The names below it are made with it.
                let nested = names.iter().skip(n + 1).rev();
                let ours = to.map(|to| {
                    nested.fold(to, |inner, name| Value::Object(Map::from_iter([(name.clone(), inner)])))
                });
                return Ok(Change { path, before: None, ours });
            };
            at = found;
        }
        Ok(Change { path: path.clone(), before: Some(at.clone()), ours: to })
    }

    /// Returns whether it would change anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.before == self.ours
    }

    /// Returns what the field is now.
    pub(crate) fn now<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        object.pointer(&self.path.to_pointer())
    }

    /// Returns whether the field is as this run made it.
    pub(crate) fn stands(&self, object: &Value) -> bool {
        self.now(object) == self.ours.as_ref()
    }

    /// Returns whether the field is as it was before.
    pub(crate) fn is_back(&self, object: &Value) -> bool {
        self.now(object) == self.before.as_ref()
    }

    /// Says what the field is, for people.
    pub(crate) fn said(value: Option<&Value>) -> String {
        value.map_or_else(|| "absent".to_owned(), Value::to_string)
    }
}

/// Sets or takes away a field; does nothing where the way to it is not there any more.
pub(crate) fn set(object: &mut Value, path: &FieldPath, to: Option<&Value>) {
    let Some((last, parents)) = path.names().split_last() else { return };
    let parent = parents.iter().try_fold(object, |at, name| match at {
        Value::Object(fields) => fields.get_mut(name),
        Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get_mut(index)),
        _ => None,
    });
    match (parent, to) {
        (Some(Value::Object(fields)), Some(to)) => drop(fields.insert(last.clone(), to.clone())),
        (Some(Value::Object(fields)), None) => drop(fields.remove(last)),
        (Some(Value::Array(items)), Some(to)) => {
            if let Some(item) = last.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                *item = to.clone();
            }
        }
        _ => {}
    }
}

/// Returns the merge patch that makes one object into another: a list is replaced as a whole.
pub(crate) fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to {
        match from.get(name) {
            Some(same) if same == value => {}
            Some(other) => drop(patch.insert(name.clone(), merge_patch(other, value))),
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

fn pointer(names: &[String], count: usize) -> String {
    names.iter().take(count).map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

fn before(names: &[String], count: usize) -> String {
    names.iter().take(count).map(String::as_str).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> FieldPath {
        FieldPath::dotted(text).unwrap()
    }

    /// Applies a merge patch as RFC 7386 has it.
    fn applied(mut target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        if !target.is_object() {
            target = json!({});
        }
        for (name, value) in patch {
            let fields = target.as_object_mut().unwrap();
            if value.is_null() {
                fields.remove(name);
            } else {
                let old = fields.remove(name).unwrap_or_default();
                fields.insert(name.clone(), applied(old, value));
            }
        }
        target
    }

    fn object() -> Value {
        json!({
            "metadata": { "name": "web", "labels": { "app": "web" } },
            "spec": { "replicas": 3, "rules": [{ "weight": 1, "name": "a" }, { "weight": 2 }] },
        })
    }

    #[test]
    fn what_is_changed_and_taken_back_is_what_it_was() {
        let before = object();
        for (at, to) in [
            ("spec.replicas", Some(json!(0))),
            ("spec.paused", Some(json!(true))),
            ("spec.rules.1.weight", Some(json!(0))),
            ("spec.rules.0.name", None),
            ("metadata.labels.app", None),
            ("metadata.annotations.a", Some(json!("b"))),
            ("spec.template.metadata.labels.x", Some(json!("y"))),
            ("spec.rules", Some(json!([]))),
        ] {
            let change = Change::of(&before, &path(at), to.clone()).unwrap();
            let mut ours = before.clone();
            set(&mut ours, &change.path, change.ours.as_ref());
            assert_eq!(ours.pointer(&path(at).to_pointer()), to.as_ref(), "{at}");
            assert!(change.stands(&ours) && !change.is_back(&ours) && !change.is_idle());
            assert_eq!(applied(before.clone(), &merge_patch(&before, &ours)), ours, "{at}");
            let mut back = ours.clone();
            set(&mut back, &change.path, change.before.as_ref());
            assert_eq!(back, before, "{at}");
            assert_eq!(applied(ours.clone(), &merge_patch(&ours, &back)), before, "{at}");
        }
    }

    #[test]
    fn a_field_that_cannot_be_there_is_refused() {
        let why = |at: &str| Change::of(&object(), &path(at), Some(json!(1))).unwrap_err();
        assert_eq!(why("spec.replicas.x"), "`spec.replicas` is not an object that has a `x`");
        assert_eq!(why("spec.rules.2.weight"), "the list at `spec.rules` has no element `2`");
        assert_eq!(why("spec.rules.first.weight"), "the list at `spec.rules` has no element `first`");
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        assert!(Change::of(&object(), &path("spec.replicas"), Some(json!(3))).unwrap().is_idle());
        assert!(Change::of(&object(), &path("spec.paused"), None).unwrap().is_idle());
    }

    #[test]
    fn the_patch_says_no_more_than_what_changes() {
        let mut to = object();
        set(&mut to, &path("spec.rules.1.weight"), Some(&json!(0)));
        let patch = merge_patch(&object(), &to);
        assert_eq!(patch, json!({ "spec": { "rules": [{ "weight": 1, "name": "a" }, { "weight": 0 }] } }));
        assert_eq!(merge_patch(&object(), &object()), json!({}));
    }
}
