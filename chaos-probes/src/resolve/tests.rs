//! Resolution compared with that of the C library at the same place, and what it says when a name has no address.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{IpAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use chaos_core::place::{Files, Namespace, Place};
use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{RData, Record, rdata},
};

use super::*;
use crate::socket::SocketThreads;

/// A machine of its own as far as names go: a network and the three files, held by a process. It ends with the test.
struct Machine {
    holder: Child,
    folder: tempfile::TempDir,
}

impl Machine {
    fn start() -> Option<Machine> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: making a network namespace needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut script = String::from("set -e; ip link set lo up; ip link add d0 type veth peer name d1\n");
        for link in ["d0", "d1"] {
            script += &format!("ip link set {link} up\n");
        }
        for address in ["10.9.0.1/24", "2001:db8::1/64"] {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            script += &format!("ip addr add {address} dev d0{nodad}\n");
        }
        for file in ["hosts", "resolv.conf", "nsswitch.conf"] {
            std::fs::write(folder.path().join(file), "").unwrap();
            let real = std::fs::canonicalize(Path::new("/etc").join(file)).unwrap();
            script += &format!("mount --bind {}/{file} {}\n", folder.path().display(), real.display());
        }
        script += "echo up; read end";
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "sh", "-c", &format!("hostname machine\n{script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 2];
        holder.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        Some(Machine { holder, folder })
    }

