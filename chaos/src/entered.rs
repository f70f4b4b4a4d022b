//! A run's entry where it takes place, so that others there keep away from its targets, can stop it, and restore what it leaves.

use chaos_core::{journal::Header, plan::Plan, run::Control, trouble::Trouble};

use crate::World;

/// A run that is entered where it takes place. Dropping it leaves the entry to whoever restores.
pub struct Entered {
    #[cfg(feature = "kube")]
    claim: Option<std::sync::Arc<chaos_kube::Claim>>,
}

impl World {
    /// Enters a run where it takes place; `control` is asked to stop the run when somebody there asks for that. In a cluster that
    /// is a Lease beside each pod that it touches. Nothing is done for a run in a lab or on this machine: its
    /// [`Registry`](chaos_core::journal::Registry) does the same.
    ///
    /// # Errors
    /// Another run is on a target, or has left something there; runs are blocked; a right is missing.
    #[cfg_attr(not(feature = "kube"), expect(clippy::unused_async, reason = "a build with Kubernetes waits"))]
    pub async fn enter(&self, plan: &Plan, header: &Header, control: &Control) -> Result<Entered, Trouble> {
        #[cfg(feature = "kube")]
        {
            let Some((link, pods)) = &self.cluster else { return Ok(Entered { claim: None }) };
            if let Some(refusal) = chaos_kube::Access::of(&plan.experiment).lacking(link).await? {
                return Err(refusal);
            }
            let claim = chaos_kube::Claim::take(link, self.injectors(), header, control).await?;
            pods.owe_to(&claim);
            Ok(Entered { claim: Some(claim) })
        }
        #[cfg(not(feature = "kube"))]
        {
            let _ = (plan, header, control);
            Ok(Entered {})
        }
    }
}

impl Entered {
    /// Ends the entry; what is still owed stays on record there, for whoever restores.
    ///
    /// # Errors
    /// Something of the entry itself stays.
    #[cfg_attr(not(feature = "kube"), expect(clippy::unused_async, reason = "a build with Kubernetes waits"))]
    pub async fn leave(self) -> Result<(), Trouble> {
        #[cfg(feature = "kube")]
        if let Some(claim) = self.claim {
            return claim.leave().await;
        }
        Ok(())
    }
}
