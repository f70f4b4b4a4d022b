//! Packets arrive later.

use std::time::Duration;

use chaos_core::model::Distribution;

use crate::{
    backend::Mechanism,
    forwarder::Shape,
    netlink::{self, Netem, Probability},
};

/// The kernel's own emulator where there is one; no program on an interface can hold a packet.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Netem, Mechanism::Forwarder];

pub(super) fn netem(
    netem: &mut Netem,
    delay: Duration,
    jitter: Duration,
    correlation: f64,
    distribution: Distribution,
) -> Result<(), String> {
    if jitter > Netem::LARGEST_JITTER {
        return Err(format!("it cuts a jitter at {:?}", Netem::LARGEST_JITTER));
    }
    netem.delay += delay;
    netem.jitter = jitter;
    netem.delay_correlation = Probability::from_ratio(correlation);
    netem.distribution = match distribution {
        Distribution::Uniform => netlink::Distribution::Uniform,
        Distribution::Normal => netlink::Distribution::Normal,
        Distribution::Pareto => netlink::Distribution::Pareto,
    };
    Ok(())
}

pub(super) fn shape(
    shape: &mut Shape,
    delay: Duration,
    jitter: Duration,
    correlation: f64,
    distribution: Distribution,
) {
    shape.delay += delay;
    shape.jitter = jitter;
    shape.correlation = correlation;
    shape.distribution = distribution;
}
