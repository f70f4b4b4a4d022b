//! Puts a program on an interface, and takes it off by closing a descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::matching::Direction;
use super::program::Program;
use super::syscall::{Attributes, Command, ask};
use super::{BpfError, Device};

/// `BPF_F_BEFORE` without an anchor: run before every other program, since an earlier one's `TCX_PASS` would hide ours.
const BEFORE: u32 = 1 << 3;

/// A program on one direction of one interface, for as long as this lives.
///
/// The descriptor is close-on-exec and held by nobody else, so that the kernel takes the program off when the process
/// ends, in whatever way.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
    target: String,
}

impl Link {
    /// Attaches a program to the device, before all others.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel refuses: below Linux 6.6 there is no TCX.
    pub fn attach(device: &Device, direction: Direction, program: &Program) -> Result<Self, BpfError> {
        let (index, program) = (device.index(), program.as_raw_fd());
        let fd = device.inside(move || attach_here(index, direction, program))?;
        let fd = fd.map_err(|source| refused("attach a BPF program", device.name(), source))?;
        Ok(Self { fd: raise(fd), target: device.name().to_owned() })
    }

    /// Puts another program in the place of the present one; no packet passes in between.
    ///
    /// # Errors
    /// The kernel's refusal, for example because the interface is gone.
    pub fn replace(&self, program: &Program) -> Result<(), BpfError> {
        Attributes::new()
            .u32(0, self.fd.as_raw_fd().cast_unsigned())
            .u32(4, program.as_raw_fd().cast_unsigned())
            .call(Command::LinkUpdate)
            .map(drop)
            .map_err(|source| refused("replace a BPF program", &self.target, source))
    }

    /// Returns whether the program is still on the device: the kernel takes it off with the interface, and whoever may can detach
    /// the link.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn is_attached(&self) -> Result<bool, BpfError> {
        let mut about = [0_u64; 32];
        ask(&self.fd, &mut about).map_err(|source| refused("look at a BPF program", &self.target, source))?;
        // `tcx.ifindex` of `struct bpf_link_info`, at byte 16: 0 once it is detached.
        Ok(u64::to_ne_bytes(about[2])[..4] != [0; 4])
    }

    /// Takes the program off; dropping does the same.
    pub fn detach(self) {
        drop(self);
    }
}

/// One program that is attached to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// The kernel's number of the program.
    pub program: u32,
    /// The kernel's number of the link that holds it; zero if it was attached without one.
    pub link: u32,
}

/// Returns what is attached to one direction of a device, in the order it runs.
///
/// # Errors
/// The namespace cannot be entered, or the kernel refuses.
pub fn attached(device: &Device, direction: Direction) -> Result<Vec<Attached>, BpfError> {
    let index = device.index();
    let found = device.inside(move || {
        let (mut programs, mut links) = ([0_u32; 64], [0_u32; 64]);
        let mut attributes = Attributes::new()
            .u32(0, index)
            .u32(4, attach_type(direction))
            .pointer(16, programs.as_mut_ptr().cast_const())
            .u32(24, 64)
            .pointer(40, links.as_mut_ptr().cast_const());
        attributes.call(Command::ProgQuery)?;
        let count = (attributes.get_u32(24) as usize).min(64);
        let (programs, links) = (std::hint::black_box(programs), std::hint::black_box(links));
        Ok((0..count).map(|at| Attached { program: programs[at], link: links[at] }).collect())
    })?;
    found.map_err(|source| refused("query BPF programs", device.name(), source))
}

fn attach_type(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => 46,
        Direction::Egress => 47,
    }
}

/// Attaches in the namespace of this thread.
pub(super) fn attach_here(index: u32, direction: Direction, program: RawFd) -> io::Result<OwnedFd> {
    create(program, index, attach_type(direction), BEFORE)
}

/// `BPF_LINK_CREATE`; the target is an interface's number.
fn create(program: RawFd, target: u32, attach_type: u32, flags: u32) -> io::Result<OwnedFd> {
    Attributes::new()
        .u32(0, program.cast_unsigned())
        .u32(4, target)
        .u32(8, attach_type)
        .u32(12, flags)
        .open(Command::LinkCreate)
}

fn refused(what: &'static str, target: &str, source: io::Error) -> BpfError {
    let remedy = match source.raw_os_error() {
        Some(libc::EINVAL) => "TCX needs Linux 6.6 or newer",
        Some(libc::EPERM) => "CAP_BPF and CAP_NET_ADMIN are needed, outside of any user namespace",
        Some(libc::ENODEV | libc::ENOLINK) => "the interface is gone",
        _ => "look for other programs with `bpftool net`",
    };
    BpfError::Link { what, target: target.to_owned(), source, remedy }
}

/// Moves a descriptor to a high number.
///
/// A dying process's descriptors are let go highest number first: what steers packets away must go before what they are
/// steered to, or they fall into a hole for as long as the kernel takes over the rest.
pub(super) fn raise(fd: OwnedFd) -> OwnedFd {
    for lowest in [900, 200] {
        if let Some(high) = duplicate_above(&fd, lowest) {
            return high;
        }
    }
    fd
}

#[expect(
    unsafe_code,
    reason = "fcntl(F_DUPFD_CLOEXEC) with a lowest number has no safe wrapper that returns an owned descriptor"
)]
fn duplicate_above(fd: &OwnedFd, lowest: i32) -> Option<OwnedFd> {
    // SAFETY: the descriptor is open for the length of the call, and the new one is ours alone.
    unsafe {
        let high = libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest);
        (high >= 0).then(|| OwnedFd::from_raw_fd(high))
    }
}
