//! Tries the doors by which packets reach user space.

use std::{fs::OpenOptions, io, os::fd::AsRawFd};

use chaos_netns::Namespace;
use socket2::{Domain, Socket, Type};

use crate::capability::{Capability, NAMESPACE_REMEDY};

const TUN: &str = "/dev/net/tun";

/// Tries them inside a throw-away namespace.
pub(super) fn probe(namespace: &Namespace) -> [Capability; 2] {
    let tried = namespace.run(|| (try_packet_socket(), try_tun()));
    match tried {
        Ok((packet, tun)) => [packet_socket(packet), tunnel(tun)],
        Err(error) => ["packet-socket", "tun"]
            .map(|name| Capability::missing(name, format!("not tried: {error}"), NAMESPACE_REMEDY)),
    }
}

fn try_packet_socket() -> io::Result<()> {
    Socket::new(Domain::PACKET, Type::RAW, None).map(drop)
}

fn packet_socket(tried: io::Result<()>) -> Capability {
    let Err(error) = tried else { return Capability::available("packet-socket") };
    let remedy = match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => "`modprobe af_packet`, or a kernel with CONFIG_PACKET",
        _ => "run as root, or grant CAP_NET_RAW",
    };
    Capability::missing("packet-socket", format!("no packet socket can be opened: {error}"), remedy)
}

/// Makes a nameless TAP device, which is gone when the descriptor is.
fn try_tun() -> io::Result<()> {
    let device = OpenOptions::new().read(true).write(true).open(TUN)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short,
        },
    };
    #[expect(unsafe_code, reason = "TUNSETIFF has no safe wrapper")]
    // SAFETY: the descriptor is open, and `request` is an initialised ifreq that outlives the call.
    let status = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn tunnel(tried: io::Result<()>) -> Capability {
    let Err(error) = tried else { return Capability::available("tun") };
    let remedy = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "`modprobe tun`; in a container, hand in the device (`--device /dev/net/tun`)"
        }
        _ => "run as root, or grant access to /dev/net/tun and CAP_NET_ADMIN",
    };
    Capability::missing("tun", format!("no device can be made through `{TUN}`: {error}"), remedy)
}
