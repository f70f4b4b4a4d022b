//! Whether queries for names can be reached where a fault is to stand.

use std::net::IpAddr;

use chaos_core::{injector::Peer, place::ObjectId, trouble::Trouble};

use super::carriers::Layout;

/// Refuses a place whose first DNS servers are its own: what they are asked never leaves by an interface that a forwarder can
/// stand on.
pub(crate) fn check(object: &ObjectId, servers: &[IpAddr], layout: &Layout) -> Result<(), Trouble> {
    let own = |address: &&IpAddr| {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        address.is_loopback() || layout.is_own(&Peer { network: **address, prefix, port: None })
    };
    let Some(own) = servers.iter().find(own) else { return Ok(()) };
    Err(Trouble::unable(format!(
        "{object} asks the DNS server {own}, which is its own: such queries stay on the loopback, where a forwarder cannot hold them"
    ))
    .with_help(
        "let its `resolv.conf` name the servers that this one asks (`resolvectl dns` lists those of systemd-resolved), or aim the fault \
         at a network namespace or a lab host whose server is elsewhere",
    ))
}
