//! The process that holds a fault: known by its number and start time, found by what it has open, ended where it hangs.

use std::{io, time::Duration};

use chaos_core::trouble::{Kind, Trouble};
use serde::{Deserialize, Serialize};

use crate::{inventory::started, pidfd};

/// How long an agent whose runner is gone may take to end before it counts as hanging.
const LEAVES: Duration = Duration::from_secs(2);

/// How long the kernel may take to end a process that was killed.
const DIES: Duration = Duration::from_secs(3);

/// How often a process is looked at.
const TICK: Duration = Duration::from_millis(20);

/// A process that makes a fault, and with which that ends where the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pid: u32,
    /// When it started, in the kernel's ticks, so that another one of the same number is not mistaken for it.
    started: u64,
}

impl Holder {
    /// Returns this process.
    pub(crate) fn own() -> Option<Self> {
        let pid = std::process::id();
        Some(Holder { pid, started: started(pid)? })
    }

    /// Returns its number.
    pub(crate) fn pid(self) -> u32 {
        self.pid
    }

    fn lives(self) -> bool {
        let ended = |stat: String| {
            matches!(
                stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().as_bytes()),
                Some([b'Z' | b'X', ..])
            )
        };
        started(self.pid) == Some(self.started)
            && !std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).is_ok_and(ended)
    }

    async fn ends_within(self, limit: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        while self.lives() {
            if begun.elapsed() >= limit {
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
        true
    }

    /// Sees to it that the process is gone, unless it is this one: it is given the time to end, and killed where it hangs.
    ///
    /// # Errors
    /// It may not be killed, or does not end although it was; the help is the command that ends it.
    pub(crate) async fn end(self) -> Result<(), Trouble> {
        if Holder::own() == Some(self) || self.ends_within(LEAVES).await {
            return Ok(());
        }
        tracing::warn!(pid = self.pid, "the agent of a run that is over hangs, and is killed");
        let killed = self.kill();
        if self.ends_within(DIES).await {
            return Ok(());
        }
        let (why, kind) = match &killed {
            Ok(()) => ("it does not end although it was killed".to_owned(), Kind::Unable),
            Err(error) => (format!("it cannot be killed: {error}"), Kind::from(error)),
        };
        Err(Trouble::unable(format!(
            "the agent that holds the fault, process {}, hangs, and {why}",
            self.pid
        ))
        .with_help(ends(self.pid))
        .of_kind(kind))
    }

    fn kill(self) -> io::Result<()> {
        let process = pidfd::open(self.pid)?;
        // The descriptor is of whoever had the number when it was opened.
        if self.lives() { pidfd::send(&process, libc::SIGKILL) } else { Ok(()) }
    }
}

/// Returns the command that ends a process.
pub(crate) fn ends(pid: u32) -> String {
    format!("end it with `kill -KILL {pid}`")
}

/// Returns a process that has the BPF link of this number open.
pub(crate) fn of_link(link: u32) -> Option<u32> {
    let line = format!("link_id:\t{link}\n");
    holding("fdinfo", |file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&line)))
}

/// Returns a process that has the socket of this inode open.
pub(crate) fn of_socket(inode: u64) -> Option<u32> {
    let name = format!("socket:[{inode}]");
    holding("fd", |file| std::fs::read_link(file).is_ok_and(|to| to.as_os_str() == name.as_str()))
}

fn holding(folder: &str, is_it: impl Fn(&std::path::Path) -> bool) -> Option<u32> {
    let entries = |path: String| std::fs::read_dir(path).into_iter().flatten().flatten();
    let processes = entries("/proc".into()).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .into_iter()
        .find(|pid: &u32| entries(format!("/proc/{pid}/{folder}")).any(|file| is_it(&file.path())))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    fn sleeper() -> (std::process::Child, Holder) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        (child, Holder { pid, started: started(pid).unwrap() })
    }

    #[tokio::test]
    async fn a_process_that_hangs_is_killed() {
        let (mut child, holder) = sleeper();
        holder.end().await.unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[tokio::test]
    async fn neither_this_process_nor_another_one_of_the_same_number_is_touched() {
        Holder::own().unwrap().end().await.unwrap();
        let (mut child, holder) = sleeper();
        Holder { started: holder.started - 1, ..holder }.end().await.unwrap();
        assert!(holder.lives());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!holder.lives());
    }
}
