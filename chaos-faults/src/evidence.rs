//! What the kernel says of a namespace, as lines that stay the same while nothing changes but counters.

use chaos_core::injector::Direction;

use crate::{
    backend::ground::Ground,
    bpf,
    netlink::{NetlinkError, filter::Hook},
};

/// Lists links, addresses, qdiscs with what passed through them, filters, and the programs on TCX links.
pub(crate) async fn collect(ground: &Ground) -> Result<Vec<String>, NetlinkError> {
    let connection = &ground.connection;
    let mut lines = Vec::new();
    for link in connection.links().await? {
        let addresses: Vec<_> =
            link.addresses.iter().map(|(address, prefix)| format!(" {address}/{prefix}")).collect();
        lines.push(format!(
            "link {} {} mtu {} {} {}{}",
            link.index,
            link.name,
            link.mtu,
            if link.up { "up" } else { "down" },
            link.kind.as_deref().unwrap_or("device"),
            addresses.concat()
        ));
        let name = &link.name;
        let mut hooks = vec![Hook::Ingress, Hook::Egress];
        for qdisc in connection.qdiscs(link.index).await? {
            let counted = qdisc.statistics;
            let options = qdisc.decoded.as_ref().map_or(String::new(), |options| format!(" {options:?}"));
            lines.push(format!(
                "qdisc {name} {} {} parent {}{options} sent {} packets {} bytes, dropped {}, overlimits {}, requeues {}, holds {}",
                qdisc.kind,
                qdisc.handle,
                qdisc.parent,
                counted.packets,
                counted.bytes,
                counted.drops,
                counted.overlimits,
                counted.requeues,
                counted.queued_packets,
            ));
            if qdisc.handle.is_own() {
                hooks.push(Hook::Qdisc(qdisc.handle));
            }
        }
        for hook in hooks {
            // Without the qdisc a hook belongs to, asking for its filters is an error.
            let Ok(filters) = connection.filters(link.index, hook).await else { continue };
            for filter in filters {
                lines.push(format!(
                    "filter {name} {hook:?} {} priority {} protocol {:#06x} handle {:#x}",
                    filter.kind, filter.priority, filter.protocol, filter.handle
                ));
            }
        }
        let Ok(device) = ground.device(link.index).await else { continue };
        for direction in [Direction::Egress, Direction::Ingress] {
            // Below Linux 6.6, and without the right, there is nothing to be seen.
            let Ok(attached) = bpf::link::attached(&device, direction) else { continue };
            for program in attached {
                lines.push(format!(
                    "tcx {name} {direction:?} program {} link {}",
                    program.program, program.link
                ));
            }
        }
    }
    Ok(lines)
}
