//! Two network namespaces with a link between them, a server in one, and a transport that starts the agent in the other.

use std::{
    net::TcpListener,
    os::fd::{AsFd, AsRawFd},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chaos_agent::{ChildProcess, Transport, transport::Started};
use chaos_core::{
    place::{Namespace as Entered, ObjectId, Place, Site},
    trouble::Trouble,
};
use chaos_netns::Namespace;
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// `near`, where the agent is, with 10.98.0.1, and `far` with 10.98.0.2 and a server that takes every connection.
pub(crate) struct Two {
    near: Namespace,
    far: Namespace,
    port: u16,
}

fn path(namespace: &Namespace) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_fd().as_raw_fd())
}

fn ip(namespace: &Namespace, words: &str) {
    let status = Command::new("nsenter")
        .arg(format!("--net={}", path(namespace)))
        .arg("ip")
        .args(words.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {words}");
}

impl Two {
    /// Makes them, or says why this machine cannot.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: network namespaces need root");
            return None;
        }
        if Command::new("nsenter").arg("--version").output().is_err()
            || Command::new("ip").arg("-V").output().is_err()
        {
            println!("skipped: no `ip` or no `nsenter` program");
            return None;
        }
        let (near, far) = (Namespace::create().unwrap(), Namespace::create().unwrap());
        ip(&near, &format!("link add va type veth peer name vb netns {}", path(&far)));
        for (namespace, device, host) in [(&near, "va", 1), (&far, "vb", 2)] {
            ip(namespace, "link set lo up");
            ip(namespace, &format!("addr add 10.98.0.{host}/24 dev {device}"));
            ip(namespace, &format!("link set {device} up"));
        }
        let listener = far.run(|| TcpListener::bind("10.98.0.2:0")).unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                drop(connection)
            }
        });
        Some(Two { near, far, port })
    }

    /// The server's address, which only the two of them reach.
    pub(crate) fn address(&self) -> String {
        format!("10.98.0.2:{}", self.port)
    }
}

/// Starts agents in `near`, over pipes that take some time each way.
#[derive(Clone)]
pub(crate) struct Entering {
    near: String,
    way: Duration,
    agent: Arc<Mutex<Option<Pid>>>,
}

impl Entering {
    pub(crate) fn new(two: &Two, way: Duration) -> Self {
        assert_ne!(two.near, two.far);
        Entering { near: path(&two.near), way, agent: Arc::default() }
    }

    /// The agent that was started last.
    pub(crate) fn agent(&self) -> Pid {
        self.agent.lock().unwrap().expect("an agent was started")
    }
}

impl Two {
    /// The place as the agent in `near` sees it: its own.
    pub(crate) fn place(&self) -> Place {
        Place { object: ObjectId::netns("near"), ..Place::runner() }
    }

    /// The same place as this process sees it.
    pub(crate) fn place_from_here(&self) -> Place {
        Place { site: Entered::new(path(&self.near)).into(), ..self.place() }
    }
}

#[async_trait]
impl Transport for Entering {
    async fn start(&self, site: &Site) -> Result<Started, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        // `exec` keeps the number.
        let line = format!(
            "echo $$ > {}; exec nsenter --net={} {}",
            file.display(),
            self.near,
            env!("CARGO_BIN_EXE_chaos-agent")
        );
        let Started { input, output, grip } =
            ChildProcess::new("/bin/sh", ["-c".to_owned(), line]).start(site).await?;
        let written = || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
        while !written() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        *self.agent.lock().unwrap() = Some(Pid::from_raw(pid));
        let (input, output) = (slow_input(input, self.way), slow_output(output, self.way));
        Ok(Started { input, output, grip })
    }

    fn describe(&self) -> String {
        "the small agent in another namespace".into()
    }
}

type Input = Box<dyn AsyncWrite + Send + Unpin>;
type Output = Box<dyn AsyncRead + Send + Unpin>;

fn slow_input(to: Input, way: Duration) -> Input {
    if way.is_zero() {
        return to;
    }
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(carry(theirs, to, way));
    Box::new(ours)
}

fn slow_output(from: Output, way: Duration) -> Output {
    if way.is_zero() {
        return from;
    }
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(carry(from, theirs, way));
    Box::new(ours)
}

/// Hands bytes on, each that much later.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, way: Duration) {
    let (put, mut under_way) = tokio::sync::mpsc::unbounded_channel();
    let reading = async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            put.send((tokio::time::Instant::now() + way, buffer[..read].to_vec())).ok();
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
