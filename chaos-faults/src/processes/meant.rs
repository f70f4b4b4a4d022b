//! Which processes are meant, and which never are.

use std::path::Path;

use chaos_core::{
    model::ProcessFault,
    place::{Kind, ObjectId, Site},
    trouble::Trouble,
    which::Which,
};

use super::subject::{Doing, Subject};
use crate::inventory::{all_processes, is_called, namespace_inode, parse_process, place_inode};
use crate::living::{self, field};

/// The flag of a thread of the kernel's own, in `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What the executables of this project are called.
const OWN_NAMES: [&str; 2] = ["chaos", "chaos-agent"];

/// Where that flag, and the parent, stand behind the name.
const FLAGS: usize = 6;
const PARENT: usize = 1;

/// Returns the process that an object is.
pub(super) fn process(object: &ObjectId) -> Result<Subject, Trouble> {
    let found = (object.kind == Kind::PROCESS).then(|| parse_process(&object.name)).flatten();
    let process = found.ok_or_else(|| {
        Trouble::absent(format!("{object} is not a process"))
            .with_help("write `process \"NAME\"`, or name a host of a lab")
    })?;
    let subject = Subject::of(process);
    if subject.doing() == Doing::Gone {
        return Err(Trouble::absent(format!("{object} is gone"))
            .with_help("it ended or was restarted since it was looked up; plan anew"));
    }
    Ok(subject)
}

/// Returns the processes of a lab host that a fault means. They are in the lab's own pid namespace: what a probe runs in the host's
/// network is not of the host, and neither is what holds the lab.
pub(super) fn on_host(host: &ObjectId, site: &Site, fault: &ProcessFault) -> Result<Vec<Subject>, Trouble> {
    let network = place_inode(site)
        .ok_or_else(|| Trouble::unable(format!("the network namespace of {host} cannot be looked at")))?;
    let called = |pid| match &fault.named {
        Which::Any => true,
        Which::These(names) => names.iter().any(|name| is_called(pid, name)),
    };
    let found: Vec<Subject> = all_processes()
        .into_iter()
        .filter(|process| namespace_inode(process.pid) == Some(network))
        .filter(|process| is_of_lab(process.pid) && called(process.pid))
        .map(Subject::of)
        .filter(|subject| subject.doing() != Doing::Gone)
        .collect();
    if found.is_empty() {
        let what = match &fault.named {
            Which::Any => "no process".to_owned(),
            Which::These(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("no process called {}", names.join(" or "))
            }
        };
        return Err(Trouble::absent(format!("{what} runs on {host}"))
            .with_help("let the host run it, and use the name that `ps -e` shows"));
    }
    Ok(found)
}

/// Returns whether a process is in another pid namespace than this one, and not the first there.
fn is_of_lab(pid: u32) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<&str> = numbers.unwrap_or_default().split_ascii_whitespace().collect();
    matches!(numbers[..], [_, .., own] if own != "1")
}

/// Refuses a process that nothing may be done to, with the reason.
pub(super) fn allowed(subject: &Subject) -> Result<(), Trouble> {
    let refused = |why: &str, help: &str| Err(Trouble::unable(format!("{subject} {why}")).with_help(help));
    let stat = stat(subject.pid).unwrap_or_default();
    if subject.pid == 1 {
        return refused("is the first of this machine, and without it nothing goes on", "name another one");
    }
    if field(&stat, FLAGS)
        .and_then(|flags| flags.parse().ok())
        .is_some_and(|flags: u64| flags & KERNEL_THREAD != 0)
    {
        return refused("is a thread of the kernel", "name a program");
    }
    // What cannot be found out is taken for the worst.
    if forebears().is_none_or(|all| all.contains(&subject.pid)) {
        return refused(
            "is what runs this experiment, or was started from, and could not put anything back",
            "name another process, or start the run from elsewhere",
        );
    }
    match is_own_program(subject.pid) {
        None => refused("has an executable that cannot be read, and may be an agent", "run as root"),
        Some(true) => {
            refused("is of a run of this program: its runner, its agent or its lab", "name another process")
        }
        Some(false) => Ok(()),
    }
}

/// Refuses a process that is stopped already: it would not be known who is to let it go on.
pub(super) fn running(subject: &Subject) -> Result<(), Trouble> {
    match subject.doing() {
        Doing::Stopped | Doing::Stopping => Err(Trouble::unable(format!("{subject} is stopped already"))
            .with_help(format!("let it go on with `kill -CONT {}`, or name another process", subject.pid))),
        Doing::Gone | Doing::Unseen | Doing::Runs | Doing::Deaf => there(subject),
    }
}

/// Refuses a process that is gone.
pub(super) fn there(subject: &Subject) -> Result<(), Trouble> {
    match subject.doing() {
        Doing::Gone => Err(Trouble::absent(format!("{subject} is gone")).with_help("plan anew")),
        Doing::Unseen => Err(Trouble::denied(format!("{subject} may not be looked at"))
            .with_help("run as root, or as the user it runs as")),
        Doing::Runs | Doing::Deaf | Doing::Stopping | Doing::Stopped => Ok(()),
    }
}

/// Returns this process and all that it was started from; none where that cannot be read.
pub(crate) fn forebears() -> Option<Vec<u32>> {
    let mut all = vec![std::process::id()];
    loop {
        let parent: u32 = field(&stat(*all.last()?)?, PARENT)?.parse().ok()?;
        // The parent of the first one is no process.
        if parent == 0 || all.contains(&parent) {
            return Some(all);
        }
        all.push(parent);
    }
}

fn stat(pid: u32) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(String::from_utf8_lossy(&stat).into_owned())
}

/// Returns whether a process runs the same executable as this one, or one of the same name from another build; none where
/// that cannot be read.
fn is_own_program(pid: u32) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let path = living::folder(pid).join("exe");
    let executable = std::fs::read_link(&path).ok()?;
    let name = executable.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let named = OWN_NAMES.contains(&name.trim_end_matches(" (deleted)"));
    Some(named || identity(&path).is_some_and(|found| Some(found) == identity(Path::new("/proc/self/exe"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Process, started};

    fn refusal(pid: u32) -> String {
        allowed(&Subject::of(Process { pid, started: started(pid).unwrap() })).unwrap_err().message
    }

    #[test]
    fn what_runs_the_experiment_is_never_meant() {
        assert!(refusal(1).contains("is the first of this machine"), "{}", refusal(1));
        for pid in [std::process::id(), std::os::unix::process::parent_id()] {
            assert!(refusal(pid).contains("is what runs this experiment"), "{}", refusal(pid));
        }
    }

    #[test]
    fn what_is_stopped_already_is_refused() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let subject = Subject::of(Process { pid: child.id(), started: started(child.id()).unwrap() });
        let before = running(&subject);
        subject.send(libc::SIGSTOP).unwrap();
        while subject.doing() != Doing::Stopped {
            std::thread::yield_now();
        }
        let stopped = running(&subject);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(before, Ok(()));
        let stopped = stopped.unwrap_err();
        assert!(stopped.message.ends_with("is stopped already"), "{stopped}");
    }
}
