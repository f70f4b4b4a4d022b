//! The lab's view of the file system: the machine's, with an own `/proc` and, on each host, an own `/run` and name files.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::reason::place;
use crate::address::{HostLayout, Layout};
use crate::protocol::BringUpError;
use crate::resolver::Names;

/// Where a host's own files live, in memory.
pub(super) const HOST_FILES: &str = "/run/chaos-lab";

/// Parts the mounts from the machine's and mounts a `/proc` of the lab's pid namespace; returns this process's folder.
///
/// In some containers parts of `/proc` are covered and the kernel refuses a new one to a user namespace; then the
/// machine's own is used, where this process has the number `outer_pid`.
pub(super) fn private(outer_pid: u32) -> Result<PathBuf, BringUpError> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|e| place("part the lab's mounts from the machine's", e))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let own = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    Ok(if own.is_ok() { PathBuf::from("/proc/self") } else { PathBuf::from(format!("/proc/{outer_pid}")) })
}

/// Keeps the switch itself out of the conversation; it only forwards.
pub(super) fn quiet_switch() {
    for scope in ["all", "default"] {
        set_ipv6(scope, "disable_ipv6");
    }
}

/// Asks for no link-local address, and so for none of the traffic that comes with one: a quiet network measures better.
pub(super) fn quiet_host() {
    set_ipv6("default", "addr_gen_mode");
}

/// Sets a switch of the current network namespace; a kernel without IPv6, or a `/proc` that cannot be written, has none.
fn set_ipv6(scope: &str, switch: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/{switch}"), "1");
}

/// Gives the current mount namespace an own `/run`, and the files that give names to real programs.
pub(super) fn host_files(host: &HostLayout, layout: &Layout) -> Result<(), (String, io::Error)> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // The resolver's file is often a link into /run, whose target the new /run hides and has to offer again.
    let link = fs::read_link("/etc/resolv.conf").ok();
    mount(Some("tmpfs"), "/run", Some("tmpfs"), flags, Some("mode=755"))
        .map_err(|e| ("give it an own /run".to_owned(), e.into()))?;
    fs::create_dir_all(HOST_FILES).map_err(|e| (format!("make {HOST_FILES}"), e))?;
    if let Some(link) = link {
        restore_target(&Path::new("/etc").join(link))
            .map_err(|e| ("offer /etc/resolv.conf".to_owned(), e))?;
    }
    let files = [
        ("hosts", layout.names.hosts_file(&host.name, &layout.dns)),
        ("resolv.conf", Names::resolv_conf(&layout.dns)),
        ("hostname", format!("{}\n", host.name)),
    ];
    for (name, text) in files {
        let own = Path::new(HOST_FILES).join(name);
        let known = Path::new("/etc").join(name);
        fs::write(&own, text).map_err(|e| (format!("write {}", own.display()), e))?;
        // A machine without such a file asks nothing of it, and nothing is added to the machine's own folder.
        if known.exists() {
            mount(Some(&own), &known, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(|e| (format!("put {} in place", known.display()), e.into()))?;
        }
    }
    Ok(())
}

fn restore_target(target: &Path) -> io::Result<()> {
    if target.exists() || !matches!(fs::canonicalize(first_existing(target)), Ok(p) if p.starts_with("/run"))
    {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(target).map(drop)
}

/// Returns the innermost folder on the way to `path` that exists.
fn first_existing(path: &Path) -> &Path {
    path.ancestors().find(|p| p.exists()).unwrap_or(path)
}
