//! Packets vanish.

use crate::{
    backend::Mechanism,
    bpf,
    forwarder::Shape,
    netlink::{Bursts, Loss, Netem},
};

/// The program on the interface counts and ends with its holder, so it comes first.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Tcx, Mechanism::Netem, Mechanism::Forwarder];

pub(super) fn action(ratio: f64, burst: Option<u32>) -> Result<bpf::Action, String> {
    let ratio = bpf::Probability::new(ratio).map_err(|error| error.to_string())?;
    let loss = match burst {
        None => bpf::Loss::Independent(ratio),
        Some(length) => bpf::Loss::bursts(ratio, length.into()).map_err(|error| error.to_string())?,
    };
    Ok(bpf::Action::Drop(loss))
}

pub(super) fn netem(netem: &mut Netem, ratio: f64, burst: Option<u32>) -> Result<(), String> {
    netem.loss = match burst {
        None => Loss::random(ratio),
        Some(length) => {
            Loss::Bursts(Bursts::of_length(ratio, length.into()).map_err(|error| error.to_string())?)
        }
    };
    Ok(())
}

pub(super) fn shape(shape: &mut Shape, ratio: f64, burst: Option<u32>) -> Result<(), String> {
    if let bpf::Action::Drop(loss) = action(ratio, burst)? {
        shape.loss = Some(loss);
    }
    Ok(())
}
