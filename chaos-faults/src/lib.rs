//! Everything that changes the world and puts it back.
//!
//! 1. [`AgentInjector`] is what a runner injects network faults with: it starts an [`agent`], talks to it over pipes,
//!    watches over it, and has a fresh one put right whatever a dead one left.
//! 2. The agent asks [`capability`] what this kernel and this user can do, and gives every fault the best [`backend`]
//!    there is, saying why not another.
//! 3. Backends stand on [`bpf`] (programs on interfaces), [`netlink`] (the kernel's queues and filters) and
//!    [`forwarder`] (packets held in user space).
//! 4. [`MachineInventory`] finds this machine, its named network namespaces and its processes; [`MachineEnvironment`]
//!    says where they are.
//!
//! ```no_run
//! use chaos_faults::{AgentInjector, agent::ChildProcess};
//!
//! // A program that offers agents has a subcommand that calls `agent::serve_standard_streams`.
//! let injector = AgentInjector::new(ChildProcess::new("/usr/bin/chaos", ["agent"]));
//! // A program that has none lets a thread of its own do the work.
//! let injector = AgentInjector::in_this_process();
//! ```

pub mod agent;
pub mod backend;
pub mod bpf;
pub mod capability;
mod environment;
mod evidence;
pub mod forwarder;
mod injector;
pub mod inventory;
pub mod netlink;
mod network;
mod priority;

pub use agent::AgentInjector;
pub use environment::MachineEnvironment;
pub use injector::NAME;
pub use inventory::{MachineInventory, machine_place};
