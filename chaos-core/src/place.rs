//! What a run is about, and where: objects by their identity, and the sites at which work for them is done.
//!
//! 1. [`ObjectId`] says which object; whatever may change about it, such as its addresses, is an attribute of an [`Object`].
//! 2. [`Site`] says how an object is reached. Nothing here means the runner's own machine but [`Site::Runner`].
//! 3. [`Place`] is an object that was found, with its site and the names that hold there.

mod object;
mod site;

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::{
    object::{Kind, Object, ObjectId, UnknownKind},
    site::{Entry, Namespace, OutOfReach, Site},
};

/// Names and addresses that hold at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Fixed names, as `/etc/hosts` has them.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The DNS servers that are asked for all other names, and for these too where `prefer_servers` is set.
    pub servers: Vec<SocketAddr>,
    /// Whether servers come before fixed names.
    pub prefer_servers: bool,
}

/// An object, found and ready to be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which object.
    pub object: ObjectId,
    /// How it is reached.
    pub site: Site,
    /// How names are resolved there.
    pub names: Arc<Names>,
}

impl Place {
    /// Returns the place that the runner itself is at.
    pub fn runner() -> Self {
        Place { object: ObjectId::here(), site: Site::Runner, names: Arc::default() }
    }
}

#[cfg(test)]
mod tests;
