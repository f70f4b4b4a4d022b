//! What the runner remembers of its faults, whatever becomes of the agents.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chaos_core::injector::{Lost, Measured, Undo};
use tokio::sync::mpsc;

use super::Seat;

/// What is in place, what it did, and who wants to know when it is lost; shared by all injectors of one set of agents.
#[derive(Default)]
pub(super) struct Known {
    /// Where each fault that should be in place is held, by the id of its record.
    injected: Mutex<BTreeMap<String, Held>>,
    effects: Mutex<BTreeMap<String, Measured>>,
    /// Who hears of the losses of an injector, by its name.
    listeners: Mutex<BTreeMap<String, mpsc::UnboundedSender<Lost>>>,
}

/// Who holds a fault.
struct Held {
    /// The injector's name.
    injector: String,
    /// Where the agent runs that hosts it.
    seat: Seat,
}

impl Known {
    fn injected(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn effects(&self) -> MutexGuard<'_, BTreeMap<String, Measured>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the losses of an injector arrive from now on.
    pub(super) fn listen(&self, injector: &str) -> mpsc::UnboundedReceiver<Lost> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.insert(injector.to_owned(), sender);
        receiver
    }

    /// Takes note that a fault is being put in place: an agent that dies over it is a loss as well.
    pub(super) fn put(&self, undo: &Undo, seat: Seat) {
        self.injected().insert(undo.id.clone(), Held { injector: undo.injector.clone(), seat });
    }

    /// Takes note that a fault is not in place any more, or never was, and that this is as it should be.
    pub(super) fn taken(&self, id: &str) {
        self.injected().remove(id);
    }

    /// Returns whether a fault should be in place.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.injected().contains_key(id)
    }

    /// Returns what a fault did, as far as it was said.
    pub(super) fn effect(&self, id: &str) -> Option<Measured> {
        self.effects().get(id).cloned()
    }

    /// Takes note of what a fault did.
    pub(super) fn measured(&self, id: &str, effect: Measured) {
        self.effects().insert(id.to_owned(), effect);
    }

    /// Takes note of what a fault did until it was reverted. A fresh agent knows nothing of what an earlier one counted.
    pub(super) fn reverted(&self, id: &str, effect: Measured) {
        let mut effects = self.effects();
        if effects.get(id).is_none_or(|known| known.met <= effect.met) {
            effects.insert(id.to_owned(), effect);
        }
    }

    /// Takes note that an agent ended a fault of its own accord.
    pub(super) fn ended(&self, id: &str, reason: &str, failure: Option<&str>, effect: Option<Measured>) {
        if let Some(effect) = effect {
            self.measured(id, effect);
        }
        let Some(Held { injector, .. }) = self.injected().remove(id) else { return };
        let outcome = match failure {
            None => "the agent put everything back".into(),
            Some(failure) => format!("the agent could not put everything back: {failure}"),
        };
        self.lose(&injector, vec![id.to_owned()], format!("`{id}` ended early: {reason}; {outcome}"));
    }

    /// Takes note that the agent at a seat is gone, and with it what it held; what others hold stays.
    pub(super) fn agent_gone(&self, at: &Seat, why: &str) {
        let mut held = BTreeMap::<String, Vec<String>>::new();
        for (id, Held { injector, .. }) in self.injected().extract_if(.., |_, held| held.seat == *at) {
            held.entry(injector).or_default().push(id);
        }
        for (injector, ids) in held {
            let names: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
            let reason = format!("the agent that held {} is gone: {why}", names.join(", "));
            self.lose(&injector, ids, reason);
        }
    }

    fn lose(&self, injector: &str, ids: Vec<String>, reason: String) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listeners.get(injector) {
            listener.send(Lost { ids, reason }).ok();
        }
    }
}
