//! Nothing passes either way.

use crate::{backend::Mechanism, bpf, forwarder::Shape};

/// Both directions are needed, and queues only see what is sent.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Tcx, Mechanism::Forwarder];

pub(super) fn action() -> bpf::Action {
    bpf::Action::Drop(bpf::Loss::Independent(bpf::Probability::ALWAYS))
}

pub(super) fn shape(shape: &mut Shape) {
    shape.loss = Some(bpf::Loss::Independent(bpf::Probability::ALWAYS));
}
