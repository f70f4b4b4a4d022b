//! Which mechanisms are available here.

use std::{collections::BTreeMap, io};

use chaos_core::{
    injector::Hold,
    trouble::{Kind, Trouble},
};

use super::Mechanism;
use crate::{
    bpf::{self, Support},
    capability::{self, Capability, bench::Bench},
    netlink::{nftables::Drain, tree::Root},
};

/// Which mechanisms work with this kernel and these rights, found out by trying.
#[derive(Clone, Debug)]
pub struct Abilities {
    mechanisms: BTreeMap<Mechanism, Result<Hold, Trouble>>,
    /// What can steer below an own root qdisc.
    pub(crate) root: Option<Root>,
    /// Whether both ends of a forwarder's pair stand in the namespace of the place.
    pub(crate) in_place: bool,
    capabilities: Vec<Capability>,
}

impl Abilities {
    /// Tries everything; takes some milliseconds, and leaves nothing behind.
    pub async fn probe() -> Self {
        // In a task of its own, so that nothing is left half tried by whoever stops waiting.
        Self::of(tokio::spawn(try_all()).await.unwrap_or_default())
    }

    /// Concludes from capabilities, those of [`capability::NAMES`], `tcx`, `nft` and `ingress-drop`, which mechanisms work.
    pub fn of(capabilities: Vec<Capability>) -> Self {
        let need = |names: &[&str]| -> Result<(), Trouble> {
            for name in names {
                let Some(found) = capabilities.iter().find(|capability| capability.name == *name) else {
                    return Err(Trouble::unable(format!("`{name}` was not tried")));
                };
                if !found.available {
                    let reason = found.detail.clone().unwrap_or_else(|| format!("there is no `{name}` here"));
                    let kind = if found.permission { Kind::Permission } else { Kind::Unable };
                    return Err(Trouble { message: reason, help: found.remedy.clone(), kind });
                }
            }
            Ok(())
        };
        let root = match (need(&["prio"]), need(&["htb"])) {
            (Ok(()), _) => Ok(Root::Prio),
            (_, Ok(())) => Ok(Root::Htb),
            (Err(denied), _) => Err(denied),
        };
        let tree = |leaf: &str| need(&[leaf, "u32"]).and_then(|()| root.clone()).map(|_| Hold::Agent);
        // The far end of the forwarder's pair is in a namespace of its own, or else drains what others might take in.
        let apart = need(&[capability::NETWORK_NAMESPACE]);
        let in_place = apart.is_err() && need(&["ingress-drop"]).is_ok();
        let apart = if in_place { Ok(()) } else { apart };
        let forwarder = apart.and_then(|()| need(&["veth", "packet-socket"])).and_then(|()| {
            match (need(&["tcx"]), need(&["clsact", "u32", "mirred"])) {
                (Ok(()), _) => Ok(Hold::Kernel),
                (_, Ok(())) => Ok(Hold::Agent),
                (Err(denied), _) => Err(denied),
            }
        });
        let mechanisms = BTreeMap::from([
            (Mechanism::Tcx, need(&["tcx"]).map(|()| Hold::Kernel)),
            (Mechanism::Netem, tree("netem")),
            (Mechanism::Tbf, tree("tbf")),
            (Mechanism::Forwarder, forwarder),
            (Mechanism::Nft, need(&["nft"]).map(|()| Hold::Kernel)),
        ]);
        Abilities { mechanisms, root: root.ok(), in_place, capabilities }
    }

    /// Returns what would end a fault of this mechanism, or why it does not work.
    ///
    /// # Errors
    /// It does not work here.
    pub fn hold(&self, mechanism: Mechanism) -> Result<Hold, Trouble> {
        self.mechanisms
            .get(&mechanism)
            .cloned()
            .unwrap_or_else(|| Err(Trouble::unable(format!("`{mechanism}` was not tried"))))
    }

    /// Returns every mechanism with what would end its faults, or why it does not work.
    pub fn mechanisms(&self) -> impl Iterator<Item = (Mechanism, &Result<Hold, Trouble>)> {
        self.mechanisms.iter().map(|(mechanism, found)| (*mechanism, found))
    }

    /// Returns everything that was tried to find out.
    pub fn tried(&self) -> &[Capability] {
        &self.capabilities
    }
}

async fn try_all() -> Vec<Capability> {
    let bench = Bench::open().await;
    let mut found = Vec::new();
    if let Some((connection, near, _)) = bench.links() {
        let namespace = connection.namespace().clone();
        let (others, far) = (bench.is_in_place(), bench.far_name());
        // Each is short, but none is to keep a runtime from its other work.
        let tried = tokio::task::spawn_blocking(move || {
            let mut tried =
                vec![tcx(bpf::probe_on(&namespace, near)), nft(super::nft::trial(&namespace, others))];
            tried.extend(far.map(|far| ingress_drop(Drain::open(&namespace, &far).map(drop))));
            tried
        });
        found = tried.await.unwrap_or_default();
    } else {
        found.extend(["tcx", "nft"].map(|name| Capability { name: name.into(), ..bench.veth.clone() }));
    }
    found.extend(capability::on(&bench).await);
    bench.close(found).await
}

fn tcx(support: Support) -> Capability {
    match support {
        Support::Yes => Capability::available("tcx"),
        Support::No { reason, remedy, permission } => {
            Capability { permission, ..Capability::missing("tcx", reason, remedy) }
        }
    }
}

fn nft(tried: io::Result<()>) -> Capability {
    of_nftables(
        "nft",
        "no nf_tables table of its own with a reject rule can be made",
        "run as root on Linux 5.12 or newer with nf_tables and nft_reject",
        tried,
    )
}

fn ingress_drop(tried: io::Result<()>) -> Capability {
    of_nftables(
        "ingress-drop",
        "no nf_tables chain of its own can drop what an interface receives",
        "run on Linux 5.12 or newer with CONFIG_NF_TABLES_NETDEV, or grant CAP_SYS_ADMIN",
        tried,
    )
}

fn of_nftables(name: &str, what: &str, remedy: &str, tried: io::Result<()>) -> Capability {
    match tried {
        Ok(()) => Capability::available(name),
        Err(error) => Capability {
            permission: error.kind() == io::ErrorKind::PermissionDenied,
            ..Capability::missing(name, format!("{what}: {error}"), remedy)
        },
    }
}
