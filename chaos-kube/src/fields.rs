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
            if n + 1 == names.len() && to.is_none() && at.is_array() {
                return Err(format!(
                    "an element is not taken out of the list at `{}`: set the whole list",
                    before(names, n)
                ));
            }
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

    /// Returns whether the field is as this run made it. What was made where nothing was may have got company.
    pub(crate) fn stands(&self, object: &Value) -> bool {
        let now = self.now(object);
        match (&self.before, &self.ours, now) {
            (None, Some(ours), Some(now)) => holds(now, ours),
            _ => now == self.ours.as_ref(),
        }
    }

    /// Returns whether nothing of what this run made of the field is there.
    pub(crate) fn is_back(&self, object: &Value) -> bool {
        let now = self.now(object);
        match (&self.before, &self.ours) {
            (None, Some(ours)) => now.is_none_or(|now| apart(now, ours)),
            _ => now == self.before.as_ref(),
        }
    }

    /// Returns whether the field is as it was read, so that nobody's change is written over.
    pub(crate) fn is_free(&self, object: &Value) -> bool {
        let now = self.now(object);
        match (&self.before, &self.ours) {
            (None, Some(ours)) => now.is_none_or(|now| free(now, ours)),
            _ => now == self.before.as_ref(),
        }
    }

    /// Makes of the field what it is to become.
    pub(crate) fn put(&self, object: &mut Value) {
        match (&self.before, &self.ours, object.pointer_mut(&self.path.to_pointer())) {
            (None, Some(ours), Some(now)) => join(now, ours),
            _ => set(object, &self.path, self.ours.as_ref()),
        }
    }

    /// Makes of the field what it was; what others put beside what was made stays.
    pub(crate) fn take(&self, object: &mut Value) {
        let left = match (&self.before, &self.ours, self.now(object)) {
            (None, Some(ours), Some(now)) => without(now, ours),
            _ => self.before.clone(),
        };
        set(object, &self.path, left.as_ref());
    }

    /// Makes of the field what it was, whatever it has become; what others put beside what was made stays.
    pub(crate) fn restore(&self, object: &mut Value) {
        let left = match (&self.before, &self.ours, self.now(object)) {
            (None, Some(ours), Some(now)) => unnamed(now, ours),
            _ => self.before.clone(),
        };
        set(object, &self.path, left.as_ref());
    }

    /// Says what the field is, for people.
    pub(crate) fn said(value: Option<&Value>) -> String {
        value.map_or_else(|| "absent".to_owned(), Value::to_string)
    }
}

/// Whether everything of `ours` is in `now`.
fn holds(now: &Value, ours: &Value) -> bool {
    match (now, ours) {
        (Value::Object(now), Value::Object(ours)) => {
            ours.iter().all(|(name, ours)| now.get(name).is_some_and(|now| holds(now, ours)))
        }
        _ => now == ours,
    }
}

/// Whether nothing of `ours` is in `now`.
fn apart(now: &Value, ours: &Value) -> bool {
    match (now, ours) {
        (Value::Object(now), Value::Object(ours)) => {
            ours.iter().all(|(name, ours)| now.get(name).is_none_or(|now| apart(now, ours)))
        }
        _ => now != ours,
    }
}

/// Whether there is nothing yet where `ours` is to be.
fn free(now: &Value, ours: &Value) -> bool {
    match (now, ours) {
        (Value::Object(now), Value::Object(ours)) => {
            ours.iter().all(|(name, ours)| now.get(name).is_none_or(|now| free(now, ours)))
        }
        _ => false,
    }
}

/// Puts `ours` beside what is there.
fn join(now: &mut Value, ours: &Value) {
    let (Value::Object(there), Value::Object(ours)) = (&mut *now, ours) else {
        *now = ours.clone();
        return;
    };
    for (name, ours) in ours {
        match there.get_mut(name) {
            Some(now) => join(now, ours),
            None => drop(there.insert(name.clone(), ours.clone())),
        }
    }
}

/// Returns what is left of `now` without `ours`; none where nothing is.
fn without(now: &Value, ours: &Value) -> Option<Value> {
    let (Value::Object(now), Value::Object(ours)) = (now, ours) else {
        return (now != ours).then(|| now.clone());
    };
    let left: Map<String, Value> = now
        .iter()
        .filter_map(|(name, now)| {
            let left = match ours.get(name) {
                Some(ours) => without(now, ours)?,
                None => now.clone(),
            };
            Some((name.clone(), left))
        })
        .collect();
    (!left.is_empty()).then_some(Value::Object(left))
}

/// Returns what is left of `now` without what `ours` names, whatever it is by now; none where nothing is.
fn unnamed(now: &Value, ours: &Value) -> Option<Value> {
    let (Value::Object(now), Value::Object(ours)) = (now, ours) else { return None };
    let left: Map<String, Value> = now
        .iter()
        .filter_map(|(name, now)| {
            let left = match ours.get(name) {
                Some(ours) => unnamed(now, ours)?,
                None => now.clone(),
            };
            Some((name.clone(), left))
        })
        .collect();
    (!left.is_empty()).then_some(Value::Object(left))
}

/// Sets or takes away a field; does nothing where the way to it is not there any more.
fn set(object: &mut Value, path: &FieldPath, to: Option<&Value>) {
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
            assert!(change.is_free(&before) && change.is_back(&before), "{at}");
            change.put(&mut ours);
            assert_eq!(ours.pointer(&path(at).to_pointer()), to.as_ref(), "{at}");
            assert!(change.stands(&ours) && !change.is_back(&ours) && !change.is_idle());
            assert_eq!(applied(before.clone(), &merge_patch(&before, &ours)), ours, "{at}");
            let mut back = ours.clone();
            change.take(&mut back);
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
    fn what_others_put_beside_what_was_made_stays() {
        let change = Change::of(&object(), &path("metadata.annotations.a"), Some(json!("b"))).unwrap();
        let mut there = object();
        // Somebody was there first, beside, and not in the way.
        there["metadata"]["annotations"] = json!({ "theirs": "x" });
        assert!(change.is_free(&there));
        change.put(&mut there);
        assert_eq!(there["metadata"]["annotations"], json!({ "theirs": "x", "a": "b" }));
        assert!(change.stands(&there) && !change.is_back(&there));
        change.take(&mut there);
        assert_eq!(there["metadata"]["annotations"], json!({ "theirs": "x" }));
        assert!(change.is_back(&there) && !change.stands(&there));
        // What became something else on the way goes, and no more than that.
        there["metadata"]["annotations"] = json!({ "theirs": "x", "a": "changed" });
        change.restore(&mut there);
        assert_eq!(there["metadata"]["annotations"], json!({ "theirs": "x" }));
        // In the way.
        there["metadata"]["annotations"] = json!({ "a": "c" });
        assert!(!change.is_free(&there) && !change.stands(&there));
    }

    #[test]
    fn an_element_is_not_taken_out_of_a_list() {
        let why = Change::of(&object(), &path("spec.rules.1"), None).unwrap_err();
        assert_eq!(why, "an element is not taken out of the list at `spec.rules`: set the whole list");
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
