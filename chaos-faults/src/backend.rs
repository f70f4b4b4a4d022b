//! The mechanisms by which network faults are done, each with its doing and undoing side by side.
//!
//! 1. [`Mechanism`] names them, [`Abilities`] says which are available here.
//! 2. [`tcx`] loses, doubles and damages in a program on the interface; [`netem`](tree) and tbf queue below an own root;
//!    [`forwarder`] holds packets in user space, [`nft`] refuses them and answers the sender.
//! 3. [`ground`] opens the namespace a fault is in; [`carriers`] says which of its interfaces the fault's packets pass, and
//!    [`absent`] looks there for what is left of it, and [`presence`] tells that from what somebody living has there.

mod abilities;
pub(crate) mod absent;
pub(crate) mod carriers;
pub(crate) mod forwarder;
pub(crate) mod ground;
pub(crate) mod layers;
pub(crate) mod nft;
pub(crate) mod presence;
pub(crate) mod programs;
pub(crate) mod queries;
pub(crate) mod tcx;
pub(crate) mod tree;

use std::fmt;

use chaos_core::trouble::Trouble;

pub use abilities::Abilities;

/// A way to do network faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// A BPF program on the interface, on a TCX link.
    Tcx,
    /// The kernel's network emulator, below an own root qdisc.
    Netem,
    /// The kernel's token bucket, below an own root qdisc.
    Tbf,
    /// User space, to which packets are redirected.
    Forwarder,
    /// An own nf_tables table, for refusals that answer the sender.
    Nft,
}

/// The names of all mechanisms, as offers and command lines have them.
pub const NAMES: [&str; 5] = ["tcx", "netem", "tbf", "forwarder", "nft"];

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 5] =
        [Mechanism::Tcx, Mechanism::Netem, Mechanism::Tbf, Mechanism::Forwarder, Mechanism::Nft];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Returns whether packets wait in it, so that of two such faults a packet passes one.
    pub(crate) fn holds_packets(self) -> bool {
        match self {
            Mechanism::Netem | Mechanism::Tbf | Mechanism::Forwarder => true,
            Mechanism::Tcx | Mechanism::Nft => false,
        }
    }

    /// Returns whether it stands on interfaces, rather than on the way of all packets of a namespace.
    pub(crate) fn is_on_interfaces(self) -> bool {
        match self {
            Mechanism::Tcx | Mechanism::Netem | Mechanism::Tbf | Mechanism::Forwarder => true,
            Mechanism::Nft => false,
        }
    }

    /// Finds one by name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What may end the faults of an agent if everything else fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// The kernel, or else the agent itself: it is a process of its own that outlives its runner.
    Agent,
    /// The kernel only: the agent would die together with its runner.
    KernelOnly,
}

/// Says that a mechanism cannot express what is asked of it.
pub(crate) fn inexpressible(why: impl ToString) -> Trouble {
    Trouble::unable(why.to_string())
}
