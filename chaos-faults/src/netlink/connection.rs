//! A netlink socket inside a network namespace, and what interfaces and routes it finds there.

use std::{collections::BTreeMap, net::IpAddr};

use chaos_netns::{Namespace, NamespaceError};
use futures_util::StreamExt;
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressMessage},
        link::{InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::netlink::NetlinkError;

/// A netlink socket whose namespace is fixed; cheap to clone, usable from any task.
///
/// Connecting costs a thread and a socket, so callers keep one per namespace.
#[derive(Clone, Debug)]
pub struct Connection {
    handle: rtnetlink::Handle,
    namespace: Namespace,
    /// The task that moves the messages.
    mover: AbortHandle,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number of the interface in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is set up (administratively).
    pub up: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// The driver's kind for made interfaces (`veth`, `bridge`, `tun`), nothing for hardware and loopback.
    pub kind: Option<String>,
    /// The hardware address, empty where there is none (`tun`).
    pub hardware_address: Vec<u8>,
    /// Whether its packets have an Ethernet header.
    pub ethernet: bool,
    /// The addresses it has, with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The bridge, bond or the like that it is a part of.
    pub controller: Option<u32>,
    /// The interface of the same namespace that it is made on top of, or whose other end it is.
    pub beneath: Option<u32>,
    /// Whether what it is made on top of is in another namespace.
    pub beneath_elsewhere: bool,
    /// Where its packets go inside other packets, and to which UDP port, as far as it says so (`vxlan`).
    pub remote: Option<(IpAddr, u16)>,
}

/// How packets to one destination leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface they leave by.
    pub index: u32,
    /// The router they go to, if the destination is not on the link.
    pub gateway: Option<IpAddr>,
    /// The source address the kernel prefers.
    pub source: Option<IpAddr>,
    /// Whether the destination is one of this namespace's own addresses.
    pub local: bool,
}

