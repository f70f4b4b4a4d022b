use std::{
    fs::File,
    io::{Read, Write},
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use chaos_core::{
    model::{Connections, ProbeKind},
    place::{Namespace, Place},
    probe::{Outcome, Probers},
};
use chaos_probes::StandardProbers;

use crate::world::{here, http, probe, text};

/// A process that does nothing but hold a namespace with loopback up; it ends with the test.
struct Holder(Child);

impl Holder {
    fn start() -> Option<Holder> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: making a network namespace needs root");
            return None;
        }
        let script = "ip link set lo up && echo up && read end";
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 2];
        child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        Some(Holder(child))
    }

    fn path(&self) -> std::path::PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    fn place(&self, descriptor: bool) -> Place {
        let descriptor = descriptor.then(|| Arc::new(OwnedFd::from(File::open(self.path()).unwrap())));
        Place { site: Namespace { descriptor, ..Namespace::new(self.path()) }.into(), ..here(&[], &[]) }
    }

    /// Answers one HTTP request per connection inside the namespace, and returns the address.
    fn serve(&self) -> std::net::SocketAddr {
        let namespace = chaos_netns::Namespace::open(self.path()).unwrap();
        let (tell, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            namespace.enter().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                // The tcp probe resets without a word.
                if stream.read(&mut request).is_ok_and(|length| length > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
                }
            }
        });
        address.recv().unwrap()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Returns how many threads of this process are inside the namespace.
fn threads_in(holder: &Holder) -> usize {
    let wanted = std::fs::read_link(holder.path()).unwrap();
    let inside = |entry: std::io::Result<std::fs::DirEntry>| {
        // A thread may end between being listed and being looked at.
        std::fs::read_link(entry.unwrap().path().join("ns/net")).is_ok_and(|namespace| namespace == wanted)
    };
    std::fs::read_dir("/proc/self/task").unwrap().filter_map(|entry| inside(entry).then_some(())).count()
}

#[tokio::test]
async fn requests_are_sent_from_inside() {
    let Some(holder) = Holder::start() else { return };
    let address = holder.serve();
    for descriptor in [false, true] {
        let probers = StandardProbers::new();
        let place = holder.place(descriptor);
        let mut fresh = http("GET", &format!("http://{address}/"), &[]);
        fresh.connections = Connections::Fresh;
        let prober = probers.open(&fresh, &place).await.unwrap().each().unwrap();
        let tcp = probe(ProbeKind::Tcp { address: text(&address.to_string()) });
        let other = probers.open(&tcp, &place).await.unwrap().each().unwrap();
        // The server's thread, and one that both probers share.
        assert_eq!(threads_in(&holder), 2);
        for _ in 0..5 {
            let seen = prober.once().await;
            assert_eq!((seen.outcome, seen.status), (Outcome::Ok, Some(200)), "{seen:?}");
        }
        assert_eq!(other.once().await.outcome, Outcome::Ok);
        // From here the server is not to be seen.
        let outside = probers.open(&tcp, &here(&[], &[])).await.unwrap().each().unwrap().once().await;
        assert_eq!(outside.error.as_deref(), Some("connection refused"));
        drop((prober, other));
        assert_eq!(threads_in(&holder), 1);
    }
}

#[tokio::test]
async fn a_namespace_without_routes_is_unreachable() {
    let Some(holder) = Holder::start() else { return };
    let tcp = probe(ProbeKind::Tcp { address: text("10.1.2.3:80") });
    let seen =
        StandardProbers::new().open(&tcp, &holder.place(true)).await.unwrap().each().unwrap().once().await;
    assert_eq!((seen.outcome, seen.error.as_deref()), (Outcome::Failed, Some("network unreachable")));
    let place = Place { site: Namespace::new("/nonexistent/netns").into(), ..here(&[], &[]) };
    let error = StandardProbers::new().open(&tcp, &place).await.err().unwrap();
    assert!(error.message.contains("`/nonexistent/netns`"), "{error}");
}
