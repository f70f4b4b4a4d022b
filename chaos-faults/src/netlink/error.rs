//! What can go wrong between this process and the kernel's traffic control.

use std::{io, net::IpAddr};

use chaos_netns::NamespaceError;

use crate::netlink::Handle;

/// The ways a netlink operation fails.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The namespace could not be opened, made or entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel answered a request with an error.
    #[error("the kernel refused to {action}: {source}")]
    Refused {
        /// What was asked for, as a phrase that follows "to".
        action: String,
        /// The kernel's error number.
        source: io::Error,
    },
    /// The socket went away, or an answer could not be understood.
    #[error("no usable answer from the kernel to the request to {action}: {reason}")]
    NoAnswer {
        /// What was asked for, as a phrase that follows "to".
        action: String,
        /// What was received instead.
        reason: String,
    },
    /// No interface has the name.
    #[error("no interface `{0}` in this network namespace")]
    NoInterface(String),
    /// No interface has the index.
    #[error("no interface with the index {0} in this network namespace")]
    NoInterfaceIndex(u32),
    /// No interface carries the address.
    #[error("no interface in this network namespace has the address `{0}`")]
    NoInterfaceWithAddress(IpAddr),
    /// No route leads to the destination.
    #[error("no route to `{0}` in this network namespace")]
    NoRoute(IpAddr),
    /// Somebody else's root qdisc is in the way.
    #[error(
        "interface {index} already has the root qdisc `{kind}` ({handle}) of somebody else, which is not replaced; \
         remove it, or choose a backend that leaves the root alone"
    )]
    ForeignRoot {
        /// The interface's index.
        index: u32,
        /// The kind of the qdisc found.
        kind: String,
        /// Its handle.
        handle: Handle,
    },
    /// The match selects nothing that a filter could express.
    #[error("{0}")]
    Unmatchable(#[from] Unmatchable),
    /// Bytes from the kernel are shorter than their own lengths say.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl NetlinkError {
    /// Returns the kernel's error number, if that is what happened.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            Self::Namespace(error) => error.raw_os_error(),
            _ => None,
        }
    }

    /// Tells whether the thing asked for is not there: gone, never made, or an interface that no longer exists.
    pub fn is_absent(&self) -> bool {
        matches!(self.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
            || matches!(
                self,
                Self::NoInterface(_) | Self::NoInterfaceIndex(_) | Self::NoInterfaceWithAddress(_)
            )
    }
}

/// Bytes that do not hold what their kind promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a netlink {what} is cut short: only {length} bytes are there")]
pub struct Malformed {
    /// The part that was being read.
    pub what: &'static str,
    /// How many bytes there were.
    pub length: usize,
}

/// The most filters one match may become; `u32` numbers 2,047 in a table.
pub const MOST_RULES: usize = 2000;

/// A match that no packet, or too many filters, would fulfil.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmatchable {
    /// Ports and ICMP at once.
    #[error("no packet matches both a port and the protocol icmp, which has no ports; leave one of them out")]
    PortsOfIcmp,
    /// A prefix longer than the address.
    #[error("the prefix length {prefix} of `{network}` is longer than the address")]
    PrefixTooLong {
        /// The network's address.
        network: IpAddr,
        /// The length asked for.
        prefix: u8,
    },
    /// More rules than `u32` numbers.
    #[error(
        "the addresses and ports of this fault would take {0} filters, more than the {MOST_RULES} the kernel keeps; \
         name networks instead of single addresses, or fewer ports"
    )]
    TooMany(usize),
}
