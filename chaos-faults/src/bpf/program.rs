//! Loads programs and keeps the maps they count in.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::BpfError;
use super::syscall::{Attributes, Command};

/// The type of programs that see an interface's packets (`BPF_PROG_TYPE_SCHED_CLS`).
const SCHED_CLS: u32 = 3;

/// A program in the kernel, which stays for as long as this or a link holds it.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

impl Program {
    /// Loads the instructions of a program that sees an interface's packets.
    ///
    /// # Errors
    /// The kernel's refusal with a remedy and, where the verifier was the one to refuse, the tail of its log.
    pub fn load(name: &str, code: &[u64]) -> Result<Self, BpfError> {
        let attributes = Attributes::new()
            .u32(0, SCHED_CLS)
            .u32(4, u32::try_from(code.len()).map_err(|_| BpfError::JumpTooFar(code.len()))?)
            .pointer(8, code.as_ptr())
            .pointer(16, c"GPL".as_ptr())
            .name(48, name);
        // The log costs time and memory, so it is asked for only once the kernel has refused.
        attributes.clone().open(Command::ProgLoad).map(|fd| Self { fd }).map_err(|source| {
            let log = match source.raw_os_error() {
                Some(libc::EPERM) => String::new(),
                _ => verifier_log(attributes),
            };
            let remedy = match source.raw_os_error() {
                Some(libc::EPERM) => {
                    "CAP_BPF and CAP_NET_ADMIN are needed, outside of any user namespace (inside one BPF_PROG_LOAD is EPERM whatever the capabilities)"
                }
                Some(libc::ENOSYS) => "the kernel was built without bpf(2)",
                Some(libc::E2BIG) => "match fewer peers or ports",
                _ => "this is likely a kernel too old for an instruction or helper (Linux 6.6 or newer is needed)",
            };
            BpfError::Load { name: name.to_owned(), source, remedy, log }
        })
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Loads once more with a log and returns its last lines, on one line.
fn verifier_log(attributes: Attributes) -> String {
    let mut log = vec![0_u8; 1 << 16];
    let mut attributes = attributes.u32(24, 1).u32(28, 1 << 16).pointer(32, log.as_mut_ptr().cast_const());
    // The answer is known already; a success now would only mean that the refusal was passing.
    drop(attributes.open(Command::ProgLoad));
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

/// Returns the name of the maps that bear a mark.
pub(super) fn map_name(mark: u32) -> String {
    format!("chaos_{mark:08x}")
}

/// Tells whether a map bears a mark.
pub(super) fn is_map_name(name: &str) -> bool {
    name.strip_prefix("chaos_").is_some_and(|mark| mark.len() == 8 && u32::from_str_radix(mark, 16).is_ok())
}

/// An array map with one value of some 64-bit words, shared between a program and this process.
#[derive(Debug)]
pub struct Words {
    fd: OwnedFd,
    count: usize,
}

impl Words {
    /// Creates a map of `count` words, all zero, which [`look`](super::look) finds by its mark.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn new(count: usize, mark: u32) -> Result<Self, BpfError> {
        const ARRAY: u32 = 2;
        let size = u32::try_from(count * 8).map_err(|_| BpfError::OutOfRange {
            what: "the number of words of a map",
            value: count.to_string(),
            expected: "small",
        })?;
        Attributes::new()
            .u32(0, ARRAY)
            .u32(4, 4)
            .u32(8, size)
            .u32(12, 1)
            .name(28, &map_name(mark))
            .open(Command::MapCreate)
            .map(|fd| Self { fd, count })
            .map_err(|source| BpfError::Map { source })
    }

    /// Reads all words; each one whole, but not all at one instant.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn read(&self) -> Result<Vec<u64>, BpfError> {
        let mut value = vec![0_u64; self.count];
        let key = 0_u32;
        self.element(&raw const key)
            .pointer(16, value.as_mut_ptr().cast_const())
            .call(Command::MapLookup)
            .map_err(|source| BpfError::MapAccess { source })?;
        // The kernel wrote through an address the compiler does not know of.
        Ok(std::hint::black_box(value))
    }

    /// Writes all words.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn write(&self, value: &[u64]) -> Result<(), BpfError> {
        debug_assert_eq!(value.len(), self.count);
        let key = 0_u32;
        self.element(&raw const key)
            .pointer(16, value.as_ptr())
            .call(Command::MapUpdate)
            .map(drop)
            .map_err(|source| BpfError::MapAccess { source })
    }

    fn element(&self, key: *const u32) -> Attributes {
        Attributes::new().u32(0, self.fd.as_raw_fd().cast_unsigned()).pointer(8, key)
    }
}

impl AsRawFd for Words {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
