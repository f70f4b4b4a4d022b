//! Tries the door by which packets reach user space.

use std::io;

use chaos_netns::Namespace;
use socket2::{Domain, Socket, Type};

use crate::capability::{Capability, NAMESPACE_REMEDY};

/// Tries it inside a namespace.
pub(super) fn probe(namespace: &Namespace) -> Capability {
    match namespace.run(try_packet_socket) {
        Ok(tried) => packet_socket(tried),
        Err(error) => Capability::missing("packet-socket", format!("not tried: {error}"), NAMESPACE_REMEDY),
    }
}

fn try_packet_socket() -> io::Result<()> {
    Socket::new(Domain::PACKET, Type::RAW, None).map(drop)
}

fn packet_socket(tried: io::Result<()>) -> Capability {
    let Err(error) = tried else { return Capability::available("packet-socket") };
    let reason = format!("no packet socket can be opened: {error}");
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => Capability::missing(
            "packet-socket",
            reason,
            "`modprobe af_packet`, or a kernel with CONFIG_PACKET",
        ),
        _ => Capability::forbidden("packet-socket", reason, "run as root, or grant CAP_NET_RAW"),
    }
}
