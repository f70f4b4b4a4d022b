//! The ways to clusters, and the books of the run that acts in one: shared by all that injects there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chaos_core::{injector::Undo, model::Cluster, trouble::Trouble};

use crate::{Claim, Link, claim, lease};

/// The ways to clusters by their uids, and the claim of the run that injects; none where only dead runs are restored.
#[derive(Default)]
pub(crate) struct Ways {
    links: Mutex<BTreeMap<String, Arc<Link>>>,
    claim: Mutex<Option<Arc<Claim>>>,
}

impl Ways {
    /// Takes the way to a cluster, for all records of it; those of other clusters open their own.
    pub(crate) fn reach(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.insert(link.cluster().uid.value.clone(), Arc::clone(link));
    }

    /// Returns the way to a cluster.
    pub(crate) fn to(&self, cluster: &Cluster) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(links.entry(cluster.uid.value.clone()).or_insert_with(|| Link::to(cluster)))
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Returns the way to the cluster of a run, which its plan was made for.
    ///
    /// # Errors
    /// None was given.
    pub(crate) fn current(&self) -> Result<Arc<Link>, Trouble> {
        let first = self.links.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
        first.ok_or_else(|| Trouble::internal("no cluster was given to what injects there"))
    }

    /// Writes down on the Leases of a run's claim what it owes, too.
    pub(crate) fn owe_to(&self, claim: &Arc<Claim>) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(claim));
    }

    /// Returns the claim of the run that injects.
    pub(crate) fn claim(&self) -> Option<Arc<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a debt of a run that is paid off the Lease and the object.
    ///
    /// # Errors
    /// It is the debt of a dead run, and it cannot be taken off.
    pub(crate) async fn paid(
        &self,
        cluster: &Cluster,
        run: Option<&str>,
        undo: &Undo,
    ) -> Result<(), Trouble> {
        let Some(run) = run else { return Ok(()) };
        if let Some(claim) = self.claim().filter(|claim| claim.run() == run) {
            claim.paid(undo);
            return Ok(());
        }
        // Its runner is dead: the last debt takes the Lease along.
        let link = self.to(cluster);
        match claim::settle(&link, run, undo).await? {
            Some(lease) if !lease::owes(&lease) => claim::remove(&link, &link.client().await?, &lease).await,
            _ => Ok(()),
        }
    }
}
