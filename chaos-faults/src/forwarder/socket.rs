//! Packet sockets that read and send whole frames with segmentation and checksums still left to the hardware.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::frame::{self, OFFLOADS};

/// The longest frame that is read: the largest segmentable packet, its headers and a tag.
const LONGEST: usize = OFFLOADS + 65_536 + 64;

/// Room that is asked of the kernel for frames that were not read yet.
const BUFFER: libc::c_int = 32 << 20;

/// A packet socket of one interface, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket that only sends, past the qdisc and so past whatever steered packets to us.
    pub(super) fn sender(interface: u32) -> io::Result<Self> {
        Self::open(interface, 0)
    }

    /// Opens a socket that reads everything the interface receives, and sends as well.
    pub(super) fn receiver(interface: u32) -> io::Result<Self> {
        let socket = Self::open(interface, (libc::ETH_P_ALL as u16).to_be())?;
        socket.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        Ok(socket)
    }

    #[expect(unsafe_code, reason = "packet sockets with a protocol in network order have no safe wrapper")]
    fn open(interface: u32, protocol: u16) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket(2) takes no pointers, and the descriptor it returns is ours alone. No protocol yet: nothing of
        // other interfaces may arrive before the socket is bound.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let socket = Self { fd };
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
        for (force, ask) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            // In a user namespace the limits of the machine hold.
            socket
                .set(libc::SOL_SOCKET, force, BUFFER)
                .or_else(|_| socket.set(libc::SOL_SOCKET, ask, BUFFER))?;
        }
        // SAFETY: the address is a valid sockaddr_ll of the length given.
        let bound = unsafe {
            let mut address: libc::sockaddr_ll = mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = interface.cast_signed();
            libc::bind(
                socket.fd.as_raw_fd(),
                (&raw const address).cast(),
                mem::size_of_val(&address) as libc::socklen_t,
            )
        };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    #[expect(unsafe_code, reason = "packet socket options have no safe wrapper")]
    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the value is an integer of the length given.
        let answer = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                mem::size_of_val(&value) as libc::socklen_t,
            )
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reads one frame into `buffer`, VLAN tag included; returns whether there was one.
    #[expect(unsafe_code, reason = "control messages of packet sockets have no safe wrapper")]
    pub(super) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        buffer.clear();
        buffer.reserve(LONGEST);
        let mut control = [MaybeUninit::<u64>::uninit(); 16];
        // SAFETY: the message points to spare room of the buffer and to the control room, with their lengths; the kernel
        // reports how much of each it wrote, and no more than that is read.
        unsafe {
            let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST };
            let mut message: libc::msghdr = mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = mem::size_of_val(&control) as _;
            let length = libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
            if length < 0 {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) };
            }
            buffer.set_len(length as usize);
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if !header.is_null()
                && (*header).cmsg_level == libc::SOL_PACKET
                && (*header).cmsg_type == libc::PACKET_AUXDATA
            {
                let aside: libc::tpacket_auxdata = std::ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                if aside.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                    let known = aside.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
                    let protocol = if known { aside.tp_vlan_tpid } else { 0x8100 };
                    frame::insert_tag(buffer, protocol, aside.tp_vlan_tci);
                }
            }
        }
        Ok(true)
    }

    /// Sends a frame past the qdisc.
    #[expect(unsafe_code, reason = "send(2) on a packet socket, which std has no type for")]
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the frame is readable for its length.
        let sent = unsafe {
            libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Returns how many frames the kernel dropped since the last call because they were not read in time.
    #[expect(unsafe_code, reason = "packet socket options have no safe wrapper")]
    pub(super) fn take_overrun(&self) -> u64 {
        let mut found = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = mem::size_of_val(&found) as libc::socklen_t;
        // SAFETY: the kernel writes no more than the length given, into plain integers.
        let answer = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut found).cast(),
                &raw mut length,
            )
        };
        if answer < 0 { 0 } else { u64::from(found.tp_drops) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
