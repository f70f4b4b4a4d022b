//! The one system call everything else here is made of.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// How often a program is loaded that signals interrupt.
const LOAD_TRIES: u32 = 16;

/// Commands of `bpf(2)` (`enum bpf_cmd`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    ProgLoad = 5,
    ProgramById = 13,
    MapById = 14,
    ObjectInfo = 15,
    ProgQuery = 16,
    LinkCreate = 28,
    LinkUpdate = 29,
}

/// The `union bpf_attr` of one call: fields are written at their documented offsets, everything else stays zero.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    bytes: [u8; Self::SIZE],
}

impl Attributes {
    /// Long enough for every command used here; the kernel accepts a longer union as long as its tail is zero.
    const SIZE: usize = 128;

    pub(super) fn new() -> Self {
        Self { bytes: [0; Self::SIZE] }
    }

    pub(super) fn u32(mut self, at: usize, value: u32) -> Self {
        self.bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn u64(mut self, at: usize, value: u64) -> Self {
        self.bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn pointer<T>(self, at: usize, value: *const T) -> Self {
        self.u64(at, value as u64)
    }

    /// Writes a name of at most 15 bytes, cut if longer.
    pub(super) fn name(mut self, at: usize, name: &str) -> Self {
        let length = name.len().min(15);
        self.bytes[at..at + length].copy_from_slice(&name.as_bytes()[..length]);
        self
    }

    pub(super) fn get_u32(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_ne_bytes(word)
    }

    /// Calls `bpf(2)`; the kernel may write answers into the attributes.
    #[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
    pub(super) fn call(&mut self, command: Command) -> io::Result<i32> {
        let mut tries = 1;
        loop {
            // SAFETY: the union is readable and writable for its whole length; every pointer inside was made by the caller
            // from a buffer that outlives this call and is as long as the attributes next to it say.
            let answer = unsafe {
                libc::syscall(
                    libc::SYS_bpf,
                    command as libc::c_long,
                    self.bytes.as_mut_ptr(),
                    self.bytes.len(),
                )
            };
            if answer >= 0 {
                return Ok(answer as i32);
            }
            let error = io::Error::last_os_error();
            // The verifier gives up where a signal waits for this thread (`do_check` in kernel/bpf/verifier.c), and the next call
            // has it handled; libbpf calls again, too.
            if command != Command::ProgLoad
                || error.kind() != io::ErrorKind::WouldBlock
                || tries == LOAD_TRIES
            {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// Calls `bpf(2)` for a command that answers with a descriptor, which the kernel opens close-on-exec.
    #[expect(unsafe_code, reason = "takes ownership of the descriptor that the kernel just made")]
    pub(super) fn open(&mut self, command: Command) -> io::Result<OwnedFd> {
        // SAFETY: the kernel made this descriptor for us and nobody else knows it.
        self.call(command).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// `BPF_OBJ_GET_INFO_BY_FD`; the kernel writes as much of its structure as there is room for.
pub(super) fn ask(object: &OwnedFd, about: &mut [u64; 32]) -> io::Result<()> {
    Attributes::new()
        .u32(0, object.as_raw_fd().cast_unsigned())
        .u32(4, size_of_val(about) as u32)
        .pointer(8, about.as_mut_ptr().cast_const())
        .call(Command::ObjectInfo)?;
    // The kernel wrote through an address the compiler does not know of.
    std::hint::black_box(about);
    Ok(())
}
