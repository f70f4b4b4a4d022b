//! The harness's own world: two network namespaces with a link between them, and an echo service in one.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::Command,
    thread,
};

use chaos_netns::Namespace;

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
        let pair = Pair { blue: Namespace::create()?, green: Namespace::create()? };
        let far = pair.green.path();
        ip(&pair.blue, &format!("link add to-green type veth peer name to-blue netns {}", far.display()))?;
        for (namespace, link, address) in
            [(&pair.blue, "to-green", "10.77.0.1"), (&pair.green, "to-blue", "10.77.0.2")]
        {
            ip(namespace, &format!("addr add {address}/24 dev {link}"))?;
            ip(namespace, &format!("link set {link} addrgenmode none up"))?;
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

/// Runs the `ip` program in a namespace, and returns what it prints.
///
/// # Errors
/// There is no such program, or it fails.
pub fn ip(namespace: &Namespace, arguments: &str) -> io::Result<String> {
    let output = namespace.run(|| Command::new("ip").args(arguments.split_whitespace()).output())??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("`ip {arguments}` fails: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
