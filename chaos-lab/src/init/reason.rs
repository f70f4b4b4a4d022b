//! Why something could not be made: in words for people, as a kind to decide by, and as the error of a lab or of one host.

use std::{fmt::Display, io};

use chaos_core::trouble::Kind;
use nix::errno::Errno;

use crate::address::HostLayout;
use crate::protocol::BringUpError;

/// What was answered to an attempt.
pub(super) trait Reason: Display {
    /// Returns what stood in the way.
    fn kind(&self) -> Kind {
        Kind::Unable
    }
}

impl Reason for &str {}

impl Reason for serde_json::Error {}

impl Reason for io::Error {
    fn kind(&self) -> Kind {
        self.into()
    }
}

impl Reason for Errno {
    fn kind(&self) -> Kind {
        io::Error::from(*self).kind().into()
    }
}

impl Reason for rtnetlink::Error {
    fn kind(&self) -> Kind {
        match self {
            rtnetlink::Error::NetlinkError(answer) => answer.to_io().kind().into(),
            _ => Kind::Unable,
        }
    }
}

pub(super) fn place(what: &str, reason: impl Reason) -> BringUpError {
    BringUpError::Place { what: what.to_owned(), reason: reason.to_string(), kind: reason.kind() }
}

pub(super) fn host_error(host: &HostLayout, what: &str, reason: impl Reason) -> BringUpError {
    let kind = reason.kind();
    BringUpError::Host { host: host.name.clone(), what: what.to_owned(), reason: reason.to_string(), kind }
}
