//! The link carries no more than so much.

use std::time::Duration;

use crate::{
    backend::Mechanism,
    forwarder::{self, Shape},
    netlink::{Netem, Tbf, netem::Rate},
};

/// The token bucket knows bursts, netem sends evenly; a program on an interface cannot hold a packet.
pub(super) const ORDER: &[Mechanism] = &[Mechanism::Tbf, Mechanism::Netem, Mechanism::Forwarder];

/// How long a packet waits at most before the queue is full and loses it, as a router with a plain buffer would.
const QUEUEING: Duration = Duration::from_millis(200);

/// `rate` is in bits per second, `burst` in bytes.
pub(super) fn token_bucket(rate: u64, burst: u64, mtu: u32) -> Result<Tbf, String> {
    let burst = u32::try_from(burst).map_err(|_| "its bursts are below 4 GiB".to_owned())?;
    let default = Tbf::for_rate((rate / 8).max(1), mtu, QUEUEING);
    // A bucket smaller than a packet would let none pass, ever.
    let smallest = mtu.saturating_add(18);
    let burst = burst.max(smallest);
    Ok(Tbf { burst, limit: default.limit.saturating_sub(default.burst).saturating_add(burst), ..default })
}

pub(super) fn netem(netem: &mut Netem, rate: u64) {
    netem.rate = Some(Rate { bytes_per_second: (rate / 8).max(1), ..Rate::default() });
}

pub(super) fn shape(shape: &mut Shape, rate: u64, burst: u64) {
    shape.rate = Some(forwarder::Rate { bits_per_second: rate, burst_bytes: burst, longest_wait: QUEUEING });
}