    /// Writes a file where it is mounted.
    fn write(&self, file: &str, text: &str) {
        let mut open = std::fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.folder.path().join(file))
            .unwrap();
        open.write_all(text.as_bytes()).unwrap();
    }

    fn place(&self) -> Place {
        let pid = self.holder.id();
        Place {
            site: Namespace::new(format!("/proc/{pid}/ns/net")).into(),
            names: Arc::new(Files::of_process(pid).into()),
            ..Place::runner()
        }
    }

    /// Binds a socket inside, for whatever the server is to do with it.
    fn bind(&self, address: &str) -> UdpSocket {
        let inside = chaos_netns::Namespace::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        inside.run(|| UdpSocket::bind((address, 53)).unwrap()).unwrap()
    }

    /// Serves what a function answers.
    fn serve(&self, address: &str, answer: impl Fn(&str, RecordType) -> Answer + Send + 'static) {
        let socket = self.bind(address);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let asked = query.queries[0].clone();
                let name = asked.name().to_ascii().to_ascii_lowercase();
                let (code, records) = answer(&name, asked.query_type());
                let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
                reply.metadata.response_code = code;
                reply.metadata.recursion_available = true;
                reply.add_query(asked);
                for (owner, data) in records {
                    reply.add_answer(Record::from_rdata(Name::from_ascii(owner).unwrap(), 0, data));
                }
                socket.send_to(&reply.to_vec().unwrap(), client).unwrap();
            }
        });
    }

    /// What the C library says there, in its order.
    fn getent(&self, name: &str) -> Vec<IpAddr> {
        let pid = self.holder.id().to_string();
        let output = Command::new("nsenter")
            .args(["-t", &pid, "--net", "--mount", "--uts", "getent", "ahosts", name])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let stream = text.lines().filter(|line| line.contains("STREAM"));
        stream.map(|line| line.split_ascii_whitespace().next().unwrap().parse().unwrap()).collect()
    }

    /// What is said here.
    async fn resolve(&self, threads: &SocketThreads, name: &str) -> Result<Vec<IpAddr>, String> {
        let place = self.place();
        let sockets = threads.sockets(&place.site).await.unwrap();
        let host = Host::parse(name).map_err(|trouble| trouble.message)?;
        let resolver = Resolver::open(&host, &place, &sockets).map_err(|trouble| trouble.message)?;
        match resolver.addresses().await {
            Ok(found) => Ok(found.ranked.choices(0)),
            Err(Failure::Failed(text) | Failure::NotRun(text)) => Err(text.into_owned()),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}

type Answer = (ResponseCode, Vec<(&'static str, RData)>);

fn a(address: &str) -> RData {
    RData::A(rdata::A(address.parse().unwrap()))
}

fn aaaa(address: &str) -> RData {
    RData::AAAA(rdata::AAAA(address.parse().unwrap()))
}

/// What the server knows.
fn zone(name: &str, record: RecordType) -> Answer {
    let (v4, v6) = (record == RecordType::A, record == RecordType::AAAA);
    let cname = |to: &str| RData::CNAME(rdata::CNAME(Name::from_ascii(to).unwrap()));
    let found = |records: Vec<(&'static str, RData)>| (ResponseCode::NoError, records);
    match name {
        "web.lab." if v4 => found(vec![("web.lab.", a("10.9.0.2"))]),
        "web.a.lab." if v4 => found(vec![("web.a.lab.", a("10.9.0.3"))]),
        "both.lab." if v4 => found(vec![("both.lab.", a("10.9.0.4"))]),
        "both.lab." if v6 => found(vec![("both.lab.", aaaa("2001:db8::4"))]),
        "six.lab." if v6 => found(vec![("six.lab.", aaaa("2001:db8::6"))]),
        "many.lab." if v4 => {
            found(["10.9.0.21", "10.9.0.22", "10.9.0.23"].map(|x| ("many.lab.", a(x))).into())
        }
        "alias.lab." => {
            let mut chain = vec![("alias.lab.", cname("next.lab.")), ("next.lab.", cname("web.lab."))];
            if v4 {
                chain.push(("web.lab.", a("10.9.0.2")));
            }
            found(chain)
        }
        "dangling.lab." => found(vec![("dangling.lab.", cname("nowhere.lab."))]),
        "svc.ns." if v4 => found(vec![("svc.ns.", a("10.9.0.31"))]),
        "svc.ns.lab." if v4 => found(vec![("svc.ns.lab.", a("10.9.0.32"))]),
        "short." if v4 => found(vec![("short.", a("10.9.0.33"))]),
        "shadow.lab." if v4 => found(vec![("shadow.lab.", a("10.9.0.34"))]),
        "broken.a.lab." | "broken." => (ResponseCode::ServFail, vec![]),
        "broken.lab." if v4 => found(vec![("broken.lab.", a("10.9.0.35"))]),
        "web.lab." | "web.a.lab." | "both.lab." | "six.lab." | "many.lab." | "svc.ns." | "svc.ns.lab."
        | "short." | "shadow.lab." | "broken.lab." | "nodata.lab." => found(vec![]),
        _ => (ResponseCode::NXDomain, vec![]),
    }
}

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.9.1.1 fixed.lab fixed # one\n10.9.1.2 twice\n\
                     10.9.1.3 twice\n2001:db8::9 fixed-six\nfe80::9 own-link\n10.9.1.4 SHADOW\n";

const NAMES: [&str; 26] = [
    "web",
    "web.lab",
    "web.lab.",
    "web.",
    "both",
    "both.lab",
    "six",
    "many",
    "alias",
    "alias.lab",
    "dangling",
    "svc.ns",
    "svc.ns.",
    "short",
    "short.",
    "broken",
    "nodata",
    "absent",
    "absent.lab",
    "localhost",
    "fixed",
    "Fixed.LAB",
    "twice",
    "fixed-six",
    "shadow",
    "192.0.2.1",
];

/// Each place by its `resolv.conf` and `nsswitch.conf`: 127.0.0.1 serves, 127.0.0.2 is silent, 127.0.0.3 refuses, 127.0.0.4
/// answers with errors.
const PLACES: [(&str, &str); 8] = [
    ("nameserver 127.0.0.1\nsearch a.lab lab\n", "hosts: files dns"),
    ("nameserver 127.0.0.1\nsearch a.lab lab\noptions ndots:5\n", "hosts: files dns"),
    ("nameserver 127.0.0.1\ndomain lab\n", "hosts: files dns"),
    ("nameserver 127.0.0.1\nsearch a.lab lab\n", "hosts: dns files"),
    ("nameserver 127.0.0.1\nsearch a.lab lab\n", "hosts: dns [!UNAVAIL=return] files"),
    ("nameserver 127.0.0.1\nsearch a.lab lab\n", "hosts: files"),
    ("nameserver 127.0.0.3\nnameserver 127.0.0.4\nnameserver 127.0.0.1\nsearch lab\n", "hosts: files dns"),
    ("nameserver 127.0.0.3\nsearch lab\noptions attempts:1\n", "hosts: files dns"),
];

#[tokio::test]
async fn names_resolve_as_the_c_library_of_the_place_resolves_them() {
    let Some(machine) = Machine::start() else { return };
    machine.serve("127.0.0.1", zone);
    machine.serve("127.0.0.4", |_, _| (ResponseCode::ServFail, vec![]));
    machine.write("hosts", HOSTS);
    let threads = SocketThreads::default();
    let (mut compared, mut found, mut different) = (0, 0, Vec::new());
    for (resolv, switch) in PLACES {
        machine.write("resolv.conf", resolv);
        // The C library passes over a last line that no line break ends.
        machine.write("nsswitch.conf", &format!("{switch}\n"));
        for name in NAMES {
            // RFC 6761 says what it stands for; where servers are final the C library asks them all the same.
            if name == "localhost" && switch.contains("return") {
                continue;
            }
            let theirs = machine.getent(name);
            let ours = machine.resolve(&threads, name).await;
            let addresses = ours.clone().unwrap_or_default();
            let set = |all: &[IpAddr]| all.iter().copied().collect::<BTreeSet<_>>();
            // Among several of one family the C library always begins with the same.
            let family = |all: &[IpAddr]| all.first().map(IpAddr::is_ipv6);
            if set(&theirs) != set(&addresses) || family(&theirs) != family(&addresses) {
                different.push(format!("`{name}` with {resolv:?}, {switch:?}: {theirs:?}, not {ours:?}"));
            }
            compared += 1;
            found += usize::from(!theirs.is_empty());
        }
    }
    println!("compared {compared}, {found} with addresses");
    assert!(different.is_empty(), "{}", different.join("\n"));
    // The comparison is worth something: many names were found, and many were not.
    assert!(found > 80 && compared - found > 40, "{found} of {compared}");
}

#[tokio::test]
async fn a_silent_server_is_waited_for_as_long_as_the_place_says() {
    let Some(machine) = Machine::start() else { return };
    machine.serve("127.0.0.1", zone);
    let silent = machine.bind("127.0.0.2");
    machine.write("nsswitch.conf", "hosts: files dns\n");
    let resolv = "nameserver 127.0.0.2\nnameserver 127.0.0.1\nsearch lab\noptions timeout:1\n";
    machine.write("resolv.conf", resolv);
    let threads = SocketThreads::default();
    let start = std::time::Instant::now();
    let ours = machine.resolve(&threads, "web").await.unwrap();
    let took = start.elapsed();
    assert_eq!(ours, machine.getent("web"));
    assert!((1.0..1.9).contains(&took.as_secs_f64()), "{took:?}");
    machine.write("resolv.conf", "nameserver 127.0.0.2\nsearch lab\noptions timeout:1 attempts:1\n");
    let none = machine.resolve(&threads, "web").await.unwrap_err();
    assert_eq!(none, "`web` does not resolve: no answer from 127.0.0.2:53");
    drop(silent);
}

#[tokio::test]
async fn what_has_no_address_names_what_was_asked_for() {
    let Some(machine) = Machine::start() else { return };
    machine.serve("127.0.0.1", zone);
    machine.write("nsswitch.conf", "hosts: files dns\n");
    machine.write("resolv.conf", "nameserver 127.0.0.1\nsearch a.lab lab\n");
    let threads = SocketThreads::default();
    let error = machine.resolve(&threads, "absent").await.unwrap_err();
    assert_eq!(
        error,
        "`absent` does not resolve: asked for `absent.a.lab.`, `absent.lab.`, `absent.`: NXDOMAIN"
    );
    let error = machine.resolve(&threads, "absent.lab.").await.unwrap_err();
    assert_eq!(error, "`absent.lab` does not resolve: NXDOMAIN");
    machine.write("nsswitch.conf", "hosts: files\n");
    let error = machine.resolve(&threads, "web").await.unwrap_err();
    assert_eq!(error, "`web` has no address at this machine, and there is no DNS server to ask");
}
