//! The network namespace a fault is in: opened, and looked at.

use std::{path::PathBuf, sync::Arc};

use chaos_core::{
    injector::{Direction, Packets, Undo},
    place::{Entry, Names, OutOfReach, Site},
    trouble::{Kind, Trouble},
    which::Which,
};
use chaos_netns::{Namespace, NamespaceError};
use serde::{Deserialize, Serialize};

use super::carriers::{self, Layout};
use crate::{
    bpf,
    holder::Holder,
    netlink::{
        Connection, Handle, Link, NetlinkError,
        filter::{Filter, Hook},
    },
};

/// An open namespace.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) connection: Connection,
}

/// An interface as it was before a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interface {
    /// Its name then.
    pub(crate) name: String,
    /// Its number, by which it is found again.
    pub(crate) index: u32,
    /// Its largest packet.
    pub(crate) mtu: u32,
    /// Whether it is the loopback.
    pub(crate) loopback: bool,
    /// Whether its packets have an Ethernet header.
    pub(crate) ethernet: bool,
    /// The directions in which its packets are meant.
    pub(crate) directions: Vec<Direction>,
    /// Its qdiscs, without what passed through them.
    pub(crate) qdiscs: Vec<Standing>,
}

/// A qdisc that stands on an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) parent: Handle,
    pub(crate) handle: Handle,
    pub(crate) kind: String,
    pub(crate) options: Vec<u8>,
}

impl Standing {
    pub(crate) fn is_own(&self) -> bool {
        self.handle.is_own()
    }

    /// Returns whether the kernel attached it unasked, so that another root may take its place and leave it again.
    pub(crate) fn is_default(&self) -> bool {
        self.handle == Handle::NONE
    }
}

/// What an undo record keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The inode of the network namespace, so that another one at the same path is not mistaken for it.
    pub(crate) inode: u64,
    /// The kernel's cookie of it, where it has one.
    pub(crate) cookie: Option<u64>,
    /// A number of the fault's own, which what it puts into the kernel bears.
    pub(crate) mark: u32,
    /// The process of its own that holds it, where one does.
    pub(crate) holder: Option<Holder>,
    /// The interfaces it is on, as they were.
    pub(crate) interfaces: Vec<Interface>,
    /// The search domains of the place, for a fault of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) search: Vec<String>,
    /// How names are resolved at the place, for a fault on names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) names: Option<Arc<Names>>,
}

impl State {
    pub(crate) fn of(undo: &Undo) -> Result<Self, Trouble> {
        Self::deserialize(&undo.state).map_err(|error| {
            Trouble::unable(format!("the undo record `{}` cannot be read: {error}", undo.id))
        })
    }
}

/// Returns what a fault does to packets.
pub(crate) fn packets(undo: &Undo) -> Result<&Packets, Trouble> {
    let packets = undo.offer.ask.work.packets();
    let packets = packets.ok_or_else(|| Trouble::unable(format!("`{}` is not about packets", undo.id)))?;
    match packets.unresolved() {
        None => Ok(packets),
        // It would be on everybody instead.
        Some(name) => Err(Trouble::internal(format!("`{}` is on `{name}`, which nobody looked up", undo.id))),
    }
}

/// Turns an error of netlink into one for people.
pub(crate) fn failed(error: NetlinkError) -> Trouble {
    let trouble = Trouble::unable(error.to_string()).of_kind(answered(error.raw_os_error()));
    if trouble.is_denied() {
        return trouble.with_help("run as root, or grant CAP_NET_ADMIN and CAP_SYS_ADMIN");
    }
    trouble
}

fn unopened(error: NamespaceError) -> Trouble {
    failed(error.into())
}

/// Turns an error of BPF into one for people.
pub(crate) fn bpf_failed(error: bpf::BpfError) -> Trouble {
    Trouble::unable(error.to_string()).of_kind(answered(error.raw_os_error()))
}

/// Says what stood in the way by the number that the kernel answered, where it did.
pub(crate) fn answered(errno: Option<i32>) -> Kind {
    errno.map_or(Kind::Unable, |errno| Kind::from(&std::io::Error::from_raw_os_error(errno)))
}

fn out_of_reach(error: OutOfReach) -> Trouble {
    Trouble::unable(error.to_string()).with_help(error.help())
}

/// Opens the namespace of a site; the outer error is for a site that this process cannot be at whatever happens.
fn namespace_of(site: &Site) -> Result<Result<Namespace, NamespaceError>, Trouble> {
    Ok(match site.entry().map_err(out_of_reach)? {
        Entry::Own => Namespace::current(),
        Entry::Namespace(namespace) => Namespace::open(&namespace.path),
    })
}

/// Returns the kernel's cookie of the network namespace that a site is in, where it can be found out.
pub fn namespace_cookie(site: &Site) -> Option<u64> {
    namespace_of(site).ok()?.ok()?.cookie()
}

