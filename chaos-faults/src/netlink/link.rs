//! Making and removing links.

use std::os::fd::{AsFd, AsRawFd};

use chaos_netns::Namespace;
use rtnetlink::{
    LinkUnspec, LinkVeth,
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkMessage},
    },
};

use crate::netlink::{Connection, Link, NetlinkError};

/// A veth pair to be made: a cable between two interfaces.
#[derive(Clone, Debug)]
pub struct VethPair {
    /// The name of the near end, in the connection's namespace; at most 15 bytes.
    pub name: String,
    /// The name of the far end.
    pub peer: String,
    /// The namespace of the far end, if another.
    pub peer_namespace: Option<Namespace>,
    /// The largest packet of both ends, in bytes.
    pub mtu: u32,
}

impl Connection {
    /// Makes a veth pair, both ends down, without addresses and without any that IPv6 would give them on its own.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`]: `EEXIST` when a name is taken, `EOPNOTSUPP` when the kernel has no veth.
    pub async fn add_veth_pair(&self, pair: &VethPair) -> Result<Link, NetlinkError> {
        let mut peer = LinkUnspec::new_with_name(&pair.peer).mtu(pair.mtu);
        if let Some(namespace) = &pair.peer_namespace {
            peer = peer.setns_by_fd(namespace.as_fd().as_raw_fd());
        }
        let message = LinkVeth::new(&pair.name, &pair.peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .mtu(pair.mtu)
            .build();
        let action = format!("make the veth pair `{}` and `{}`", pair.name, pair.peer);
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewLink(message), flags, &action).await?;
        let near = self.link_by_name(&pair.name).await?;
        if let Err(error) = self.quieten(&near, pair).await {
            self.delete_link(near.index).await?;
            return Err(error);
        }
        Ok(near)
    }

    /// Both ends are still down, so neither has sent anything yet; the kernel takes the mode only of existing links.
    async fn quieten(&self, near: &Link, pair: &VethPair) -> Result<(), NetlinkError> {
        self.set_link_without_own_addresses(near.index).await?;
        let there = match &pair.peer_namespace {
            Some(namespace) => Self::open(namespace).await?,
            None => self.clone(),
        };
        let far = there.link_by_name(&pair.peer).await?;
        there.set_link_without_own_addresses(far.index).await
    }

    /// Removes interface `index` (and the other end of a veth pair); succeeds when it is gone.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn delete_link(&self, index: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let action = format!("remove interface {index}");
        match self.request(RouteNetlinkMessage::DelLink(message), NLM_F_ACK, &action).await {
            Err(error) if error.is_absent() => Ok(()),
            done => done.map(drop),
        }
    }

    /// Sets interface `index` up or down.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn set_link_up(&self, index: u32, up: bool) -> Result<(), NetlinkError> {
        let change = LinkUnspec::new_with_index(index);
        let change = if up { change.up() } else { change.down() };
        self.set_link(change.build(), &format!("set interface {index} {}", if up { "up" } else { "down" }))
            .await
    }

    /// Sets the largest packet of interface `index`, in bytes.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn set_link_mtu(&self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        let change = LinkUnspec::new_with_index(index).mtu(mtu).build();
        self.set_link(change, &format!("set the mtu of interface {index} to {mtu}")).await
    }

    /// Moves interface `index` into another namespace, where it is down and may have another index.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn move_link(&self, index: u32, namespace: &Namespace) -> Result<(), NetlinkError> {
        let change = LinkUnspec::new_with_index(index).setns_by_fd(namespace.as_fd().as_raw_fd()).build();
        self.set_link(change, &format!("move interface {index} into another network namespace")).await
    }

    /// Keeps IPv6 from giving interface `index` a link-local address, and so from sending anything on its own; does
    /// nothing on a kernel without IPv6.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn set_link_without_own_addresses(&self, index: u32) -> Result<(), NetlinkError> {
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let change = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![mode]))
            .build();
        match self.set_link(change, &format!("set `addrgenmode none` on interface {index}")).await {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
            done => done,
        }
    }

    async fn set_link(&self, message: LinkMessage, action: &str) -> Result<(), NetlinkError> {
        self.request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, action).await?;
        Ok(())
    }
}
