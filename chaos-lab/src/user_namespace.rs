//! The user namespace that an ordinary user needs before a lab can be made.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};

/// Why an ordinary user gets no user namespace.
#[derive(Debug, thiserror::Error)]
pub enum UserNamespaceError {
    /// The distribution's switch is off.
    #[error("this kernel lets only root make user namespaces (`kernel.unprivileged_userns_clone` is 0)")]
    SwitchedOff,
    /// The limit is zero or used up.
    #[error("no further user namespace is allowed (`user.max_user_namespaces` is {limit})")]
    Limit {
        /// The limit as the kernel reports it.
        limit: String,
    },
    /// AppArmor takes the rights away again.
    #[error(
        "AppArmor allows user namespaces only to programs with a profile (`kernel.apparmor_restrict_unprivileged_userns` is 1)"
    )]
    AppArmor,
    /// The process has more than one thread.
    #[error("a user namespace can only be entered by a process with a single thread")]
    Threads,
    /// Anything else.
    #[error("cannot make a user namespace: {doing}: {source}")]
    Other {
        /// The step that failed.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl UserNamespaceError {
    /// Returns what would help.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::SwitchedOff => "run as root, or `sysctl -w kernel.unprivileged_userns_clone=1`",
            Self::Limit { .. } => "run as root, or raise it with `sysctl -w user.max_user_namespaces=15000`",
            Self::AppArmor => "run as root, or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
            Self::Threads => "enter it before the runtime starts",
            Self::Other { .. } => "run as root, or allow user namespaces to this container",
        }
    }
}

/// Moves the process into a user namespace of its own in which it is root, with its own mounts and network.
///
/// For a process with a single thread, before any runtime starts. Nothing is to be undone: the namespace ends with
/// the process and its children.
///
/// # Errors
///
/// Fails with the remedy where the machine does not allow it to this user.
pub fn enter_user_namespace() -> Result<(), UserNamespaceError> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(|errno| explain("unshare", errno.into()))?;
    let write = |file: &'static str, text: String| fs::write(file, text).map_err(|e| explain(file, e));
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn explain(doing: &'static str, source: io::Error) -> UserNamespaceError {
    let sysctl =
        |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).map(|v| v.trim().to_owned()).ok();
    match source.raw_os_error() {
        Some(libc::EINVAL) if doing == "unshare" => UserNamespaceError::Threads,
        Some(libc::ENOSPC | libc::EUSERS) => {
            UserNamespaceError::Limit { limit: sysctl("user/max_user_namespaces").unwrap_or("0".to_owned()) }
        }
        Some(libc::EPERM | libc::EACCES) => {
            if sysctl("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
                UserNamespaceError::SwitchedOff
            } else if sysctl("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
                UserNamespaceError::AppArmor
            } else {
                UserNamespaceError::Other { doing, source }
            }
        }
        _ => UserNamespaceError::Other { doing, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_told_so() {
        // The test itself may be the only other thread there is.
        let error = std::thread::spawn(|| enter_user_namespace().unwrap_err()).join().unwrap();
        assert!(error.to_string().contains("single thread"), "{error}");
    }
}
