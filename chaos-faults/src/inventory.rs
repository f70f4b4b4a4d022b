//! Finds objects on this machine: itself, its named network namespaces, its processes.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use chaos_core::{
    inventory::Inventory,
    model::Selector,
    non_empty::{Empty, NonEmpty},
    place::{Files, Kind, Namespace, Object, ObjectId, Place, Site},
    trouble::{self, Trouble},
    which::Which,
};

use crate::{
    living,
    netlink::{Connection, NetlinkError},
};

/// Where `ip netns` keeps named namespaces.
const NAMED: &str = "/run/netns";

/// The network namespace that the runner is in.
const OWN_NAMESPACE: &str = "/proc/self/ns/net";

/// This machine as it is. Only reads.
///
/// Whatever lives in the runner's own network namespace is found as this machine, [`ObjectId::here`], by whichever name it was
/// asked for: a fault there is one on the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineInventory;

#[async_trait]
impl Inventory for MachineInventory {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        match selector {
            Selector::Here(_) => {
                let addresses = addresses(Path::new("/proc/thread-self/ns/net")).await;
                Ok(NonEmpty::one(ObjectId::here().at(addresses)))
            }
            Selector::Netns(name) => named(&name.value).await.map(NonEmpty::one),
            Selector::Process(name) => processes(&name.value).await,
            Selector::Hosts(name) => {
                let why = format!("`{name}` is a host of a lab, and the scope is this machine");
                Err(Trouble::absent(why)
                    .with_help("say `here`, `netns \"NAME\"` or `process \"NAME\"`, or declare a lab"))
            }
            Selector::Pods(_) | Selector::Service(_) | Selector::Object(_) => Err(Trouble::absent(format!(
                "`{selector}` is of a cluster, and this experiment takes place on this machine"
            ))
            .with_help("give it a `scope` with a `cluster`")),
            Selector::Named(name) => Err(Trouble::absent(format!("no target is named `{name}`"))
                .with_help(format!("declare it: `target {name} = …`"))),
        }
    }

    async fn processes(
        &self,
        at: &ObjectId,
        named: &Which<String>,
    ) -> Result<Option<NonEmpty<Object>>, Trouble> {
        let Which::These(names) = named else {
            return Err(Trouble::absent(format!("it is not said which processes of {at} are meant"))
                .with_help("name them: `process \"NAME\" on …`"));
        };
        each(at, names).map(Some)
    }

    async fn place(&self, object: &ObjectId) -> Result<Option<Place>, Trouble> {
        machine_place(object).map(Some)
    }
}

/// Returns the addresses of a namespace that others can reach; `None` if it may not be entered.
async fn addresses(path: &Path) -> Vec<IpAddr> {
    let found = async {
        let connection =
            Connection::open(&chaos_netns::Namespace::open(path).map_err(NetlinkError::from)?).await?;
        connection.links().await
    };
    let links = match found.await {
        Ok(links) => links,
        Err(error) => {
            tracing::debug!(%error, path = %path.display(), "no addresses");
            Vec::new()
        }
    };
    let outside = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    links
        .into_iter()
        .filter(|link| !link.loopback)
        .flat_map(|link| link.addresses)
        .map(|(address, _)| address)
        .filter(outside)
        .collect()
}

async fn named(name: &str) -> Result<Object, Trouble> {
    let path = named_path(name);
    if name.contains('/') || !path.exists() {
        let mut known: Vec<_> = std::fs::read_dir(NAMED)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| format!("`{}`", entry.file_name().to_string_lossy()))
            .collect();
        known.sort();
        let help = if known.is_empty() {
            format!("make it with `ip netns add {name}`")
        } else {
            format!("there are {}", known.join(", "))
        };
        return Err(
            Trouble::absent(format!("there is no network namespace `{name}` in {NAMED}")).with_help(help)
        );
    }
    let addresses = addresses(&path).await;
    Ok(match is_own(&path) {
        true => ObjectId::here().at(addresses),
        false => ObjectId::netns(name).at(addresses),
    })
}

fn named_path(name: &str) -> PathBuf {
    Path::new(NAMED).join(name)
}

/// A process: its number alone may be another's by the time it is used, number and start time never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks between boot and its start.
    pub(crate) started: u64,
}

/// Returns whether a network namespace is the one that the runner itself is in: whatever else it is called, it is this machine's.
fn is_own(path: &Path) -> bool {
    let identity = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    identity(path).is_some_and(|found| Some(found) == identity(Path::new(OWN_NAMESPACE)))
}

