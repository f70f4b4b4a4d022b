//! The runner's side: an injector whose work an agent does.

mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chaos_core::{
    injector::{Ask, Denied, Effect, InjectError, Injector, Offer, Undo},
    place::Place,
};
use tokio::sync::mpsc;

use self::session::Session;
use super::{
    protocol::{Answer, Request},
    transport::{OwnThread, Transport},
};
use crate::injector::NAME;

/// Injects network faults through an agent, which it starts when first needed and replaces when it dies or hangs.
///
/// Dropping it closes the agent's input, so the agent takes back whatever is still in place and ends.
pub struct AgentInjector {
    transport: Arc<dyn Transport>,
    only: Vec<String>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    known: Arc<Known>,
    losses: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
}

/// What the runner remembers of its faults, whatever becomes of the agent.
struct Known {
    injected: Mutex<BTreeSet<String>>,
    effects: Mutex<BTreeMap<String, Effect>>,
    lost: mpsc::UnboundedSender<String>,
}

impl Known {
    fn injected(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn effects(&self) -> MutexGuard<'_, BTreeMap<String, Effect>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a fault ended by itself.
    fn ended(&self, id: &str, reason: &str, failure: Option<&str>, effect: Option<Effect>) {
        if let Some(effect) = effect {
            self.effects().insert(id.into(), effect);
        }
        if self.injected().remove(id) {
            let outcome = match failure {
                None => "the agent took it back".into(),
                Some(failure) => format!("the agent could not take it back: {failure}"),
            };
            self.lost.send(format!("`{id}` ended early: {reason}; {outcome}")).ok();
        }
    }

    /// Takes note that an agent is gone, and with it what it held.
    fn agent_gone(&self, why: &str) {
        let held = std::mem::take(&mut *self.injected());
        if !held.is_empty() {
            let held: Vec<_> = held.iter().map(|id| format!("`{id}`")).collect();
            self.lost.send(format!("the agent that held {} is gone: {why}", held.join(", "))).ok();
        }
    }
}

impl AgentInjector {
    /// Makes an injector whose agents are started by `transport`; none is started yet.
    pub fn new(transport: impl Transport + 'static) -> Self {
        let (lost, losses) = mpsc::unbounded_channel();
        AgentInjector {
            transport: Arc::new(transport),
            only: Vec::new(),
            session: tokio::sync::Mutex::new(None),
            known: Arc::new(Known { injected: Mutex::default(), effects: Mutex::default(), lost }),
            losses: tokio::sync::Mutex::new(losses),
        }
    }

    /// Makes an injector for programs that have no executable to start: a thread of this process does the work, and only
    /// faults are offered that end with the process, however it dies.
    pub fn in_this_process() -> Self {
        AgentInjector::new(OwnThread)
    }

    /// Offers nothing but these backends, by the names in [`crate::backend::NAMES`].
    #[must_use]
    pub fn only<S: Into<String>>(mut self, backends: impl IntoIterator<Item = S>) -> Self {
        self.only = backends.into_iter().map(Into::into).collect();
        self
    }

    /// Takes back what is still in place, and ends the agent.
    ///
    /// # Errors
    /// Something could not be taken back.
    pub async fn close(&self) -> Result<(), InjectError> {
        let Some(session) = self.session.lock().await.take() else { return Ok(()) };
        match session.call(Request::Bye, LONGEST_CALL).await {
            Ok(Answer::Failed(error)) => Err(error),
            // An agent that is gone already has said so as a loss.
            _ => Ok(()),
        }
    }

    /// Returns an agent that lives, a new one where there is none.
    async fn session(&self) -> Result<Arc<Session>, InjectError> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_alive()) {
            return Ok(Arc::clone(session));
        }
        if let Some(dead) = current.take() {
            // It must be gone for good before another one touches the same things.
            dead.buried().await;
        }
        let session = Session::start(&*self.transport, Arc::clone(&self.known)).await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn call(&self, request: Request) -> Result<Answer, InjectError> {
        match self.session().await?.call(request, LONGEST_CALL).await? {
            Answer::Failed(error) => Err(error),
            answer => Ok(answer),
        }
    }

