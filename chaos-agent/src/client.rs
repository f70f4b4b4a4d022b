//! The runner's side: the agents of a run, and what they host, as core's own traits.

mod alignment;
mod feed;
mod injector;
mod known;
mod session;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chaos_core::{
    injector::Undo,
    model::Action,
    place::{ObjectId, OutOfReach, Site},
    trouble::Trouble,
};
use futures_util::future::join_all;
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

/// The agents of one runner, one at each seat, each started when first needed and replaced when it dies or hangs.
///
/// Dropping it, and what it made, closes the agents' inputs, so they take back whatever is still in place and end.
pub struct Agents {
    transport: Box<dyn Transport>,
    settings: Mutex<Settings>,
    sessions: Mutex<BTreeMap<Seat, Arc<Slot>>>,
    known: Arc<Known>,
}

/// The session with the agent at one seat; none before it is needed, and when it was closed.
type Slot = tokio::sync::Mutex<Option<Arc<Session>>>;

/// Where an agent runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seat {
    /// On the runner's machine: one for all of its namespaces, which it is led into by path.
    Runner,
    /// At a place that only an agent reaches.
    At(ObjectId),
}

impl Seat {
    /// Returns where the agent for a site runs.
    fn of(site: &Site) -> Result<Self, Trouble> {
        match site {
            Site::Runner | Site::Namespace(_) => Ok(Seat::Runner),
            Site::Agent { of } => Ok(Seat::At(of.clone())),
            Site::Api => Err(Trouble::unable(OutOfReach::Api.to_string()).with_help(OutOfReach::Api.help())),
        }
    }

    fn site(&self) -> Site {
        match self {
            Seat::Runner => Site::Runner,
            Seat::At(of) => Site::Agent { of: of.clone() },
        }
    }
}

impl Agents {
    /// Takes what starts agents; none is started yet.
    pub fn new(transport: impl Transport + 'static) -> Arc<Self> {
        Arc::new(Agents {
            transport: Box::new(transport),
            settings: Mutex::default(),
            sessions: Mutex::default(),
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

    /// Takes back what is still in place, and ends the agents, all at once.
    ///
    /// # Errors
    /// Something could not be reverted; every agent was asked all the same.
    pub async fn close(&self) -> Result<(), Trouble> {
        let slots = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        let closed = join_all(slots.into_values().map(|slot| async move {
            let Some(session) = slot.lock().await.take() else { return Ok(()) };
            match session.call(Request::Bye, LONGEST_CALL).await {
                Ok(Answer::Failed(error)) => Err(error),
                // An agent that is gone already has said so as a loss.
                _ => Ok(()),
            }
        }));
        let failed: Vec<Trouble> = closed.await.into_iter().filter_map(Result::err).collect();
        match &failed[..] {
            [] => Ok(()),
            [one] => Err(one.clone()),
            [first, others @ ..] => {
                let others: Vec<_> = others.iter().map(|error| error.message.as_str()).collect();
                Err(first.clone().said(|message| format!("{message}; {}", others.join("; "))))
            }
        }
    }

    fn slot(&self, seat: &Seat) -> Arc<Slot> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sessions.entry(seat.clone()).or_default())
    }

    /// Returns an agent for a site that lives, a new one where there is none.
    async fn session(&self, site: &Site) -> Result<Arc<Session>, Trouble> {
        let seat = Seat::of(site)?;
        let slot = self.slot(&seat);
        let mut current = slot.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_alive()) {
            return Ok(Arc::clone(session));
        }
        if let Some(dead) = current.take() {
            // It must be gone for good before another one touches the same things.
            dead.buried().await;
        }
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = Session::start(&*self.transport, seat, settings, Arc::clone(&self.known)).await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Calls the agent for a site.
    async fn call(&self, site: &Site, request: Request) -> Result<Answer, Trouble> {
        match self.session(site).await?.call(request, LONGEST_CALL).await? {
            Answer::Failed(error) => Err(error),
            answer => Ok(answer),
        }
    }

    /// Calls the agent for a site, and a fresh one where that dies over it: for requests that need nothing of an earlier agent.
    async fn call_any(&self, site: &Site, request: Request) -> Result<Answer, Trouble> {
        let session = self.session(site).await?;
        match session.call(request.clone(), LONGEST_CALL).await {
            Err(_) if !session.is_alive() => self.call(site, request).await,
            Ok(Answer::Failed(error)) | Err(error) => Err(error),
            answer => answer,
        }
    }

    /// Has the agents let traffic pass at once. One that is gone has let go, as far as it ever will.
    async fn release(&self, undos: &[Undo]) {
        let mut by_seat = BTreeMap::<Seat, Vec<String>>::new();
        for undo in undos {
            // At other sites no agent has put anything in place.
            if let Ok(seat) = Seat::of(&undo.site) {
                by_seat.entry(seat).or_default().push(undo.id.clone());
            }
        }
        join_all(by_seat.into_iter().map(|(seat, ids)| async move {
            let session = self.slot(&seat).lock().await.clone();
            if let Some(session) = session.filter(|session| session.is_alive()) {
                let _ = session.call(Request::Release { ids }, LONGEST_CALL).await;
            }
        }))
        .await;
    }
}

fn unexpected(answer: &Answer) -> Trouble {
    Trouble::unable(format!("the agent answered something else than was asked: {answer:?}"))
}

#[cfg(test)]
mod tests;
