//! Packets overtake those before them.

use std::time::Duration;

use crate::{
    backend::Mechanism,
    bpf,
    forwarder::Shape,
    netlink::{Netem, Probability, netem::Reorder},
};

/// As for a delay: most packets are held, and a program on an interface cannot hold any.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Netem, Mechanism::Forwarder];

/// Joined with a delay the others are held for both; those that go at once overtake both.
pub(super) fn netem(netem: &mut Netem, ratio: f64, hold: Duration) {
    netem.delay += hold;
    netem.reorder = Some(Reorder {
        probability: Probability::from_ratio(ratio),
        correlation: Probability::NEVER,
        gap: 1,
    });
}

/// As [`netem`].
pub(super) fn shape(shape: &mut Shape, ratio: f64, hold: Duration) -> Result<(), String> {
    shape.reorder = bpf::Probability::new(ratio).map_err(|error| error.to_string())?;
    shape.delay += hold;
    Ok(())
}
