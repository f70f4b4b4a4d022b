//! What a place has of what experiments need, found out by trying or by asking.

use serde::{Deserialize, Serialize};

/// The name of the part without which there is no lab, and nothing can be tried or done in another network namespace.
pub const NETWORK_NAMESPACE: &str = "network-namespace";

/// Something that experiments are built on, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name: `netem`, `veth`, `patch leases`.
    pub name: String,
    /// Whether it works.
    pub available: bool,
    /// What was found, where that says more than the name; or why it does not work.
    pub detail: Option<String>,
    /// What its absence costs, where it does not work and that is known.
    pub costs: Option<String>,
    /// What would change that, where it does not work.
    pub remedy: Option<String>,
    /// Whether a right is missing, rather than an ability.
    pub permission: bool,
    /// Whether it is only what others are made of.
    pub part: bool,
}

impl Capability {
    /// States that something works.
    pub fn available(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            available: true,
            detail: None,
            costs: None,
            remedy: None,
            permission: false,
            part: false,
        }
    }

    /// States that something works, and what was found.
    pub fn found(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::available(name) }
    }

    /// States that something does not work, why, and what would help.
    pub fn missing(name: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            available: false,
            detail: Some(reason.into()),
            costs: None,
            remedy: Some(remedy.into()),
            permission: false,
            part: false,
        }
    }

    /// States what its absence costs; of something that works, nothing.
    #[must_use]
    pub fn costing(self, costs: impl Into<String>) -> Self {
        Self { costs: (!self.available).then(|| costs.into()), ..self }
    }

    /// States that it is only what others are made of.
    #[must_use]
    pub fn as_part(self) -> Self {
        Self { part: true, ..self }
    }

    /// States that something is not permitted, what the system said, and what would help.
    pub fn forbidden(name: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { permission: true, ..Self::missing(name, reason, remedy) }
    }
}
