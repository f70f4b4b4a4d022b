//! Where `/proc` shows what a process that lives is.

use std::path::PathBuf;

/// The state, and the number of threads, behind the name in `/proc/PID/stat`.
const STATE: usize = 0;
const THREADS: usize = 17;

/// Returns the folder that shows a process's executable, namespaces and state: its own, or that of a thread where its first thread has
/// ended and others go on. Of such a process the kernel shows a zombie, which has no executable and no namespace any more, although it
/// still serves (`exit_mm` and `exit_task_namespaces` in `kernel/exit.c` are of a thread, not of a process).
pub(crate) fn folder(pid: u32) -> PathBuf {
    let own = PathBuf::from(format!("/proc/{pid}"));
    let stat = |folder: &PathBuf| {
        let stat = std::fs::read(folder.join("stat")).unwrap_or_default();
        String::from_utf8_lossy(&stat).into_owned()
    };
    let first = stat(&own);
    let others =
        field(&first, THREADS).and_then(|count| count.parse().ok()).is_some_and(|count: u32| count > 1);
    if !has_ended(&first) || !others {
        return own;
    }
    let threads = std::fs::read_dir(own.join("task")).into_iter().flatten().flatten();
    threads.map(|thread| thread.path()).find(|thread| !has_ended(&stat(thread))).unwrap_or(own)
}

/// Returns whether a line of `/proc/PID/stat` is of a thread that has ended; one that cannot be read is of none.
fn has_ended(stat: &str) -> bool {
    field(stat, STATE).is_none_or(|state| matches!(state, "Z" | "X" | "x"))
}

/// Returns a field of `/proc/PID/stat`, counted from the state, behind the name.
pub(crate) fn field(stat: &str, nth: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(nth)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn a_process_is_shown_in_its_own_folder_and_one_that_ended_as_well() {
        let own = std::process::id();
        assert_eq!(folder(own), PathBuf::from(format!("/proc/{own}")));
        let mut child: Child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !has_ended(&stat()) {
            std::thread::yield_now();
        }
        assert_eq!(folder(pid), PathBuf::from(format!("/proc/{pid}")));
        child.wait().unwrap();
    }
}
