//! How an object is reached.

use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// How an object is reached, and by whom.
///
/// The runner's own machine is one of the answers and has to be said: what is missing, unknown or newer than this program
/// is refused when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The machine that the runner is on, as the runner itself sees it.
    Runner,
    /// A network namespace of that machine.
    Namespace(Namespace),
    /// A place that only an agent reaches, which runs there.
    Agent {
        /// Of which object.
        of: ObjectId,
    },
    /// No place at all: the object is only reached through an API.
    Api,
}

/// A network namespace of the runner's machine.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// A path that opens it, from the runner's own process and its children.
    pub path: PathBuf,
    /// A path that opens the mount namespace that belongs to it, with its own `/etc/hosts` and the like; none where files are
    /// those of the runner.
    pub mounts: Option<PathBuf>,
    /// The interface its traffic uses, where the environment knows it; else the route decides.
    pub interface: Option<String>,
    /// The open descriptor, where the runner holds one; it keeps the namespace alive. Only this process has it.
    #[serde(skip)]
    pub descriptor: Option<Arc<OwnedFd>>,
}

/// The same way in is the same namespace, whoever holds it open.
impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        let Namespace { path, mounts, interface, descriptor: _ } = self;
        (path, mounts, interface) == (&other.path, &other.mounts, &other.interface)
    }
}

impl Eq for Namespace {}

impl Namespace {
    /// Makes one that a path opens, with the files of the runner.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Namespace { path: path.into(), mounts: None, interface: None, descriptor: None }
    }
}

impl From<Namespace> for Site {
    fn from(namespace: Namespace) -> Site {
        Site::Namespace(namespace)
    }
}

/// Where a process on the runner's machine has to be in order to act at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Where it is already.
    Own,
    /// In this namespace.
    Namespace(&'a Namespace),
}

/// Why a process on the runner's machine cannot act at a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    /// Only an agent that runs there can.
    #[error("{of} is reached only by an agent that runs there, and this does not go through one")]
    Agent {
        /// Of which object the place is.
        of: ObjectId,
    },
    /// There is nothing to enter.
    #[error("an object that is reached only through an API has no network to enter")]
    Api,
}

impl OutOfReach {
    /// Returns the likely fix.
    pub fn help(&self) -> &'static str {
        match self {
            OutOfReach::Agent { .. } => "use an injector or a prober that starts an agent there",
            OutOfReach::Api => "use an injector or a prober that goes through the API",
        }
    }
}

impl Site {
    /// Returns where a process on the runner's machine has to be in order to act here itself.
    ///
    /// # Errors
    /// [`OutOfReach`] for a place that is not on this machine; it is never taken for this machine.
    pub fn entry(&self) -> Result<Entry<'_>, OutOfReach> {
        match self {
            Site::Runner => Ok(Entry::Own),
            Site::Namespace(namespace) => Ok(Entry::Namespace(namespace)),
            Site::Agent { of } => Err(OutOfReach::Agent { of: of.clone() }),
            Site::Api => Err(OutOfReach::Api),
        }
    }
}
