//! A way into a host by hand: any program, run as if it had been started there.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, ExitStatus};

use nix::sched::{CloneFlags, setns, unshare};
use serde::{Deserialize, Serialize};

use crate::address::HostLayout;
use crate::protocol::UpHost;

/// What another process needs to find its way into a lab's hosts for as long as the lab is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabRecord {
    /// The process that holds the lab.
    pub holder: u32,
    /// The hosts in declared order.
    pub hosts: Vec<HostRecord>,
}

/// One host of a [`LabRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its own name.
    pub name: String,
    /// Its addresses, IPv4 first.
    pub addresses: [IpAddr; 2],
    network: i32,
    mounts: i32,
    uts: i32,
}

impl HostRecord {
    pub(crate) fn new(host: &HostLayout, place: &UpHost) -> Self {
        HostRecord {
            name: host.name.clone(),
            addresses: host.addresses(),
            network: place.network,
            mounts: place.mounts,
            uts: place.uts,
        }
    }
}

/// Why there is no way into a host.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The host does not exist.
    #[error("the lab has no host `{name}`; its hosts are {known}")]
    UnknownHost {
        /// The name asked for.
        name: String,
        /// The hosts there are.
        known: String,
    },
    /// The lab is gone, or belongs to somebody else.
    #[error("cannot enter host `{host}`: {what}: {source}; is the lab still up, and started by you?")]
    Enter {
        /// The host.
        host: String,
        /// The step that failed.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program does not start there.
    #[error("cannot start `{program}` on host `{host}`: {source}")]
    Start {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Runs `command` on a host until it ends, with the caller's terminal, folder and environment.
///
/// It becomes part of the lab: its processes see the lab's, and end with the lab. Where the lab has a user namespace
/// that the caller is not in, the calling process must have a single thread and is in that namespace afterwards.
///
/// # Errors
///
/// Fails when the host or the lab is not there or the program does not start.
pub fn run(lab: &LabRecord, host: &str, mut command: Command) -> Result<ExitStatus, ShellError> {
    let name = host.strip_suffix(".lab").unwrap_or(host);
    let Some(record) = lab.hosts.iter().find(|h| h.name == name) else {
        let known: Vec<_> = lab.hosts.iter().map(|h| format!("`{}`", h.name)).collect();
        return Err(ShellError::UnknownHost { name: name.to_owned(), known: known.join(", ") });
    };
    let fail = |what| move |source| ShellError::Enter { host: name.to_owned(), what, source };
    let open = |path: &str| File::open(format!("/proc/{}/{path}", lab.holder));

    // Everything is opened before anything is entered: afterwards `/proc` is another one.
    let user = open("ns/user").map_err(fail("open its user namespace"))?;
    let pids = open("ns/pid").map_err(fail("open its processes"))?;
    let network = open(&format!("fd/{}", record.network)).map_err(fail("open its network"))?;
    let uts = open(&format!("fd/{}", record.uts)).map_err(fail("open its name"))?;
    let mounts = open(&format!("fd/{}", record.mounts)).map_err(fail("open its files"))?;

    let same_user = same(&user, "/proc/self/ns/user").map_err(fail("compare user namespaces"))?;
    if !same_user {
        setns(&user, CloneFlags::CLONE_NEWUSER).map_err(|e| fail("enter its user namespace")(e.into()))?;
    }
    if command.get_current_dir().is_none()
        && let Ok(folder) = std::env::current_dir()
    {
        command.current_dir(folder);
    }
    // Namespaces belong to threads, so the caller stays where it is.
    let inside = || {
        let enter = || {
            unshare(CloneFlags::CLONE_FS)?;
            setns(&pids, CloneFlags::CLONE_NEWPID)?;
            setns(&network, CloneFlags::CLONE_NEWNET)?;
            setns(&uts, CloneFlags::CLONE_NEWUTS)?;
            setns(&mounts, CloneFlags::CLONE_NEWNS)
        };
        enter().map_err(|e| fail("enter its namespaces")(e.into()))?;
        let program = command.get_program().to_string_lossy().into_owned();
        command.status().map_err(|source| ShellError::Start { host: name.to_owned(), program, source })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("lab-shell".to_owned()).spawn_scoped(scope, inside);
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(e) => Err(fail("start a thread")(e)),
        }
    })
}

fn same(namespace: &File, path: &str) -> io::Result<bool> {
    let (one, other) = (namespace.metadata()?, std::fs::metadata(path)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
