//! The forwarder's own pair of interfaces: the near end beside the device, the far end where nobody else is.
//!
//! Where no network namespace can be made, as in a container without CAP_SYS_ADMIN, both ends stand beside the device. The far
//! end then drops whatever the forwarder has read, so that the place does not take it in a second time. If the process is
//! killed the idle pair stays, and the next one to come removes it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use chaos_netns::{Namespace, enter_new};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};

use crate::bpf::Device;
use crate::netlink::nftables::Drain;
use crate::netlink::own_pair::PairName;

/// The pair.
///
/// In a namespace that belongs to the thread alone, both ends vanish with it even if nobody cleans up.
#[derive(Debug)]
pub(super) struct OwnPair {
    pub(super) near: Device,
    pub(super) near_address: [u8; 6],
    pub(super) far_index: u32,
    /// What keeps the pair apart from everything else in the place, where both ends stand there.
    in_place: Option<InPlace>,
    removed: bool,
}

#[derive(Debug)]
struct InPlace {
    name: PairName,
    drain: Option<Drain>,
}

impl InPlace {
    fn new() -> io::Result<Self> {
        Ok(InPlace { name: PairName::claim()?, drain: None })
    }
}

const FAR: &str = "far";

/// As large as packets get, so that nothing that fits the device fails to fit the pair.
const MTU: u32 = 65_535;

impl OwnPair {
    /// Makes the pair with its near end in the namespace that this thread is in, and moves the thread for the rest of its
    /// life into a namespace of its own with the far end, where one may be made.
    pub(super) fn open(namespace: Option<&Namespace>) -> io::Result<Self> {
        let here = Namespace::current()?;
        let runtime = runtime()?;
        let near_side = connect(&runtime)?;
        let in_place = match enter_new() {
            Ok(()) => None,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Some(InPlace::new()?),
            Err(error) => return Err(error.into()),
        };
        let far_side = connect(&runtime)?;
        // The kernel finds the number that makes a name unique.
        let (near_name, far_name) = match &in_place {
            None => ("chaos%d".to_owned(), FAR.to_owned()),
            Some(own) => (own.name.near(), own.name.far()),
        };
        let made = runtime.block_on(async {
            let peer = LinkMessageBuilder::<LinkUnspec>::new()
                .name(near_name)
                .mtu(MTU)
                .setns_by_fd(here.as_fd().as_raw_fd())
                .build();
            let pair = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
                .name(far_name.clone())
                .mtu(MTU)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                .build();
            far_side.link().add(pair).execute().await.map_err(refused)?;
            find(far_side.link().get().match_name(far_name.clone())).await
        });
        let far = made?;
        let far_index = far.header.index;
        let nowhere = Device::known(namespace.cloned(), String::new(), 0, MTU);
        // From here on dropping it cleans up.
        let mut pair = Self { near: nowhere, near_address: [0; 6], far_index, in_place, removed: false };
        if let Some(own) = &mut pair.in_place {
            own.drain = Some(Drain::open(&here, &far_name)?);
        }
        let (near_index, near_name, near_address) = runtime.block_on(raise(&near_side, &far_side, &far))?;
        pair.near = Device::known(namespace.cloned(), near_name, near_index, MTU);
        pair.near_address = near_address;
        Ok(pair)
    }

    /// Removes both ends, so that they are gone when this returns.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.delete()
    }

    fn delete(&mut self) -> io::Result<()> {
        let runtime = runtime()?;
        let far_side = connect(&runtime)?;
        runtime.block_on(far_side.link().del(self.far_index).execute()).map_err(refused)?;
        self.removed = true;
        Ok(())
    }
}

impl Drop for OwnPair {
    fn drop(&mut self) {
        // A namespace of its own ends with its thread.
        if self.in_place.is_some()
            && !self.removed
            && let Err(error) = self.delete()
        {
            tracing::warn!(%error, "the forwarder's pair of interfaces stays until the next one comes");
        }
    }
}

/// Sets both ends up, and returns the near one's number, name and address.
async fn raise(
    near_side: &Handle,
    far_side: &Handle,
    far: &LinkMessage,
) -> io::Result<(u32, String, [u8; 6])> {
    let near_index = far
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(*index),
            _ => None,
        })
        .ok_or_else(|| io::Error::other("the kernel does not report the other end of a veth pair"))?;
    for (side, index) in [(far_side, far.header.index), (near_side, near_index)] {
        // Without an address of its own an end sends nothing on its own that could be taken for traffic.
        let silent = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
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
    Ok((near_index, name, address))
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
