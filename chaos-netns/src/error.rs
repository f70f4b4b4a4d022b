//! Why a namespace cannot be used.

use std::{io, path::PathBuf};

/// The ways in which a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The namespace file could not be opened.
    #[error("cannot open the network namespace `{}`: {source}", path.display())]
    Open {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not enter (or make) the namespace.
    #[error("cannot enter the network namespace: {source}; entering one needs root or CAP_SYS_ADMIN")]
    Enter {
        /// What the system said.
        source: io::Error,
    },
}

impl NamespaceError {
    /// Returns the system's error number.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Open { source, .. } | Self::Enter { source } => source.raw_os_error(),
        }
    }

    /// Returns whether there is nothing at the path: the name was deleted, or the process has ended.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Open { source, .. } if matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)))
    }
}

impl From<NamespaceError> for io::Error {
    /// Keeps what the system said.
    fn from(error: NamespaceError) -> Self {
        match error {
            NamespaceError::Open { source, .. } | NamespaceError::Enter { source } => source,
        }
    }
}
