//! Who holds a lock (`flock`), as far as the kernel says it.

use std::{fmt, fs, fs::File, os::unix::fs::MetadataExt as _};

use nix::sys::stat::{major, minor};

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its program's name, where it may be read.
    pub program: Option<String>,
    /// Whether it was stopped, by a signal or a debugger.
    pub stopped: bool,
}

impl Holder {
    /// Finds who holds the lock of a file; none where nobody does, or the kernel does not say (proc_locks(5)).
    pub fn of(file: &File) -> Option<Holder> {
        let metadata = file.metadata().ok()?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        let wanted = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let pid = locks.lines().find_map(|line| held_by(line, &wanted))?;
        let (program, state) = fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| {
                // The name stands in parentheses and may hold some.
                let (name, rest) = (stat.split_once('(')?.1.rsplit_once(')')?.0, stat.rsplit_once(')')?.1);
                Some((name.to_owned(), rest.trim_start().chars().next()))
            })
            .map_or((None, None), |(name, state)| (Some(name), state));
        Some(Holder { pid, program, stopped: matches!(state, Some('T' | 't')) })
    }

    /// Returns what helps to get the lock from it.
    pub fn help(&self) -> String {
        let pid = self.pid;
        if self.stopped {
            return format!("let it go on with `kill -CONT {pid}`, or end it with `kill -KILL {pid}`");
        }
        format!("look at what process {pid} does; if it hangs, end it with `kill {pid}`")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(program) = &self.program {
            write!(f, " (`{program}`)")?;
        }
        if self.stopped { f.write_str(", which is stopped") } else { Ok(()) }
    }
}

/// Reads a line such as `1: FLOCK  ADVISORY  WRITE 708 00:13:16292 0 EOF`; those that wait have `->` behind their number.
fn held_by(line: &str, wanted: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse::<u32>().ok()?;
    (words.next()? == wanted && pid != 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Holder::of(&file), None);
        file.lock().unwrap();
        let holder = Holder::of(&file).unwrap();
        assert_eq!((holder.pid, holder.stopped), (std::process::id(), false));
        assert!(holder.to_string().starts_with(&format!("process {} (`", std::process::id())), "{holder}");
    }

    #[test]
    fn lines_of_other_locks_are_passed_over() {
        let wanted = "08:01:77";
        assert_eq!(held_by("1: FLOCK  ADVISORY  WRITE 708 08:01:77 0 EOF", wanted), Some(708));
        for other in [
            "1: POSIX  ADVISORY  WRITE 708 08:01:77 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 708 08:01:77 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 708 08:01:770 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:01:77 0 EOF",
            "1: FLOCK",
            "",
        ] {
            assert_eq!(held_by(other, wanted), None, "{other}");
        }
    }
}
