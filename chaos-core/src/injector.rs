//! Changing the world and putting it back.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use crate::model::fault::Protocol;
use crate::{
    model::FaultSpec,
    place::{Object, Place},
    trouble::Trouble,
};

/// Which packets of an interface a fault applies to; an empty list means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PacketMatch {
    /// The remote ends: destination on egress, source on ingress.
    pub peers: Vec<Peer>,
    /// Ports at either end.
    pub ports: Vec<u16>,
    /// The transport protocol.
    pub protocol: Option<Protocol>,
}

impl PacketMatch {
    /// Returns whether every IP packet matches.
    pub fn is_any(&self) -> bool {
        self.peers.is_empty() && self.ports.is_empty() && self.protocol.is_none()
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
    /// Their port.
    pub port: Option<u16>,
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
    /// Whose packets.
    pub object: Object,
    /// What happens to them.
    pub specs: Vec<FaultSpec>,
    /// Which directions.
    pub directions: Vec<Direction>,
    /// Which packets.
    pub matches: PacketMatch,
    /// The seed of everything random in it.
    pub seed: u64,
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
    /// A kernel object that lives only as long as the agent's descriptor: ends with the agent, however it dies.
    Kernel,
    /// The agent: it reverts at end of input, a missed heartbeat or the deadline; if it is killed together with the runner,
    /// `chaos restore` must finish.
    Agent,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hold::Kernel => "kernel-held",
            Hold::Agent => "agent-held",
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
    /// How long after injection the fault ends, whoever is still alive then.
    pub deadline: Duration,
    /// The exact prior state and what was chosen for this run; only its injector reads it.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Effect {
    /// Packets (or other units) that the fault's match looked at, where that is counted.
    pub seen: Option<u64>,
    /// How many of them met the fault: were delayed, dropped, doubled, damaged, limited.
    pub met: u64,
    /// How many the fault changed, where that differs: of 100 packets that met a loss of 1 %, one.
    pub changed: u64,
    /// The mean delay that was really added.
    pub added_delay: Option<Duration>,
    /// One line for people.
    pub line: String,
}

/// Changes the world and puts it back. Do and undo sit side by side in each implementation.
///
/// From a successful `prepare` on, the caller owes a `revert`, also if `inject` failed or was never called.
#[async_trait]
pub trait Injector: Send + Sync {
    /// Returns the name under which undo records find their injector.
    fn name(&self) -> &str;

    /// Returns whether this is an injector for such an effect at all; others are not asked of it, which is no refusal.
    fn does(&self, spec: &FaultSpec) -> bool {
        !matches!(spec, FaultSpec::Run { .. })
    }

    /// Finds out, touching nothing that lasts, how an ask can be met: one offer, or several that share its specs.
    async fn offer(&self, ask: &Ask) -> Result<Vec<Offer>, Trouble>;

    /// Reads the prior state and decides everything that is left to decide; changes nothing. `deadline` is how long after
    /// injection the fault ends by itself, whatever happens.
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
    async fn effect(&self, undo: &Undo) -> Result<Effect, Trouble>;

    /// Waits until faults are lost that should be in place, such as by the death of the agent that held them.
    async fn lost(&self) -> Lost {
        std::future::pending().await
    }

    /// Returns what the kernel says of a place (links, qdiscs, filters, BPF links), for the evidence.
    async fn evidence(&self, _place: &Place) -> Vec<String> {
        Vec::new()
    }
}