impl Connection {
    /// Opens a socket in `namespace`; its messages are moved by a task of the current tokio runtime, which ends when
    /// the last clone is dropped.
    ///
    /// # Errors
    /// [`NetlinkError::Namespace`] when the namespace may not be entered or no socket can be made.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(namespace: &Namespace) -> Result<Self, NetlinkError> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, _) = namespace
            .run(|| {
                // The socket registers itself with the reactor of the runtime it is made under.
                let _guard = runtime.enter();
                rtnetlink::new_connection()
            })?
            .map_err(|source| NamespaceError::Enter { source })?;
        let mover = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, namespace: namespace.clone(), mover })
    }

    /// Returns the namespace the socket lives in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Sends a request with `flags` and collects the answers; `action` is what the error says was asked for.
    pub(crate) async fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|error| NetlinkError::NoAnswer { action: action.into(), reason: error.to_string() })?;
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(NetlinkError::Refused { action: action.into(), source: error.to_io() });
                }
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(found),
                NetlinkPayload::InnerMessage(message) => {
                    found.push(message);
                    if flags & (NLM_F_DUMP | NLM_F_ACK) == 0 {
                        return Ok(found);
                    }
                }
                NetlinkPayload::Noop => {}
                other => {
                    return Err(NetlinkError::NoAnswer {
                        action: action.into(),
                        reason: format!("unexpected message {other:?}"),
                    });
                }
            }
        }
        // A bare acknowledgement is not handed on, the answers just end; so they do when nobody moves them any more.
        if self.mover.is_finished() {
            return Err(NetlinkError::NoAnswer {
                action: action.into(),
                reason: "the connection ended".into(),
            });
        }
        Ok(found)
    }

    /// Lists all interfaces with their addresses, by index.
    ///
    /// # Errors
    /// When the kernel refuses or the socket is gone.
    pub async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let mut links = BTreeMap::new();
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        for answer in self.request(request, NLM_F_DUMP, "list the interfaces").await? {
            if let RouteNetlinkMessage::NewLink(message) = answer {
                let link = read_link(&message);
                links.insert(link.index, link);
            }
        }
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for answer in self.request(request, NLM_F_DUMP, "list the addresses").await? {
            if let RouteNetlinkMessage::NewAddress(message) = answer
                && let Some(link) = links.get_mut(&message.header.index)
                && let Some(address) = read_address(&message)
            {
                link.addresses.push((address, message.header.prefix_len));
            }
        }
        Ok(links.into_values().collect())
    }

    /// Finds the interface called `name`.
    ///
    /// # Errors
    /// [`NetlinkError::NoInterface`] when there is none.
    pub async fn link_by_name(&self, name: &str) -> Result<Link, NetlinkError> {
        let found = self.links().await?.into_iter().find(|link| link.name == name);
        found.ok_or_else(|| NetlinkError::NoInterface(name.into()))
    }

    /// Finds the interface with the kernel's number `index`.
    ///
    /// # Errors
    /// [`NetlinkError::NoInterfaceIndex`] when there is none.
    pub async fn link_by_index(&self, index: u32) -> Result<Link, NetlinkError> {
        let found = self.links().await?.into_iter().find(|link| link.index == index);
        found.ok_or(NetlinkError::NoInterfaceIndex(index))
    }

    /// Finds the interface that has `address`.
    ///
    /// # Errors
    /// [`NetlinkError::NoInterfaceWithAddress`] when there is none.
    pub async fn link_by_address(&self, address: IpAddr) -> Result<Link, NetlinkError> {
        let has = |link: &Link| link.addresses.iter().any(|(own, _)| *own == address);
        let found = self.links().await?.into_iter().find(has);
        found.ok_or(NetlinkError::NoInterfaceWithAddress(address))
    }

    /// Asks the kernel how packets to `destination` leave (`RTM_GETROUTE`).
    ///
    /// # Errors
    /// [`NetlinkError::NoRoute`] when there is no route, or only one that refuses.
    pub async fn route_to(&self, destination: IpAddr) -> Result<Route, NetlinkError> {
        let prefix = if destination.is_ipv4() { 32 } else { 128 };
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination, prefix)
            .map_err(|error| NetlinkError::NoAnswer {
                action: "find a route".into(),
                reason: error.to_string(),
            })?
            .build();
        let request = RouteNetlinkMessage::GetRoute(message);
        let answers = match self.request(request, 0, &format!("find the route to {destination}")).await {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
                return Err(NetlinkError::NoRoute(destination));
            }
            answers => answers?,
        };
        answers
            .iter()
            .find_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(message) => read_route(message),
                _ => None,
            })
            .ok_or(NetlinkError::NoRoute(destination))
    }

    /// Finds the interface by which packets to `destination` leave.
    ///
    /// # Errors
    /// [`NetlinkError::NoRoute`] when there is no route.
    pub async fn link_towards(&self, destination: IpAddr) -> Result<Link, NetlinkError> {
        self.link_by_index(self.route_to(destination).await?.index).await
    }
}

fn read_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        kind: None,
        hardware_address: Vec::new(),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        addresses: Vec::new(),
        controller: None,
        beneath: None,
        beneath_elsewhere: false,
        remote: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(address) => link.hardware_address.clone_from(address),
            LinkAttribute::Controller(index) => link.controller = Some(*index).filter(|index| *index != 0),
            LinkAttribute::Link(index) => link.beneath = Some(*index).filter(|index| *index != link.index),
            LinkAttribute::LinkNetNsId(_) => link.beneath_elsewhere = true,
            LinkAttribute::LinkInfo(infos) => {
                link.remote = infos.iter().find_map(|info| match info {
                    LinkInfo::Data(InfoData::Vxlan(vxlan)) => vxlan_remote(vxlan),
                    _ => None,
                });
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}

fn vxlan_remote(attributes: &[InfoVxlan]) -> Option<(IpAddr, u16)> {
    let address = attributes.iter().find_map(|attribute| match attribute {
        InfoVxlan::Group(address) => Some(IpAddr::from(*address)),
        InfoVxlan::Group6(address) => Some(IpAddr::from(*address)),
        _ => None,
    })?;
    let port = attributes.iter().find_map(|attribute| match attribute {
        InfoVxlan::Port(port) => Some(*port),
        _ => None,
    })?;
    Some((address, port))
}

fn read_address(message: &AddressMessage) -> Option<IpAddr> {
    // On a point-to-point link `Address` is the other end; `Local`, where present, is always ours.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn read_route(message: &RouteMessage) -> Option<Route> {
    let refuses =
        matches!(message.header.kind, RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit);
    let (mut index, mut gateway, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::PrefSource(address) => source = ip(address),
            _ => {}
        }
    }
    let local = message.header.kind == RouteType::Local;
    (!refuses).then_some(())?;
    Some(Route { index: index?, gateway, source, local })
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
