//! Two network namespaces with a link between them, made and forgotten by the test that needs them.

use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use chaos_faults::bpf::Device;
use chaos_netns::Namespace;
use nix::sys::socket::{setsockopt, sockopt};

/// `va` in `a` with 10.99.0.1 and fd00::1; `vb` in `b` with 10.99.0.2, .3 and fd00::2, ::3.
pub(crate) struct Pair {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
}

impl Pair {
    /// Makes the pair, or says why this machine cannot.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: network namespaces need root");
            return None;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            println!("skipped: no `ip` program");
            return None;
        }
        if let chaos_faults::bpf::Support::No { reason, .. } = chaos_faults::bpf::probe() {
            println!("skipped: {reason}");
            return None;
        }
        let pair = Self { a: Namespace::create().unwrap(), b: Namespace::create().unwrap() };
        pair.ip_a(&format!("link add va type veth peer name vb netns {}", path(&pair.b)));
        for (namespace, device) in [(&pair.a, "va"), (&pair.b, "vb")] {
            ip(namespace, "link set lo up");
            ip(namespace, &format!("link set {device} addrgenmode none up"));
        }
        pair.ip_a("addr add 10.99.0.1/24 dev va");
        pair.ip_a("addr add fd00::1/64 dev va nodad");
        for host in [2, 3] {
            ip(&pair.b, &format!("addr add 10.99.0.{host}/24 dev vb"));
            ip(&pair.b, &format!("addr add fd00::{host}/64 dev vb nodad"));
        }
        // The first packet of each pair of addresses waits for its neighbour; that is not what any test is about.
        for host in ["10.99.0.2", "10.99.0.3", "fd00::2", "fd00::3"] {
            let reached = (0..20).any(|_| pair.exchange(host, 9).is_some());
            assert!(reached, "{host} is not reached over a link without any fault");
        }
        Some(pair)
    }

    pub(crate) fn ip_a(&self, arguments: &str) -> String {
        ip(&self.a, arguments)
    }

    pub(crate) fn va(&self) -> Device {
        Device::find(Some(self.a.clone()), "va").unwrap()
    }

    pub(crate) fn vb(&self) -> Device {
        Device::find(Some(self.b.clone()), "vb").unwrap()
    }

    /// Opens a datagram socket in `a` that sends to an address in `b`.
    pub(crate) fn sender(&self, host: &str, port: u16) -> UdpSocket {
        let to: IpAddr = host.parse().unwrap();
        inside(&self.a, move || {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect((to, port)).unwrap();
            socket
        })
    }

    /// Opens a datagram socket in `b` with room for a lot.
    pub(crate) fn receiver(&self, host: &str, port: u16) -> UdpSocket {
        let at: IpAddr = host.parse().unwrap();
        inside(&self.b, move || {
            let socket = UdpSocket::bind((at, port)).unwrap();
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).unwrap();
            socket
        })
    }

    /// Sends a datagram and says how long it took to arrive, up to 300 ms.
    pub(crate) fn exchange(&self, host: &str, port: u16) -> Option<Duration> {
        let (sender, receiver) = (self.sender(host, port), self.receiver(host, port));
        one(&sender, &receiver, Duration::from_millis(300))
    }
}

/// Sends a datagram and says how long it took to arrive.
pub(crate) fn one(sender: &UdpSocket, receiver: &UdpSocket, patience: Duration) -> Option<Duration> {
    receiver.set_read_timeout(Some(patience)).unwrap();
    let start = Instant::now();
    sender.send(b"one").unwrap();
    receiver.recv(&mut [0; 64]).ok().map(|_| start.elapsed())
}

/// Sends numbered datagrams and returns the numbers as they arrived, and the payloads that were damaged.
pub(crate) fn blast(sender: &UdpSocket, receiver: &UdpSocket, count: u32) -> (Vec<u32>, Vec<Vec<u8>>) {
    let receiving = receiver.try_clone().unwrap();
    receiving.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let arrived = std::thread::spawn(move || {
        let (mut numbers, mut damaged, mut buffer) = (Vec::new(), Vec::new(), [0; 256]);
        while let Ok(length) = receiving.recv(&mut buffer) {
            let number = u32::from_ne_bytes(buffer[..4].try_into().unwrap());
            if buffer[..length] == payload(number)[..] {
                numbers.push(number);
            } else {
                damaged.push(buffer[..length].to_vec());
            }
        }
        (numbers, damaged)
    });
    for number in 0..count {
        sender.send(&payload(number)).unwrap();
        if number % 50 == 49 {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    arrived.join().unwrap()
}

/// What [`blast`] sends: the number twice, so that a damaged one is known, and a pattern.
pub(crate) fn payload(number: u32) -> [u8; 100] {
    let mut bytes = [0x55; 100];
    bytes[..4].copy_from_slice(&number.to_ne_bytes());
    bytes[4..8].copy_from_slice(&number.to_ne_bytes());
    bytes
}

/// Runs something on a thread inside a namespace.
pub(crate) fn inside<T: Send + 'static>(
    namespace: &Namespace,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    namespace.run(work).unwrap()
}

/// Runs the `ip` program inside a namespace and returns what it printed.
pub(crate) fn ip(namespace: &Namespace, arguments: &str) -> String {
    run(namespace, &format!("ip {arguments}"))
}

/// Runs a command line inside a namespace and returns what it printed.
pub(crate) fn run(namespace: &Namespace, line: &str) -> String {
    let line = line.to_owned();
    inside(namespace, move || {
        let mut words = line.split_whitespace();
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// A path by which another process can open the namespace.
pub(crate) fn path(namespace: &Namespace) -> String {
    namespace.path().display().to_string()
}

/// A copy of this test program that runs the ignored test `holder` with a task, until it is dropped.
pub(crate) struct Holder(std::process::Child);

impl Holder {
    pub(crate) fn start(pair: &Pair, task: &str) -> Self {
        use std::io::BufRead;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder", "--ignored", "--nocapture"])
            .env("HOLDER_NAMESPACE", path(&pair.a))
            .env("HOLDER_TASK", task)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.ends_with("holding"));
        assert!(ready, "the holder ended before it held anything");
        Self(child)
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the ignored test `holder` of a test program does: nothing unless a test started it, else hold for a minute.
pub(crate) fn hold(task: impl FnOnce(Device, &str) -> Box<dyn std::any::Any>) {
    let (Ok(namespace), Ok(name)) = (std::env::var("HOLDER_NAMESPACE"), std::env::var("HOLDER_TASK")) else {
        return;
    };
    let namespace = Namespace::open(namespace).unwrap();
    let _held = task(Device::find(Some(namespace), "va").unwrap(), &name);
    println!("holding");
    std::thread::sleep(Duration::from_secs(60));
}
