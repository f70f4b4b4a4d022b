//! Faults that the kernel holds: BPF programs on TCX links, written instruction by instruction and loaded over `bpf(2)`.
//!
//! 1. [`assembler`] turns mnemonics and labels into instructions.
//! 2. [`matching`] compiles which packets a rule is about, [`action`] what happens to them.
//! 3. [`program`] loads instructions and keeps the maps they count in; [`link`] puts a program on an interface,
//!    [`look`] finds whose rules are on one.
//! 4. [`hold`] is all of it together: one program per device and direction with every rule on it, replaced as a whole
//!    whenever a rule comes or goes. Dropping the hold, or the death of its process in whatever way, ends every fault on it.
//! 5. [`probe`](probe()) finds out by trying whether this kernel and this user can do any of that.
//!
//! No compiler, no ELF object and no C library is involved, so the same static binary works in an empty container.

pub mod action;
pub mod assembler;
pub mod device;
mod error;
pub mod hold;
pub mod link;
pub mod look;
pub mod matching;
mod probe;
pub mod program;
mod syscall;

pub use self::action::{Action, Loss};
pub use self::device::Device;
pub use self::error::BpfError;
pub use self::hold::{Counters, Deadline, Hold, Rule, RuleId};
pub use self::matching::{Direction, PacketMatch, Peer, Ports, Protocol};
pub(crate) use self::probe::probe_on;
pub use self::probe::{Support, probe};
