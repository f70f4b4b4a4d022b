//! Two hosts, an agent, and what a runner does with them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use chaos_agent::{AgentInjector, Agents, ChildProcess, Host, OwnThread};
use chaos_core::{
    injector::{Ask, Direction, Injector, Offer, PacketMatch, Packets, Protocol, Surroundings, Undo, Work},
    model::{
        Distribution, FaultSpec,
        packets::{Blocked, Refusal},
    },
    non_empty::NonEmpty,
    place::{Namespace, ObjectId, Place},
    trouble::Trouble,
};
use chaos_faults::{NAME, NetworkInjector, Settings, backend::Holding, handles};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::pair::{self, Pair};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) pair: Pair,
    pub(crate) injector: AgentInjector,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Option<Self> {
        let pair = Pair::new()?;
        let folder = tempfile::tempdir().unwrap();
        let injector = injector(&folder.path().join("pid"));
        Some(World { pair, injector, folder })
    }

    /// Only offers one backend, or says why that is not available here.
    pub(crate) async fn with(backend: &str, specs: &[FaultSpec]) -> Option<Self> {
        let mut world = Self::new()?;
        world.injector = world.only(backend);
        match world.injector.offer(&ask(specs, &[Direction::Egress]), &Surroundings::default()).await {
            Ok(_) => Some(world),
            Err(denied) => {
                println!("skipped: {denied}");
                None
            }
        }
    }

    /// A runner of its own that only offers one backend.
    pub(crate) fn only(&self, backend: &str) -> AgentInjector {
        let agents = Agents::new(agent(self.folder.path().join("pid")));
        agents.set(NAME, &Settings::only(NonEmpty::one(backend.into()))).unwrap();
        agents.injector(NAME, handles)
    }

    /// A runner of its own, as `chaos restore` is one.
    pub(crate) fn another(&self) -> AgentInjector {
        injector(&self.folder.path().join("pid"))
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            object: object(),
            site: Namespace::new(pair::path(&self.pair.a)).into(),
            names: Default::default(),
        }
    }

    /// The agent that was started last.
    pub(crate) fn agent(&self) -> Pid {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        Pid::from_raw(pid.trim().parse().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.agent(), signal).unwrap();
    }

    pub(crate) async fn offers(&self, specs: &[FaultSpec], directions: &[Direction]) -> Vec<Offer> {
        self.injector.offer(&ask(specs, directions), &Surroundings::default()).await.unwrap()
    }

    pub(crate) async fn prepare(&self, id: &str, offer: &Offer) -> Result<Undo, Trouble> {
        self.injector.prepare(id, offer, &self.place(), DEADLINE).await
    }

    /// Puts all parts of a fault on what `a` sends in place.
    pub(crate) async fn inject(&self, id: &str, specs: &[FaultSpec]) -> Vec<Undo> {
        let mut undos = Vec::new();
        for (number, offer) in self.offers(specs, &[Direction::Egress]).await.iter().enumerate() {
            let undo = self.prepare(&format!("{id}/{number}"), offer).await.unwrap();
            self.injector.inject(&undo).await.unwrap();
            undos.push(undo);
        }
        undos
    }

    pub(crate) async fn revert(&self, undos: &[Undo]) {
        for undo in undos.iter().rev() {
            self.injector.revert(undo).await.unwrap();
        }
    }

    /// What the kernel says of both hosts, without what changes on its own: counters.
    pub(crate) fn dump(&self) -> Vec<String> {
        let hosts = [("a", &self.pair.a, self.pair.va()), ("b", &self.pair.b, self.pair.vb())];
        let mut lines = Vec::new();
        for (host, namespace, device) in hosts {
            for command in ["ip -o link", "ip -o address", "tc qdisc", "tc filter show dev lo"] {
                lines.extend(pair::run(namespace, command).lines().map(|line| format!("{host} {line}")));
            }
            for direction in [Direction::Egress, Direction::Ingress] {
                let attached = chaos_faults::bpf::link::attached(&device, direction).unwrap();
                lines.extend(attached.iter().map(|program| format!("{host} {direction:?} {program:?}")));
            }
        }
        lines
    }

    /// Waits until the world is as it was: a forwarder's namespace is taken down by the kernel when it has time.
    pub(crate) async fn assert_as_before(&self, before: &[String]) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.dump() != before && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.dump(), before);
    }

    /// Sends a datagram from `a` and returns for how long it was under way.
    pub(crate) fn exchange(&self) -> Option<Duration> {
        self.exchange_with("10.99.0.2")
    }

    pub(crate) fn exchange_with(&self, host: &str) -> Option<Duration> {
        let port = fresh_port();
        let (sender, receiver) = (self.pair.sender(host, port), self.pair.receiver(host, port));
        pair::one(&sender, &receiver, Duration::from_millis(600))
    }

    /// Returns the median of five: a busy machine adds to some, and lets some pass while the forwarder gets no processor.
    pub(crate) fn typical(&self) -> Duration {
        let mut times: Vec<_> = (0..5).map(|_| self.exchange().unwrap_or(Duration::MAX)).collect();
        times.sort();
        times[2]
    }

    /// Waits until the agent that was started last is gone.
    pub(crate) async fn assert_agent_gone(&self) {
        let pid = self.agent();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        };
        let end = Instant::now() + Duration::from_secs(6);
        while alive() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!alive(), "the agent {pid} still runs");
    }
}

