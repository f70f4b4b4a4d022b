//! What a run is about, and where: objects by their identity, and the sites at which work for them is done.
//!
//! 1. [`ObjectId`] says which object; whatever may change about it, such as its addresses, is an attribute of an [`Object`].
//! 2. [`Site`] says how an object is reached. Nothing here means the runner's own machine but [`Site::Runner`].
//! 3. [`Place`] is an object that was found, with its site and the names that hold there.

mod object;
mod protection;
mod site;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::{
    object::{Kind, Object, ObjectId, UnknownKind},
    protection::Protection,
    site::{Entry, Namespace, OutOfReach, Site},
};

/// Names and addresses that hold at a place: stated here, or in the place's own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Fixed names, as `/etc/hosts` has them.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The DNS servers that are asked for all other names, and for these too where the order says so.
    pub servers: Vec<SocketAddr>,
    /// Which come first.
    pub order: Order,
    /// How servers are asked.
    pub asking: Asking,
    /// Where the place's files are, which then say all of the above; none where it is stated.
    pub files: Option<Files>,
}

impl Default for Names {
    /// No names at all.
    fn default() -> Self {
        Names {
            hosts: BTreeMap::new(),
            servers: Vec::new(),
            order: Order::default(),
            asking: Asking::default(),
            files: None,
        }
    }
}

/// Whether fixed names or servers come first, in the terms of `nsswitch.conf(5)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Servers are asked for what no fixed name says: `files dns`.
    #[default]
    HostsFirst,
    /// Fixed names stand in for what servers do not answer: `dns files`.
    ServersFirst,
    /// What servers say is final, also that they do not answer; fixed names count where there is no server:
    /// `dns [!UNAVAIL=return] files`.
    ServersFinal,
}

impl From<Files> for Names {
    fn from(files: Files) -> Self {
        Names { files: Some(files), ..Names::default() }
    }
}

/// How DNS servers are asked for a name, in the terms of `resolv.conf(5)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// The domains in which a name is looked for, one after the other.
    pub search: Vec<String>,
    /// A name of at least so many dots is asked for as it is before the domains are tried.
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: u32,
    /// Whether questions begin with one server after the other.
    pub rotate: bool,
}

impl Default for Asking {
    /// What `resolv.conf(5)` has as defaults.
    fn default() -> Self {
        Asking { search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2, rotate: false }
    }
}

/// Where the files of a place are that say what its names stand for: `hosts`, `resolv.conf` and `nsswitch.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The folder that the place sees as `/`.
    pub root: PathBuf,
    /// A folder whose files stand for those of the same name in `/etc`, as `ip netns exec` has it.
    pub instead: Option<PathBuf>,
}

impl Files {
    /// Returns those of the running process.
    pub fn own() -> Self {
        Files { root: PathBuf::from("/"), instead: None }
    }

    /// Returns those that a process sees, with its mounts and its root.
    pub fn of_process(pid: u32) -> Self {
        Files { root: format!("/proc/{pid}/root").into(), instead: None }
    }

    /// Returns those of a network namespace that `ip netns` named.
    pub fn of_netns(name: &str) -> Self {
        Files { instead: Some(Path::new("/etc/netns").join(name)), ..Files::own() }
    }
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
    /// Returns the place that the runner itself is at, with the names that its machine has.
    pub fn runner() -> Self {
        Place { object: ObjectId::here(), site: Site::Runner, names: Arc::new(Files::own().into()) }
    }
}

#[cfg(test)]
mod tests;