impl Ground {
    /// Opens the namespace of a site, or takes what is open already by the namespace's number.
    pub(crate) async fn open(site: &Site, known: impl FnOnce(u64) -> Option<Self>) -> Result<Self, Trouble> {
        let namespace = namespace_of(site)?.map_err(unopened)?;
        match known(namespace.inode()) {
            // As long as it is open, nothing else has its number.
            Some(ground) => Ok(ground),
            None => Self::enter(namespace).await,
        }
    }

    async fn enter(namespace: Namespace) -> Result<Self, Trouble> {
        Ok(Ground { connection: Connection::open(&namespace).await.map_err(failed)? })
    }

    /// Opens the namespace of an undo record; none if that namespace no longer exists, and everything in it with it.
    pub(crate) async fn find(site: &Site, state: &State) -> Result<Option<Self>, Trouble> {
        // Numbers are used again, cookies are not.
        let is_it = |namespace: &Namespace| {
            namespace.inode() == state.inode && (state.cookie.is_none() || namespace.cookie() == state.cookie)
        };
        match namespace_of(site)? {
            Ok(namespace) if is_it(&namespace) => return Self::enter(namespace).await.map(Some),
            // The path may lead elsewhere by now while the namespace lives on.
            _ => {}
        }
        let inode = state.inode;
        let found = tokio::task::spawn_blocking(move || search(inode)).await.ok().flatten();
        match found {
            Some(path) => {
                let namespace = Namespace::open(path).map_err(unopened)?;
                if is_it(&namespace) { Self::enter(namespace).await.map(Some) } else { Ok(None) }
            }
            None => Ok(None),
        }
    }

    /// Says what became of the namespace at a site, where the site does not lead here any more.
    pub(crate) fn strayed(&self, site: &Site) -> Result<Option<String>, Trouble> {
        let path = match site.entry().map_err(out_of_reach)? {
            Entry::Own => return Ok(None),
            Entry::Namespace(namespace) => namespace.path.display(),
        };
        Ok(match namespace_of(site)? {
            // As long as it is open here, nothing else has its number.
            Ok(now) if now.inode() == self.inode() => None,
            Ok(_) => Some(format!("`{path}` is another network namespace by now")),
            Err(error) if error.is_absent() => Some(format!("its network namespace is gone from `{path}`")),
            Err(error) => return Err(unopened(error)),
        })
    }

    pub(crate) fn inode(&self) -> u64 {
        self.connection.namespace().inode()
    }

