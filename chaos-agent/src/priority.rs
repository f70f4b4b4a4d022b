//! Who gets the processor first on a machine that is busy, perhaps because of the fault itself.

use std::io;

/// Asks for the processor before all ordinary work, for this thread and those it will start.
///
/// An agent that waits seconds for its turn is taken for dead, and the run ends for nothing; and a fault that is to be
/// undone stays. Its own work is some calls now and then. Where the right to it is missing, things stay as they are.
#[expect(unsafe_code, reason = "setpriority(2) and sched_setscheduler(2) have no safe wrapper")]
pub(crate) fn come_first() {
    const BEFORE_ALL_ORDINARY: libc::c_int = -20;
    // The lowest that is real time: whoever needs the machine's promises more comes before. The kernel's `struct sched_param`
    // has this one number; the C libraries' differ.
    let real_time: libc::c_int = 1;
    // SAFETY: a call with plain numbers; where the right to it is missing it changes nothing.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, BEFORE_ALL_ORDINARY);
    }
    // Not by the C library: musl refuses, because the kernel knows threads where POSIX means processes, and a thread is meant here.
    // SAFETY: the parameter is a number that outlives the call and that the kernel only reads.
    if unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_RR, &raw const real_time) } != 0 {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "no real-time priority: on a busy machine the agent waits for its turn");
    }
}
