//! An API server of a few lines: what it answers to each path.

use std::{convert::Infallible, sync::Arc};

use chaos_core::model::Cluster;
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use crate::Link;

/// The uid of the cluster that tests are in.
pub(crate) const UID: &str = "3f2a7c1e";

pub(crate) fn cluster() -> Cluster {
    Cluster { context: "staging".into(), uid: UID.into(), namespace: "shop".into() }
}

/// Returns a client whose server answers by path and query; what has no answer is not found.
pub(crate) fn client(answers: impl Fn(&str, &str) -> Option<Value> + Send + Sync + 'static) -> Client {
    let answers = Arc::new(answers);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let found = answers(path, query).unwrap_or_else(|| refusal(404, "NotFound", "not found"));
            let code = found["code"].as_u64().and_then(|code| StatusCode::from_u16(code as u16).ok());
            let mut response = Response::new(Body::from(found.to_string().into_bytes()));
            *response.status_mut() = code.unwrap_or(StatusCode::OK);
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "default")
}

pub(crate) fn link(answers: impl Fn(&str, &str) -> Option<Value> + Send + Sync + 'static) -> Arc<Link> {
    Link::with(cluster(), client(answers))
}

pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message })
}

pub(crate) fn list(items: Vec<Value>) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items })
}

/// A pod of the namespace `shop`, on a node of its own, that runs.
pub(crate) fn pod(name: &str, owner: &str) -> Value {
    let owners = json!([{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": owner, "controller": true }]);
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": { "app": "api" },
                      "ownerReferences": owners },
        "spec": { "containers": [], "nodeName": format!("node-of-{name}") },
        "status": { "phase": "Running", "podIPs": [{ "ip": "10.244.1.7" }] },
    })
}
