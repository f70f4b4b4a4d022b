//! Changing the world and putting it back.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use crate::model::packets::{Ports, Protocol};
use crate::{
    model::{Action, Custom, FaultSpec, NameEffect, NameFault, Program},
    place::{ObjectId, Place, Site},
    trouble::Trouble,
    which::Which,
};

/// Which packets of an interface a fault applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PacketMatch {
    /// The remote ends: destination on egress, source on ingress.
    pub peers: Which<Peer>,
    /// Ports at either end.
    pub ports: Which<Ports>,
    /// The transport protocol.
    pub protocol: Option<Protocol>,
}

impl PacketMatch {
    /// Returns whether every IP packet matches.
    pub fn is_any(&self) -> bool {
        self.peers.is_any() && self.ports.is_any() && self.protocol.is_none()
    }
}

/// A remote end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Peer {
    /// The address or the network.
    pub network: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
    /// Their port, or ports.
    pub port: Option<Ports>,
}

/// Which way packets go, as seen from the object.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// What it sends.
    Egress,
    /// What it receives.
    Ingress,
}

/// A fault on one object, resolved: what a planner asks of an injector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ask {
    /// The fault's name in the experiment.
    pub fault: String,
    /// Whom it is done to.
    pub object: ObjectId,
    /// What is done.
    pub work: Work,
    /// The seed of everything random in it.
    pub seed: u64,
}

/// What is done to one object: an [`Action`] whose destinations are resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Something happens to packets.
    Packets(Packets),
    /// Something happens to queries for names.
    Names(Names),
    /// Another program runs on a lab host.
    Program(Box<Program>),
    /// What an injector of the harness does.
    Custom(Custom),
}

/// What happens to packets of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Packets {
    /// What happens to them.
    pub specs: Vec<FaultSpec>,
    /// Which directions.
    pub directions: Vec<Direction>,
    /// Which packets.
    pub matches: PacketMatch,
}

/// What happens to an object's queries for names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Names {
    /// What happens to them, and to which.
    pub fault: NameFault,
    /// The packets in which queries go, with no effect of their own.
    pub packets: Packets,
}

impl Names {
    /// The port on which DNS servers are asked.
    pub const PORT: u16 = 53;

    /// Takes all queries over UDP and TCP to the port of DNS, of whichever server.
    pub fn new(fault: NameFault) -> Self {
        let anyone = |network: IpAddr| Peer { network, prefix: 0, port: Some(Self::PORT.into()) };
        let v4 = anyone(Ipv4Addr::UNSPECIFIED.into());
        let mut peers = Which::one(v4);
        peers.add(anyone(Ipv6Addr::UNSPECIFIED.into()));
        let matches = PacketMatch { peers, ..PacketMatch::default() };
        Names { fault, packets: Packets { specs: Vec::new(), directions: vec![Direction::Egress], matches } }
    }
}

