//! Own network namespaces, which vanish with the program that made them.

use std::{net::Ipv4Addr, process::Command, sync::Arc};

use async_trait::async_trait;
use chaos_agent::{AgentInjector, Agents, ChildProcess, Host};
use chaos_core::{
    environment::Environment,
    injector::{Ask, Direction, PacketMatch, Packets, Work},
    inventory::Inventory,
    model::{FaultSpec, Selector},
    non_empty::NonEmpty,
    place::{Names, Namespace as Entered, Object, ObjectId, Place},
    trouble::Trouble,
};
use chaos_faults::{
    NAME, NetworkInjector, Settings,
    backend::Holding,
    handles,
    netlink::{Connection, link::VethPair},
};
use chaos_netns::Namespace;

use crate::{AGENT, Failure};

/// Plays the agent of a benchmark, as which this program is started again.
pub(crate) fn agent() -> Result<(), Failure> {
    let furnish = |settings: &_| Ok(Host::new().injector(NetworkInjector::of(settings, Holding::Agent)?));
    Ok(chaos_agent::serve_standard_streams(furnish).map(drop)?)
}

/// Makes an injector whose agent is this program, and which offers only that backend where one is named.
pub(crate) fn injector(only: Option<&str>) -> Result<AgentInjector, Failure> {
    let agents = Agents::new(ChildProcess::new(std::env::current_exe()?, [AGENT]));
    if let Some(backend) = only {
        agents.set(NAME, &Settings::only(NonEmpty::one(backend.into())))?;
    }
    Ok(agents.injector(NAME, handles))
}

/// The name of the interface in a [`Pair`]'s first namespace.
pub(crate) const NEAR: &str = "near";

/// Two hosts with a cable between them.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The host that faults are put on.
    pub(crate) near: Namespace,
    /// The other one.
    pub(crate) far: Namespace,
}

/// The address of the near host.
pub(crate) const NEAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The address of the far host.
pub(crate) const FAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

impl Pair {
    /// Makes both; needs root.
    ///
    /// # Errors
    /// Without the rights, or without the `ip` program.
    pub(crate) async fn make() -> Result<Self, Failure> {
        let pair = Pair { near: Namespace::create()?, far: Namespace::create()? };
        let cable = VethPair {
            name: NEAR.into(),
            peer: "far".into(),
            peer_namespace: Some(pair.far.clone()),
            mtu: 1500,
        };
        Connection::open(&pair.near).await?.add_veth_pair(&cable).await?;
        for (namespace, name, address) in [(&pair.near, NEAR, NEAR_ADDRESS), (&pair.far, "far", FAR_ADDRESS)]
        {
            ip(namespace, &["address", "add", &format!("{address}/24"), "dev", name])?;
            ip(namespace, &["link", "set", name, "up"])?;
        }
        Ok(pair)
    }
}

/// Makes a namespace with an interface [`NEAR`] that is up, its other end in the same namespace.
///
/// # Errors
/// Without the rights.
pub(crate) async fn lone() -> Result<Namespace, Failure> {
    let namespace = Namespace::create()?;
    let connection = Connection::open(&namespace).await?;
    let cable = VethPair { name: NEAR.into(), peer: "far".into(), peer_namespace: None, mtu: 1500 };
    let near = connection.add_veth_pair(&cable).await?;
    connection.set_link_up(near.index, true).await?;
    Ok(namespace)
}

fn ip(namespace: &Namespace, arguments: &[&str]) -> Result<(), Failure> {
    let status = namespace.run(|| Command::new("ip").args(arguments).status())??;
    if status.success() { Ok(()) } else { Err(format!("`ip {}` failed", arguments.join(" ")).into()) }
}

/// Returns the place of a namespace that this process holds open.
pub(crate) fn place(namespace: &Namespace) -> Place {
    Place {
        object: object(),
        site: Entered { interface: Some(NEAR.into()), ..Entered::new(namespace.path()) }.into(),
        names: Arc::new(Names::default()),
    }
}

fn object() -> ObjectId {
    ObjectId::netns("near")
}

/// Asks for a fault on everything that a namespace sends.
pub(crate) fn ask(spec: FaultSpec) -> Ask {
    Ask {
        fault: "fault".into(),
        object: object(),
        work: Work::Packets(Packets {
            specs: vec![spec],
            directions: vec![Direction::Egress],
            matches: PacketMatch::default(),
            named: None,
        }),
        seed: 7,
    }
}

/// A world of one host, whichever is asked for.
#[derive(Debug)]
pub(crate) struct OneHost(pub(crate) Namespace);

#[async_trait]
impl Environment for OneHost {
    async fn up(&self, _progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        Ok(())
    }

    async fn place(&self, _object: &ObjectId) -> Result<Place, Trouble> {
        Ok(place(&self.0))
    }

    async fn down(&self) -> Result<(), Trouble> {
        Ok(())
    }
}

#[async_trait]
impl Inventory for OneHost {
    async fn find(&self, _selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        Ok(NonEmpty::one(object().at([])))
    }
}
