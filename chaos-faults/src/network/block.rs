//! Traffic is refused.

use chaos_core::model::fault::{Blocked, Refusal};

use crate::{
    backend::Mechanism,
    bpf,
    forwarder::Shape,
    netlink::{Loss, Netem},
};

/// The program on the interface counts and ends with its holder; the queues only know "all".
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Tcx, Mechanism::Netem, Mechanism::Forwarder];

/// Only a table answers the sender.
pub(super) const ORDER_REJECT: &[Mechanism] = &[Mechanism::Nft];

pub(super) fn action(connections: Blocked, answer: Refusal) -> Result<bpf::Action, String> {
    if answer == Refusal::Reject {
        return Err("a program on the interface cannot answer the sender".into());
    }
    Ok(match connections {
        Blocked::All => bpf::Action::Drop(bpf::Loss::Independent(bpf::Probability::ALWAYS)),
        Blocked::New => bpf::Action::DropOpening,
        Blocked::Established => bpf::Action::DropEstablished,
    })
}

pub(super) fn netem(netem: &mut Netem, connections: Blocked, answer: Refusal) -> Result<(), String> {
    if answer == Refusal::Reject {
        return Err("it cannot answer the sender".into());
    }
    if connections != Blocked::All {
        return Err("it cannot tell new connections from established ones".into());
    }
    netem.loss = Loss::random(1.0);
    Ok(())
}

pub(super) fn shape(shape: &mut Shape, connections: Blocked, answer: Refusal) -> Result<(), String> {
    if answer == Refusal::Reject {
        return Err("it cannot answer the sender".into());
    }
    if connections != Blocked::All {
        return Err("it cannot tell new connections from established ones".into());
    }
    super::partition::shape(shape);
    Ok(())
}
