//! What is asked of an injector: a fault on one object, with everything in it resolved.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::measured::Unit;
use crate::{
    model::{
        Custom, FaultSpec, NameEffect, NameFault, ObjectFault, ProcessFault, Program,
        packets::{Ports, Protocol},
    },
    non_empty::{Empty, NonEmpty},
    place::ObjectId,
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

impl Peer {
    /// Returns one address, on any port.
    pub fn address(address: IpAddr) -> Self {
        Peer { network: address, prefix: if address.is_ipv4() { 32 } else { 128 }, port: None }
    }

    /// Returns everybody, of both families.
    pub fn anybody(port: Option<Ports>) -> NonEmpty<Self> {
        let all = |network: IpAddr| Peer { network, prefix: 0, port };
        let mut anybody = NonEmpty::one(all(Ipv4Addr::UNSPECIFIED.into()));
        anybody.push(all(Ipv6Addr::UNSPECIFIED.into()));
        anybody
    }
}

/// Remote ends of which some are names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Named {
    /// The names.
    pub names: NonEmpty<NamedPeer>,
    /// Those that are none.
    pub others: Vec<Peer>,
}

impl Named {
    /// Returns all remote ends by the addresses that are known; everybody for a name of which none is.
    pub fn peers(&self) -> NonEmpty<Peer> {
        let mut peers = self.names.first().peers();
        let more = self.names.iter().skip(1).flat_map(NamedPeer::peers).chain(self.others.iter().copied());
        for peer in more {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }
}

/// Remote ends by a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NamedPeer {
    /// The name, as it is written.
    pub name: String,
    /// Their port, or ports.
    pub port: Option<Ports>,
    /// The addresses that the place of the object has for it; none before they are looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

impl NamedPeer {
    fn peers(&self) -> NonEmpty<Peer> {
        let known = self.addresses.iter().map(|address| Peer { port: self.port, ..Peer::address(*address) });
        NonEmpty::try_from(Vec::from_iter(known)).unwrap_or_else(|Empty| Peer::anybody(self.port))
    }
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

/// What is done to one object: an [`Action`](crate::model::Action) whose destinations are resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Something happens to packets.
    Packets(Packets),
    /// Something happens to queries for names.
    Names(Names),
    /// Something happens to an object of a cluster's API.
    Objects(ObjectFault),
    /// Something happens to processes.
    Processes(ProcessFault),
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
    /// The remote ends where some of them are names. Until their addresses are known, `matches` has everybody in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<Named>,
}

impl Packets {
    /// Returns the name of a remote end whose addresses are not known yet.
    pub fn unresolved(&self) -> Option<&str> {
        let names = &self.named.as_ref()?.names;
        names.iter().find(|named| named.addresses.is_empty()).map(|named| named.name.as_str())
    }
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
        let peers = Which::These(Peer::anybody(Some(Self::PORT.into())));
        let matches = PacketMatch { peers, ..PacketMatch::default() };
        let directions = vec![Direction::Egress];
        Names { fault, packets: Packets { specs: Vec::new(), directions, matches, named: None } }
    }
}

impl Work {
    /// Returns which packets the work is about, and what happens to them all.
    pub fn packets(&self) -> Option<&Packets> {
        match self {
            Work::Packets(packets) => Some(packets),
            Work::Names(names) => Some(&names.packets),
            Work::Objects(_) | Work::Processes(_) | Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns what happens to queries for names, where the work is about them.
    pub fn names(&self) -> Option<&NameFault> {
        match self {
            Work::Names(names) => Some(&names.fault),
            Work::Packets(_) | Work::Objects(_) | Work::Processes(_) | Work::Program(_) | Work::Custom(_) => {
                None
            }
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
            Work::Objects(_) | Work::Processes(_) | Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns what happens to an object of a cluster's API, where the work is that.
    pub fn objects(&self) -> Option<&ObjectFault> {
        match self {
            Work::Objects(objects) => Some(objects),
            Work::Packets(_) | Work::Names(_) | Work::Processes(_) | Work::Program(_) | Work::Custom(_) => {
                None
            }
        }
    }

    /// Returns what happens to processes, where the work is that.
    pub fn processes(&self) -> Option<&ProcessFault> {
        match self {
            Work::Processes(processes) => Some(processes),
            Work::Packets(_) | Work::Names(_) | Work::Objects(_) | Work::Program(_) | Work::Custom(_) => None,
        }
    }

    /// Returns the program that is to run, where the work is that.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Work::Program(program) => Some(program),
            Work::Packets(_) | Work::Names(_) | Work::Objects(_) | Work::Processes(_) | Work::Custom(_) => {
                None
            }
        }
    }

    /// Returns what an injector of the harness is asked to do, where the work is that.
    pub fn custom(&self) -> Option<&Custom> {
        match self {
            Work::Custom(custom) => Some(custom),
            Work::Packets(_) | Work::Names(_) | Work::Objects(_) | Work::Processes(_) | Work::Program(_) => {
                None
            }
        }
    }

    /// Returns in what its effect is counted, before an injector has said so.
    pub fn unit(&self) -> Unit {
        match self {
            Work::Packets(_) => Unit::Packets,
            Work::Names(_) => Unit::Queries,
            Work::Objects(_) => Unit::Objects,
            Work::Processes(_) => Unit::Processes,
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
            Work::Objects(objects) => write!(f, "{objects}"),
            Work::Processes(processes) => write!(f, "{processes}"),
            Work::Program(program) => write!(f, "run {program}"),
            Work::Custom(custom) => write!(f, "{custom}"),
        }
    }
}