    /// Calls an agent, and a fresh one where that dies over it: for requests that need nothing of an earlier agent.
    async fn call_any(&self, request: Request) -> Result<Answer, InjectError> {
        let session = self.session().await?;
        match session.call(request.clone(), LONGEST_CALL).await {
            Err(_) if !session.is_alive() => self.call(request).await,
            Ok(Answer::Failed(error)) | Err(error) => Err(error),
            answer => answer,
        }
    }
}

/// How long an agent may work on one request, in which it gives signs of life.
const LONGEST_CALL: Duration = Duration::from_secs(20);

fn unexpected(answer: &Answer) -> InjectError {
    InjectError::new(format!("the agent answered something else than was asked: {answer:?}"))
}

#[async_trait]
impl Injector for AgentInjector {
    fn name(&self) -> &str {
        NAME
    }

    async fn offer(&self, ask: &Ask) -> Result<Vec<Offer>, Denied> {
        let denied = |error: InjectError| Denied {
            reason: error.message,
            remedy: error.help,
            permission: error.permission,
        };
        match self.call(Request::Offer { ask: ask.clone(), only: self.only.clone() }).await.map_err(denied)? {
            Answer::Offers(offers) => Ok(offers),
            Answer::Denied(refusal) => Err(refusal),
            other => Err(denied(unexpected(&other))),
        }
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, InjectError> {
        let request = Request::Prepare { id: id.into(), offer: offer.clone(), site: place.into(), deadline };
        // Preparing touches nothing, and all that it finds out is in the record.
        match self.call_any(request).await? {
            Answer::Prepared(undo) => Ok(*undo),
            other => Err(unexpected(&other)),
        }
    }

    async fn inject(&self, undo: &Undo) -> Result<(), InjectError> {
        // An agent that dies over it is a loss as well.
        self.known.injected().insert(undo.id.clone());
        let injected = self.call(Request::Inject { undo: undo.clone() }).await;
        if injected.is_err() {
            self.known.injected().remove(&undo.id);
        }
        match injected? {
            Answer::Injected => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn release(&self, undos: &[Undo]) {
        // An agent that is gone has let go, as far as it ever will.
        let session = self.session.lock().await.clone();
        if let Some(session) = session.filter(|session| session.is_alive()) {
            let ids = undos.iter().map(|undo| undo.id.clone()).collect();
            drop(session.call(Request::Release { ids }, LONGEST_CALL).await);
        }
    }

    async fn revert(&self, undo: &Undo) -> Result<(), InjectError> {
        self.known.injected().remove(&undo.id);
        let answer = self.call_any(Request::Revert { undo: undo.clone() }).await?;
        let effect = match answer {
            Answer::Reverted(effect) => effect,
            other => return Err(unexpected(&other)),
        };
        let mut effects = self.known.effects();
        match effects.get(&undo.id) {
            // A fresh agent knows nothing of what an earlier one counted.
            Some(known) if known.met > effect.met => {}
            _ => drop(effects.insert(undo.id.clone(), effect)),
        }
        Ok(())
    }

    async fn effect(&self, undo: &Undo) -> Result<Effect, InjectError> {
        if !self.known.injected().contains(&undo.id)
            && let Some(effect) = self.known.effects().get(&undo.id)
        {
            return Ok(effect.clone());
        }
        match self.call(Request::Effect { undo: undo.clone() }).await? {
            Answer::Effect(effect) => {
                self.known.effects().insert(undo.id.clone(), effect.clone());
                Ok(effect)
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn lost(&self) -> String {
        match self.losses.lock().await.recv().await {
            Some(loss) => loss,
            // The sender is ours, so this is never reached while the injector lives.
            None => std::future::pending().await,
        }
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        match self.call(Request::Evidence { site: place.into() }).await {
            Ok(Answer::Evidence(lines)) => lines,
            Ok(other) => vec![unexpected(&other).to_string()],
            Err(error) => vec![format!("no evidence of {}: {error}", place.object)],
        }
    }
}
