//! What the record of a fault on a pod or an object holds, and whether one that somebody else may have written is to be believed.

use chaos_core::{
    injector::Undo,
    model::Cluster,
    place::{Kind, ObjectId, Site},
    trouble::Trouble,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{fields::Change, object};

/// The name under which undo records find the injector of pods.
pub(crate) const NAME: &str = "pods";

/// The name under which undo records find the injector of objects.
pub(crate) const OBJECTS: &str = "objects";

/// What the record of a fault on a pod holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Where the pod is, so that the record is enough to find it again.
    pub(crate) cluster: Cluster,
    /// What another agent is started from; none leaves that to whoever restores.
    pub(crate) image: Option<String>,
    /// The run, where it has a claim to the pod on whose Lease this is written down as well.
    pub(crate) run: Option<String>,
    /// What the agent made of it, in the order of injecting.
    pub(crate) parts: Vec<Undo>,
}

/// What the record of a fault on an object of the API holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectState {
    /// Where the object is.
    pub(crate) cluster: Cluster,
    /// The run, where it has a claim to the object.
    pub(crate) run: Option<String>,
    /// The fields that were changed; none where the object is a pod that was ended.
    pub(crate) changes: Vec<Change>,
    /// How many of its pods were ready, where it is a workload: that many are waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<u64>,
}

/// Reads what the record of a fault on an object holds.
///
/// # Errors
/// It is none of that injector's.
pub(crate) fn object_state(undo: &Undo) -> Result<ObjectState, Trouble> {
    Deserialize::deserialize(&undo.state)
        .map_err(|error| Trouble::internal(format!("the record of `{}` cannot be read: {error}", undo.id)))
}

/// Says what taking the changes of an object back does, for people.
pub(crate) fn line(changes: &[Change], object: &ObjectId) -> String {
    let back = changes.iter().map(|change| {
        format!("set `{}` of {object} back to {}", change.path, Change::said(change.before.as_ref()))
    });
    back.collect::<Vec<_>>().join("; ")
}

/// Reads what a record holds.
///
/// # Errors
/// It is none of this injector's.
pub(crate) fn state(undo: &Undo) -> Result<State, Trouble> {
    Deserialize::deserialize(&undo.state)
        .map_err(|error| Trouble::internal(format!("the record of `{}` cannot be read: {error}", undo.id)))
}

/// Returns what tells the record of a fault on an object from any other: a digest of the object and the fields. None for a fault whose record
/// says no more than what may be done with the rights on the Lease alone.
///
/// # Errors
/// The record is none of its injector's.
pub(crate) fn seal(undo: &Undo) -> Result<Option<String>, Trouble> {
    if undo.injector != OBJECTS {
        return Ok(None);
    }
    let ObjectState { run, changes, .. } = object_state(undo)?;
    let whole = serde_json::to_vec(&(&undo.offer.ask.object, run, changes))
        .map_err(|error| Trouble::internal(error.to_string()))?;
    Ok(Some(Sha256::digest(whole).iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Takes a record that stood where others may write: it must be about the one object that it was found beside, in this cluster, and
/// about nothing else, since reverting is done with the rights of whoever restores. Which image runs in a pod is theirs to say, too.
///
/// # Errors
/// It is about something else; why, for people.
pub(crate) fn vouched(undo: Undo, cluster: &Cluster, run: &str, object: &ObjectId) -> Result<Undo, String> {
    // That of an object of no namespace stands on a Lease of another one.
    let same = |other: &ObjectId| {
        Some(object::home(other)) == object.namespace.as_deref() && other.uid == object.uid
    };
    let in_pod = |undo: &Undo| {
        let pod = &undo.offer.ask.object;
        let is = |other: &ObjectId| other.kind == Kind::POD && same(other) && other.name == pod.name;
        is(pod) && matches!(&undo.site, Site::Agent { of } if is(of))
    };
    let mut undo = undo;
    let (its_cluster, its_run) = match undo.injector.as_str() {
        NAME => {
            let state = state(&undo).map_err(|trouble| trouble.message)?;
            if !in_pod(&undo) || !state.parts.iter().all(in_pod) {
                return Err("it is about something else than this pod".to_owned());
            }
            (state.cluster, state.run)
        }
        OBJECTS => {
            let state = object_state(&undo).map_err(|trouble| trouble.message)?;
            if !same(&undo.offer.ask.object) || undo.site != Site::Api {
                return Err("it is about something else than this object".to_owned());
            }
            // In its own words, not in somebody's.
            if !state.changes.is_empty() {
                undo.line = line(&state.changes, &undo.offer.ask.object);
            }
            (state.cluster, state.run)
        }
        other => return Err(format!("it is to be reverted by `{other}`, not in the cluster")),
    };
    if its_cluster.uid != cluster.uid {
        return Err("it is about another cluster".to_owned());
    }
    if its_run.as_deref() != Some(run) {
        return Err("it is of another run".to_owned());
    }
    let mut state = undo.state.clone();
    state["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    if undo.injector == NAME {
        state["image"] = serde_json::Value::Null;
    }
    Ok(Undo { state, ..undo })
}
