//! What whoever starts a run decides about its network faults.

use chaos_core::{non_empty::NonEmpty, which::Which};
use serde::{Deserialize, Serialize};

/// What a [`NetworkInjector`](crate::NetworkInjector) can be set to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The backends that may be offered, by the names in [`crate::backend::NAMES`].
    pub only: Which<String>,
    /// Whether faults may be on established ssh sessions of the machine that the run is started on.
    #[serde(default)]
    pub ssh: bool,
}

impl Settings {
    /// Allows nothing but these backends.
    pub fn only(backends: NonEmpty<String>) -> Self {
        Settings { only: Which::These(backends), ..Settings::default() }
    }
}
