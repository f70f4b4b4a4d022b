//! Everything that changes the world and puts it back.
//!
//! 1. [`NetworkInjector`] puts network faults in place and takes them back, inside this process. A runner usually
//!    reaches it through an agent (the crate `chaos-agent`), which hosts it in a process of its own.
//! 2. It asks [`capability`] what this kernel and this user can do, and gives every fault the best [`backend`] there is,
//!    saying why not another.
//! 3. Backends stand on [`bpf`] (programs on interfaces), [`netlink`] (the kernel's queues and filters) and
//!    [`forwarder`] (packets held in user space).
//! 4. [`ProcessInjector`] does what is done to processes: an agent hosts it beside the network injector.
//! 5. [`MachineInventory`] finds this machine, its named network namespaces and its processes; [`MachineEnvironment`]
//!    says where they are.
//!
//! ```no_run
//! use chaos_agent::{Agents, ChildProcess, Host, OwnThread};
//! use chaos_faults::{NAME, NetworkInjector, backend::Holding, handles};
//!
//! // A program that offers agents has a subcommand that calls `chaos_agent::serve_standard_streams`.
//! let injector = Agents::new(ChildProcess::new("/usr/bin/chaos", ["agent"])).injector(NAME, handles);
//! // A program that has none lets a thread of its own do the work.
//! let thread = OwnThread::new(|settings| {
//!     Ok(Host::new().injector(NetworkInjector::of(settings, Holding::KernelOnly)?))
//! });
//! let injector = Agents::new(thread).injector(NAME, handles);
//! ```

pub mod backend;
pub mod bpf;
pub mod capability;
mod environment;
mod evidence;
pub mod forwarder;
mod holder;
mod injector;
pub mod inventory;
mod living;
mod named;
mod namespaces;
pub mod netlink;
mod network;
mod pidfd;
mod priority;
pub mod processes;
mod resolvers;
mod sessions;
mod settings;
pub mod share;

pub use backend::ground::namespace_cookie;
pub use environment::MachineEnvironment;
pub use injector::{NetworkInjector, handles};
pub use inventory::{MachineInventory, machine_place};
pub use namespaces::NAME;
pub use processes::ProcessInjector;
pub use settings::Settings;
