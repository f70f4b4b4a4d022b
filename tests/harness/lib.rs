//! What the end-to-end tests stand on: the `chaos` command as a user calls it, and the world as the kernel shows it.
//!
//! - [`Chaos`] is a place of its own to call the command from: scenario files, run folders, register of runs. Everything
//!   that it starts, however deep, is found again by the name of that place in its environment.
//! - [`World`] is a snapshot of what a run could leave behind.
//! - [`Network`] is two namespaces with a cable between them and a server at one end, for experiments on this machine.
//! - [`Container`] is the command as a container has it, with few capabilities.
//! - [`scenario`] writes short experiments.
//! - [`Servers`] are Prometheus and Alertmanager themselves.
//! - [`Scene`] is all of these together, as most tests begin.
//!
//! The command is `target/PROFILE/chaos` beside the test's own executable. Where it is not there, or older than the
//! sources, it is built first with cargo; `CHAOS_BIN=PATH` names another one, and then nothing is built.
//!
//! As root everything runs; as an ordinary user what needs no more than a lab. What is left out prints a line that begins
//! with `skipped: `.

mod binary;
mod command;
mod container;
mod kernel;
mod monitoring;
mod network;
mod oracle;
mod privilege;
mod provided;
pub mod scenario;
mod scene;
mod slot;
mod world;

pub use binary::{program, repository};
pub use command::{Chaos, Ended, Running, is_stage};
pub use container::Container;
pub use kernel::without_tcx;
pub use monitoring::{Loopback, Servers};
pub use network::{Network, ping};
pub use oracle::oracle_or_skip;
pub use privilege::{is_root, lab_or_skip, other_user, root_or_skip, user_or_skip};
pub use scene::Scene;
pub use slot::{Slot, slot};
pub use world::{World, namespaces_of, wait_until};
