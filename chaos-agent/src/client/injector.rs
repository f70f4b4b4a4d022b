//! An injector whose work an agent does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::{
    capability::Capability,
    injector::{Ask, Injector, Lost, Measured, Offer, Surroundings, Undo},
    model::Action,
    place::{ObjectId, Place, Site},
    trouble::Trouble,
};
use tokio::sync::{Mutex, mpsc};

use super::{Agents, Seat, unexpected};
use crate::protocol::{Answer, Request};

/// One injector of the agents, as the runner sees it.
pub struct AgentInjector {
    agents: Arc<Agents>,
    name: String,
    handles: fn(&Action) -> bool,
    losses: Mutex<mpsc::UnboundedReceiver<Lost>>,
}

impl AgentInjector {
    pub(super) fn new(agents: Arc<Agents>, name: String, handles: fn(&Action) -> bool) -> Self {
        let losses = Mutex::new(agents.known.listen(&name));
        AgentInjector { agents, name, handles, losses }
    }

    /// Takes back what is still in place, and ends the agents; other injectors of the same agents go with it.
    ///
    /// # Errors
    /// Something could not be reverted.
    pub async fn close(&self) -> Result<(), Trouble> {
        self.agents.close().await
    }
}

#[async_trait]
impl Injector for AgentInjector {
    fn name(&self) -> &str {
        &self.name
    }

    fn handles(&self, action: &Action) -> bool {
        (self.handles)(action)
    }

    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        // A place that is only made for the run is made on this machine.
        let site = around.place.as_ref().map_or(Site::Runner, |place| place.site.clone());
        let (ask, around) = (ask.clone(), Box::new(around.clone()));
        let request = Request::Offer { injector: self.name.clone(), ask, around };
        match self.agents.call_any(&site, request).await? {
            Answer::Offers(offers) => Ok(offers),
            other => Err(unexpected(&other)),
        }
    }

    async fn capabilities(&self) -> Result<Vec<Capability>, Trouble> {
        let request = Request::Capabilities { injector: self.name.clone() };
        match self.agents.call_any(&Site::Runner, request).await? {
            Answer::Capabilities(all) => Ok(all),
            other => Err(unexpected(&other)),
        }
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let request = Request::Prepare {
            injector: self.name.clone(),
            id: id.into(),
            offer: offer.clone(),
            place: place.clone(),
            deadline,
        };
        // Preparing touches nothing, and all that it finds out is in the record.
        match self.agents.call_any(&place.site, request).await? {
            Answer::Prepared(undo) => Ok(*undo),
            other => Err(unexpected(&other)),
        }
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let known = &self.agents.known;
        known.put(undo, Seat::of(&undo.site)?);
        let injected = self.agents.call(&undo.site, Request::Inject { undo: undo.clone() }).await;
        if injected.is_err() {
            known.taken(&undo.id);
        }
        match injected? {
            Answer::Injected => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn release(&self, undos: &[Undo]) {
        self.agents.release(undos).await;
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        self.agents.known.taken(&undo.id);
        match self.agents.call_any(&undo.site, Request::Revert { undo: undo.clone() }).await? {
            Answer::Reverted(effect) => {
                if let Some(effect) = effect {
                    self.agents.known.reverted(&undo.id, effect);
                }
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let known = &self.agents.known;
        if !known.holds(&undo.id)
            && let Some(effect) = known.effect(&undo.id)
        {
            return Ok(effect);
        }
        match self.agents.call(&undo.site, Request::Effect { undo: undo.clone() }).await? {
            Answer::Effect(effect) => {
                known.measured(&undo.id, effect.clone());
                Ok(effect)
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn lost(&self) -> Lost {
        match self.losses.lock().await.recv().await {
            Some(lost) => lost,
            // Another injector of the same name has taken this one's place.
            None => std::future::pending().await,
        }
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        match self.agents.call_any(&undo.site, Request::Standing { undo: undo.clone() }).await? {
            Answer::Evidence(lines) => Ok(lines),
            other => Err(unexpected(&other)),
        }
    }

    async fn leftovers(&self, object: &ObjectId) -> Result<Vec<String>, Trouble> {
        let request = Request::Leftovers { injector: self.name.clone(), object: object.clone() };
        match self.agents.call_any(&Site::Runner, request).await? {
            Answer::Evidence(lines) => Ok(lines),
            other => Err(unexpected(&other)),
        }
    }

    async fn changed_by_others(&self, undo: &Undo) -> Vec<String> {
        match self.agents.call_any(&undo.site, Request::ChangedByOthers { undo: undo.clone() }).await {
            Ok(Answer::Evidence(lines)) => lines,
            Ok(other) => vec![unexpected(&other).to_string()],
            Err(error) => vec![format!("what others changed where `{}` was is unknown: {error}", undo.id)],
        }
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        let request = Request::Evidence { injector: self.name.clone(), place: place.clone() };
        match self.agents.call(&place.site, request).await {
            Ok(Answer::Evidence(lines)) => lines,
            Ok(other) => vec![unexpected(&other).to_string()],
            Err(error) => vec![format!("no evidence of {}: {error}", place.object)],
        }
    }
}
