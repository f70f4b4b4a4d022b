//! One process: told from a later one of its number by its start, looked at in `/proc`, and sent signals by a descriptor.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    inventory::{Process, parse_started},
    living::{self, field},
    pidfd,
};

/// How long the kernel may take to stop a process, or to let it go on: one that waits for a disk does so first.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a process is looked at meanwhile.
const TICK: Duration = Duration::from_millis(1);

/// A process that something is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) pid: u32,
    /// Clock ticks between boot and its start.
    pub(super) started: u64,
    /// Its command line, or its name where it has none, for people.
    pub(super) command: String,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It runs, or waits for something.
    Runs,
    /// It waits where no signal reaches it yet.
    Deaf,
    /// It was told to stop, and has not yet: it is frozen, or waits for a disk.
    Stopping,
    /// It is stopped.
    Stopped,
    /// It may not be looked at.
    Unseen,
    /// It ended, or its number is another one's.
    Gone,
}

impl Subject {
    pub(super) fn of(process: Process) -> Self {
        let Process { pid, started } = process;
        let line = std::fs::read(living::folder(pid).join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
        let command = match words.is_empty() {
            false => words.join(" "),
            true => {
                let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
                String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
            }
        };
        Subject { pid, started, command }
    }

    /// Looks at what it does.
    pub(super) fn doing(&self) -> Doing {
        let stat = match self.read("stat") {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => return Doing::Gone,
            Err(_) => return Doing::Unseen,
        };
        match parse_started(&stat) {
            None => return Doing::Unseen,
            Some(started) if started != self.started => return Doing::Gone,
            Some(_) => {}
        }
        let shown = match doing(&stat) {
            // Its first thread has ended, and maybe not all of them.
            Doing::Gone => {
                let stat = std::fs::read(living::folder(self.pid).join("stat")).unwrap_or_default();
                doing(&String::from_utf8_lossy(&stat))
            }
            now => now,
        };
        match shown {
            now @ (Doing::Runs | Doing::Deaf) => match self.read("status") {
                Ok(status) if awaits_stop(&status) => Doing::Stopping,
                Ok(_) => now,
                Err(error) if is_gone(&error) => Doing::Gone,
                Err(_) => Doing::Unseen,
            },
            now @ (Doing::Stopping | Doing::Stopped | Doing::Unseen | Doing::Gone) => now,
        }
    }

    /// Reads a file of it; a name in it may be of any bytes.
    fn read(&self, file: &str) -> io::Result<String> {
        let bytes = std::fs::read(format!("/proc/{}/{file}", self.pid))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends it a signal; returns whether it was there. 0 sends none, and finds out whether one may be sent.
    pub(super) fn send(&self, signal: libc::c_int) -> io::Result<bool> {
        let process = match pidfd::open(self.pid) {
            Ok(process) => process,
            Err(error) if is_gone(&error) => return Ok(false),
            // What is no process but a thread of one was given the number since.
            Err(error) if self.doing() == Doing::Gone => {
                tracing::debug!(%error, pid = self.pid, "the number is not a process's any more");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        // The descriptor is of whoever had the number when it was opened, and no later one can have this start.
        match self.doing() {
            Doing::Gone => return Ok(false),
            Doing::Unseen => return Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            Doing::Runs | Doing::Deaf | Doing::Stopping | Doing::Stopped => {}
        }
        match pidfd::send(&process, signal) {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until it does what is wanted, or is gone; returns what it does at last.
    pub(super) async fn until(&self, wanted: impl Fn(Doing) -> bool) -> Doing {
        let begun = tokio::time::Instant::now();
        loop {
            let doing = self.doing();
            if wanted(doing) || doing == Doing::Gone || begun.elapsed() >= PATIENCE {
                return doing;
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// What a plan shows of a command line.
        const SHOWN: usize = 80;
        let shown: String = self.command.chars().take(SHOWN).collect();
        let more = if shown.len() < self.command.len() { "…" } else { "" };
        write!(f, "process {} (`{shown}{more}`)", self.pid)
    }
}

/// Reads the state out of `/proc/PID/stat`.
fn doing(stat: &str) -> Doing {
    match field(stat, 0).unwrap_or_default() {
        "T" => Doing::Stopped,
        "D" => Doing::Deaf,
        "Z" | "X" | "x" => Doing::Gone,
        "" => Doing::Unseen,
        // What a debugger holds (`t`) is not stopped by a signal, nor let go on by one.
        _ => Doing::Runs,
    }
}

/// Returns whether a signal to stop waits for a process to act on it, as `/proc/PID/status` says.
fn awaits_stop(status: &str) -> bool {
    const STOP: u64 = 1 << (libc::SIGSTOP - 1);
    let pending = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("ShdPnd:").or_else(|| line.strip_prefix("SigPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    pending.fold(0, |all, mask| all | mask) & STOP != 0
}

/// Returns whether an error says that there is no such process.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::started;

    #[test]
    fn what_a_process_does_stands_behind_its_name() {
        for (stat, does) in [
            ("1 (a) S) T 0", Doing::Stopped),
            ("1 (T) S 0", Doing::Runs),
            ("1 (T) t 0", Doing::Runs),
            ("1 (T) ", Doing::Unseen),
            ("1 (x) D 0", Doing::Deaf),
            ("1 (x) Z 0", Doing::Gone),
        ] {
            assert_eq!(doing(stat), does, "{stat}");
        }
    }

    #[test]
    fn a_stop_that_waits_is_seen() {
        assert!(awaits_stop("Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000040000\n"));
        assert!(awaits_stop("SigPnd:\t0000000000040001\nShdPnd:\t0000000000000000\n"));
        assert!(!awaits_stop("SigPnd:\t0000000000020000\nShdPnd:\t0000000000000000\n"));
    }

    /// A process whose first thread has ended while another goes on; none where there is no Python to make one.
    fn headless() -> Option<std::process::Child> {
        // `exit` of one thread, on x86-64 and aarch64; Python has no word for it.
        let script = "import ctypes, platform, threading, time\n\
            threading.Thread(target=lambda: time.sleep(60)).start()\n\
            ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)";
        std::process::Command::new("python3").args(["-c", script]).spawn().ok()
    }

    #[tokio::test]
    async fn a_process_lives_as_long_as_one_of_its_threads() {
        let Some(mut child) = headless() else { return };
        let pid = child.id();
        let first = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while field(&first(), 0) != Some("Z") {
            tokio::time::sleep(TICK).await;
        }
        let subject = Subject::of(Process { pid, started: started(pid).unwrap() });
        let lives = subject.doing() == Doing::Runs && super::super::meant::allowed(&subject).is_ok();
        let found =
            crate::inventory::namespace_inode(pid) == crate::inventory::namespace_inode(std::process::id());
        subject.send(libc::SIGSTOP).unwrap();
        let stopped = subject.until(|doing| doing == Doing::Stopped).await;
        subject.send(libc::SIGCONT).unwrap();
        let goes_on = subject.until(|doing| doing == Doing::Runs).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lives && found, "{subject:?}");
        assert_eq!((stopped, goes_on), (Doing::Stopped, Doing::Runs));
        assert!(subject.command.contains("python3 -c"), "{subject:?}");
        assert_eq!(subject.doing(), Doing::Gone);
    }

    #[tokio::test]
    async fn another_process_of_the_same_number_gets_no_signal() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let subject = Subject::of(Process { pid: child.id(), started: started(child.id()).unwrap() });
        let earlier = Subject { started: subject.started - 1, ..subject.clone() };
        assert!(!earlier.send(libc::SIGKILL).unwrap());
        assert_eq!((earlier.doing(), subject.doing() == Doing::Gone), (Doing::Gone, false));
        assert!(subject.send(libc::SIGKILL).unwrap());
        child.wait().unwrap();
        assert!(!subject.send(libc::SIGKILL).unwrap());
    }
}
