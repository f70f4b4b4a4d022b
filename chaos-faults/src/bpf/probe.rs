//! Finds out by trying what this kernel and this user can do.

use std::io;
use std::os::fd::AsRawFd;

use chaos_netns::enter_new;

use super::assembler::{Assembler, Register};
use super::link::attach_here;
use super::matching::Direction;
use super::program::{Kind, Program};

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
    },
}

impl Support {
    /// Returns whether it can be done.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// Loads a program that lets everything pass and attaches it: to the loopback of a namespace made for this and gone
/// afterwards, or, where none may be made, to an interface that does not exist, which the kernel refuses in another way
/// depending on whether it could have.
pub fn probe() -> Support {
    // A new namespace changes the thread for the rest of its life.
    std::thread::Builder::new()
        .name("chaos-probe".to_owned())
        .spawn(try_here)
        .map_err(|error| error.to_string())
        .and_then(|thread| thread.join().map_err(|_| "the probing thread panicked".to_owned()))
        .unwrap_or_else(|reason| Support::No { reason, remedy: "free memory and processes".to_owned() })
}

fn try_here() -> Support {
    let no = |reason: String, remedy: &str| Support::No { reason, remedy: remedy.to_owned() };
    let mut asm = Assembler::new();
    asm.set(Register::R0, -1).exit();
    let loaded = asm.finish().and_then(|code| Program::load(Kind::SchedCls, 0, "chaos_probe", &code));
    let program = match loaded {
        Ok(program) => program,
        Err(error) => {
            let remedy = if in_user_namespace() {
                "run outside of the user namespace, or with CAP_BPF and CAP_NET_ADMIN of the host"
            } else {
                "run as root, or give the program CAP_BPF and CAP_NET_ADMIN"
            };
            return no(error.to_string(), remedy);
        }
    };
    let (index, expected) = match enter_new() {
        Ok(()) => (1, None),
        Err(_) => (i32::MAX.cast_unsigned(), Some(libc::ENODEV)),
    };
    match attach_here(index, Direction::Egress, program.as_raw_fd()) {
        Ok(_) => Support::Yes,
        Err(error) if error.raw_os_error() == expected && expected.is_some() => Support::Yes,
        Err(error) => attach_refused(&error),
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
    }
}

/// Returns whether identities are mapped in any other way than in the first user namespace.
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"])
}
