//! Labs to be brought up, and what is done to them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chaos_core::model::{Host, Lab as Declaration, Program, Ready};
use chaos_lab::{Lab, Programs};
use chaos_netns::Namespace;

pub(crate) fn programs() -> Programs {
    Programs::of(env!("CARGO_BIN_EXE_chaos-lab"))
}

pub(crate) fn http(work: Duration, capacity: Option<u32>) -> Program {
    Program::Http { port: 8080, work, capacity, status: 200 }
}

pub(crate) fn gateway(timeout: Duration, retries: u32) -> Program {
    Program::Gateway { port: 80, upstream: "api".into(), upstream_port: 8080, timeout, retries }
}

pub(crate) fn command(line: &str, ready: Ready) -> Program {
    let argv = line.split(' ').map(str::to_owned).collect();
    Program::Command { argv, ready, env: Vec::new(), as_root: false }
}

pub(crate) fn shell(script: &str, ready: Ready) -> Program {
    let argv = ["sh", "-c", script].map(str::to_owned).into();
    Program::Command { argv, ready, env: Vec::new(), as_root: false }
}

pub(crate) fn host(name: &str, copies: Option<u32>, programs: Vec<Program>) -> Host {
    Host { name: name.into(), copies, programs: programs.into_iter().map(Into::into).collect() }
}

pub(crate) async fn up(hosts: Vec<Host>) -> Lab {
    Lab::up(&Declaration { hosts, ..Declaration::default() }, &programs()).await.expect("the lab comes up")
}

/// The six hosts of the quickstart.
pub(crate) fn six() -> Vec<Host> {
    vec![
        host("client", None, vec![]),
        host("gw", None, vec![gateway(Duration::from_millis(200), 1)]),
        host("api", Some(3), vec![http(Duration::ZERO, Some(50))]),
        host("dns", None, vec![Program::Dns]),
    ]
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Asks over one new connection from inside a namespace.
pub(crate) fn get(from: &Namespace, server: IpAddr, port: u16, path: &str) -> std::io::Result<Answer> {
    let address = SocketAddr::new(server, port);
    let started = Instant::now();
    let mut stream = from.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)))??;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status =
        head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned(), took: started.elapsed() })
}

/// Waits until `done`, for a bounded time.
pub(crate) fn eventually(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < within {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    done()
}

/// The processes whose pid namespace is not this process's own and whose first process was `holder`.
pub(crate) fn family(holder: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|l| l.strip_prefix("PPid:\t"))?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut family = vec![holder];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
