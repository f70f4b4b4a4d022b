//! Pods that are deleted or evicted: nothing is put back, since what owns them makes others.

use chaos_core::{
    injector::{Measured, Undo, Unit},
    model::ObjectFault,
    place::{Kind, ObjectId},
    trouble::Trouble,
};
use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::Eviction},
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions as Unchanged, Status},
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use serde_json::Value;

use super::held::Seen;
use crate::{Link, environment};

/// The annotation of a pod that a kubelet made of a file on its node.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Says what ending a pod would do, after a trial that changes nothing where it is evicted.
///
/// # Errors
/// It is not a pod, nothing would make another, or the disruption budgets do not allow it now.
pub(super) async fn offered(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
    fault: &ObjectFault,
) -> Result<String, Trouble> {
    if object.kind != Kind::POD {
        return Err(Trouble::unable(format!("{object} is not a pod, and only pods are ended")));
    }
    let owners = now["metadata"]["ownerReferences"].as_array();
    let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    if now["metadata"]["annotations"][MIRROR].is_string() {
        return Err(Trouble::unable(format!(
            "{object} is made by the kubelet of its node from a file there"
        )));
    }
    let Some(owner) = owner else {
        return Err(Trouble::unable(format!("{object} is owned by nothing that would make another"))
            .with_help("end pods of a Deployment, StatefulSet, DaemonSet or Job"));
    };
    let owner = format!(
        "its {} `{}` makes another",
        owner["kind"].as_str().unwrap_or("owner"),
        owner["name"].as_str().unwrap_or_default()
    );
    match fault {
        ObjectFault::Evict => {
            match evict(link, client, object, true).await {
                Ok(()) => {}
                // Whoever may only read sees the plan all the same.
                Err(trouble) if trouble.is_denied() => {}
                Err(trouble) => return Err(trouble),
            }
            Ok(format!("evicts the pod, as the disruption budgets allow; {owner}"))
        }
        ObjectFault::Delete { grace: Some(grace) } => {
            Ok(format!("deletes the pod with a grace period of {} s; {owner}", grace.as_secs()))
        }
        ObjectFault::Delete { grace: None } => {
            let grace = now["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
            Ok(format!("deletes the pod with its own grace period, {grace} s; {owner}"))
        }
        ObjectFault::Scale { .. }
        | ObjectFault::Patch { .. }
        | ObjectFault::Detach { .. }
        | ObjectFault::Restart
        | ObjectFault::Drain { .. } => Err(Trouble::internal("a change of fields ends no pod")),
    }
}

/// Ends the pod of a record, and no other of its name.
///
/// # Errors
/// It is gone already, or the API server refuses.
pub(super) async fn end(link: &Link, client: &Client, undo: &Undo) -> Result<(), Trouble> {
    let object = &undo.offer.ask.object;
    match undo.offer.ask.work.objects() {
        Some(ObjectFault::Evict) => evict(link, client, object, false).await,
        Some(ObjectFault::Delete { grace }) => {
            let pods: Api<Pod> = environment::api(client, object)?;
            let parameters = DeleteParams {
                grace_period_seconds: grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
                preconditions: Some(Preconditions { uid: object.uid.clone(), resource_version: None }),
                ..DeleteParams::default()
            };
            link.ask(&format!("delete {object}"), pods.delete(&object.name, &parameters)).await.map(drop)
        }
        Some(
            ObjectFault::Scale { .. }
            | ObjectFault::Patch { .. }
            | ObjectFault::Detach { .. }
            | ObjectFault::Restart
            | ObjectFault::Drain { .. },
        )
        | None => Err(Trouble::internal("a change of fields ends no pod")),
    }
}

/// What came of asking for an eviction.
#[derive(Debug)]
pub(super) enum Answer {
    /// The pod ends.
    Done,
    /// It was not there any more.
    Gone,
    /// A disruption budget does not allow it now, and may later.
    Later(Trouble),
}

async fn evict(link: &Link, client: &Client, object: &ObjectId, trial: bool) -> Result<(), Trouble> {
    match asked(link, client, object, trial).await? {
        Answer::Done => Ok(()),
        Answer::Gone => Err(Trouble::absent(format!("cannot evict {object}: it is gone"))),
        Answer::Later(trouble) => Err(trouble),
    }
}

/// Asks for the eviction of a pod, and of no other of its name; `trial` changes nothing.
///
/// # Errors
/// The API server refuses for good.
pub(super) async fn asked(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    trial: bool,
) -> Result<Answer, Trouble> {
    let pods: Api<Pod> = environment::api(client, object)?;
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(object.name.clone()),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            preconditions: Some(Unchanged { uid: object.uid.clone(), resource_version: None }),
            dry_run: trial.then(|| vec!["All".to_owned()]),
            ..DeleteOptions::default()
        }),
    };
    let parameters = PostParams { dry_run: trial, ..PostParams::default() };
    let asked = pods.create_subresource::<_, Status>("eviction", &object.name, &parameters, &eviction);
    match tokio::time::timeout(crate::link::ANSWER, asked).await {
        Ok(Ok(_)) => Ok(Answer::Done),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Answer::Gone),
        // Another pod of the name is not the one that is meant.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            match environment::same(link, client, object).await? {
                None => Ok(Answer::Gone),
                Some(_) => Ok(Answer::Later(Trouble::unable(format!(
                    "{object} cannot be evicted now: {}",
                    status.message
                )))),
            }
        }
        // The answer for what a PodDisruptionBudget does not allow now.
        Ok(Err(kube::Error::Api(status))) if status.code == 429 => {
            let why = format!("{object} cannot be evicted now: {}", status.message);
            Ok(Answer::Later(Trouble::unable(why).with_help(
                "wait until the budget allows it, or end fewer pods; `delete` does not ask budgets",
            )))
        }
        Ok(Err(error)) => Err(link.refused(&format!("evict {object}"), &error)),
        Err(_) => Err(Trouble::unable(format!("cannot evict {object}: no answer in time"))),
    }
}

/// Says whether the pod went, and when.
pub(super) fn measured(seen: &Seen) -> Measured {
    let mut measured = Measured::nothing(Unit::Objects);
    let at = |after: std::time::Duration| format!("{:.1} s", after.as_secs_f64());
    measured.line = match (seen.ending, seen.gone) {
        (_, Some(gone)) => format!("gone {} after it was asked to end", at(gone)),
        (Some(ending), None) => format!("ending since {} after it was asked to", at(ending)),
        (None, None) => return measured,
    };
    (measured.met, measured.changed) = (1, 1);
    measured
}
