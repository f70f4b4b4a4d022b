//! A network namespace, held open.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::socket,
};

use crate::NamespaceError;

/// Where a thread finds the namespace it is in.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, held open by a descriptor: it stays in existence as long as a clone of this value does.
///
/// Two values are equal when they are the same namespace, however they were opened.
#[derive(Clone, Debug)]
pub struct Namespace {
    descriptor: Arc<OwnedFd>,
    device: u64,
    inode: u64,
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Namespace {}

impl std::hash::Hash for Namespace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Namespace {
    /// Opens the namespace at `path`, such as `/proc/PID/ns/net` or `/run/netns/NAME`.
    ///
    /// # Errors
    /// [`NamespaceError::Open`] when the file is not there or may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NamespaceError> {
        let path = path.as_ref();
        let failed = |source| NamespaceError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        Self::of(Arc::new(file.into())).map_err(failed)
    }

    /// Opens the namespace the calling thread is in.
    ///
    /// # Errors
    /// [`NamespaceError::Open`] when `/proc` is not mounted.
    pub fn current() -> Result<Self, NamespaceError> {
        Self::open(OWN)
    }

    /// Shares a descriptor that somebody else holds.
    ///
    /// # Errors
    /// When the descriptor cannot be examined.
    pub fn of(descriptor: Arc<OwnedFd>) -> io::Result<Self> {
        let found = nix::sys::stat::fstat(&descriptor)?;
        Ok(Self { descriptor, device: found.st_dev, inode: found.st_ino })
    }

    /// Makes a new, nameless, empty namespace, which vanishes with the last clone of the value and the last process,
    /// socket or mount in it.
    ///
    /// # Errors
    /// [`NamespaceError::Enter`] without root or CAP_SYS_ADMIN.
    pub fn create() -> Result<Self, NamespaceError> {
        on_own_thread(|| {
            enter_new()?;
            Self::current()
        })
    }

    /// Returns device and inode number, which identify the namespace while somebody holds it open.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns the number by which the kernel tells namespaces apart, as in `net:[4026531840]`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns the kernel's cookie of the namespace, which no other one gets until the machine is started again; none below
    /// Linux 5.14, and where the namespace may not be entered.
    pub fn cookie(&self) -> Option<u64> {
        let made = || {
            let flags = socket::SockFlag::SOCK_CLOEXEC;
            socket::socket(socket::AddressFamily::Unix, socket::SockType::Datagram, flags, None)
        };
        cookie(&self.run(made).ok()?.ok()?)
    }

    /// Returns the descriptor, shared; the namespace stays for as long as anybody holds it.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.descriptor)
    }

    /// Returns a path by which any process can open it for as long as this process holds it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.descriptor.as_raw_fd()).into()
    }

    /// Returns whether the calling thread is in this namespace.
    pub fn is_current(&self) -> bool {
        std::fs::metadata(OWN).is_ok_and(|own| (own.dev(), own.ino()) == self.identity())
    }

    /// Moves the calling thread into the namespace for the rest of its life: only for a thread made for this. A thread that
    /// is there already needs no right.
    ///
    /// # Errors
    /// [`NamespaceError::Enter`] without CAP_SYS_ADMIN over the namespace.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        if self.is_current() {
            return Ok(());
        }
        setns(self, CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Enter { source: errno.into() })
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it.
    ///
    /// Sockets and descriptors that `work` makes keep the namespace. The calling thread's namespace does not change,
    /// and the thread is gone afterwards, so no other work can land in the wrong namespace by accident.
    ///
    /// # Errors
    /// [`NamespaceError::Enter`] without CAP_SYS_ADMIN over the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_own_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }
}

/// Moves the calling thread for the rest of its life into a new, empty namespace: only for a thread made for this. The
/// namespace ends with the thread if nobody else holds it.
///
/// # Errors
/// [`NamespaceError::Enter`] without root or CAP_SYS_ADMIN.
pub fn enter_new() -> Result<(), NamespaceError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Enter { source: errno.into() })
}

#[expect(unsafe_code, reason = "getsockopt(SO_NETNS_COOKIE) has no safe wrapper")]
fn cookie(socket: &OwnedFd) -> Option<u64> {
    const NETNS_COOKIE: libc::c_int = 71;
    let mut found = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open for the length of the call, and the kernel writes no more than `length` bytes into `found`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            NETNS_COOKIE,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    (answer == 0 && found != 0).then_some(found)
}

fn on_own_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NamespaceError> + Send,
) -> Result<T, NamespaceError> {
    let (mut work, mut done) = (Some(work), None);
    // Whatever the work is, there is one way to start and end a thread in the executable.
    spawn_and_join(&mut || done = work.take().map(|work| work()))?;
    let ended = || NamespaceError::Enter { source: std::io::Error::other("the thread did nothing") };
    done.unwrap_or_else(|| Err(ended()))
}

fn spawn_and_join(work: &mut (dyn FnMut() + Send)) -> Result<(), NamespaceError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("chaos-netns".into())
            .spawn_scoped(scope, work)
            .map_err(|source| NamespaceError::Enter { source })?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_where_it_should_and_the_caller_stays() {
        let here = Namespace::current().unwrap();
        let Ok(there) = Namespace::create() else {
            println!("skipped: making a network namespace needs root");
            return;
        };
        let inside = there.run(|| (Namespace::current().unwrap(), there.is_current())).unwrap();
        assert_eq!(inside, (there.clone(), true));
        assert_ne!(here, there);
        assert!(here.is_current() && !there.is_current());
    }

    #[test]
    fn a_cookie_is_a_namespace_s_own_and_never_another_s() {
        let Ok(one) = Namespace::create() else {
            println!("skipped: making a network namespace needs root");
            return;
        };
        let Some(first) = one.cookie() else {
            println!("skipped: this kernel has no cookies of namespaces");
            return;
        };
        assert_eq!(Namespace::open(one.path()).unwrap().cookie(), Some(first));
        drop(one);
        let other = Namespace::create().unwrap().cookie().unwrap();
        assert!(other != first && Namespace::current().unwrap().cookie() != Some(other));
    }

    #[test]
    fn a_missing_namespace_names_its_path() {
        let missing = Namespace::open("/run/netns/never-made-by-anybody").unwrap_err();
        assert!(missing.to_string().contains("never-made-by-anybody"), "{missing}");
        assert_eq!(missing.raw_os_error(), Some(2));
    }
}
