//! What can go wrong between writing a program and holding it on an interface.

use std::io;

/// A BPF fault that could not be built, loaded, attached or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BpfError {
    /// A jump leads to a label that was never placed; a defect of the code that wrote the program.
    #[error("BPF program jumps to label {0}, which was never placed")]
    LabelNotPlaced(usize),
    /// A jump is further than its 16-bit offset reaches.
    #[error("BPF program of {0} instructions has a jump that is too far; match fewer peers or ports")]
    JumpTooFar(usize),
    /// The kernel refused to create a map.
    #[error("cannot create a BPF map: {source}; CAP_BPF is needed")]
    Map {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused to read or write a map.
    #[error("cannot access a BPF map: {source}")]
    MapAccess {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused to load the program.
    #[error("cannot load BPF program `{name}`: {source}; {remedy}{}{log}", if log.is_empty() { "" } else { "; verifier: " })]
    Load {
        /// The program's name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
        /// What would most likely help.
        remedy: &'static str,
        /// The tail of the verifier's log; empty when the verifier was never reached.
        log: String,
    },
    /// The kernel refused to attach, replace or query a program.
    #[error("cannot {what} on `{target}`: {source}; {remedy}")]
    Link {
        /// What was tried.
        what: &'static str,
        /// The interface.
        target: String,
        /// The kernel's answer.
        source: io::Error,
        /// What would most likely help.
        remedy: &'static str,
    },
    /// The network namespace of the target could not be entered.
    #[error("cannot enter the network namespace of `{device}`: {source}; CAP_SYS_ADMIN is needed")]
    Namespace {
        /// The interface that was wanted.
        device: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is no such interface.
    #[error("no interface `{name}` in that network namespace: {source}")]
    NoDevice {
        /// The interface that was asked for.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A value lies outside what it may be.
    #[error("{what} is `{value}`, but must be {expected}")]
    OutOfRange {
        /// What the value is for.
        what: &'static str,
        /// The value given.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The rule is not, or no longer, part of the hold.
    #[error("no rule {0} on this interface and direction")]
    NoSuchRule(u32),
}

impl BpfError {
    /// Returns whether the interface is gone, and everything on it.
    pub fn is_gone(&self) -> bool {
        matches!(self.raw_os_error(), Some(libc::ENODEV | libc::ENOLINK))
    }

    /// Returns the kernel's error number, where the kernel was the one to refuse.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Map { source }
            | Self::MapAccess { source }
            | Self::Load { source, .. }
            | Self::Link { source, .. }
            | Self::Namespace { source, .. }
            | Self::NoDevice { source, .. } => source.raw_os_error(),
            Self::LabelNotPlaced(_) | Self::JumpTooFar(_) | Self::OutOfRange { .. } | Self::NoSuchRule(_) => {
                None
            }
        }
    }
}
