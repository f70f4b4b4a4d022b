//! What fields a fault would change, from what to what, and which pods would go with it.

use chaos_core::{
    injector::{Measured, Offer, Undo, Unit},
    model::{
        ObjectFault, Service,
        cluster::{Workload, WorkloadKind},
        objects::FieldPath,
    },
    place::{Kind, Object, ObjectId},
    trouble::Trouble,
};
use k8s_openapi::api::core::v1::{Pod, Service as ApiService};
use kube::{Api, Client};
use serde_json::Value;

use super::held::Seen;
use crate::{Link, fields::Change, inventory, pod, record};

/// How many replicas a workload has that does not say so.
const DEFAULT: u64 = 1;

/// The kind whose fields nobody is to read who may not read the objects.
const SECRETS: &str = "secrets.v1";

/// Where it says so.
const REPLICAS: &str = "/spec/replicas";

/// Where a node says that it takes no more pods.
const CORDON: &str = "/spec/unschedulable";

/// The annotation of the pod template by which `kubectl rollout restart` makes it another one.
pub(super) const RESTARTED: [&str; 5] =
    ["spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"];

/// Returns the fields that a fault changes in an object as it is now.
///
/// # Errors
/// There is nothing to change, or what is named is not there.
pub(super) async fn changes(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
    fault: &ObjectFault,
) -> Result<Vec<Change>, Trouble> {
    if object.kind.as_str() == SECRETS {
        return Err(Trouble::unable(format!(
            "{object} is not changed: what is in it would stand in the plan, the record and on a Lease"
        )));
    }
    if object.kind == Kind::NODE
        && let ObjectFault::Patch { fields } = fault
        && fields.iter().any(|field| field.to.as_ref().is_some_and(|to| ends_pods(&field.path.value, to)))
    {
        return Err(Trouble::unable(format!(
            "a taint `NoExecute` ends every pod of {object} that does not tolerate it, uncounted and without asking the disruption \
             budgets"
        ))
        .with_help(format!("write `drain node \"{}\"`, which does both", object.name)));
    }
    let unfit = |why: String| Trouble::unable(format!("{object} cannot be changed like that: {why}"));
    let changes = match fault {
        ObjectFault::Scale { to } => vec![of(now, REPLICAS, Some((*to).into())).map_err(unfit)?],
        ObjectFault::Patch { fields } => {
            let each = fields.iter().map(|field| Change::of(now, &field.path.value, field.to.clone()));
            each.collect::<Result<Vec<_>, _>>().map_err(unfit)?
        }
        ObjectFault::Detach { from } => {
            vec![detached(link, client, object, now, from).await?]
        }
        ObjectFault::Drain { .. } => cordon(now).map_err(unfit)?,
        ObjectFault::Delete { .. } | ObjectFault::Evict | ObjectFault::Restart => Vec::new(),
    };
    if !changes.is_empty() && changes.iter().all(Change::is_idle) {
        let what: Vec<String> = changes
            .iter()
            .map(|change| format!("`{}` is {}", change.path, Change::said(change.ours.as_ref())))
            .collect();
        return Err(Trouble::unable(format!(
            "nothing of {object} would change: {} already",
            what.join(", ")
        )));
    }
    Ok(changes.into_iter().filter(|change| !change.is_idle()).collect())
}

