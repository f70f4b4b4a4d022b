//! Probes where they are sent from.

use std::sync::Arc;

use async_trait::async_trait;
use chaos_agent::AgentProbers;
use chaos_core::{
    model::Probe,
    place::{Place, Site},
    probe::{Opened, Probers},
    trouble::Trouble,
};

/// Has a probe from a pod measured by the agent in it, and one from here by this process.
pub struct PlacedProbers {
    here: Arc<dyn Probers>,
    there: AgentProbers,
}

impl PlacedProbers {
    /// Takes what measures here, and what measures through agents.
    pub fn new(here: Arc<dyn Probers>, there: AgentProbers) -> Self {
        PlacedProbers { here, there }
    }
}

#[async_trait]
impl Probers for PlacedProbers {
    fn refuses(&self, probe: &Probe) -> Option<Trouble> {
        self.here.refuses(probe)
    }

    async fn find(&self, probe: &Probe, place: &Place) -> Result<Option<String>, Trouble> {
        match &place.site {
            Site::Runner | Site::Namespace(_) => self.here.find(probe, place).await,
            // Looking from a pod takes an agent in it, and planning touches none.
            Site::Agent { .. } | Site::Api => Ok(None),
        }
    }

    async fn open(&self, probe: &Probe, place: &Place) -> Result<Opened, Trouble> {
        match &place.site {
            Site::Agent { .. } => self.there.open(probe, place).await,
            Site::Runner | Site::Namespace(_) | Site::Api => self.here.open(probe, place).await,
        }
    }
}
