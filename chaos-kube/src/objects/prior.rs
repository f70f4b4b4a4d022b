//! What fields a fault would change, from what to what, and which pods would go with it.

use chaos_core::{
    injector::{Measured, Undo, Unit},
    model::{
        ObjectFault, Service,
        cluster::{Workload, WorkloadKind},
        objects::FieldPath,
    },
    place::ObjectId,
    trouble::Trouble,
};
use k8s_openapi::api::core::v1::Service as ApiService;
use kube::{Api, Client};
use serde_json::Value;

use super::held::Seen;
use crate::{Link, fields::Change, inventory, pod, record};

/// What a workload is assumed to have where it does not say how many replicas.
const REPLICAS: u64 = 1;

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
    let unfit = |why: String| Trouble::unable(format!("{object} cannot be changed like that: {why}"));
    let changes = match fault {
        ObjectFault::Scale { to } => vec![of(now, "/spec/replicas", Some((*to).into())).map_err(unfit)?],
        ObjectFault::Patch { fields } => {
            let each = fields.iter().map(|field| Change::of(now, &field.path.value, field.to.clone()));
            each.collect::<Result<Vec<_>, _>>().map_err(unfit)?
        }
        ObjectFault::Detach { from } => {
            vec![detached(link, client, object, now, from).await?]
        }
        ObjectFault::Delete { .. } | ObjectFault::Evict => Vec::new(),
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

/// Returns the pods that go when a workload is scaled to a number; which of several alike it will be, its controller decides.
pub(super) async fn going(
    link: &Link,
    client: &Client,
    object: &ObjectId,
    now: &Value,
    to: u32,
) -> Result<Vec<ObjectId>, Trouble> {
    let before = now["spec"]["replicas"].as_u64().unwrap_or(REPLICAS);
    let going = usize::try_from(before.saturating_sub(to.into())).unwrap_or(usize::MAX);
    let kinds = [WorkloadKind::Deployment, WorkloadKind::Statefulset];
    let kind = kinds.into_iter().find(|kind| kind.word() == object.kind.as_str());
    let (Some(kind), true) = (kind, going > 0) else { return Ok(Vec::new()) };
    let workload = Workload { kind, name: object.name.as_str().into() };
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let owned = inventory::owned(link, client, namespace, &workload).await;
    let mut pods: Vec<ObjectId> = match owned {
        Ok(pods) => pods.iter().map(pod::id).collect(),
        // It has none at the moment.
        Err(trouble) if trouble.kind == chaos_core::trouble::Kind::Absent => Vec::new(),
        Err(trouble) => return Err(trouble),
    };
    pods.sort();
    pods.truncate(going);
    Ok(pods)
}

/// Says how many replicas went.
pub(super) fn scaled(undo: &Undo, seen: &Seen, to: u32) -> Result<Measured, Trouble> {
    let mut measured = Measured::nothing(Unit::Objects);
    let Some(object) = &seen.object else { return Ok(measured) };
    let state = record::object_state(undo)?;
    let before = state.changes.iter().find_map(|change| change.before.as_ref()?.as_u64()).unwrap_or(REPLICAS);
    let is = object["status"]["replicas"].as_u64().unwrap_or(0);
    measured.met = before.abs_diff(u64::from(to));
    measured.changed = if u64::from(to) < before {
        before.saturating_sub(is).min(measured.met)
    } else {
        is.saturating_sub(before).min(measured.met)
    };
    measured.line = format!("{is} of {before} replicas are left");
    if u64::from(to) > before {
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
