//! Two named network namespaces with a cable between them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chaos_netns::Namespace;

/// How the names of all namespaces of these tests begin.
pub(crate) const PREFIX: &str = "chaos-e2e-";

/// The address of the server.
const SERVER: &str = "10.88.0.2";

/// `box`, which experiments are done on, and `peer` with a server for HTTP (8080) and one that echoes datagrams (7).
#[derive(Debug)]
pub struct Network {
    /// The name of the namespace that experiments are done on: 10.88.0.1 on `eth0`.
    pub name: String,
    peer: String,
    over: Arc<AtomicBool>,
}

impl Network {
    /// Makes the two namespaces and starts the servers.
    pub fn new() -> Network {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let [name, peer] =
            ["box", "peer"].map(|end| format!("{PREFIX}{}-{number}-{end}", std::process::id()));
        let network = Network { name, peer, over: Arc::default() };
        let (name, peer) = (network.name.as_str(), network.peer.as_str());
        ip(&["netns", "add", name]);
        ip(&["netns", "add", peer]);
        ip(&["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer]);
        for (namespace, address) in [(name, "10.88.0.1/24"), (peer, "10.88.0.2/24")] {
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            ip(&["-n", namespace, "address", "add", address, "dev", "eth0"]);
            ip(&["-n", namespace, "link", "set", "eth0", "addrgenmode", "none", "up"]);
        }
        let over = network.over.clone();
        inside(peer, move || serve(&over));
        // The first packet waits for its neighbour's address; that is not what any test is about.
        let socket = network.socket();
        assert!(
            (0..40).any(|_| ping(&socket, Duration::from_millis(250)).is_some()),
            "the server does not answer"
        );
        network
    }

    /// Runs a command line in the box.
    #[track_caller]
    pub fn in_box(&self, line: &str) {
        run_in(&self.name, line);
    }

    /// Runs a command line in the namespace of the server, which answers at every address there.
    #[track_caller]
    pub fn in_peer(&self, line: &str) {
        run_in(&self.peer, line);
    }

    /// Starts a program in the namespace of the server; the caller ends it.
    #[track_caller]
    pub fn start_in_peer(&self, line: &str) -> Child {
        let words = ["netns", "exec", &self.peer].into_iter().chain(line.split_whitespace());
        let quiet = Command::new("ip").args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        quiet.expect("there is `ip`")
    }

    /// Gives the programs in the box a file of their own in `/etc`, until the box is gone.
    #[track_caller]
    pub fn etc(&self, file: &str, text: &str) {
        let folder = Path::new("/etc/netns").join(&self.name);
        fs::create_dir_all(&folder).expect("root may make it");
        fs::write(folder.join(file), text).expect("root may write it");
    }

    /// Runs a command line in the box, and returns what it printed, and whether it succeeded.
    #[track_caller]
    pub fn asked(&self, line: &str) -> (String, bool) {
        let words = ["netns", "exec", &self.name].into_iter().chain(line.split_whitespace());
        let output = Command::new("ip").args(words).output().expect("there is `ip`");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    /// Does something in the box, such as opening a socket, which stays there.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        inside(&self.name, work)
    }

    /// Lays a second cable, from 10.89.0.1 on `eth1` in the box to 10.89.0.2.
    pub fn second_cable(&self) {
        let (name, peer) = (self.name.as_str(), self.peer.as_str());
        ip(&["-n", name, "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", peer]);
        for (namespace, address) in [(name, "10.89.0.1/24"), (peer, "10.89.0.2/24")] {
            ip(&["-n", namespace, "address", "add", address, "dev", "eth1"]);
            ip(&["-n", namespace, "link", "set", "eth1", "addrgenmode", "none", "up"]);
        }
    }

    /// Opens a datagram socket in the box, connected with the server that echoes.
    pub fn socket(&self) -> UdpSocket {
        inside(&self.name, || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
            socket.connect((SERVER, 7)).expect("there is a route");
            socket
        })
    }
}

impl Default for Network {
    fn default() -> Self {
        Network::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&self.name));
        for name in [&self.name, &self.peer] {
            // Nothing can be done about it here, and the next test has names of its own.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// Sends a datagram and returns how long its echo took; old echoes are passed over.
pub fn ping(socket: &UdpSocket, patience: Duration) -> Option<Duration> {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let token = SENT.fetch_add(1, Ordering::Relaxed).to_ne_bytes();
    let started = Instant::now();
    // A fault may well refuse it.
    let _ = socket.send(&token);
    while let Some(left) = patience.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        socket.set_read_timeout(Some(left)).expect("it is more than zero");
        let mut seen = [0; 64];
        match socket.recv(&mut seen) {
            Ok(length) if seen[..length] == token => return Some(started.elapsed()),
            // Somebody else's, or an error message of the kernel's about an earlier one.
            _ => {}
        }
    }
    None
}

#[track_caller]
fn run_in(namespace: &str, line: &str) {
    let words: Vec<&str> = ["netns", "exec", namespace].into_iter().chain(line.split_whitespace()).collect();
    ip(&words);
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("there is `ip`");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Does something on a thread that is in a namespace; its sockets stay there.
fn inside<T: Send + 'static>(name: &str, what: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = Namespace::open(Path::new("/run/netns").join(name)).expect("the namespace was made");
    namespace.run(what).expect("root may enter it")
}

/// Starts the servers, whose threads end with the network.
fn serve(over: &Arc<AtomicBool>) {
    let listener = TcpListener::bind(("0.0.0.0", 8080)).expect("the address is there");
    let echo = UdpSocket::bind((SERVER, 7)).expect("the address is there");
    listener.set_nonblocking(true).expect("it is a socket");
    echo.set_read_timeout(Some(Duration::from_millis(200))).expect("it is a socket");
    let end = over.clone();
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while !end.load(Ordering::Relaxed) {
            if let Ok((length, from)) = echo.recv_from(&mut datagram) {
                // The way back may have a fault.
                let _ = echo.send_to(&datagram[..length], from);
            }
        }
    });
    let end = over.clone();
    thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    let end = end.clone();
                    thread::spawn(move || answer(stream, &end));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    });
}

/// Answers requests on one connection.
fn answer(mut stream: TcpStream, over: &AtomicBool) {
    let mut seen = Vec::new();
    let mut block = [0; 2048];
    let ready = stream.set_nonblocking(false).is_ok()
        && stream.set_nodelay(true).is_ok()
        && stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok();
    while ready && !over.load(Ordering::Relaxed) {
        match stream.read(&mut block) {
            Ok(0) => return,
            Ok(length) => seen.extend_from_slice(&block[..length]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => continue,
            Err(_) => return,
        }
        while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            seen.drain(..end + 4);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n").is_err() {
                return;
            }
        }
    }
}
