//! All routes of a namespace, in every table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::{
    RouteMessageBuilder,
    packet_core::NLM_F_DUMP,
    packet_route::{
        RouteNetlinkMessage,
        route::{RouteAttribute, RouteMessage, RouteType},
    },
};

use super::{Connection, NetlinkError, connection::ip};

/// One route of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The table it is in.
    pub table: u32,
    /// The network it is for.
    pub network: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
    /// The interfaces that packets leave by: several where they are spread.
    pub indexes: Vec<u32>,
    /// Whether it is for addresses of the namespace itself.
    pub local: bool,
}

impl Connection {
    /// Lists the routes by which packets go anywhere, of both families and all tables.
    ///
    /// # Errors
    /// When the kernel refuses or the socket is gone.
    pub async fn routes(&self) -> Result<Vec<Entry>, NetlinkError> {
        let mut found = Vec::new();
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().table_id(0).build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().table_id(0).build();
        for (mut message, unspecified) in
            [(v4, IpAddr::from(Ipv4Addr::UNSPECIFIED)), (v6, Ipv6Addr::UNSPECIFIED.into())]
        {
            // Of any kind, from anybody: what a new route would say of itself is not used to filter here.
            message.header.kind = RouteType::Unspec;
            message.header.protocol = rtnetlink::packet_route::route::RouteProtocol::Unspec;
            message.header.scope = rtnetlink::packet_route::route::RouteScope::Universe;
            let request = RouteNetlinkMessage::GetRoute(message);
            let answers = match self.request(request, NLM_F_DUMP, "list the routes").await {
                // A kernel without IPv6.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => continue,
                answers => answers?,
            };
            found.extend(answers.iter().filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(message) => read(message, unspecified),
                _ => None,
            }));
        }
        Ok(found)
    }
}

fn read(message: &RouteMessage, unspecified: IpAddr) -> Option<Entry> {
    let local = match message.header.kind {
        RouteType::Unicast => false,
        RouteType::Local => true,
        _ => return None,
    };
    let mut entry = Entry {
        table: message.header.table.into(),
        network: unspecified,
        prefix: message.header.destination_prefix_length,
        indexes: Vec::new(),
        local,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => entry.table = *table,
            RouteAttribute::Destination(address) => entry.network = ip(address)?,
            RouteAttribute::Oif(index) => entry.indexes.push(*index),
            RouteAttribute::MultiPath(hops) => {
                entry.indexes.extend(hops.iter().map(|hop| hop.interface_index));
            }
            _ => {}
        }
    }
    entry.indexes.sort_unstable();
    entry.indexes.dedup();
    Some(entry)
}
