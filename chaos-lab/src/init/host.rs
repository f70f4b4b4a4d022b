//! The namespaces of a host: making them, and stepping into them.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};

use super::{mounts, reason::host_error, rights};
use crate::address::{HostLayout, Layout};
use crate::link::{Interface, wire};
use crate::protocol::BringUpError;

/// The namespaces of one place: a host, or the switch.
pub(super) struct Place {
    pub(super) network: OwnedFd,
    pub(super) mounts: OwnedFd,
    pub(super) uts: OwnedFd,
}

impl Place {
    /// Opens where the process is now.
    pub(super) fn current(proc: &Path) -> io::Result<Self> {
        let open = |kind: &str| fs::File::open(proc.join("ns").join(kind)).map(OwnedFd::from);
        Ok(Place { network: open("net")?, mounts: open("mnt")?, uts: open("uts")? })
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS)?;
        setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        Ok(())
    }
}

/// Makes a host in fresh namespaces, which the process is left in.
pub(super) async fn make(
    host: &HostLayout,
    layout: &Layout,
    proc: &Path,
    home: &Place,
) -> Result<(Place, Interface), BringUpError> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(|e| host_error(host, "make its namespaces", e))?;
    nix::unistd::sethostname(&host.name).map_err(|e| host_error(host, "set its name", e))?;
    mounts::host_files(host, layout).map_err(|(what, e)| host_error(host, &what, e))?;
    mounts::quiet_host();
    rights::open_ports();
    let interface =
        wire(host, home.network.as_fd()).await.map_err(|e| host_error(host, "make its interface", e))?;
    let place = Place::current(proc).map_err(|e| host_error(host, "open its namespaces", e))?;
    Ok((place, interface))
}
