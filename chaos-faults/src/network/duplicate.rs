//! Packets arrive twice.

use crate::{
    backend::Mechanism,
    bpf,
    forwarder::Shape,
    netlink::{Netem, Probability},
};

/// The program on the interface counts and ends with its holder, so it comes first.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Tcx, Mechanism::Netem, Mechanism::Forwarder];

pub(super) fn action(ratio: f64) -> Result<bpf::Action, String> {
    bpf::Probability::new(ratio).map(bpf::Action::Duplicate).map_err(|error| error.to_string())
}

pub(super) fn netem(netem: &mut Netem, ratio: f64) {
    netem.duplicate = Probability::from_ratio(ratio);
}

pub(super) fn shape(shape: &mut Shape, ratio: f64) -> Result<(), String> {
    shape.duplicate = bpf::Probability::new(ratio).map_err(|error| error.to_string())?;
    Ok(())
}
