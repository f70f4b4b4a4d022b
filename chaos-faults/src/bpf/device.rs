//! An interface, and the network namespace it lives in.

use std::io;
use std::os::fd::AsRawFd;

use chaos_netns::Namespace;

use super::BpfError;

/// An interface in a namespace.
#[derive(Debug, Clone)]
pub struct Device {
    namespace: Option<Namespace>,
    name: String,
    index: u32,
    /// The kind of link (`ARPHRD_*`).
    hardware: u16,
    mtu: u32,
}

impl Device {
    /// Finds an interface by name; no namespace means the one this process is in.
    ///
    /// # Errors
    /// The namespace cannot be entered, or there is no such interface in it.
    pub fn find(namespace: Option<Namespace>, name: &str) -> Result<Self, BpfError> {
        let mut device = Self { namespace, name: name.to_owned(), index: 0, hardware: 0, mtu: 0 };
        let wanted = name.to_owned();
        let (index, hardware, mtu) = device
            .inside(move || describe(&wanted))?
            .map_err(|source| BpfError::NoDevice { name: name.to_owned(), source })?;
        device.index = index;
        device.hardware = hardware;
        device.mtu = mtu;
        Ok(device)
    }

    /// Describes an Ethernet-like interface that was just made.
    pub(crate) fn known(namespace: Option<Namespace>, name: String, index: u32, mtu: u32) -> Self {
        Self { namespace, name, index, hardware: libc::ARPHRD_ETHER, mtu }
    }

    /// Returns the interface's name at the time it was found.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the interface's number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Returns the namespace, unless it is the process's own.
    pub fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// Returns whether frames with an Ethernet header can be sent on it to somebody else.
    pub fn is_ethernet(&self) -> bool {
        self.hardware == libc::ARPHRD_ETHER
    }

    /// Returns the largest packet the interface takes, in bytes without the link header.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Runs something in the device's namespace: on a thread of its own, unless that is where this process is.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BpfError> {
        let Some(namespace) = self.namespace.clone() else { return Ok(work()) };
        let refused = |error: chaos_netns::NamespaceError| BpfError::Namespace {
            device: self.name.clone(),
            source: error.into(),
        };
        namespace.run(work).map_err(refused)
    }
}

/// Asks the kernel for an interface's number, kind and MTU, in the namespace of this thread.
fn describe(name: &str) -> io::Result<(u32, u16, u32)> {
    let index = nix::net::if_::if_nametoindex(name)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?;
    let mut request = request_for(name);
    interface_ioctl(&socket, libc::SIOCGIFMTU as libc::Ioctl, &mut request)?;
    let mtu = request_number(&request);
    let mut request = request_for(name);
    interface_ioctl(&socket, libc::SIOCGIFHWADDR as libc::Ioctl, &mut request)?;
    Ok((index, request_family(&request), mtu.max(0).cast_unsigned()))
}

#[expect(unsafe_code, reason = "ifreq is a C union")]
fn request_for(name: &str) -> libc::ifreq {
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from.cast_signed();
    }
    request
}

#[expect(unsafe_code, reason = "interface ioctls have no safe wrapper")]
fn interface_ioctl(
    socket: &socket2::Socket,
    request: libc::Ioctl,
    argument: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: these requests read the name in the ifreq and write its union, nothing else.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut *argument) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "ifreq is a C union")]
fn request_number(request: &libc::ifreq) -> i32 {
    // SAFETY: every bit pattern is a valid integer, and SIOCGIFMTU wrote this member.
    unsafe { request.ifr_ifru.ifru_mtu }
}

#[expect(unsafe_code, reason = "ifreq is a C union")]
fn request_family(request: &libc::ifreq) -> u16 {
    // SAFETY: every bit pattern is a valid integer, and SIOCGIFHWADDR wrote this member.
    unsafe { request.ifr_ifru.ifru_hwaddr.sa_family }
}