    /// Finds an interface again; none if it is gone.
    pub(crate) async fn link(&self, index: u32) -> Result<Option<Link>, Trouble> {
        match self.connection.link_by_index(index).await {
            Ok(link) => Ok(Some(link)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens an interface for BPF and for forwarding.
    pub(crate) async fn device(&self, index: u32) -> Result<bpf::Device, Trouble> {
        let link = self.connection.link_by_index(index).await.map_err(failed)?;
        bpf::Device::find(Some(self.connection.namespace().clone()), &link.name).map_err(bpf_failed)
    }

    /// Returns the interfaces whose packets are meant: the one that the site names, or all that
    /// [carry](super::carriers) them.
    pub(crate) async fn interfaces(&self, site: &Site, packets: &Packets) -> Result<Vec<Interface>, Trouble> {
        let chosen = self.chosen(site, packets).await?;
        if chosen.is_empty() {
            return Err(match &packets.matches.peers {
                Which::Any => Trouble::unable(
                    "no interface that is up carries an address, so there is no traffic to put a fault on",
                ),
                Which::These(peers) => Trouble::unable(format!(
                    "no interface that is up leads to {}",
                    peers.iter().map(|peer| peer.network.to_string()).collect::<Vec<_>>().join(", ")
                )),
            }
            .with_help("set an interface up, or name its namespace in the target"));
        }
        let mut interfaces = Vec::new();
        for (link, directions) in chosen {
            interfaces.push(self.interface(link, directions).await?);
        }
        Ok(interfaces)
    }

    /// Looks at an interface as it is before a fault.
    pub(crate) async fn interface(
        &self,
        link: Link,
        directions: Vec<Direction>,
    ) -> Result<Interface, Trouble> {
        let qdiscs = self.standing(link.index).await?;
        let Link { name, index, mtu, loopback, ethernet, .. } = link;
        Ok(Interface { name, index, mtu, loopback, ethernet, directions, qdiscs })
    }

    /// Reads all interfaces and routes.
    pub(crate) async fn layout(&self) -> Result<Layout, Trouble> {
        let links = self.connection.links().await.map_err(failed)?;
        Ok(Layout { links, routes: self.connection.routes().await.map_err(failed)? })
    }

    /// Returns the interfaces whose packets are meant, each with the directions that count there.
    async fn chosen(&self, site: &Site, packets: &Packets) -> Result<Vec<(Link, Vec<Direction>)>, Trouble> {
        let named = match site.entry().map_err(out_of_reach)? {
            Entry::Own => None,
            Entry::Namespace(namespace) => namespace.interface.as_deref(),
        };
        if let Some(name) = named {
            let link = self.connection.link_by_name(name).await.map_err(failed)?;
            let directions =
                if link.loopback { carriers::on_loopback(packets) } else { packets.directions.clone() };
            return Ok(vec![(link, directions)]);
        }
        let mut layout = self.layout().await?;
        let carriers = layout.carriers(packets)?;
        let found = carriers.into_iter().filter_map(|(index, directions)| {
            let at = layout.links.iter().position(|link| link.index == index)?;
            Some((layout.links.swap_remove(at), directions))
        });
        Ok(found.collect())
    }

    /// Returns the qdiscs of an interface, in a fixed order.
    pub(crate) async fn standing(&self, index: u32) -> Result<Vec<Standing>, Trouble> {
        let qdiscs = self.connection.qdiscs(index).await.map_err(failed)?;
        let mut standing: Vec<_> = qdiscs
            .into_iter()
            .map(|qdisc| Standing {
                parent: qdisc.parent,
                handle: qdisc.handle,
                kind: qdisc.kind,
                options: qdisc.options,
            })
            .collect();
        standing.sort();
        Ok(standing)
    }

    /// Returns whether own filters lead packets of an interface elsewhere.
    pub(crate) async fn steers(&self, index: u32) -> bool {
        self.has_filter(index, Filter::is_own).await
    }

    /// Returns whether own filters say that the `clsact` of an interface was added for them.
    pub(crate) async fn hooked(&self, index: u32) -> bool {
        self.has_filter(index, Filter::is_with_hook).await
    }

    async fn has_filter(&self, index: u32, is_it: fn(&Filter) -> bool) -> bool {
        for hook in [Hook::Ingress, Hook::Egress] {
            // Without the qdisc a hook belongs to, asking for its filters is an error.
            let filters = self.connection.filters(index, hook).await.unwrap_or_default();
            if filters.iter().any(is_it) {
                return true;
            }
        }
        false
    }

    /// Says what others changed on the interfaces of a record since it was made, a line each; that is theirs, and stays.
    pub(crate) async fn changed_by_others(&self, state: &State) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        for before in &state.interfaces {
            if self.link(before.index).await?.is_none() {
                lines.push(format!("interface `{}` is gone, and what was on it", before.name));
                continue;
            }
            let foreign = |standing: &Vec<Standing>| {
                let foreign = standing.iter().filter(|standing| !standing.is_own() && !standing.is_default());
                foreign.cloned().collect::<Vec<_>>()
            };
            let (mut now, before_it) =
                (foreign(&self.standing(before.index).await?), foreign(&before.qdiscs));
            if self.steers(before.index).await {
                // Another fault of ours still leads packets there.
                now.retain(|standing| standing.kind != "clsact" || before_it.contains(standing));
            }
            if now != before_it {
                lines.push(format!(
                    "interface `{}` has other qdiscs of others than before: now {}, before {}; they were left alone",
                    before.name,
                    list(&now),
                    list(&before_it)
                ));
            }
        }
        Ok(lines)
    }
}

pub(crate) fn list(qdiscs: &[Standing]) -> String {
    let names: Vec<_> = qdiscs.iter().map(|qdisc| format!("`{} {}`", qdisc.kind, qdisc.handle)).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Looks for a namespace by its number among those of processes and the named ones.
fn search(inode: u64) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let is_it = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.ino() == inode);
    let entries = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let processes = entries("/proc")
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .map(|entry| entry.path().join("ns/net"));
    entries("/run/netns").map(|entry| entry.path()).chain(processes).find(is_it)
}

#[cfg(test)]
mod tests {
    use chaos_core::place::ObjectId;

    use super::*;

    #[tokio::test]
    async fn a_place_out_of_reach_is_refused_and_never_this_machine() {
        for site in [Site::Api, Site::Agent { of: ObjectId::host("elsewhere") }] {
            let known = |_| panic!("a namespace was opened for {site:?}");
            let Err(refused) = Ground::open(&site, known).await else { panic!("{site:?} opens") };
            assert!(refused.help.is_some(), "{refused:?}");
            let own = Namespace::current().unwrap().inode();
            let state = State {
                inode: own,
                cookie: None,
                mark: 1,
                holder: None,
                interfaces: vec![],
                search: vec![],
                names: None,
            };
            assert!(Ground::find(&site, &state).await.is_err(), "{site:?}");
        }
    }
}