/// A port that no socket had before: one that another test's starting child still has a copy of is not free yet.
pub(crate) fn fresh_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(5000);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn injector(pid: &std::path::Path) -> AgentInjector {
    Agents::new(agent(pid.to_owned())).injector(NAME, handles)
}

/// An injector whose agent is a thread of this process.
pub(crate) fn in_this_process() -> AgentInjector {
    let thread = OwnThread::new(|settings| {
        Ok(Host::new().injector(NetworkInjector::of(settings, Holding::KernelOnly)?))
    });
    Agents::new(thread).injector(NAME, handles)
}

/// This program as an agent, whose number is written to a file.
pub(crate) fn agent(pid: PathBuf) -> ChildProcess {
    let program = std::env::current_exe().unwrap();
    let line = format!(
        "echo $$ > {}; exec 3>&1 >/dev/null; CHAOS_TEST_AGENT=1 exec {} --exact agent_process --ignored --nocapture",
        pid.display(),
        program.display()
    );
    ChildProcess::new("/bin/sh", ["-c".to_owned(), line])
}

fn object() -> ObjectId {
    ObjectId::netns("a")
}

/// Datagrams only: what the kernel multicasts on its own must not spoil counts.
pub(crate) fn ask(specs: &[FaultSpec], directions: &[Direction]) -> Ask {
    let matches = PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() };
    ask_of(matches, specs, directions)
}

/// Asks for a fault on some packets.
pub(crate) fn ask_of(matches: PacketMatch, specs: &[FaultSpec], directions: &[Direction]) -> Ask {
    let (specs, directions) = (specs.to_vec(), directions.to_vec());
    let work = Work::Packets(Packets { specs, directions, matches, named: None });
    Ask { fault: "fault".into(), object: object(), work, seed: 7 }
}

pub(crate) const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

pub(crate) fn delay(milliseconds: u64) -> FaultSpec {
    jitter(milliseconds, 0)
}

pub(crate) fn jitter(milliseconds: u64, jitter: u64) -> FaultSpec {
    FaultSpec::Delay {
        delay: Duration::from_millis(milliseconds),
        jitter: Duration::from_millis(jitter),
        correlation: 0.0,
        distribution: Distribution::Normal,
        ordered: false,
    }
}

pub(crate) fn loss(ratio: f64) -> FaultSpec {
    FaultSpec::Loss { ratio, burst: None }
}

pub(crate) fn block(connections: Blocked) -> FaultSpec {
    FaultSpec::Block { connections, answer: Refusal::Drop }
}

pub(crate) fn bandwidth(rate: u64) -> FaultSpec {
    FaultSpec::Bandwidth { rate, burst: 3_000 }
}
