//! What the record of a fault on a pod holds, and whether one that somebody else may have written is to be believed.

use chaos_core::{
    injector::Undo,
    model::Cluster,
    place::{ObjectId, Site},
    trouble::Trouble,
};
use serde::{Deserialize, Serialize};

/// The name under which undo records find the injector of pods.
pub(crate) const NAME: &str = "pods";

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

/// Reads what a record holds.
///
/// # Errors
/// It is none of this injector's.
pub(crate) fn state(undo: &Undo) -> Result<State, Trouble> {
    Deserialize::deserialize(&undo.state)
        .map_err(|error| Trouble::internal(format!("the record of `{}` cannot be read: {error}", undo.id)))
}

/// Takes a record that stood where others may write: it must be about the one pod that it was found beside, in this cluster, and about
/// nothing else, since reverting is done with the rights of whoever restores. Which image runs in the pod is theirs to say, too.
///
/// # Errors
/// It is about something else; why, for people.
pub(crate) fn vouched(undo: Undo, cluster: &Cluster, run: &str, pod: &ObjectId) -> Result<Undo, String> {
    let same = |object: &ObjectId| {
        object.kind == pod.kind && object.namespace == pod.namespace && object.uid == pod.uid
    };
    let of_pod = |undo: &Undo| {
        same(&undo.offer.ask.object)
            && matches!(&undo.site, Site::Agent { of } if same(of) && of.name == undo.offer.ask.object.name)
    };
    if undo.injector != NAME {
        return Err(format!("it is to be reverted by `{}`, not in a pod", undo.injector));
    }
    let state = state(&undo).map_err(|trouble| trouble.message)?;
    if state.cluster.uid != cluster.uid {
        return Err("it is about another cluster".to_owned());
    }
    if state.run.as_deref() != Some(run) {
        return Err("it is of another run".to_owned());
    }
    if !of_pod(&undo) || !state.parts.iter().all(of_pod) {
        return Err("it is about something else than this pod".to_owned());
    }
    let state = State { image: None, cluster: cluster.clone(), ..state };
    let state = serde_json::to_value(&state).map_err(|error| error.to_string())?;
    Ok(Undo { state, ..undo })
}
