//! What surrounds a run in a cluster: what is there anyway.

use std::sync::Arc;

use async_trait::async_trait;
use chaos_core::{
    environment::Environment,
    place::{Files, Kind, ObjectId, Place, Site},
    trouble::Trouble,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};

use crate::{
    Link, object,
    pod::{self, Unfit},
};

/// A cluster as it is: nothing is made, nothing is unmade.
pub struct ClusterEnvironment {
    link: Arc<Link>,
}

impl ClusterEnvironment {
    /// Takes the cluster that a link leads to.
    pub fn new(link: Arc<Link>) -> Self {
        ClusterEnvironment { link }
    }
}

#[async_trait]
impl Environment for ClusterEnvironment {
    async fn up(&self, _: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        self.link.client().await.map(drop)
    }

    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble> {
        if object.kind == Kind::HERE {
            return Ok(Place::runner());
        }
        if object.kind != Kind::POD {
            object::there(&self.link, &self.link.client().await?, object).await?;
            return Ok(Place { object: object.clone(), site: Site::Api, names: Arc::default() });
        }
        running(&self.link, object).await?;
        // As its agent sees them: the kubelet gives every container of a pod the same ones.
        let names = Arc::new(Files::own().into());
        Ok(Place { object: object.clone(), site: Site::Agent { of: object.clone() }, names })
    }

    async fn down(&self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// Returns the API of the pods of an object's namespace.
pub(crate) fn api(client: &Client, object: &ObjectId) -> Result<Api<Pod>, Trouble> {
    match &object.namespace {
        Some(namespace) if object.kind == Kind::POD => Ok(Api::namespaced(client.clone(), namespace)),
        _ => Err(Trouble::unable(format!("{object} is not a pod, and only pods have agents in them"))),
    }
}

/// Reads a pod that has to be the same one still, and to run.
pub(crate) async fn running(link: &Link, object: &ObjectId) -> Result<Pod, Trouble> {
    let client = link.client().await?;
    let Some(pod) = same(link, &client, object).await? else {
        return Err(Trouble::absent(format!("{object} is gone"))
            .with_help("it was deleted or replaced meanwhile; plan again, and another pod is picked"));
    };
    match pod::unfit(&pod) {
        None => Ok(pod),
        Some(Unfit::Idle(state)) => Err(Trouble::unable(format!("{object} does not run: it is {state}"))),
        Some(Unfit::Unable(why)) => Err(Trouble::unable(why)),
    }
}

/// Reads a pod; nothing where it is gone, or another one has its name.
pub(crate) async fn same(link: &Link, client: &Client, object: &ObjectId) -> Result<Option<Pod>, Trouble> {
    let pods = api(client, object)?;
    let found = link.ask(&format!("read {object}"), pods.get_opt(&object.name)).await?;
    Ok(found.filter(|pod| pod.metadata.uid == object.uid))
}
