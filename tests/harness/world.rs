//! What a run could leave behind, as the kernel shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use chaos_faults::bpf::{Device, Direction, link};
use chaos_netns::Namespace;

use crate::Chaos;

/// How long the kernel and killed processes have to take things away; usually it is milliseconds.
const SETTLES: Duration = Duration::from_secs(10);

/// A snapshot: of each namespace its links, addresses, routes, qdiscs, filters, nftables and BPF programs; the named
/// namespaces; the mounts; and the processes that came of one [`Chaos`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    parts: BTreeMap<String, String>,
}

impl World {
    /// Takes a snapshot of this machine's own namespace, the named ones that are asked for, and everything that was
    /// started from one place.
    pub fn of(chaos: &Chaos, named: &[&str]) -> World {
        let mut parts = BTreeMap::new();
        namespace(&mut parts, "this machine", None);
        for name in named {
            namespace(&mut parts, name, Some(name));
        }
        // Other tests make named namespaces meanwhile, all with one beginning.
        let names = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let listed = fs::read_dir("/run/netns").into_iter().flatten().flatten().filter_map(names);
        let listed: BTreeSet<String> = listed
            .filter(|name| !name.starts_with(crate::network::PREFIX) || named.contains(&name.as_str()))
            .collect();
        parts.insert("named namespaces".into(), format!("{listed:?}"));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts: String = mounts
            .lines()
            .filter(|line| !line.contains(&format!("/run/netns/{}", crate::network::PREFIX)))
            .filter(|line| {
                !line.contains("/chaos-e2e.") || line.contains(&chaos.path().display().to_string())
            })
            .map(|line| format!("{line}\n"))
            .collect();
        parts.insert("mounts".into(), mounts);
        let family: String = chaos.family().iter().map(|(pid, words)| format!("{pid} {words}\n")).collect();
        parts.insert("processes".into(), family);
        World { parts }
    }

    /// Returns what is different in the other world.
    pub fn differences(&self, other: &World) -> String {
        let names: BTreeSet<&String> = self.parts.keys().chain(other.parts.keys()).collect();
        let mut out = String::new();
        for name in names {
            let [before, after] = [self, other].map(|w| w.parts.get(name).map_or("", String::as_str));
            if before != after {
                let _ = writeln!(out, "{name}\n  before:\n{before}\n  after:\n{after}");
            }
        }
        out
    }

    /// Panics unless the world becomes what it was before, within seconds; returns how long that took.
    #[track_caller]
    pub fn assert_same(&self, chaos: &Chaos, named: &[&str]) -> Duration {
        let started = Instant::now();
        loop {
            let after = World::of(chaos, named);
            if *self == after {
                return started.elapsed();
            }
            assert!(started.elapsed() < SETTLES, "the world is not as it was:\n{}", self.differences(&after));
            sleep(Duration::from_millis(20));
        }
    }
}

/// Waits up to ten seconds for something, and returns whether it came true.
pub fn wait_until(mut what: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if what() {
            return true;
        }
        if started.elapsed() > SETTLES {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
}

/// Returns the living processes with a line in their environment, and those of the labs that such a one holds, whose programs
/// have an environment of their own; as process id and command line.
pub(crate) fn family(marker: &str) -> Vec<(i32, String)> {
    let read = |pid: i32, what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let marked =
        |pid: i32| read(pid, "environ").split(|byte| *byte == 0).any(|line| line == marker.as_bytes());
    let lab = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let all: Vec<(i32, bool, Option<PathBuf>)> =
        processes().map(|pid| (pid, marked(pid), lab(pid))).collect();
    let own = fs::read_link("/proc/self/ns/pid").ok();
    let labs: BTreeSet<&PathBuf> = all
        .iter()
        .filter(|(_, marked, lab)| *marked && *lab != own)
        .filter_map(|(_, _, lab)| lab.as_ref())
        .collect();
    let ours =
        all.iter().filter(|(_, marked, lab)| *marked || lab.as_ref().is_some_and(|lab| labs.contains(lab)));
    ours.map(|(pid, ..)| {
        let words = String::from_utf8_lossy(&read(*pid, "cmdline")).replace('\0', " ");
        (*pid, words.trim_end().to_owned())
    })
    .collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns the network namespaces, other than this program's, that processes are in or have open.
pub fn namespaces_of(processes: &[(i32, String)]) -> BTreeSet<PathBuf> {
    let own = fs::read_link("/proc/self/ns/net").expect("there is /proc");
    let mut found = BTreeSet::new();
    for (pid, _) in processes {
        found.extend(fs::read_link(format!("/proc/{pid}/ns/net")));
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        found.extend(open.filter(|target| target.as_os_str().as_bytes().starts_with(b"net:[")));
    }
    found.remove(&own);
    found
}

/// Writes down what a namespace holds; of the thread's own without a name.
fn namespace(parts: &mut BTreeMap<String, String>, title: &str, name: Option<&str>) {
    let said = |program: &str, arguments: &[&str]| {
        let mut command = match name {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, program]);
                command
            }
        };
        match command.args(arguments).output() {
            Ok(output) => {
                String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr)
            }
            Err(error) => format!("cannot run `{program}`: {error}\n"),
        }
    };
    let mut add = |what: &str, text: String| {
        parts.insert(format!("{title}: {what}"), text);
    };
    let links = without_timers(&said("ip", &["-d", "-o", "link", "show"]));
    let devices: Vec<String> = links
        .lines()
        .filter_map(|line| {
            line.split(':').nth(1).map(|d| d.trim().split('@').next().unwrap_or_default().to_owned())
        })
        .collect();
    add("links", links);
    add("addresses", said("ip", &["-br", "address"]));
    add("routes", said("ip", &["route", "show", "table", "all"]));
    add("rules", said("ip", &["rule"]));
    let qdiscs = said("tc", &["qdisc", "show"]);
    let mut filters = String::new();
    for device in &devices {
        let has_classes =
            qdiscs.lines().any(|l| l.contains(&format!("dev {device} ")) && !l.contains("noqueue"));
        let hooks: &[&str] = if has_classes { &["root", "ingress", "egress"] } else { &[] };
        for hook in hooks {
            let text = said("tc", &["filter", "show", "dev", device, hook]);
            if !text.trim().is_empty() && !text.contains("Parent Qdisc doesn't exists") {
                let _ = writeln!(filters, "{device} {hook}:\n{text}");
            }
        }
    }
    add("qdiscs", qdiscs);
    add("filters", filters);
    add("nftables", said("nft", &["-s", "list", "ruleset"]));
    add("BPF programs", programs(name, &devices));
}

fn programs(name: Option<&str>, devices: &[String]) -> String {
    let place = || name.and_then(|name| Namespace::open(Path::new("/run/netns").join(name)).ok());
    let mut text = String::new();
    for device in devices {
        // One that has gone since has no programs either.
        let Ok(found) = Device::find(place(), device) else { continue };
        for direction in [Direction::Ingress, Direction::Egress] {
            // Kernels without TCX, and users without the right, have none to show.
            let attached = link::attached(&found, direction).unwrap_or_default();
            if !attached.is_empty() {
                let _ = writeln!(text, "{device} {direction:?}: {attached:?}");
            }
        }
    }
    text
}

/// Leaves the timers of bridges out, which run whatever anybody does.
fn without_timers(links: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            if word.ends_with("_timer") {
                words.next();
            } else {
                kept.push(word);
            }
        }
        kept.join(" ")
    };
    links.lines().map(line).collect::<Vec<_>>().join("\n")
}
