//! Which mechanisms are to be had here.

use std::collections::BTreeMap;

use chaos_core::{
    injector::Hold,
    trouble::{Kind, Trouble},
};

use super::Mechanism;
use crate::{
    bpf::{self, Support},
    capability::{self, Capability},
    netlink::tree::Root,
};

/// Which mechanisms work with this kernel and these rights, found out by trying in throw-away namespaces.
#[derive(Clone, Debug)]
pub struct Abilities {
    mechanisms: BTreeMap<Mechanism, Result<Hold, Trouble>>,
    /// What can steer below an own root qdisc.
    pub(crate) root: Option<Root>,
    capabilities: Vec<Capability>,
}

impl Abilities {
    /// Tries everything; takes some milliseconds and touches no namespace but its own throw-away ones.
    pub async fn probe() -> Self {
        // Both are short, but neither is to keep a runtime from its other work.
        let support = tokio::task::spawn_blocking(bpf::probe).await;
        let support = support.unwrap_or_else(|error| Support::No {
            reason: format!("the trial failed: {error}"),
            remedy: "try again".into(),
        });
        let mut capabilities = vec![match support {
            Support::Yes => Capability::available("tcx"),
            Support::No { reason, remedy } => Capability::missing("tcx", reason, remedy),
        }];
        let nft = tokio::task::spawn_blocking(super::nft::trial).await;
        capabilities.push(match nft.unwrap_or_else(|error| Err(format!("the trial failed: {error}"))) {
            Ok(()) => Capability::available("nft"),
            Err(reason) => Capability::missing(
                "nft",
                format!("no nf_tables table of its own with a reject rule can be made: {reason}"),
                "run as root on Linux 5.12 or newer with nf_tables and nft_reject",
            ),
        });
        capabilities.extend(capability::probe().await);
        Self::of(capabilities)
    }

    /// Concludes from capabilities, those of [`capability::NAMES`], `tcx` and `nft`, which mechanisms work.
    pub fn of(capabilities: Vec<Capability>) -> Self {
        let need = |names: &[&str]| -> Result<(), Trouble> {
            for name in names {
                let missing = |reason: String, remedy| {
                    let permission = reason.contains("ermi");
                    let kind = if permission { Kind::Permission } else { Kind::Unable };
                    Trouble { message: reason, help: remedy, kind }
                };
                match capabilities.iter().find(|capability| capability.name == *name) {
                    Some(found) if found.available => {}
                    Some(found) => {
                        let reason =
                            found.reason.clone().unwrap_or_else(|| format!("there is no `{name}` here"));
                        return Err(missing(reason, found.remedy.clone()));
                    }
                    None => return Err(missing(format!("`{name}` was not tried"), None)),
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
        let forwarder = need(&["network-namespace", "veth", "packet-socket"]).and_then(|()| {
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
        Abilities { mechanisms, root: root.ok(), capabilities }
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

    /// Returns every mechanism with what would end its faults, or why it does not work, for `doctor`.
    pub fn mechanisms(&self) -> impl Iterator<Item = (&'static str, &Result<Hold, Trouble>)> {
        self.mechanisms.iter().map(|(mechanism, found)| (mechanism.name(), found))
    }

    /// Returns everything that was tried, for `doctor`.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }
}
