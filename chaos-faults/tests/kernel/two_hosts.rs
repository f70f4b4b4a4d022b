//! Two network namespaces joined by a cable, gone when the value is.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use chaos_faults::{
    capability,
    netlink::{Connection, Link, link::VethPair},
};
use chaos_netns::Namespace;

pub(crate) const A4: &str = "10.77.0.1";
pub(crate) const B4: &str = "10.77.0.2";
pub(crate) const B4_OTHER: &str = "10.77.0.3";
pub(crate) const A6: &str = "fd77::1";
pub(crate) const B6: &str = "fd77::2";

/// Host `a`, whose `left` leads to `right` of host `b`.
pub(crate) struct TwoHosts {
    pub(crate) a: Connection,
    pub(crate) b: Connection,
    pub(crate) left: Link,
}

/// Returns two hosts, or nothing (with the reason printed) where the kernel or the user lacks something needed.
pub(crate) async fn two_hosts(needs: &[&str]) -> Option<TwoHosts> {
    for found in capability::probe().await {
        if !found.available && (needs.contains(&found.name.as_str()) || found.name == "network-namespace") {
            let reason = found.detail.unwrap_or_default();
            // Any other refusal would be our own mistake, and must not pass as something the machine lacks.
            let lacking = ["this kernel has no", "not permitted", "not tried", "cannot enter"];
            assert!(lacking.iter().any(|start| reason.starts_with(start)), "{}: {reason}", found.name);
            println!("skipped: {reason}");
            return None;
        }
    }
    let (host_a, host_b) = (Namespace::create().unwrap(), Namespace::create().unwrap());
    let a = Connection::open(&host_a).await.unwrap();
    let b = Connection::open(&host_b).await.unwrap();
    let pair = VethPair {
        name: "left".into(),
        peer: "right".into(),
        peer_namespace: Some(host_b.clone()),
        mtu: 1500,
    };
    a.add_veth_pair(&pair).await.unwrap();
    for (connection, name, addresses) in
        [(&a, "left", [A4, A6].as_slice()), (&b, "right", [B4, B6, B4_OTHER].as_slice())]
    {
        connection.set_link_up(1, true).await.unwrap();
        let link = connection.link_by_name(name).await.unwrap();
        connection.set_link_up(link.index, true).await.unwrap();
        for address in addresses {
            let prefix = if address.contains(':') { 64 } else { 24 };
            let nodad = if prefix == 64 { "nodad" } else { "" };
            run(connection, &format!("ip addr add {address}/{prefix} dev {name} {nodad}"));
        }
    }
    let left = a.link_by_name("left").await.unwrap();
    Some(TwoHosts { a, b, left })
}

/// Runs a program in the connection's namespace.
pub(crate) fn attempt(connection: &Connection, line: &str) -> Output {
    let mut words = line.split_whitespace();
    connection.namespace().run(|| Command::new(words.next().unwrap()).args(words).output()).unwrap().unwrap()
}

/// Runs a program in the connection's namespace, which must succeed, and returns what it prints.
pub(crate) fn run(connection: &Connection, line: &str) -> String {
    let output = attempt(connection, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A UDP socket in the connection's namespace.
pub(crate) fn socket(connection: &Connection, address: &str, port: u16) -> UdpSocket {
    let address: IpAddr = address.parse().unwrap();
    let socket = connection.namespace().run(|| UdpSocket::bind((address, port))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Sends everything back until a packet says "stop" or nothing has come for five seconds.
pub(crate) fn echo(socket: UdpSocket) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if &buffer[..length] == b"stop" {
                return;
            }
            // A target that vanished mid-test is that test's failure to report.
            let _ = socket.send_to(&buffer[..length], from);
        }
    })
}

/// Measures one round trip.
pub(crate) fn round_trip(socket: &UdpSocket, to: SocketAddr, number: u32) -> io::Result<Duration> {
    let started = Instant::now();
    socket.send_to(&number.to_be_bytes(), to)?;
    let mut buffer = [0; 2048];
    loop {
        let (length, _) = socket.recv_from(&mut buffer)?;
        if buffer[..length] == number.to_be_bytes() {
            return Ok(started.elapsed());
        }
    }
}

/// Counts the packets that arrive until none has for `quiet`, and returns their contents.
pub(crate) fn drain(socket: &UdpSocket, quiet: Duration) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(quiet)).unwrap();
    let mut buffer = [0; 2048];
    let mut found = Vec::new();
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => found.push(buffer[..length].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return found;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
