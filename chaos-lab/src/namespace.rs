//! Network namespaces as values, and the user namespace that an ordinary user needs first.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace, kept alive for as long as a copy of this value exists.
///
/// A namespace belongs to a thread, so code enters it on a thread of its own; a socket keeps the namespace it was
/// made in and may then be used anywhere.
#[derive(Clone, Debug)]
pub struct Namespace {
    descriptor: Arc<OwnedFd>,
}

impl Namespace {
    /// Opens the namespace at `path`, as in `/proc/PID/ns/net`; the descriptor is not inherited by programs.
    ///
    /// # Errors
    ///
    /// Fails as opening the file does.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Namespace { descriptor: Arc::new(fs::File::open(path)?.into()) })
    }

    /// Opens the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Fails when `/proc` is not there.
    pub fn current() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// Returns the descriptor, shared; the namespace stays for as long as anybody holds it.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.descriptor)
    }

    /// Returns the number by which the kernel tells namespaces apart, as in `net:[4026531840]`.
    ///
    /// # Errors
    ///
    /// Fails only when the kernel cannot say.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(fs::File::from(self.descriptor.try_clone()?).metadata()?.ino())
    }

    /// Runs `work` on a new thread inside the namespace and returns what it gives.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started or may not enter, which takes `CAP_SYS_ADMIN`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("in-namespace".to_owned()).spawn_scoped(scope, || {
                    setns(&*self.descriptor, CloneFlags::CLONE_NEWNET)?;
                    Ok(work())
                })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Why an ordinary user gets no user namespace.
#[derive(Debug, thiserror::Error)]
pub enum UserNamespaceError {
    /// The distribution's switch is off.
    #[error(
        "this kernel lets only root make user namespaces (`kernel.unprivileged_userns_clone` is 0); run as root, or `sysctl -w kernel.unprivileged_userns_clone=1`"
    )]
    SwitchedOff,
    /// The limit is zero or used up.
    #[error(
        "no further user namespace is allowed (`user.max_user_namespaces` is {limit}); run as root, or raise it with `sysctl -w user.max_user_namespaces=15000`"
    )]
    Limit {
        /// The limit as the kernel tells it.
        limit: String,
    },
    /// AppArmor takes the rights away again.
    #[error(
        "AppArmor allows user namespaces only to programs with a profile (`kernel.apparmor_restrict_unprivileged_userns` is 1); run as root, or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    AppArmor,
    /// The process has more than one thread.
    #[error(
        "a user namespace can only be entered by a process with a single thread; enter it before the runtime starts"
    )]
    Threads,
    /// Anything else.
    #[error(
        "cannot make a user namespace: {doing}: {source}; run as root, or allow user namespaces to this container"
    )]
    Other {
        /// The step that failed.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
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

    #[test]
    fn work_runs_where_it_is_told_and_the_caller_stays() {
        let here = Namespace::current().unwrap();
        let inside = here.run(|| Namespace::current().unwrap().inode().unwrap()).unwrap();
        assert_eq!(inside, here.inode().unwrap());
    }
}
