//! Remote ends that are names: looked up before a fault is injected, and again while it stands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use chaos_core::{
    injector::{Ask, LookUp, Lost, Measured, Offer, Packets, Surroundings, Undo},
    place::Place,
    trouble::Trouble,
};
use tokio::sync::oneshot;

use super::Namespaces;
use crate::{
    backend::ground::State,
    named::{self, History, Resolved, SOONEST},
    sessions,
    settings::Settings,
};

/// A fault whose names are looked up again.
#[derive(Debug)]
pub(super) struct Watched {
    history: Arc<Mutex<History>>,
    /// Dropping it ends that; none where it has ended, and the fault is not reverted yet.
    stop: Option<oneshot::Sender<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Namespaces {
    /// Sets who finds the addresses of names; the first one stays.
    pub(crate) fn look_up(&self, names: Arc<dyn LookUp>) {
        let _ = self.names.set(names);
    }

    /// Returns what an ask is on by the addresses that its names have at a place now.
    pub(super) async fn resolved(&self, ask: &Ask, place: &Place) -> Result<Ask, Trouble> {
        match ask.work.packets() {
            Some(packets) if packets.named.is_some() => {
                let names = self.names.get().map(|names| &**names);
                Ok(named::with_packets(ask, named::resolved(packets, place, names).await?.packets))
            }
            _ => Ok(ask.clone()),
        }
    }

    /// Returns what is in place by then, by the addresses that its names have now. A name whose addresses are not known stands for
    /// everybody, and two of them would seem to be on the same packets.
    pub(super) async fn below(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        let mut below = around.below.clone();
        match &around.place {
            Some(place) => {
                for offer in &mut below {
                    offer.ask = self.resolved(&offer.ask, place).await?;
                }
            }
            // Whoever injects them there looks again.
            None => below.retain(|offer| !named::are_others(&offer.ask, ask)),
        }
        Ok(below)
    }

    /// Looks the names of a fault up again, by their time to live, until it is reverted.
    pub(crate) fn watch(self: &Arc<Self>, undo: &Undo, settings: &Settings) -> Result<(), Trouble> {
        let named = undo.offer.ask.work.packets().filter(|packets| packets.named.is_some());
        let (Some(packets), Some(names)) = (named, State::of(undo)?.names) else { return Ok(()) };
        let mut all = lock(&self.watched);
        if all.get(&undo.id).is_some_and(|watched| watched.stop.is_some()) {
            return Ok(());
        }
        let (stop, stopped) = oneshot::channel();
        let history = Arc::<Mutex<History>>::default();
        let watch = Watch {
            namespaces: Arc::downgrade(self),
            undo: undo.clone(),
            packets: packets.clone(),
            place: Place { object: undo.offer.ask.object.clone(), site: undo.site.clone(), names },
            settings: settings.clone(),
            history: Arc::clone(&history),
        };
        all.insert(undo.id.clone(), Watched { history, stop: Some(stop) });
        tokio::spawn(async move {
            tokio::select! {
                _ = stopped => {}
                () = watch.run() => {}
            }
        });
        Ok(())
    }

    /// Ends looking up the names of a fault; what became of them is known until it is reverted.
    pub(super) fn end_watch(&self, id: &str) {
        if let Some(watched) = lock(&self.watched).get_mut(id) {
            watched.stop = None;
        }
    }

    /// Forgets what became of the names of a fault that is reverted.
    pub(super) fn forget_names(&self, id: &str) {
        lock(&self.watched).remove(id);
    }

    /// Adds what became of a fault's names to what it did.
    pub(super) fn tell_names(&self, id: &str, effect: &mut Measured) {
        if let Some(watched) = lock(&self.watched).get(id) {
            lock(&watched.history).add_to(&mut effect.line);
        }
    }

    /// Returns the faults that could not be put on what their names are by now.
    pub(super) fn outrun(&self) -> Vec<Lost> {
        std::mem::take(&mut *lock(&self.outrun))
    }

    /// Puts a fault on the addresses that its names have by now; returns whether it could be.
    async fn renamed(self: Arc<Self>, undo: Undo, packets: Packets, settings: Settings) -> bool {
        let failed = async {
            let namespace = {
                let registry = self.registry();
                registry.faults.get(&undo.id).and_then(|inode| registry.find(*inode)).cloned()
            };
            // It was reverted, or its namespace is gone, which others find out.
            let Some(namespace) = namespace else { return Ok(Vec::new()) };
            let Some(ground) = &namespace.ground else { return Ok(Vec::new()) };
            sessions::spare_on(&named::with_packets(&undo.offer.ask, packets.clone()), ground, &settings)?;
            let mut faults = namespace.faults.lock().await;
            faults.renamed(&undo.id, packets, ground).await?;
            let root = self.abilities.get().and_then(|abilities| abilities.root);
            Ok::<_, Trouble>(faults.follow(ground, root).await)
        };
        let lost = failed.await.unwrap_or_else(|error| {
            let reason = format!("names changed, and `{}` cannot follow their addresses: {error}", undo.id);
            vec![Lost { ids: vec![undo.id.clone()], reason }]
        });
        let followed = lost.is_empty();
        lock(&self.outrun).extend(lost);
        followed
    }
}

/// What it takes to look names up again.
struct Watch {
    namespaces: Weak<Namespaces>,
    undo: Undo,
    /// What the fault is on by now.
    packets: Packets,
    place: Place,
    settings: Settings,
    history: Arc<Mutex<History>>,
}

impl Watch {
    async fn run(mut self) {
        let mut wait = SOONEST;
        loop {
            tokio::time::sleep(wait).await;
            let Some(namespaces) = self.namespaces.upgrade() else { return };
            let names = namespaces.names.get().map(|names| &**names);
            match named::resolved(&self.packets, &self.place, names).await {
                Ok(found) => {
                    if found.packets != self.packets {
                        tracing::info!(id = self.undo.id, "a name of the fault has other addresses");
                        let (undo, settings) = (self.undo.clone(), self.settings.clone());
                        let changed = namespaces.renamed(undo, found.packets.clone(), settings);
                        // Never half of it: who ends the watch waits for nothing.
                        if !tokio::spawn(changed).await.unwrap_or(false) {
                            return;
                        }
                    }
                    lock(&self.history).found(&found, &self.packets);
                    Resolved { packets: self.packets, again: wait, .. } = found;
                }
                Err(why) => {
                    lock(&self.history).missed(&why);
                    wait = SOONEST;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