impl Work {
    /// Returns which packets the work is about, and what happens to them all.
    pub fn packets(&self) -> Option<&Packets> {
        match self {
            Work::Packets(packets) => Some(packets),
            Work::Names(names) => Some(&names.packets),
            Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns what happens to queries for names, where the work is about them.
    pub fn names(&self) -> Option<&NameFault> {
        match self {
            Work::Names(names) => Some(&names.fault),
            Work::Packets(_) | Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns by how much later it lets each of what it is about arrive, on average; none where it is not about time.
    pub fn delays(&self) -> Option<Duration> {
        match self {
            Work::Packets(packets) => packets.specs.iter().find_map(FaultSpec::delays),
            Work::Names(names) => match names.fault.effect.value {
                NameEffect::Delay { delay, .. } => Some(delay),
                NameEffect::Fail { .. } | NameEffect::Answer { .. } => None,
            },
            Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns the program that is to run, where the work is that.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Work::Program(program) => Some(program),
            Work::Packets(_) | Work::Names(_) | Work::Custom(_) => None,
        }
    }

    /// Returns what an injector of the harness is asked to do, where the work is that.
    pub fn custom(&self) -> Option<&Custom> {
        match self {
            Work::Custom(custom) => Some(custom),
            Work::Packets(_) | Work::Names(_) | Work::Program(_) => None,
        }
    }

    /// Returns in what its effect is counted, before an injector has said so.
    pub fn unit(&self) -> Unit {
        match self {
            Work::Packets(_) => Unit::Packets,
            Work::Names(_) => Unit::Queries,
            Work::Program(_) => Unit::Connections,
            Work::Custom(_) => Unit::Times,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Packets(packets) => {
                let specs: Vec<String> = packets.specs.iter().map(ToString::to_string).collect();
                f.write_str(&specs.join(" and "))
            }
            Work::Names(names) => write!(f, "{}", names.fault),
            Work::Program(program) => write!(f, "run {program}"),
            Work::Custom(custom) => write!(f, "{custom}"),
        }
    }
}

/// What is known, when planning, of where something is to be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The place; none where it is only made for the run.
    pub place: Option<Place>,
    /// What was planned for the same object and is in place by then, oldest first.
    pub below: Vec<Offer>,
}

/// What an injector would do for an ask, or for a part of its specs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Offer {
    /// The mechanism's name, such as `tcx`, `netem`, `forwarder`; goes into plan and report.
    pub backend: String,
    /// The part of the ask that this mechanism does.
    pub ask: Ask,
    /// What ends it if everything else fails.
    pub hold: Hold,
    /// What it does, a line each, for people.
    pub does: Vec<String>,
    /// How it is undone, one line.
    pub undoes: String,
    /// Why an otherwise preferred mechanism was not chosen, a line each.
    pub because: Vec<String>,
}

/// What ends a fault if its runner dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// A kernel object that lives only as long as the agent's descriptor: ends with the agent, however it dies, and at the deadline
    /// also where the agent hangs.
    Kernel,
    /// The agent: it reverts at end of input, a missed heartbeat or the deadline; if it is killed together with the runner,
    /// `chaos restore` must finish.
    Agent,
    /// The environment that was made for the run: it goes with its runner, and the fault with it.
    Environment,
    /// Nothing: it stays as it is until the run's record is replayed, by the runner or by `chaos restore`.
    Record,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hold::Kernel => "kernel-held",
            Hold::Agent => "agent-held",
            Hold::Environment => "environment-held",
            Hold::Record => "on record only",
        })
    }
}

/// Everything needed to put one thing back; written to the journal before that thing is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Undo {
    /// Unique within the run: `FAULT/OBJECT/NUMBER`.
    pub id: String,
    /// The injector that made it and understands its state.
    pub injector: String,
    /// What was offered and accepted.
    pub offer: Offer,
    /// Where it is to be put back.
    pub site: Site,
    /// How long after injection the fault ends, whoever is still alive then.
    pub deadline: Duration,
    /// The exact prior state, what was chosen for this run, and what tells the site from another one at the same path; only its
    /// injector reads it.
    pub state: serde_json::Value,
    /// What reverting does, one line for people.
    pub line: String,
}

/// Faults that ended although nobody asked for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The ids of their undo records.
    pub ids: Vec<String>,
    /// What happened, for people.
    pub reason: String,
}

/// What an injector measured of a fault's effect since it was injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Measured {
    /// What is counted.
    pub unit: Unit,
    /// How many the fault's match looked at, where that is counted.
    pub seen: Option<u64>,
    /// How many of them met the fault: were delayed, dropped, doubled, damaged, limited.
    pub met: u64,
    /// How many the fault changed in the way that was asked for: of 100 packets that met a loss of 1 %, one. A fault that
    /// changed none was not exercised.
    pub changed: u64,
    /// Each of several effects that were asked for together; empty where there is but one, or nothing tells them apart.
    #[serde(default)]
    pub each: Vec<Done>,
    /// How many matched while what carries out the fault had stalled, and went on as if there were none.
    #[serde(default)]
    pub bypassed: u64,
    /// The mean delay that was really added.
    pub delay: Option<Duration>,
    /// One line for people.
    pub line: String,
}

impl Measured {
    /// Returns the measurement of a fault that met nothing.
    pub fn nothing(unit: Unit) -> Self {
        Measured {
            unit,
            seen: None,
            met: 0,
            changed: 0,
            each: Vec::new(),
            bypassed: 0,
            delay: None,
            line: String::new(),
        }
    }
}

/// What one effect of a fault did, such as its loss or its delay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {
    /// The effect that was asked for.
    pub spec: FaultSpec,
    /// How many it changed; `None` where its mechanism does not count that.
    pub changed: Option<u64>,
}

/// What an effect is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Packets.
    Packets,
    /// Connections that were opened, and datagrams where there are none.
    Connections,
    /// Questions for a name.
    Queries,
    /// Requests of a protocol such as HTTP.
    Requests,
    /// Objects of an API.
    Objects,
    /// Processes.
    Processes,
    /// How often it acted, where that is all there is to count.
    Times,
}

