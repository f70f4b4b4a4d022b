//! Placeholder tour, replaced by the crate's own.

pub mod bpf;
pub mod capability;
pub mod netlink;
