//! The harness's own world: two network namespaces with a link between them, and an echo service in one.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    process::Command,
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

/// Where the echo service listens, in `green`.
pub const ECHO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)), 7);

/// Two namespaces, `blue` with 10.77.0.1 and `green` with 10.77.0.2; they end with this value, or with the process.
pub struct Pair {
    /// Where clients are.
    pub blue: Namespace,
    /// Where the service is.
    pub green: Namespace,
}

impl Pair {
    /// Makes both, links them, and starts the echo service.
    ///
    /// # Errors
    /// A right is missing (it takes root), or the `ip` program.
    pub fn new() -> io::Result<Pair> {
        let pair = Pair { blue: Namespace::new()?, green: Namespace::new()? };
        let far = pair.green.path();
        pair.blue.ip(&format!("link add to-green type veth peer name to-blue netns {}", far.display()))?;
        for (namespace, link, address) in
            [(&pair.blue, "to-green", "10.77.0.1"), (&pair.green, "to-blue", "10.77.0.2")]
        {
            namespace.ip(&format!("addr add {address}/24 dev {link}"))?;
            namespace.ip(&format!("link set {link} addrgenmode none up"))?;
        }
        let socket = pair.green.run(|| UdpSocket::bind(ECHO))??;
        thread::Builder::new().name("echo".into()).spawn(move || {
            let mut buffer = [0; 2048];
            // An empty datagram ends the service.
            while let Ok((length @ 1.., client)) = socket.recv_from(&mut buffer) {
                // A client that went away does not matter to the others.
                let _ = socket.send_to(&buffer[..length], client);
            }
        })?;
        Ok(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // The socket keeps `green` in existence, so the service has to end.
        let _ = self.green.run(|| UdpSocket::bind("10.77.0.2:0")?.send_to(&[], ECHO));
    }
}

/// A network namespace; it exists as long as somebody holds it.
#[derive(Clone)]
pub struct Namespace(pub Arc<OwnedFd>);

impl Namespace {
    fn new() -> io::Result<Namespace> {
        // A namespace belongs to a thread: this one makes it, and its descriptor keeps it.
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        Ok(Namespace(Arc::new(joined(made.join())?.into())))
    }

    /// Returns a path by which any process can open it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Does something on a thread inside; a socket that is made there stays there, whoever uses it.
    ///
    /// # Errors
    /// It may not be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            joined(inside.join())
        })
    }

    /// Runs the `ip` program inside, and returns what it prints.
    ///
    /// # Errors
    /// There is no such program, or it fails.
    pub fn ip(&self, arguments: &str) -> io::Result<String> {
        let output = self.run(|| Command::new("ip").args(arguments.split_whitespace()).output())??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("`ip {arguments}` fails: {}", said.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
