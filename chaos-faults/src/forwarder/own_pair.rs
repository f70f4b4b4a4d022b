//! The forwarder's own pair of interfaces: the near end beside the device, the far end where nobody else is.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use chaos_netns::{Namespace, enter_new};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};

use crate::bpf::Device;

/// The pair, whose far end lies in the namespace of this thread.
///
/// The namespace belongs to the thread alone, so that both ends vanish with it even if nobody cleans up.
#[derive(Debug)]
pub(super) struct OwnPair {
    pub(super) near: Device,
    pub(super) near_address: [u8; 6],
    pub(super) far_index: u32,
}

const FAR: &str = "far";

/// As large as packets get, so that nothing that fits the device fails to fit the pair.
const MTU: u32 = 65_535;

impl OwnPair {
    /// Makes the pair with its near end in the namespace that this thread is in, and moves the thread for the rest of its
    /// life into a namespace of its own with the far end.
    pub(super) fn open(namespace: Option<&Namespace>) -> io::Result<Self> {
        let here = Namespace::current()?;
        let runtime = runtime()?;
        let near_side = connect(&runtime)?;
        enter_new()?;
        let far_side = connect(&runtime)?;
        let (far_index, near_index, near_name, near_address) = runtime.block_on(async {
            let peer = LinkMessageBuilder::<LinkUnspec>::new()
                // The kernel finds the number that makes the name unique.
                .name("chaos%d")
                .mtu(MTU)
                .setns_by_fd(here.as_fd().as_raw_fd())
                .build();
            let pair = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
                .name(FAR)
                .mtu(MTU)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                .build();
            far_side.link().add(pair).execute().await.map_err(refused)?;
            let far = find(far_side.link().get().match_name(FAR)).await?;
            let near_index = far
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    LinkAttribute::Link(index) => Some(*index),
                    _ => None,
                })
                .ok_or_else(|| io::Error::other("the kernel does not report the other end of a veth pair"))?;
            for (side, index) in [(&far_side, far.header.index), (&near_side, near_index)] {
                // Without an address of its own an end sends nothing by itself that could be taken for traffic.
                let silent =
                    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                        In6AddrGenMode::None,
                    )])]);
                let message = LinkUnspec::new_with_index(index);
                side.link().set(message.append_extra_attribute(silent).build()).execute().await.ok();
                let up = LinkUnspec::new_with_index(index).arp(false).up().build();
                side.link().set(up).execute().await.map_err(refused)?;
            }
            let near = find(near_side.link().get().match_index(near_index)).await?;
            let (mut name, mut address) = (String::new(), [0; 6]);
            for attribute in &near.attributes {
                match attribute {
                    LinkAttribute::IfName(found) => name.clone_from(found),
                    LinkAttribute::Address(found) => {
                        address = found.as_slice().try_into().unwrap_or_default();
                    }
                    _ => {}
                }
            }
            io::Result::Ok((far.header.index, near_index, name, address))
        })?;
        let near = Device::known(namespace.cloned(), near_name, near_index, MTU);
        Ok(Self { near, near_address, far_index })
    }

    /// Removes both ends, so that they are gone when this returns.
    pub(super) fn remove(self) -> io::Result<()> {
        let runtime = runtime()?;
        let far_side = connect(&runtime)?;
        runtime.block_on(far_side.link().del(self.far_index).execute()).map_err(refused)
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()
}

/// Opens a netlink socket in the namespace that this thread is in now; it stays there.
fn connect(runtime: &tokio::runtime::Runtime) -> io::Result<Handle> {
    let _entered = runtime.enter();
    let (connection, handle, _) = rtnetlink::new_connection()?;
    runtime.spawn(connection);
    Ok(handle)
}

async fn find(request: rtnetlink::LinkGetRequest) -> io::Result<LinkMessage> {
    request
        .execute()
        .try_next()
        .await
        .map_err(refused)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn refused(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
