//! Any object of a cluster's API, by its kind.

use chaos_core::{
    model::watched::Resource,
    place::{Kind, ObjectId},
    trouble::Trouble,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};
use serde_json::Value;

use crate::Link;

/// The name under which the API server notes what this program sets.
pub(crate) const MANAGER: &str = "chaos";

/// Where the Leases of objects are that are of no namespace.
pub(crate) const HOME: &str = "default";

/// Returns the namespace of the Lease of an object. That of what is of no namespace has to be one that every cluster has, or else two runs
/// would not meet, and in which nothing of the cluster's own is: with the right to write Leases in `kube-node-lease` or `kube-system`
/// somebody could take nodes and controllers for dead.
pub(crate) fn home(object: &ObjectId) -> &str {
    object.namespace.as_deref().unwrap_or(HOME)
}

/// Returns the API of the objects of an object's kind and namespace.
///
/// # Errors
/// Its kind is none of an API.
pub(crate) fn api(client: &Client, object: &ObjectId) -> Result<Api<DynamicObject>, Trouble> {
    let resource = match Resource::of_kind(&object.kind) {
        Some(kind) => resource(&kind),
        None => return Err(Trouble::unable(format!("{object} is not an object of a cluster's API"))),
    };
    match &object.namespace {
        Some(namespace) => Ok(Api::namespaced_with(client.clone(), namespace, &resource)),
        // What the API server gave no namespace is of the whole cluster.
        None => Ok(Api::all_with(client.clone(), &resource)),
    }
}

/// Reads an object; nothing where it is gone, or another one has its name.
pub(crate) async fn same(link: &Link, client: &Client, object: &ObjectId) -> Result<Option<Value>, Trouble> {
    let found = link.ask(&format!("read {object}"), api(client, object)?.get_opt(&object.name)).await?;
    let found = found.filter(|found| found.metadata.uid == object.uid);
    found
        .map(|found| serde_json::to_value(&found).map_err(|error| Trouble::internal(error.to_string())))
        .transpose()
}

/// Reads an object that has to be the same one still.
pub(crate) async fn there(link: &Link, client: &Client, object: &ObjectId) -> Result<Value, Trouble> {
    let found = same(link, client, object).await?;
    let now = found.ok_or_else(|| {
        Trouble::absent(format!("{object} is gone"))
            .with_help("it was deleted or replaced meanwhile; plan again")
    })?;
    if object.kind != Kind::POD && now["metadata"]["deletionTimestamp"].is_string() {
        return Err(Trouble::unable(format!("{object} is being deleted")));
    }
    Ok(now)
}

/// Returns a kind as the client takes it.
pub(crate) fn resource(kind: &Resource) -> ApiResource {
    let Resource { group, version, plural } = kind;
    ApiResource {
        group: group.clone(),
        version: version.clone(),
        api_version: if group.is_empty() { version.clone() } else { format!("{group}/{version}") },
        // Only what is written needs it.
        kind: plural.clone(),
        plural: plural.clone(),
    }
}

/// Says that a cluster knows no objects of a kind.
pub(crate) fn unknown_kind(kind: &Resource) -> Trouble {
    let Resource { group, version, plural } = kind;
    let within = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
    Trouble::absent(format!("the cluster knows no `{plural}` of `{within}`")).with_help(
        "`kubectl api-resources` shows the kinds there are; this one may have to be installed first",
    )
}
