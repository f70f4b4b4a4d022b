//! Network namespaces by descriptor.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::netlink::NetlinkError;

/// Where a thread finds the namespace it is in.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, held open by a descriptor: it stays in existence as long as a clone of this value does.
///
/// Two values are equal when they are the same namespace, however they were opened.
#[derive(Clone, Debug)]
pub struct Namespace {
    file: Arc<File>,
    device: u64,
    inode: u64,
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Eq for Namespace {}

impl std::hash::Hash for Namespace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.device, self.inode).hash(state);
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Namespace {
    /// Opens the namespace at `path`, such as `/proc/PID/ns/net` or `/run/netns/NAME`.
    ///
    /// # Errors
    /// [`NetlinkError::OpenNamespace`] when the file is not there or may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NetlinkError> {
        let path = path.as_ref();
        File::open(path)
            .and_then(Self::from_file)
            .map_err(|source| NetlinkError::OpenNamespace { path: path.to_owned(), source })
    }

    /// Opens the namespace the calling thread is in.
    ///
    /// # Errors
    /// [`NetlinkError::OpenNamespace`] when `/proc` is not mounted.
    pub fn current() -> Result<Self, NetlinkError> {
        Self::open(OWN)
    }

    /// Takes over an open descriptor of a namespace file.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn from_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), file: Arc::new(file) })
    }

    /// Makes a new, nameless, empty namespace, which vanishes with the last clone of the value and the last process,
    /// socket or mount in it.
    ///
    /// # Errors
    /// [`NetlinkError::EnterNamespace`] without root or CAP_SYS_ADMIN.
    pub fn create() -> Result<Self, NetlinkError> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| NetlinkError::EnterNamespace { source: errno.into() })?;
            Self::current()
        })
    }

    /// Returns device and inode number, which identify the namespace while somebody holds it open.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it.
    ///
    /// Sockets and descriptors that `work` makes keep the namespace. The calling thread's namespace does not change,
    /// and the thread is gone afterwards, so no other work can land in the wrong namespace by accident.
    ///
    /// # Errors
    /// [`NetlinkError::EnterNamespace`] without CAP_SYS_ADMIN over the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetlinkError> {
        on_own_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| NetlinkError::EnterNamespace { source: errno.into() })?;
            Ok(work())
        })
    }
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T, NetlinkError> + Send) -> Result<T, NetlinkError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("chaos-netns".into())
            .spawn_scoped(scope, work)
            .map_err(|source| NetlinkError::EnterNamespace { source })?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
