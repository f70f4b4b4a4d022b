//! Finds out by trying what this kernel and this user can do.

use std::io;
use std::os::fd::AsRawFd;

use chaos_netns::Namespace;

use super::assembler::{Assembler, Register};
use super::link::attach_here;
use super::matching::Direction;
use super::program::Program;

/// Whether something can be done here; if not, why, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It was tried and worked.
    Yes,
    /// It was tried and did not work.
    No {
        /// What the kernel answered to what.
        reason: String,
        /// What would most likely help.
        remedy: String,
        /// Whether a right is missing, rather than an ability of the kernel.
        permission: bool,
    },
}

impl Support {
    /// Returns whether it can be done.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// Loads a program that lets everything pass and attaches it to the loopback of a namespace made for this and gone
/// afterwards.
pub fn probe() -> Support {
    match Namespace::create() {
        Ok(namespace) => probe_on(&namespace, 1),
        Err(error) => Support::No {
            reason: error.to_string(),
            remedy: "run as root".to_owned(),
            permission: matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)),
        },
    }
}

/// Loads a program that lets everything pass and attaches it to an interface for a moment.
pub(crate) fn probe_on(namespace: &Namespace, index: u32) -> Support {
    let mut asm = Assembler::new();
    asm.set(Register::R0, -1).exit();
    let loaded = asm.finish().and_then(|code| Program::load("chaos_probe", &code));
    let program = match loaded {
        Ok(program) => program,
        Err(error) => {
            let remedy = if in_user_namespace() {
                "run outside of the user namespace, or with CAP_BPF and CAP_NET_ADMIN of the host"
            } else {
                "run as root, or give the program CAP_BPF and CAP_NET_ADMIN"
            };
            return Support::No {
                reason: error.to_string(),
                remedy: remedy.to_owned(),
                permission: matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)),
            };
        }
    };
    match namespace.run(|| attach_here(index, Direction::Egress, program.as_raw_fd())) {
        Ok(Ok(_)) => Support::Yes,
        Ok(Err(error)) => attach_refused(&error),
        Err(error) => attach_refused(&error.into()),
    }
}

fn attach_refused(error: &io::Error) -> Support {
    let remedy = match error.raw_os_error() {
        Some(libc::EINVAL) => "TCX needs Linux 6.6 or newer",
        Some(libc::EPERM) => "give the program CAP_BPF and CAP_NET_ADMIN",
        _ => "look in the kernel's log",
    };
    Support::No {
        reason: format!("cannot attach a BPF program to an interface: {error}"),
        remedy: remedy.to_owned(),
        permission: matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)),
    }
}

/// Returns whether identities are mapped in any other way than in the first user namespace.
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"])
}