impl Unit {
    /// Returns the word for several of them.
    pub fn plural(self) -> &'static str {
        match self {
            Unit::Packets => "packets",
            Unit::Connections => "connections",
            Unit::Queries => "queries",
            Unit::Requests => "requests",
            Unit::Objects => "objects",
            Unit::Processes => "processes",
            Unit::Times => "times",
        }
    }

    /// Says of a fault that nothing met it, behind its name.
    pub fn met_none(self) -> &'static str {
        match self {
            Unit::Packets | Unit::Connections => "matched no traffic",
            Unit::Queries => "matched no query",
            Unit::Requests => "matched no request",
            Unit::Objects => "changed no object",
            Unit::Processes => "matched no process",
            Unit::Times => "had no effect",
        }
    }

    /// Says what a number of them were.
    pub fn met(self, met: u64, changed: u64) -> String {
        match self {
            Unit::Times => format!("it acted {met} times, {changed} of them with an effect"),
            Unit::Packets
            | Unit::Connections
            | Unit::Queries
            | Unit::Requests
            | Unit::Objects
            | Unit::Processes => format!("matched {met} {}, changed {changed}", self.plural()),
        }
    }
}

/// Changes the world and puts it back. Do and undo sit side by side in each implementation.
///
/// From a successful `prepare` on, the caller owes a `revert`, also if `inject` failed or was never called.
///
/// # Guarantees
/// `offer` and `prepare` change nothing that lasts. What `inject` changes is exactly what `revert` takes away, found again by the
/// [`Undo`] alone, also in another process: own handles, own tables, own fields, never "whatever is there". `revert` reads back and
/// succeeds only when the injector's own parts are absent; it succeeds when `inject` never ran, half ran, or was reverted before. A
/// fault ends at its deadline, as its [`Hold`] says.
///
/// # Assumptions
/// The undo was kept before `inject` is called. Calls for different objects run at the same time; those for one object come one
/// after another, and are reverted in reverse. Any call may be dropped half-way, and a `revert` follows.
///
/// # Errors
/// A [`Trouble`] that says what could not be done, where and why, and by its kind whether a right is
/// missing. An error of `inject` does not undo what it did: the `revert` does. After an error of `revert` it is called again.
#[async_trait]
pub trait Injector: Send + Sync {
    /// Returns the name under which undo records find their injector.
    fn name(&self) -> &str;

    /// Returns whether it does actions of this kind at all. What it does not handle is never offered to it; that is not a
    /// denial.
    fn handles(&self, action: &Action) -> bool;

    /// Finds out, touching nothing that lasts, how an ask can be met: one offer, or several that share its specs. What can be seen
    /// of the place already and would make `prepare` or `inject` fail is refused here.
    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble>;

    /// Reads the prior state and decides everything that is left to decide; changes nothing. `deadline` is how long after
    /// injection the fault ends on its own, as its [`Hold`] says.
    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble>;

    /// Puts the fault in place and confirms it by reading back.
    async fn inject(&self, undo: &Undo) -> Result<(), Trouble>;

    /// Puts the prior state back and proves it by reading back.
    ///
    /// Succeeds when `inject` never ran, half ran, or `revert` already ran, also in another process.
    async fn revert(&self, undo: &Undo) -> Result<(), Trouble>;

    /// Lets traffic of several faults pass at once, where that takes no time; a revert of each follows.
    ///
    /// A revert may have to wait for the kernel, and with it whatever is reverted after it. Does nothing unless overridden.
    async fn release(&self, _undos: &[Undo]) {}

    /// Measures what the fault did so far; still answers after `revert`.
    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble>;

    /// Waits until faults are lost that should be in place, such as by the death of the agent that held them.
    async fn lost(&self) -> Lost {
        std::future::pending().await
    }

    /// Says what stands of a part in the world, whoever holds it, a line each; changes nothing.
    ///
    /// Without a way to look, which is the default, that is an error, and only a revert shows.
    async fn standing(&self, _undo: &Undo) -> Result<Vec<String>, Trouble> {
        Err(Trouble::unable(format!("the injector `{}` cannot look without reverting", self.name())))
    }

    /// Says what of this injector's making stands on an object, whoever made it, a line each, with what removes it; changes
    /// nothing. For runs whose records are lost.
    async fn leftovers(&self, _object: &ObjectId) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    /// Says what others changed meanwhile where a reverted fault was, a line each: that is theirs, and stays.
    async fn changed_by_others(&self, _undo: &Undo) -> Vec<String> {
        Vec::new()
    }

    /// Returns what the kernel says of a place (links, qdiscs, filters, BPF links), for the evidence.
    async fn evidence(&self, _place: &Place) -> Vec<String> {
        Vec::new()
    }
}
