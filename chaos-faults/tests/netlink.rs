//! The netlink layer against a real kernel, in network namespaces made for each test.
//!
//! Needs root. What the running kernel lacks is skipped with its reason; the netem tests are meant to be run on a
//! kernel that has it, best one with virtual time, where delays are exact.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kernel/two_hosts.rs"]
mod two_hosts;

#[path = "kernel/filters.rs"]
mod filters;
#[path = "kernel/links.rs"]
mod links;
#[path = "kernel/netem.rs"]
mod netem;
#[path = "kernel/probe.rs"]
mod probe;
#[path = "kernel/qdiscs.rs"]
mod qdiscs;
