//! Network faults as core sees them: an injector that does everything inside this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chaos_core::{
    capability::Capability,
    injector::{Ask, Injector, LookUp, Lost, Measured, Offer, Surroundings, Undo},
    model::Action,
    place::{ObjectId, Place},
    trouble::Trouble,
};
use serde::Deserialize;

use crate::{
    backend::{Holding, ground::Ground},
    evidence,
    namespaces::{NAME, Namespaces},
    network::cost,
    settings::Settings,
};

/// How often faults are looked after: whether their threads run, and which way their packets go.
const ROUND: Duration = Duration::from_millis(200);

/// The least time between two rounds, in times that the last one took: looking after many faults leaves the processor to others.
const REST: u32 = 20;

/// How many effects of reverted faults are remembered, so that a long-lived process does not grow.
const REMEMBERED: usize = 4096;

/// Returns whether [`NetworkInjector`] is the injector for such an action.
pub fn handles(action: &Action) -> bool {
    match action {
        Action::Packets(_) | Action::Names(_) => true,
        Action::Objects(_) | Action::Processes(_) | Action::Program(_) | Action::Custom(_) => false,
    }
}

/// Puts network faults in place and takes them back.
///
/// What it puts in place lives with this process, so a runner usually reaches it through an agent, a process of its own
/// that outlives the runner.
pub struct NetworkInjector {
    settings: Settings,
    namespaces: Arc<Namespaces>,
    /// What reverted faults did; they are asked for it afterwards.
    done: Mutex<BTreeMap<String, Measured>>,
}

impl Default for NetworkInjector {
    fn default() -> Self {
        NetworkInjector::with(Settings::default(), Holding::Agent)
    }
}

impl NetworkInjector {
    /// Makes one for an agent, as its runner wants it set.
    ///
    /// # Errors
    /// The settings under [`NAME`] are not [`Settings`].
    pub fn of(settings: &BTreeMap<String, serde_json::Value>, holding: Holding) -> Result<Self, Trouble> {
        let settings = settings.get(NAME).map(Settings::deserialize).transpose();
        let settings = settings
            .map_err(|error| Trouble::unable(format!("the settings of `{NAME}` cannot be read: {error}")))?;
        Ok(NetworkInjector::with(settings.unwrap_or_default(), holding))
    }

    /// Makes one with these settings; `holding` says what may end its faults if everything else fails.
    pub fn with(settings: Settings, holding: Holding) -> Self {
        NetworkInjector { settings, namespaces: Arc::new(Namespaces::new(holding)), done: Mutex::default() }
    }

    /// Has it find the addresses of names by these; without, a fault on a name is refused.
    #[must_use]
    pub fn looking_up(self, names: Arc<dyn LookUp>) -> Self {
        self.namespaces.look_up(names);
        self
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<String, Measured>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Injector for NetworkInjector {
    fn name(&self) -> &str {
        NAME
    }

    fn handles(&self, action: &Action) -> bool {
        handles(action)
    }

    async fn capabilities(&self) -> Result<Vec<Capability>, Trouble> {
        Ok(cost::capabilities(self.namespaces.abilities().await))
    }

    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        self.namespaces.offer(ask, around, &self.settings).await
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        self.namespaces.prepare(id, offer, place, deadline, &self.settings).await
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        self.done().remove(&undo.id);
        self.namespaces.inject(undo).await?;
        self.namespaces.watch(undo, &self.settings)
    }

    async fn release(&self, undos: &[Undo]) {
        self.namespaces.release(undos.iter().map(|undo| undo.id.as_str())).await;
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let effect = self.namespaces.revert(undo).await?;
        let mut done = self.done();
        if done.len() >= REMEMBERED {
            done.pop_first();
        }
        // A second revert measures nothing; the first one's answer stands.
        done.entry(undo.id.clone()).or_insert(effect);
        Ok(())
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        if let Some(effect) = self.done().get(&undo.id) {
            return Ok(effect.clone());
        }
        self.namespaces.effect(undo).await
    }

    async fn lost(&self) -> Lost {
        let mut took = Duration::ZERO;
        loop {
            tokio::time::sleep(ROUND.max(took * REST)).await;
            let ids = self.namespaces.broken();
            if !ids.is_empty() {
                return Lost { ids, reason: "the thread that holds its packets ended".into() };
            }
            let begun = Instant::now();
            let namespaces = Arc::clone(&self.namespaces);
            // To its end, also where nobody waits for this any more.
            let lost = tokio::spawn(async move { namespaces.look_after().await }).await.unwrap_or_default();
            took = begun.elapsed();
            if let Some(lost) = lost.into_iter().next() {
                return lost;
            }
        }
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        self.namespaces.standing(undo).await
    }

    async fn leftovers(&self, object: &ObjectId) -> Result<Vec<String>, Trouble> {
        self.namespaces.leftovers(object).await
    }

    async fn changed_by_others(&self, undo: &Undo) -> Vec<String> {
        self.namespaces.changed_by_others(undo).await.unwrap_or_else(|error| vec![error.to_string()])
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        let collected = match Ground::open(&place.site, |_| None).await {
            Ok(ground) => evidence::collect(&ground).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        collected.unwrap_or_else(|error| vec![format!("no evidence of {}: {error}", place.object)])
    }
}
