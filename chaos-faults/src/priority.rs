//! Who gets the processor first: an agent comes before all ordinary work, and threads it starts inherit that.

/// Makes this thread an ordinary one again, one of the first among them where it was given that: for threads whose work
/// is as much as the traffic they hold, which must not take a processor from everybody else.
#[expect(unsafe_code, reason = "sched_setscheduler(2) has no safe wrapper")]
pub(crate) fn be_ordinary() {
    // The kernel's `struct sched_param` has this one number; the C libraries' differ, and musl's function refuses.
    let none: libc::c_int = 0;
    // SAFETY: the parameter is a number that outlives the call and that the kernel only reads; giving a priority up needs no right.
    unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const none);
    }
}