/// Whether a value of a field of a node has its pods end (Kubernetes, "Taints and Tolerations").
fn ends_pods(path: &FieldPath, to: &Value) -> bool {
    let holds = |to: &Value| match to {
        Value::String(effect) => effect == "NoExecute",
        Value::Array(items) => items.iter().any(|item| ends_pods(path, item)),
        Value::Object(fields) => fields.values().any(|value| ends_pods(path, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    path.names().first().is_some_and(|name| name == "spec") && holds(to)
}

/// Returns the label that a pod loses so that a Service does not select it any more.
async fn detached(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
    from: &Service,
) -> Result<Change, Trouble> {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let services: Api<ApiService> = Api::namespaced(client.clone(), namespace);
    let name = &from.name.value;
    let service = link.ask(&format!("read the service `{name}`"), services.get_opt(name)).await?;
    let service = service.ok_or_else(|| {
        Trouble::absent(format!("there is no service `{name}` in the namespace `{namespace}`")).with_help(
            "`kubectl get services` shows those there are; a pod is only of Services of its own namespace",
        )
    })?;
    let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    if selector.is_empty() {
        return Err(Trouble::unable(format!(
            "the service `{name}` selects no pods: its endpoints are made by somebody"
        )));
    }
    let labels = &now["metadata"]["labels"];
    let other = selector.iter().find(|(key, value)| labels[key.as_str()] != value.as_str());
    if let Some((key, value)) = other {
        return Err(Trouble::unable(format!(
            "{object} is not of the service `{name}`, which selects {key}={value}"
        )));
    }
    // One that is missing is enough. One that its ReplicaSet does not select by would be better, and is not known from here.
    let first = selector.keys().next().cloned().unwrap_or_default();
    let path = ["metadata", "labels"].map(str::to_owned).into_iter().chain([first]);
    let pointer: String =
        path.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
    of(now, &pointer, None).map_err(Trouble::unable)
}

fn of(now: &Value, pointer: &str, to: Option<Value>) -> Result<Change, String> {
    let path = FieldPath::pointer(pointer).map_err(|error| error.to_string())?;
    Change::of(now, &path, to)
}

/// Returns the change that keeps new pods away; none where they are kept away already.
fn cordon(now: &Value) -> Result<Vec<Change>, String> {
    if now.pointer(CORDON) == Some(&Value::Bool(true)) {
        return Ok(Vec::new());
    }
    of(now, CORDON, Some(true.into())).map(|change| vec![change])
}

/// Refuses a change of a field that another fault, which is in place by then, changes already: of the two, the one that is rolled back
/// first would find the field as somebody else made it.
pub(super) fn refuse_twice(fault: &ObjectFault, below: &[Offer]) -> Result<(), Trouble> {
    let own = touched(fault);
    for offer in below {
        let theirs = offer.ask.work.objects().map(touched).unwrap_or_default();
        for path in &theirs {
            if own.iter().any(|own| own.starts_with(path) || path.starts_with(own)) {
                return Err(Trouble::unable(format!(
                    "`{}` is changed by `{}` already",
                    path.join("."),
                    offer.ask.fault
                ))
                .with_help("roll that back before, or change both in one fault"));
            }
        }
    }
    Ok(())
}

/// The fields that a fault may change, name by name.
fn touched(fault: &ObjectFault) -> Vec<Vec<String>> {
    let named = |path: &str| path.split('.').map(str::to_owned).collect();
    match fault {
        ObjectFault::Scale { .. } => vec![named("spec.replicas")],
        ObjectFault::Patch { fields } => {
            fields.iter().map(|field| field.path.value.names().to_vec()).collect()
        }
        ObjectFault::Detach { .. } => vec![named("metadata.labels")],
        ObjectFault::Delete { .. } | ObjectFault::Evict => Vec::new(),
        ObjectFault::Drain { .. } => vec![named("spec.unschedulable")],
        ObjectFault::Restart => vec![RESTARTED.map(str::to_owned).to_vec()],
    }
}

/// Returns the pods that go when the replicas of a workload become fewer. Which of several alike it will be, its controller decides: those
/// that are protected are taken to be among them.
pub(super) async fn going(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    changes: &[Change],
) -> Result<Vec<Object>, Trouble> {
    let scaled = changes.iter().find(|change| change.path.to_pointer() == REPLICAS);
    let Some(scaled) = scaled else { return Ok(Vec::new()) };
    let to = scaled.ours.as_ref().and_then(Value::as_u64).unwrap_or(DEFAULT);
    let mut pods: Vec<Object> = pods(link, client, object).await?.iter().map(pod::object).collect();
    pods.sort_by_key(|pod| (pod.protected.is_empty(), pod.id.clone()));
    pods.truncate(pods.len().saturating_sub(usize::try_from(to).unwrap_or(usize::MAX)));
    Ok(pods)
}

/// Returns the pods of a workload that neither end nor have ended; none of what is no workload.
pub(super) async fn pods(link: &Link, client: &Client, object: &ObjectId) -> Result<Vec<Pod>, Trouble> {
    let kinds = [WorkloadKind::Deployment, WorkloadKind::Statefulset, WorkloadKind::Daemonset];
    let Some(kind) = kinds.into_iter().find(|kind| kind.word() == object.kind.as_str()) else {
        return Ok(Vec::new());
    };
    let workload = Workload { kind, name: object.name.as_str().into() };
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let mut pods = match inventory::owned(link, client, namespace, &workload).await {
        Ok(pods) => pods,
        // It has none at the moment.
        Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => Vec::new(),
        Err(trouble) => return Err(trouble),
    };
    // What ends or has ended goes without this.
    pods.retain(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
    });
    Ok(pods)
}

/// Says how many replicas went, of those that there were when it was planned.
pub(super) fn scaled(undo: &Undo, seen: &Seen, to: u32) -> Result<Measured, Trouble> {
    let mut measured = Measured::nothing(Unit::Objects);
    let Some(object) = &seen.object else { return Ok(measured) };
    let state = record::object_state(undo)?;
    let before = state.changes.iter().find_map(|change| change.before.as_ref()?.as_u64()).unwrap_or(DEFAULT);
    let number = |name: &str| object["status"][name].as_u64().unwrap_or(0);
    // Those that still end are counted apart, by servers that count them at all.
    let (is, ending) = (number("replicas"), number("terminatingReplicas"));
    let to = u64::from(to);
    if to < before {
        measured.met = undo.offer.takes.len() as u64;
        measured.changed = (to + measured.met).saturating_sub(is + ending).min(measured.met);
        measured.line = format!("{} of {} pods are gone", measured.changed, measured.met);
    } else {
        measured.met = to - before;
        measured.changed = is.saturating_sub(before).min(measured.met);
        measured.line = format!("{is} replicas, {before} before");
    }
    if let Some(after) = seen.observed {
        measured.line.push_str(&format!("; its controller saw it after {:.1} s", after.as_secs_f64()));
    }
    Ok(measured)
}

/// Says what an object says of itself, for the evidence.
pub(super) fn said(object: &ObjectId, now: &Value) -> Vec<String> {
    let mut lines = vec![format!("{object}: resourceVersion {}", now["metadata"]["resourceVersion"])];
    for pointer in [
        "/metadata/generation",
        "/metadata/labels",
        "/metadata/deletionTimestamp",
        "/spec/replicas",
        "/spec/unschedulable",
        "/spec/selector",
        "/status/observedGeneration",
        "/status/replicas",
        "/status/readyReplicas",
    ] {
        if let Some(value) = now.pointer(pointer) {
            lines.push(format!("  {}: {value}", pointer.trim_start_matches('/').replace('/', ".")));
        }
    }
    let conditions = now.pointer("/status/conditions").and_then(Value::as_array);
    for condition in conditions.into_iter().flatten() {
        let said = |name: &str| condition[name].as_str().unwrap_or("?").to_owned();
        lines.push(format!("  condition {}: {} ({})", said("type"), said("status"), said("reason")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use chaos_core::{
        injector::{Ask, Hold, Work},
        model::objects::FieldChange,
        non_empty::NonEmpty,
    };

    use serde_json::json;

    use super::*;

    fn patch(path: &str) -> ObjectFault {
        let path = FieldPath::dotted(path).unwrap();
        ObjectFault::Patch { fields: NonEmpty::one(FieldChange { path: path.into(), to: None }) }
    }

    #[test]
    fn a_taint_that_ends_pods_is_known_however_it_is_written() {
        let path = |text: &str| FieldPath::dotted(text).unwrap();
        let taint = json!({ "key": "k", "effect": "NoExecute" });
        assert!(ends_pods(&path("spec.taints"), &json!([taint])));
        assert!(ends_pods(&path("spec.taints.0"), &taint));
        assert!(ends_pods(&path("spec.taints.0.effect"), &json!("NoExecute")));
        assert!(ends_pods(&path("spec"), &json!({ "taints": [taint] })));
        assert!(!ends_pods(&path("spec.taints"), &json!([{ "key": "k", "effect": "NoSchedule" }])));
        assert!(!ends_pods(&path("metadata.labels.x"), &json!("NoExecute")));
    }

    fn offered(fault: ObjectFault) -> Offer {
        let object = ObjectId {
            kind: chaos_core::place::Kind::POD,
            namespace: Some("shop".into()),
            name: "x".into(),
            uid: Some("1".into()),
        };
        let ask = Ask { fault: "first".into(), object, work: Work::Objects(fault), seed: 0 };
        Offer {
            backend: "API".into(),
            ask,
            hold: Hold::Record,
            does: Vec::new(),
            undoes: String::new(),
            because: Vec::new(),
            takes: Vec::new(),
        }
    }

    #[test]
    fn two_faults_on_one_field_are_refused() {
        let service = || Service { name: "web".into(), namespace: None };
        for (second, first, overlap) in [
            (ObjectFault::Scale { to: 0 }, ObjectFault::Scale { to: 1 }, true),
            (patch("spec.replicas"), ObjectFault::Scale { to: 1 }, true),
            (patch("spec.selector"), patch("spec.selector.app"), true),
            (patch("spec.selector.app"), patch("spec.selector"), true),
            (patch("metadata.labels.a"), ObjectFault::Detach { from: service() }, true),
            (ObjectFault::Detach { from: service() }, ObjectFault::Detach { from: service() }, true),
            (patch("spec.selector.app"), patch("spec.selector.tier"), false),
            (patch("spec.paused"), ObjectFault::Scale { to: 1 }, false),
            (ObjectFault::Restart, patch("spec.template.metadata.annotations.a"), false),
            (ObjectFault::Restart, patch("spec.template.metadata.annotations"), true),
            (ObjectFault::Restart, ObjectFault::Restart, true),
            (ObjectFault::Drain { bare: false }, patch("spec.unschedulable"), true),
            (ObjectFault::Restart, ObjectFault::Scale { to: 1 }, false),
            (ObjectFault::Evict, ObjectFault::Detach { from: service() }, false),
        ] {
            let refused = refuse_twice(&second, &[offered(first.clone())]);
            assert_eq!(refused.is_err(), overlap, "{second} on {first}");
            if let Err(trouble) = refused {
                assert!(trouble.message.ends_with("is changed by `first` already"), "{trouble}");
            }
        }
    }

    #[test]
    fn a_node_that_takes_no_pods_already_is_not_changed() {
        assert!(cordon(&json!({ "spec": { "unschedulable": true } })).unwrap().is_empty());
        for open in [json!({ "spec": {} }), json!({ "spec": { "unschedulable": false } })] {
            let changes = cordon(&open).unwrap();
            let mut to = open.clone();
            changes.iter().for_each(|change| change.put(&mut to));
            assert_eq!(to["spec"]["unschedulable"], true);
            changes.iter().for_each(|change| change.take(&mut to));
            assert_eq!(to, open);
        }
    }
}
