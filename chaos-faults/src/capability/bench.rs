//! Where things are tried.

use chaos_netns::Namespace;

use crate::{
    capability::{Capability, NAMESPACE_REMEDY, refused},
    netlink::{
        Connection, NetlinkError,
        link::VethPair,
        own_pair::{self, PairName},
    },
};

/// The loopback interface of a new namespace always has the first number.
const LOOPBACK: u32 = 1;

/// A pair of interfaces, down and without addresses, on which things are tried: in a throw-away namespace, or in place.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Whether a throw-away namespace could be made.
    pub(super) namespace: Capability,
    pub(crate) veth: Capability,
    ground: Option<Ground>,
}

#[derive(Debug)]
struct Ground {
    connection: Connection,
    near: u32,
    far: u32,
    /// The name that the pair has among interfaces of others; nothing in a throw-away namespace.
    name: Option<PairName>,
}

impl Bench {
    /// Makes a throw-away namespace with a pair, or else a pair in the namespace this process is in.
    pub(crate) async fn open() -> Self {
        match thrown_away().await {
            Ok(connection) => {
                let pair = VethPair {
                    name: "chaos-a".into(),
                    peer: "chaos-b".into(),
                    peer_namespace: None,
                    mtu: 1500,
                };
                let (veth, near, far) = match make(&connection, &pair).await {
                    Ok((near, far)) => (Capability::available("veth"), near, far),
                    // Nobody else is there, so its loopback does as well.
                    Err(error) => (refused("veth", "veth", &error), LOOPBACK, LOOPBACK),
                };
                let ground = Some(Ground { connection, near, far, name: None });
                Bench { namespace: Capability::available("network-namespace"), veth, ground }
            }
            Err(error) => {
                let namespace = Capability {
                    permission: matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)),
                    ..Capability::missing("network-namespace", error.to_string(), NAMESPACE_REMEDY)
                };
                match in_place().await {
                    Ok(ground) => {
                        Bench { namespace, veth: Capability::available("veth"), ground: Some(ground) }
                    }
                    Err(error) => Bench { namespace, veth: refused("veth", "veth", &error), ground: None },
                }
            }
        }
    }

    /// Returns whether the bench stands in the namespace that this process is in.
    pub(crate) fn is_in_place(&self) -> bool {
        self.ground.as_ref().is_some_and(|ground| ground.name.is_some())
    }

    /// Returns the connection and the numbers of both ends, if there is anything to try things on.
    pub(crate) fn links(&self) -> Option<(&Connection, u32, u32)> {
        self.ground.as_ref().map(|ground| (&ground.connection, ground.near, ground.far))
    }

    /// Returns the far end's name among interfaces of others.
    pub(crate) fn far_name(&self) -> Option<String> {
        self.ground.as_ref().and_then(|ground| ground.name.as_ref()).map(PairName::far)
    }

    /// Takes the pair away, and proves that it is gone; where it is not, nothing that was `found` counts.
    pub(crate) async fn close(self, found: Vec<Capability>) -> Vec<Capability> {
        let Some(Ground { connection, near, name: Some(name), .. }) = self.ground else { return found };
        let stays = |why: String| {
            let reason = format!(
                "the pair of interfaces `{}` that was made for trying does not go: {why}",
                name.near()
            );
            let remedy = format!("`ip link delete {}`", name.near());
            found.iter().map(|tried| Capability::missing(&tried.name, &reason, &remedy)).collect()
        };
        let links = match connection.delete_link(near).await {
            Ok(()) => connection.links().await,
            Err(error) => Err(error),
        };
        let ours = [name.near(), name.far()];
        match links {
            Ok(links) if !links.iter().any(|link| ours.contains(&link.name)) => found,
            Ok(_) => stays("it is still there".into()),
            Err(error) => stays(error.to_string()),
        }
    }
}

async fn thrown_away() -> Result<Connection, NetlinkError> {
    Connection::open(&Namespace::create()?).await
}

async fn in_place() -> Result<Ground, NetlinkError> {
    let connection = Connection::open(&Namespace::current()?).await?;
    own_pair::sweep(&connection).await?;
    let name = own_pair::claim(connection.namespace())?;
    let pair = VethPair { name: name.near(), peer: name.far(), peer_namespace: None, mtu: 1500 };
    let (near, far) = make(&connection, &pair).await?;
    Ok(Ground { connection, near, far, name: Some(name) })
}

async fn make(connection: &Connection, pair: &VethPair) -> Result<(u32, u32), NetlinkError> {
    let near = connection.add_veth_pair(pair).await?;
    match connection.link_by_name(&pair.peer).await {
        Ok(far) => Ok((near.index, far.index)),
        Err(error) => {
            connection.delete_link(near.index).await?;
            Err(error)
        }
    }
}
