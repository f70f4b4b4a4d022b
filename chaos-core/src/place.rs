//! Where host-side work is done: a network namespace with its addresses and names.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

/// An object that a fault or a probe can be at, as the plan names it.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Object {
    /// What kind of thing it is.
    pub kind: ObjectKind,
    /// Its name, unique within its kind.
    pub name: String,
    /// Its addresses, as far as known when it was looked up.
    pub addresses: Vec<IpAddr>,
}

/// The kinds of objects.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A lab host.
    Host,
    /// This machine.
    Here,
    /// A named network namespace.
    Netns,
    /// A process; its name is `NAME[PID]`.
    Process,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            ObjectKind::Host => write!(f, "host {}", self.name),
            ObjectKind::Here => f.write_str("this machine"),
            ObjectKind::Netns => write!(f, "netns {}", self.name),
            ObjectKind::Process => write!(f, "process {}", self.name),
        }
    }
}

/// A network namespace that can be entered.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// A path that opens it, from the runner's own process and its children.
    pub path: PathBuf,
    /// The open descriptor, where the runner holds one; it keeps the namespace alive.
    pub descriptor: Option<Arc<OwnedFd>>,
    /// A path that opens the mount namespace that belongs to it, with its own `/etc/hosts` and the like; `None` if files are
    /// those of the runner.
    pub mounts: Option<PathBuf>,
}

/// Names and addresses that hold at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Fixed names, as `/etc/hosts` has them.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The DNS servers that are asked for all other names, and for these too where `prefer_servers` is set.
    pub servers: Vec<SocketAddr>,
    /// Whether servers come before fixed names.
    pub prefer_servers: bool,
}

/// An object, found and ready to be entered.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which object.
    pub object: Object,
    /// Its network namespace; `None` is the runner's own.
    pub namespace: Option<Namespace>,
    /// The interface its traffic uses, where the environment knows it; else the route decides.
    pub interface: Option<String>,
    /// How names are resolved there.
    pub names: Arc<Names>,
}
