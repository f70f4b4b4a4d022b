//! An older kernel than this one, as far as a command can tell.

use std::{io, os::unix::process::CommandExt as _, process::Command};

/// `BPF_LINK_CREATE`, by which programs are attached on TCX links.
const LINK_CREATE: u32 = 28;

/// Makes a command, and all that it starts, meet a kernel that knows no TCX links: attaching one is answered with `EINVAL`,
/// as Linux before 6.6 does. Takes root.
pub fn without_tcx(command: &mut Command) {
    let filter = filter();
    #[expect(unsafe_code, reason = "a filter of system calls is set between fork and exec")]
    // SAFETY: the closure only makes one system call, which is async-signal-safe, and reads what it owns.
    unsafe {
        command.pre_exec(move || install(&filter));
    }
}

/// Answers `bpf(BPF_LINK_CREATE, …)` with `EINVAL` and lets everything else pass.
fn filter() -> [libc::sock_filter; 6] {
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, answer) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET,
    );
    // Of `seccomp_data`: the number of the call, and the lower half of its first argument on a little-endian machine.
    let (number, first) = (0, 16);
    [
        op(load, 0, 0, number),
        op(equal, 0, 3, libc::SYS_bpf as u32),
        op(load, 0, 0, first),
        op(equal, 0, 1, LINK_CREATE),
        op(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        op(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    #[expect(unsafe_code, reason = "prctl has no safe wrapper for this")]
    // SAFETY: `program` points at `filter`, and both outlive the call; the kernel only reads them.
    let status = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
