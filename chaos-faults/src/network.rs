//! Which mechanism does which network fault.
//!
//! 1. [`order`] says which mechanisms can do a kind of fault at all, and which of them it would have first.
//! 2. [`choose`] splits what is asked for among the mechanisms that are available, and says why not others.
//!
//! How a mechanism expresses a fault stands beside its doing and undoing, in [`backend`](crate::backend).

#![warn(clippy::wildcard_enum_match_arm)]

mod choice;
pub(crate) mod cost;

use chaos_core::model::{FaultSpec, packets::Refusal};

pub(crate) use self::choice::{Terrain, choose};
use crate::backend::Mechanism::{self, Forwarder, Netem, Nft, Tbf, Tcx};

/// Returns the mechanisms that can do a fault at all, best first.
pub(crate) fn order(spec: &FaultSpec) -> &'static [Mechanism] {
    match spec {
        // The kernel's own emulator where there is one; a program on an interface cannot hold a packet.
        FaultSpec::Delay { .. } | FaultSpec::Reorder { .. } => &[Netem, Forwarder],
        // The token bucket knows bursts, netem sends evenly.
        FaultSpec::Bandwidth { .. } => &[Tbf, Netem, Forwarder],
        // The program on the interface counts and ends with its holder, so it comes first.
        FaultSpec::Loss { .. } | FaultSpec::Duplicate { .. } => &[Tcx, Netem, Forwarder],
        // Checksums have to be finished first, or whoever finishes them signs the damage as good; no program can do that.
        FaultSpec::Corrupt { .. } => &[Netem, Forwarder],
        // As for a loss; of the queues' blocks there is only one of all connections.
        FaultSpec::Block { answer: Refusal::Drop, .. } => &[Tcx, Netem, Forwarder],
        // Only a table answers the sender.
        FaultSpec::Block { answer: Refusal::Reject, .. } => &[Nft],
        // Both directions are needed, and queues see only what is sent.
        FaultSpec::Partition => &[Tcx, Forwarder],
    }
}

/// Returns whether it lets any packet go on.
pub(crate) fn lets_pass(spec: &FaultSpec) -> bool {
    match spec {
        FaultSpec::Partition | FaultSpec::Block { .. } => false,
        FaultSpec::Delay { .. }
        | FaultSpec::Loss { .. }
        | FaultSpec::Duplicate { .. }
        | FaultSpec::Corrupt { .. }
        | FaultSpec::Reorder { .. }
        | FaultSpec::Bandwidth { .. } => true,
    }
}
