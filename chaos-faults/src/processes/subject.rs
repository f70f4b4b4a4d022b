//! One process: told from a later one of its number by its start, looked at in `/proc`, and sent signals by a descriptor.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    inventory::{Process, started},
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
    /// It is stopped.
    Stopped,
    /// It ended, or its number is another one's.
    Gone,
}

impl Subject {
    pub(super) fn of(process: Process) -> Self {
        let Process { pid, started } = process;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
        let command = match words.is_empty() {
            false => words.join(" "),
            true => {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                name.trim_end_matches('\n').to_owned()
            }
        };
        Subject { pid, started, command }
    }

    /// Looks at what it does.
    pub(super) fn doing(&self) -> Doing {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return Doing::Gone;
        };
        if started(self.pid) != Some(self.started) {
            return Doing::Gone;
        }
        doing(&stat)
    }

    /// Sends it a signal; returns whether it was there. 0 sends none, and finds out whether one may be sent.
    pub(super) fn send(&self, signal: libc::c_int) -> io::Result<bool> {
        let gone = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
        let process = match pidfd::open(self.pid) {
            Ok(process) => process,
            Err(error) if gone(&error) => return Ok(false),
            // What is no process but a thread of one was given the number since.
            Err(error) if self.doing() == Doing::Gone => {
                tracing::debug!(%error, pid = self.pid, "the number is not a process's any more");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        // The descriptor is of whoever had the number when it was opened, and no later one can have this start.
        if self.doing() == Doing::Gone {
            return Ok(false);
        }
        match pidfd::send(&process, signal) {
            Ok(()) => Ok(true),
            Err(error) if gone(&error) => Ok(false),
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
        "T" | "t" => Doing::Stopped,
        "D" => Doing::Deaf,
        "Z" | "X" | "x" | "" => Doing::Gone,
        _ => Doing::Runs,
    }
}

/// Returns a field of `/proc/PID/stat`, counted from the state, behind the name.
pub(super) fn field(stat: &str, nth: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_does_stands_behind_its_name() {
        for (stat, does) in [
            ("1 (a) S) T 0", Doing::Stopped),
            ("1 (T) S 0", Doing::Runs),
            ("1 (T) t 0", Doing::Stopped),
            ("1 (x) D 0", Doing::Deaf),
            ("1 (x) Z 0", Doing::Gone),
        ] {
            assert_eq!(doing(stat), does, "{stat}");
        }
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
