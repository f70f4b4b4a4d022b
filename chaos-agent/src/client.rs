//! The runner's side: the agents of a run, and what they host, as core's own traits.

mod alignment;
mod feed;
mod injector;
mod known;
mod session;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chaos_core::{model::Action, trouble::Trouble};
use serde::Serialize;

pub use self::{feed::AgentProbers, injector::AgentInjector};
use self::{known::Known, session::Session};
use crate::{
    host::Settings,
    protocol::{Answer, Request},
    transport::Transport,
};

/// How long an agent may work on one request, in which it gives signs of life.
const LONGEST_CALL: Duration = Duration::from_secs(20);

/// The agents of one runner, each started when first needed and replaced when it dies or hangs.
///
/// Dropping it, and what it made, closes the agents' inputs, so they take back whatever is still in place and end.
pub struct Agents {
    transport: Box<dyn Transport>,
    settings: Mutex<Settings>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    known: Arc<Known>,
}

impl Agents {
    /// Takes what starts agents; none is started yet.
    pub fn new(transport: impl Transport + 'static) -> Arc<Self> {
        Arc::new(Agents {
            transport: Box::new(transport),
            settings: Mutex::default(),
            session: tokio::sync::Mutex::new(None),
            known: Arc::default(),
        })
    }

    /// Says what an injector is to be set to in every agent that is started from now on.
    ///
    /// # Errors
    /// The settings have no JSON form.
    pub fn set(&self, injector: &str, settings: &impl Serialize) -> Result<(), serde_json::Error> {
        let settings = serde_json::to_value(settings)?;
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).insert(injector.to_owned(), settings);
        Ok(())
    }

    /// Returns the injector of this name that every agent hosts; `handles` says for which actions it is the injector.
    pub fn injector(self: &Arc<Self>, name: &str, handles: fn(&Action) -> bool) -> AgentInjector {
        AgentInjector::new(Arc::clone(self), name.to_owned(), handles)
    }

    /// Returns what measures probes through the agents, each at the place that its agent is at.
    pub fn probers(self: &Arc<Self>) -> AgentProbers {
        AgentProbers::new(Arc::clone(self))
    }

    /// Takes back what is still in place, and ends the agents.
    ///
    /// # Errors
    /// Something could not be taken back.
    pub async fn close(&self) -> Result<(), Trouble> {
        let Some(session) = self.session.lock().await.take() else { return Ok(()) };
        match session.call(Request::Bye, LONGEST_CALL).await {
            Ok(Answer::Failed(error)) => Err(error),
            // An agent that is gone already has said so as a loss.
            _ => Ok(()),
        }
    }

    /// Returns an agent that lives, a new one where there is none.
    async fn session(&self) -> Result<Arc<Session>, Trouble> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_alive()) {
            return Ok(Arc::clone(session));
        }
        if let Some(dead) = current.take() {
            // It must be gone for good before another one touches the same things.
            dead.buried().await;
        }
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = Session::start(&*self.transport, settings, Arc::clone(&self.known)).await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn call(&self, request: Request) -> Result<Answer, Trouble> {
        match self.session().await?.call(request, LONGEST_CALL).await? {
            Answer::Failed(error) => Err(error),
            answer => Ok(answer),
        }
    }

    /// Calls an agent, and a fresh one where that dies over it: for requests that need nothing of an earlier agent.
    async fn call_any(&self, request: Request) -> Result<Answer, Trouble> {
        let session = self.session().await?;
        match session.call(request.clone(), LONGEST_CALL).await {
            Err(_) if !session.is_alive() => self.call(request).await,
            Ok(Answer::Failed(error)) | Err(error) => Err(error),
            answer => answer,
        }
    }

    /// Has the agent let traffic pass at once. One that is gone has let go, as far as it ever will.
    async fn release(&self, ids: Vec<String>) {
        let session = self.session.lock().await.clone();
        if let Some(session) = session.filter(|session| session.is_alive()) {
            let _ = session.call(Request::Release { ids }, LONGEST_CALL).await;
        }
    }
}

fn unexpected(answer: &Answer) -> Trouble {
    Trouble::unable(format!("the agent answered something else than was asked: {answer:?}"))
}
