//! What an agent can do: the injectors and probers that its program brings.

use std::{collections::BTreeMap, sync::Arc};

use chaos_core::{injector::Injector, probe::Probers, trouble::Trouble};

/// What the runner wants the injectors of an agent to be set to, by the injector's name; only the injector reads it.
pub type Settings = BTreeMap<String, serde_json::Value>;

/// The injectors that an agent offers, each found by its name, and what makes its probes.
#[derive(Clone, Default)]
pub struct Host {
    injectors: Vec<Arc<dyn Injector>>,
    probers: Option<Arc<dyn Probers>>,
}

impl Host {
    /// Makes a host that offers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an injector.
    #[must_use]
    pub fn injector(mut self, injector: impl Injector + 'static) -> Self {
        self.injectors.push(Arc::new(injector));
        self
    }

    /// Lets it measure probes that these probers open.
    #[must_use]
    pub fn probers(mut self, probers: impl Probers + 'static) -> Self {
        self.probers = Some(Arc::new(probers));
        self
    }

    /// Returns what opens probes.
    pub(crate) fn opens(&self) -> Result<Arc<dyn Probers>, Trouble> {
        let missing = || {
            Trouble::unable("this agent measures no probes")
                .with_help("start an agent that was built with probers")
        };
        self.probers.clone().ok_or_else(missing)
    }

    /// Returns all injectors.
    pub(crate) fn injectors(&self) -> &[Arc<dyn Injector>] {
        &self.injectors
    }

    /// Finds an injector by its name.
    pub(crate) fn named(&self, name: &str) -> Result<&Arc<dyn Injector>, Trouble> {
        self.injectors.iter().find(|injector| injector.name() == name).ok_or_else(|| {
            Trouble::unable(format!("this agent has no injector `{name}`"))
                .with_help("use the same build of `chaos` on both sides")
        })
    }
}
