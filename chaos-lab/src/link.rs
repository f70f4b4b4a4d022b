//! The switch and the links to it, made over netlink inside the lab's own namespaces.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, State};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::address::{HOST_INTERFACE, HostLayout, SWITCH_INTERFACE, V4_PREFIX, V6_PREFIX};

/// The pause between two looks at a link that does not carry traffic yet.
const CARRIER_POLL: Duration = Duration::from_millis(2);

/// How often one looks: links come up at once, but the kernel may hold the news back for a second.
const CARRIER_LOOKS: u32 = 2500;

/// Opens a netlink connection in the current namespace, which it keeps; to be called within a runtime.
fn connect() -> Result<Handle, rtnetlink::Error> {
    let (connection, handle, _) = rtnetlink::new_connection()
        .map_err(|e| rtnetlink::Error::NamespaceError(format!("cannot open a netlink socket: {e}")))?;
    tokio::task::spawn_local(connection);
    Ok(handle)
}

/// An interface, with a connection to the namespace that it is in.
pub(crate) struct Interface {
    netlink: Handle,
    index: u32,
}

impl Interface {
    /// Waits until the interface carries traffic, which the kernel may take a second to notice: until then it drops all.
    pub(crate) async fn carries(&self) -> Result<(), rtnetlink::Error> {
        for _ in 0..CARRIER_LOOKS {
            let link = self.netlink.link().get().match_index(self.index).execute().try_next().await?;
            let up = |attribute: &LinkAttribute| *attribute == LinkAttribute::OperState(State::Up);
            if link.is_some_and(|link| link.attributes.iter().any(up)) {
                return Ok(());
            }
            tokio::time::sleep(CARRIER_POLL).await;
        }
        Err(rtnetlink::Error::NamespaceError("the interface never came up".to_owned()))
    }
}

/// How many packets a sender may hand to an interface as one: that is what a fault meets, and it is to meet what would be
/// on a wire. Otherwise 1 % loss of bulk data would be some lumps of 64 kB that are lost as a whole.
const PACKETS_AT_ONCE: u32 = 1;

/// The switch, with the connection to its namespace.
pub(crate) struct Switch {
    netlink: Handle,
    index: u32,
}

impl Switch {
    /// Makes the switch in the current network namespace.
    pub(crate) async fn make() -> Result<Self, rtnetlink::Error> {
        let netlink = connect()?;
        let bridge = LinkBridge::new(SWITCH_INTERFACE)
            .forward_delay(0)
            // Snooping would drop neighbour solicitations of hosts that never sent a membership report.
            .mcast_snooping(false)
            .build();
        netlink.link().add(bridge).execute().await?;
        let index = index_of(&netlink, SWITCH_INTERFACE).await?;
        Ok(Switch { netlink, index })
    }

    /// Plugs in the port that [`wire`] left in the switch's namespace.
    pub(crate) async fn plug(&self, port: &str) -> Result<Interface, rtnetlink::Error> {
        let set = LinkUnspec::new_with_name(port)
            .controller(self.index)
            .append_extra_attribute(LinkAttribute::GsoMaxSegs(PACKETS_AT_ONCE))
            .up()
            .build();
        self.netlink.link().set(set).execute().await?;
        let index = index_of(&self.netlink, port).await?;
        Ok(Interface { netlink: self.netlink.clone(), index })
    }
}

/// Gives the current network namespace its loopback, and its interface with the other end in the switch's namespace.
pub(crate) async fn wire(host: &HostLayout, switch: BorrowedFd<'_>) -> Result<Interface, rtnetlink::Error> {
    let netlink = connect()?;
    let port = LinkMessageBuilder::<LinkUnspec>::new()
        .name(&host.switch_port)
        .setns_by_fd(switch.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new(HOST_INTERFACE, &host.switch_port)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(port)))
        .address(mac_of(host))
        .build();
    netlink.link().add(pair).execute().await?;
    let index = index_of(&netlink, HOST_INTERFACE).await?;
    for (address, prefix) in [(IpAddr::from(host.v4), V4_PREFIX), (IpAddr::from(host.v6), V6_PREFIX)] {
        let mut request = netlink.address().add(index, address, prefix);
        // Duplicate detection would keep the address unusable for a second, and nobody else gives addresses here.
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        request.execute().await?;
    }
    let single = LinkUnspec::new_with_name(HOST_INTERFACE)
        .append_extra_attribute(LinkAttribute::GsoMaxSegs(PACKETS_AT_ONCE))
        .up()
        .build();
    for link in [LinkUnspec::new_with_name("lo").up().build(), single] {
        netlink.link().set(link).execute().await?;
    }
    Ok(Interface { netlink, index })
}

/// Derives a locally administered hardware address from the host's IPv4 address, so that captures read well.
fn mac_of(host: &HostLayout) -> Vec<u8> {
    [&[0x02, 0x00], host.v4.octets().as_slice()].concat()
}

async fn index_of(netlink: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let found = netlink.link().get().match_name(name.to_owned()).execute().try_next().await?;
    found.map(|link| link.header.index).ok_or(rtnetlink::Error::RequestFailed)
}
