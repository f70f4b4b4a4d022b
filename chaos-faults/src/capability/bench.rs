//! Where things are tried.

use chaos_netns::Namespace;
use tokio::runtime;

use crate::{
    capability::{Capability, NAMESPACE_REMEDY, NETWORK_NAMESPACE, refused},
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
    /// The pair among interfaces of others; nothing in a throw-away namespace.
    guest: Option<Guest>,
}

/// A pair in a namespace that others use. Dropping it takes the pair away: an agent may end, or be told to, while it still tries
/// what is possible.
#[derive(Debug)]
struct Guest {
    name: PairName,
    namespace: Namespace,
    gone: bool,
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let (namespace, near) = (self.namespace.clone(), self.name.near());
        // On a thread of its own: this one may be about to leave its runtime, or be within it.
        let removing = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(async {
                    let connection = Connection::open(&namespace).await?;
                    match connection.link_by_name(&near).await {
                        Ok(link) => connection.delete_link(link.index).await,
                        // It was not made yet, or is gone already.
                        Err(_) => Ok(()),
                    }
                })
                .map_err(std::io::Error::other)
        });
        match removing.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the pair of interfaces for trying stays until the next one comes");
            }
            Err(_) => tracing::warn!("the pair of interfaces for trying stays until the next one comes"),
        }
    }
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
                let ground = Some(Ground { connection, near, far, guest: None });
                Bench { namespace: Capability::available(NETWORK_NAMESPACE), veth, ground }
            }
            Err(error) => {
                let namespace = Capability {
                    permission: matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)),
                    ..Capability::missing(NETWORK_NAMESPACE, error.to_string(), NAMESPACE_REMEDY)
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
        self.ground.as_ref().is_some_and(|ground| ground.guest.is_some())
    }

    /// Returns the connection and the numbers of both ends, if there is anything to try things on.
    pub(crate) fn links(&self) -> Option<(&Connection, u32, u32)> {
        self.ground.as_ref().map(|ground| (&ground.connection, ground.near, ground.far))
    }

    /// Returns the far end's name among interfaces of others.
    pub(crate) fn far_name(&self) -> Option<String> {
        self.ground.as_ref().and_then(|ground| ground.guest.as_ref()).map(|guest| guest.name.far())
    }

    /// Takes the pair away, and proves that it is gone; where it is not, nothing that was `found` counts.
    pub(crate) async fn close(self, found: Vec<Capability>) -> Vec<Capability> {
        let Some(Ground { connection, near, guest: Some(mut guest), .. }) = self.ground else { return found };
        let name = &guest.name;
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
            Ok(links) if !links.iter().any(|link| ours.contains(&link.name)) => {
                guest.gone = true;
                found
            }
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
    let namespace = connection.namespace().clone();
    let guest = Guest { name: own_pair::claim(&namespace)?, namespace, gone: false };
    let (near_name, far_name) = (guest.name.near(), guest.name.far());
    let pair = VethPair { name: near_name, peer: far_name, peer_namespace: None, mtu: 1500 };
    let (near, far) = make(&connection, &pair).await?;
    Ok(Ground { connection, near, far, guest: Some(guest) })
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
