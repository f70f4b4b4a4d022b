//! Probes where they are sent from.

use std::sync::Arc;

use async_trait::async_trait;
use chaos_agent::AgentProbers;
use chaos_core::{
    model::{Probe, ProbeKind},
    place::{Place, Site},
    probe::{Opened, Probers},
    trouble::Trouble,
};

use crate::{Link, watched, watched::WatchedProber};

/// Has a probe from a pod measured by the agent in it, one from here by this process, and one of the cluster's state by a watch.
pub struct PlacedProbers {
    link: Arc<Link>,
    here: Arc<dyn Probers>,
    there: AgentProbers,
}

impl PlacedProbers {
    /// Takes the way to the cluster, what measures here, and what measures through agents.
    pub fn new(link: Arc<Link>, here: Arc<dyn Probers>, there: AgentProbers) -> Self {
        PlacedProbers { link, here, there }
    }
}

#[async_trait]
impl Probers for PlacedProbers {
    fn conceal(&self, text: &str) -> Option<String> {
        self.here.conceal(text)
    }

    fn refuses(&self, probe: &Probe) -> Option<Trouble> {
        match &probe.kind {
            ProbeKind::Kube(_) => None,
            _ => self.here.refuses(probe),
        }
    }

    async fn find(&self, probe: &Probe, place: &Place) -> Result<Option<String>, Trouble> {
        if let ProbeKind::Kube(state) = &probe.kind {
            return watched::look(&self.link, state).await;
        }
        match &place.site {
            Site::Runner | Site::Namespace(_) => self.here.find(probe, place).await,
            // Looking from a pod takes an agent in it, and planning touches none.
            Site::Agent { .. } | Site::Api => Ok(None),
        }
    }

    async fn open(&self, probe: &Probe, place: &Place) -> Result<Opened, Trouble> {
        if let ProbeKind::Kube(state) = &probe.kind {
            return Ok(Opened::Each(Arc::new(WatchedProber::open(&self.link, state).await?)));
        }
        match &place.site {
            Site::Agent { .. } => self.there.open(probe, place).await,
            Site::Runner | Site::Namespace(_) | Site::Api => self.here.open(probe, place).await,
        }
    }
}
