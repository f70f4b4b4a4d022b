//! Looks at what the kernel has on an interface, whoever put it there.

use std::io;
use std::os::fd::OwnedFd;

use super::matching::Direction;
use super::program::{is_map_name, map_name};
use super::syscall::{Attributes, Command, ask};
use super::{BpfError, Device, link};

/// The most maps a program has.
const MOST_MAPS: u32 = 64;

/// Returns the links on a device and direction whose programs have a rule of this mark, or of any, as the kernel numbers them.
///
/// # Errors
/// The namespace cannot be entered, or the kernel refuses: without CAP_SYS_ADMIN it shows nobody's programs.
pub fn links_with(device: &Device, direction: Direction, mark: Option<u32>) -> Result<Vec<u32>, BpfError> {
    let attached = match link::attached(device, direction) {
        // Below Linux 6.6 there are no such links; on an interface that is gone, neither.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV)) => return Ok(vec![]),
        attached => attached?,
    };
    let is_it = |name: &str| match mark {
        Some(mark) => name == map_name(mark),
        None => is_map_name(name),
    };
    let mut found = Vec::new();
    for attached in attached {
        let has = has_map(attached.program, &is_it);
        let has = has.map_err(|source| BpfError::Link {
            what: "look at a BPF program",
            target: device.name().to_owned(),
            source,
            remedy: "CAP_SYS_ADMIN is needed to see the programs of others",
        })?;
        if has {
            found.push(attached.link);
        }
    }
    Ok(found)
}

/// Returns whether a program, by its number, has a map of such a name; one that has gone meanwhile has none.
fn has_map(program: u32, is_it: &impl Fn(&str) -> bool) -> io::Result<bool> {
    let Some(program) = there(open(Command::ProgramById, program))? else { return Ok(false) };
    let mut maps = [0_u32; MOST_MAPS as usize];
    let mut about = [0_u64; 32];
    // `nr_map_ids` and `map_ids` of `struct bpf_prog_info`, at bytes 52 and 56.
    about[6] = u64::from_ne_bytes(two(0, MOST_MAPS));
    about[7] = maps.as_mut_ptr() as u64;
    ask(&program, &mut about)?;
    let count = u64::to_ne_bytes(about[6]);
    let count = u32::from_ne_bytes([count[4], count[5], count[6], count[7]]).min(MOST_MAPS) as usize;
    for map in &std::hint::black_box(maps)[..count] {
        let Some(map) = there(open(Command::MapById, *map))? else { continue };
        let mut about = [0_u64; 32];
        ask(&map, &mut about)?;
        // `name` of `struct bpf_map_info`, at byte 24, 16 bytes long.
        let bytes = [about[3].to_ne_bytes(), about[4].to_ne_bytes()].concat();
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        if std::str::from_utf8(name).is_ok_and(is_it) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn two(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

fn open(command: Command, number: u32) -> io::Result<OwnedFd> {
    Attributes::new().u32(0, number).open(command)
}

fn there(opened: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
