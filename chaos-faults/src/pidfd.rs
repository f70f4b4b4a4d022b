//! Signals to a process by a descriptor of it, which is never of another one that got its number.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Opens the process that has a number now; that it is the one that is meant is to be looked at afterwards.
#[expect(unsafe_code, reason = "pidfd_open(2) has no safe wrapper")]
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers, and the descriptor that it answers with is ours alone.
    unsafe {
        let answer = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let descriptor = i32::try_from(answer).map_err(io::Error::other)?;
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }
}

/// Sends a signal; 0 sends none, and only says whether one could be sent.
#[expect(unsafe_code, reason = "pidfd_send_signal(2) has no safe wrapper")]
pub(crate) fn send(process: &OwnedFd, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the call, and no further information goes with the signal.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