/// Finds the processes of a name, one object for each namespace they are in; those in the runner's own are this machine.
async fn processes(name: &str) -> Result<NonEmpty<Object>, Trouble> {
    let mut by_namespace: BTreeMap<u64, Process> = BTreeMap::new();
    let mut unreadable = 0;
    for process in all_processes().into_iter().filter(|process| is_called(process.pid, name)) {
        match network_of(process.pid) {
            Ok(inode) => {
                by_namespace.entry(inode).or_insert(process);
            }
            Err(error) => unreadable += u32::from(error.kind() == std::io::ErrorKind::PermissionDenied),
        }
    }
    let found: BTreeSet<Process> = by_namespace.into_values().collect();
    let mut objects = Vec::new();
    for process in found {
        let path = namespace_path(process.pid);
        let addresses = addresses(&path).await;
        let id = match is_own(&path) {
            true => ObjectId::here(),
            false => ObjectId::process(format!("{name}[{}@{}]", process.pid, process.started)),
        };
        objects.push(id.at(addresses));
    }
    NonEmpty::try_from(objects).map_err(|Empty| {
        if unreadable > 0 {
            Trouble::denied(format!("the network namespace of `{name}` cannot be looked at"))
                .with_help("run as root, or as the user it runs as")
        } else {
            Trouble::absent(format!("no process is called `{name}`"))
                .with_help("use the name that `ps -e` shows, or the name of its executable")
        }
    })
}

/// Finds each process of these names in the network namespace of an object.
fn each(at: &ObjectId, names: &NonEmpty<String>) -> Result<NonEmpty<Object>, Trouble> {
    let place = machine_place(at)?;
    let inode = place_inode(&place.site);
    let called = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let mut objects = Vec::new();
    for process in all_processes() {
        let Some(name) = names.iter().find(|name| is_called(process.pid, name)) else { continue };
        match network_of(process.pid) {
            // It may well be here, and a fault on each of them would leave it out.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && lives(process) => {
                return Err(Trouble::denied(format!(
                    "process {} is called {}, and may not be looked at",
                    process.pid,
                    called()
                ))
                .with_help("run as root, or as the user it runs as"));
            }
            // It ended, and has no network any more.
            Err(_) => {}
            Ok(found) if Some(found) == inode => {
                let id = ObjectId::process(format!("{name}[{}@{}]", process.pid, process.started));
                objects.push(id.at(Vec::new()));
            }
            Ok(_) => {}
        }
    }
    NonEmpty::try_from(objects).map_err(|Empty| {
        Trouble::absent(format!("no process called {} runs on {at}", called()))
            .with_help("use the name that `ps -e` shows, or the name of its executable")
    })
}

fn lives(process: Process) -> bool {
    started(process.pid) == Some(process.started)
}

/// Returns what tells the network namespace of a site from others.
pub(crate) fn place_inode(site: &Site) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let path = match site {
        Site::Runner => Path::new(OWN_NAMESPACE),
        Site::Namespace(namespace) => &namespace.path,
        Site::Agent { .. } | Site::Api => return None,
    };
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}

fn namespace_path(pid: u32) -> PathBuf {
    living::folder(pid).join("ns/net")
}

pub(crate) fn namespace_inode(pid: u32) -> Option<u64> {
    network_of(pid).ok()
}

fn network_of(pid: u32) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(namespace_path(pid))?.ino())
}

pub(crate) fn all_processes() -> Vec<Process> {
    let mut found: Vec<_> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some(Process { pid, started: started(pid)? }))
        .collect();
    found.sort();
    found
}

pub(crate) fn started(pid: u32) -> Option<u64> {
    // A name may be of any bytes.
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_started(&String::from_utf8_lossy(&stat))
}

/// Reads the start time out of `/proc/PID/stat`. The name in it may hold anything, also parentheses and spaces.
pub(crate) fn parse_started(stat: &str) -> Option<u64> {
    const BEHIND_NAME: usize = 19;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(BEHIND_NAME)?.parse().ok()
}

pub(crate) fn is_called(pid: u32, name: &str) -> bool {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    // The kernel keeps 15 bytes of it.
    if comm.strip_suffix(b"\n").unwrap_or(&comm) == name.as_bytes() {
        return true;
    }
    let Ok(path) = std::fs::read_link(living::folder(pid).join("exe")) else { return false };
    let Some(file) = path.file_name() else { return false };
    // So the kernel calls an executable that was replaced or removed since, as by the upgrade of a package (proc_pid_exe(5)).
    let replaced = || file.as_encoded_bytes().strip_suffix(b" (deleted)");
    file == name || replaced().is_some_and(|file| file == name.as_bytes())
}

