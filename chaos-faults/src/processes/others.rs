//! Who else depends on a process: the machine as a whole, and whatever ends with it.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use chaos_core::{
    model::ProcessEffect,
    place::{Object, ObjectId, Protection},
};

use super::subject::Subject;
use crate::{
    inventory::{Process, all_processes},
    living::{self, field},
};

/// Where the programs of systemd are, the manager itself and what it starts for every machine.
const SYSTEMD: [&str; 2] = ["/lib/systemd/", "/usr/lib/systemd/"];

/// Executables that keep a machine, its network, its logins or its containers going, whoever's program they serve.
const SERVICES: [&str; 48] = [
    "NetworkManager",
    "agetty",
    "auditd",
    "chronyd",
    "cloud-init",
    "conmon",
    "connmand",
    "containerd",
    "cri-dockerd",
    "crio",
    "cron",
    "crond",
    "dbus-broker",
    "dbus-broker-launch",
    "dbus-daemon",
    "dhclient",
    "dhcpcd",
    "dockerd",
    "dropbear",
    "etcd",
    "getty",
    "init",
    "iscsid",
    "k3s",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "libvirtd",
    "login",
    "mosh-server",
    "multipathd",
    "ntpd",
    "openrc",
    "podman",
    "polkitd",
    "qemu-ga",
    "rpcbind",
    "rsyslogd",
    "runit",
    "s6-svscan",
    "sshd",
    "sshd-session",
    "syslog-ng",
    "tailscaled",
    "udevd",
    "wpa_supplicant",
];

/// Where the terminal and the session of a process stand in `/proc/PID/stat`, behind its name.
const SESSION: usize = 3;
const TERMINAL: usize = 4;
const PARENT: usize = 1;

/// Returns what goes along with what is done to a process: itself, where the machine needs it, so that the blast radius has to
/// allow it, and all that ends with it.
pub(super) fn along(subject: &Subject, object: &ObjectId, effect: ProcessEffect) -> Vec<Object> {
    let mut all = Vec::new();
    if is_of_the_system(subject.pid) {
        all.push(Object { protected: vec![Protection::System], ..object.clone().at([]) });
    }
    if effect.ends() {
        let ends = inside(subject.pid).into_iter().map(|process| {
            let name = format!("{}[{}@{}]", name_of(process.pid), process.pid, process.started);
            ObjectId::process(name).at([])
        });
        all.extend(ends);
    }
    all
}

/// Returns whether a process is one that others rely on without naming it: a service of the machine, what starts containers, or
/// the first process of somebody's session at a terminal. It is known by its executable and by its part, not by what a file calls
/// it; the name that it gives itself counts where its executable may not be looked at.
fn is_of_the_system(pid: u32) -> bool {
    let executable = std::fs::read_link(living::folder(pid).join("exe"));
    let executable = executable.unwrap_or_else(|_| PathBuf::from(name_of(pid)));
    is_service(&executable) || holds_a_session(pid) || starts_containers(pid)
}

fn is_service(executable: &Path) -> bool {
    let path = executable.to_string_lossy();
    // So the kernel calls an executable that was replaced since, as by the upgrade of a package.
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    let name = path.rsplit('/').next().unwrap_or(path);
    SYSTEMD.iter().any(|folder| path.starts_with(folder))
        || SERVICES.contains(&name)
        || ["containerd-shim", "systemd"].iter().any(|first| name.starts_with(first))
}

/// Returns whether a process is the first of a session that has a terminal: a login shell, or what a terminal was opened for.
fn holds_a_session(pid: u32) -> bool {
    let stat = stat(pid);
    let number = |nth| field(&stat, nth).and_then(|text| text.parse::<i64>().ok());
    number(SESSION) == Some(i64::from(pid)) && number(TERMINAL).is_some_and(|terminal| terminal != 0)
}

/// Returns whether the first process of another pid namespace was started by this one.
fn starts_containers(pid: u32) -> bool {
    all_processes().into_iter().any(|process| parent(process.pid) == Some(pid) && is_first(process.pid))
}

