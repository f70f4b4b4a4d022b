//! What a program of a file's own may do on a lab host: as little as a server needs.
//!
//! A lab's first process is root, on the machine or in a user namespace, because making hosts takes that. What it starts for a
//! file runs as the user `nobody` where that user can be become, without any capability, and can gain none by executing
//! something else. A host's ports below 1024 and its echo requests are open to every user instead.

use std::{fs, io, os::unix::process::CommandExt as _, process::Command};

use nix::errno::Errno;

/// The user and the group that programs become: `nobody` and its group, as every Linux numbers them.
const NOBODY: u32 = 65534;

/// The variables that every program gets, where they are set.
const USUAL: [&str; 6] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM"];

/// How a program's rights are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    user: Option<u32>,
}

impl Rights {
    /// Finds out what this process can become: in the user namespace of an ordinary user there is nobody else.
    pub(super) fn least() -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let mapped = holds(&read("uid_map"), NOBODY) && holds(&read("gid_map"), NOBODY);
        let groups = read("setgroups").trim() != "deny";
        Rights { user: (mapped && groups).then_some(NOBODY) }
    }

    /// Returns whether programs run as somebody other than this process.
    pub(super) fn changes_user(self) -> bool {
        self.user.is_some()
    }

    /// Has a program give up everything else before it begins.
    #[expect(
        unsafe_code,
        reason = "std sets users and groups but drops neither capabilities nor the way back to them"
    )]
    pub(super) fn limit(self, command: &mut Command) {
        let user = self.user;
        // SAFETY: the closure makes system calls on plain numbers and on memory of its own stack, all of which are
        // async-signal-safe; it neither allocates nor takes locks.
        unsafe {
            command.pre_exec(move || give_up(user));
        }
    }
}

/// Gives a program the usual variables and those that are named, and no others.
pub(super) fn clean_environment(command: &mut Command, named: &[String]) {
    command.env_clear();
    for name in USUAL.into_iter().chain(named.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// Lets every user of the current network namespace open any port and send echo requests: it is a host of a lab.
pub(super) fn open_ports() {
    let set = |switch: &str, value: &str| fs::write(format!("/proc/sys/net/ipv4/{switch}"), value).is_ok();
    // A `/proc` that cannot be written leaves the ports to root; a program that needs one says so, and `as root` helps.
    let _ = set("ip_unprivileged_port_start", "0");
    // Where few groups exist, in a user namespace, only those can be named.
    let _ = set("ping_group_range", "0 2147483647") || set("ping_group_range", "0 0");
}

/// Returns whether an id exists in a user namespace, by the map of that.
fn holds(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [first, _, count] = numbers[..] else { return false };
        (first..first + count).contains(&u64::from(id))
    })
}

fn give_up(user: Option<u32>) -> io::Result<()> {
    // First what would come back: executing a file as root, or one with rights of its own.
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Err(Errno::EINVAL) => break,
            done => done?,
        }
    }
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    if let Some(id) = user {
        nix::unistd::setgroups(&[])?;
        nix::unistd::setresgid(id.into(), id.into(), id.into())?;
        nix::unistd::setresuid(id.into(), id.into(), id.into())?;
    }
    drop_capabilities()
}

#[expect(unsafe_code, reason = "nix has no wrapper for these options")]
fn prctl(option: libc::c_int, value: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: both options take plain numbers; the kernel touches no memory of ours.
    Errno::result(unsafe { libc::prctl(option, value, 0, 0, 0) }).map(drop)
}

#[expect(unsafe_code, reason = "neither std nor nix sets capabilities")]
fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`, whose sets take two words of 32 bits each.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: the kernel reads a header of two words and, of this version, two times three words of sets; both arrays live on.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_exists_where_the_map_says_so() {
        assert!(holds("         0          0 4294967295\n", NOBODY), "the whole machine");
        assert!(holds("0 100000 65536\n", NOBODY), "a container with a range of its own");
        assert!(!holds("         0       1000          1\n", NOBODY), "an ordinary user's namespace");
        assert!(!holds("0 100000 65534\n", NOBODY));
        assert!(holds("0 1000 1\n1 100000 65536\n", NOBODY), "a user with subordinate ids");
        assert!(!holds("", NOBODY));
    }
}