/// Returns where an object of this machine is.
///
/// # Errors
/// It is gone, or another process has its number by now; what is not of this machine, such as a host of a lab, is refused.
pub fn machine_place(object: &ObjectId) -> Result<Place, Trouble> {
    let gone = |message: String| {
        Trouble::absent(message).with_help("it ended or was restarted since it was looked up; plan anew")
    };
    let (site, files) = if object.kind == Kind::HERE {
        (Site::Runner, Files::own())
    } else if object.kind == Kind::NETNS {
        (Site::Namespace(open(object, named_path(&object.name))?), Files::of_netns(&object.name))
    } else if object.kind == Kind::PROCESS {
        let process = parse_process(&object.name)
            .ok_or_else(|| gone(format!("`{}` is not the name of a process object", object.name)))?;
        let lives = || match started(process.pid) == Some(process.started) {
            true => Ok(()),
            false => Err(gone(format!("process {} is gone", object.name))),
        };
        lives()?;
        let namespace = open(object, namespace_path(process.pid))?;
        // Between the first look and the opening another process may have got the number.
        lives()?;
        (Site::Namespace(namespace), Files::of_process(process.pid))
    } else {
        let message = if object.kind == Kind::HOST {
            format!("`{}` is a host of a lab, not of this machine", object.name)
        } else {
            format!("{object} is not an object of this machine")
        };
        return Err(Trouble::absent(message));
    };
    Ok(Place { object: object.clone(), site, names: std::sync::Arc::new(files.into()) })
}

fn open(object: &ObjectId, path: PathBuf) -> Result<Namespace, Trouble> {
    let file = std::fs::File::open(&path).map_err(|error| {
        let path = path.display();
        Trouble::unable(format!("cannot open the network namespace of {object}, `{path}`: {error}"))
            .with_help("run as root, or see whether it still exists")
            .of_kind(trouble::Kind::from(&error))
    })?;
    Ok(Namespace { descriptor: Some(std::sync::Arc::new(file.into())), ..Namespace::new(path) })
}

/// Reads `NAME[PID@START]`.
pub(crate) fn parse_process(name: &str) -> Option<Process> {
    let (pid, started) = name.strip_suffix(']')?.rsplit_once('[')?.1.split_once('@')?;
    Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_started(&format!("7 (a) b) {rest}")), Some(4242));
        assert_eq!(parse_started("7 (a"), None);
    }

    #[test]
    fn a_process_object_names_number_and_start() {
        assert_eq!(parse_process("web [x][12@99]"), Some(Process { pid: 12, started: 99 }));
        assert_eq!(parse_process("web[12]"), None);
    }

    #[tokio::test]
    async fn this_very_process_is_found_and_placed() {
        let exe = std::env::current_exe().unwrap();
        let name = exe.file_name().unwrap().to_str().unwrap().to_owned();
        let found = MachineInventory.find(&Selector::Process(name.as_str().into())).await.unwrap();
        let ids: Vec<_> = found.into_vec().into_iter().map(|object| object.id).collect();
        assert_eq!(ids, [ObjectId::here()], "it is in the runner's own network namespace");
        assert_eq!(machine_place(&ids[0]).unwrap().site, Site::Runner);
    }

    #[tokio::test]
    async fn a_process_with_a_reused_number_is_not_taken_for_the_one_that_was_meant() {
        let name = format!("x[{}@1]", std::process::id());
        assert!(machine_place(&ObjectId::process(name)).unwrap_err().message.ends_with("is gone"));
    }

    #[test]
    fn only_what_is_here_has_a_place_here() {
        assert_eq!(machine_place(&ObjectId::here()).unwrap().site, Site::Runner);
        let pod = ObjectId::new(Kind::try_from("pod".to_owned()).unwrap(), "here");
        for elsewhere in [ObjectId::host("api-1"), ObjectId::netns("no-such-netns"), pod] {
            let place = machine_place(&elsewhere);
            assert!(place.is_err(), "{elsewhere} is at {place:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let none =
            MachineInventory.find(&Selector::Process("no-such-process-name".into())).await.unwrap_err();
        assert_eq!(none.message, "no process is called `no-such-process-name`");
        let none = MachineInventory.find(&Selector::Netns("no-such-netns".into())).await.unwrap_err();
        assert!(none.message.starts_with("there is no network namespace `no-such-netns`"));
        let none = MachineInventory.find(&Selector::Hosts("api".into())).await.unwrap_err();
        assert!(none.help.unwrap().contains("declare a lab"));
    }

    #[test]
    fn a_process_keeps_its_name_when_its_executable_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than what the kernel keeps of a name, so that only the executable says it.
        let path = folder.path().join("payment-gateway-service");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let mut child = std::process::Command::new(&path).arg("60").spawn().unwrap();
        let called = || is_called(child.id(), "payment-gateway-service");
        let before = called();
        std::fs::remove_file(&path).unwrap();
        let removed = called();
        std::fs::copy("/bin/sleep", &path).unwrap();
        let (replaced, other) = (called(), is_called(child.id(), "payment-gate"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(before && removed && replaced && !other, "{before} {removed} {replaced} {other}");
    }
}