/// Returns what ends with a process: all of its pid namespace, and of those below, where it is the first there
/// (pid_namespaces(7)).
fn inside(pid: u32) -> Vec<Process> {
    let Some(own) = namespace(pid).filter(|_| is_first(pid)) else { return Vec::new() };
    let mut namespaces = BTreeSet::from([own]);
    let mut found: BTreeSet<Process> = BTreeSet::new();
    let all: Vec<_> = all_processes()
        .into_iter()
        .filter(|process| process.pid != pid)
        .map(|process| (process, namespace(process.pid), parent(process.pid)))
        .collect();
    // A namespace below was made by a process of one that is known: each round knows one more layer.
    loop {
        let before = found.len();
        for (process, namespace, parent) in &all {
            let known = namespace.is_some_and(|namespace| namespaces.contains(&namespace));
            let below = || {
                parent.is_some_and(|parent| parent == pid || found.iter().any(|other| other.pid == parent))
            };
            if known || below() {
                namespaces.extend(namespace);
                found.insert(*process);
            }
        }
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// Returns whether a process is the first of a pid namespace below this one.
fn is_first(pid: u32) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
    matches!(numbers[..], [_, .., "1"])
}

fn namespace(pid: u32) -> Option<u64> {
    std::fs::metadata(living::folder(pid).join("ns/pid")).ok().map(|found| found.ino())
}

fn parent(pid: u32) -> Option<u32> {
    field(&stat(pid), PARENT)?.parse().ok()
}

fn stat(pid: u32) -> String {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    String::from_utf8_lossy(&stat).into_owned()
}

/// Returns what a process calls itself.
fn name_of(pid: u32) -> String {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::inventory::started;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn services_are_known_by_their_executable() {
        assert!(SERVICES.windows(2).all(|w| w[0] < w[1]));
        for path in [
            "/usr/sbin/sshd",
            "/usr/sbin/sshd (deleted)",
            "/usr/lib/systemd/systemd-journald",
            "/usr/bin/containerd-shim-runc-v2",
            "/usr/local/bin/kubelet",
            "sshd",
        ] {
            assert!(is_service(Path::new(path)), "{path}");
        }
        for path in ["/usr/sbin/nginx", "/opt/sshd-exporter", "/srv/systematic/app", "redis-server", ""] {
            assert!(!is_service(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_plain_program_takes_nobody_along() {
        let child = Ended(Command::new("sleep").arg("60").spawn().unwrap());
        let subject = Subject::of(Process { pid: child.0.id(), started: started(child.0.id()).unwrap() });
        assert_eq!(along(&subject, &ObjectId::process("sleep"), ProcessEffect::Kill), []);
        assert!(!is_of_the_system(child.0.id()));
    }

    #[test]
    fn a_service_under_another_name_is_one_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        std::fs::copy("/bin/sleep", &path).unwrap();
        // It calls itself otherwise.
        let link = folder.path().join("app");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let child = Ended(Command::new(&link).arg("60").spawn().unwrap());
        let executed =
            || std::fs::read_link(format!("/proc/{}/exe", child.0.id())).ok() == Some(path.clone());
        while !executed() {
            std::thread::yield_now();
        }
        let subject = Subject::of(Process { pid: child.0.id(), started: started(child.0.id()).unwrap() });
        let found = along(&subject, &ObjectId::process("app"), ProcessEffect::Pause);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].protected, [Protection::System]);
    }

    /// Needs root, or user namespaces for everybody.
    #[test]
    fn the_first_of_a_container_takes_all_of_it_along_and_who_starts_it_is_of_the_system() {
        let script = "sleep 61 & unshare --pid --fork --kill-child sleep 62 & wait";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "sh", "-c", script]);
        let Ok(child) = command.stderr(Stdio::null()).spawn() else { return };
        let child = Ended(child);
        let first = || all_processes().into_iter().find(|process| parent(process.pid) == Some(child.0.id()));
        let mut rounds = 0;
        // The shell, its two children, and the child of the second.
        while first().is_none_or(|first| inside(first.pid).len() < 3) {
            rounds += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            if rounds > 250 {
                let allowed = Command::new("unshare").args(["--user", "true"]).status().unwrap().success();
                assert!(!allowed, "the namespaces are not made: {:?}", first());
                return;
            }
        }
        let first = first().unwrap();
        assert!(is_first(first.pid) && is_of_the_system(child.0.id()), "{first:?}");
        let subject = Subject::of(first);
        let killed = along(&subject, &ObjectId::process("sh"), ProcessEffect::Kill);
        assert!(killed.iter().any(|object| object.id.name.starts_with("sleep[")), "{killed:?}");
        assert!(killed.len() >= 3, "{killed:?}");
        let paused = along(&subject, &ObjectId::process("sh"), ProcessEffect::Pause);
        assert!(paused.iter().all(|object| object.id.name == "sh"), "{paused:?}");
    }
}
