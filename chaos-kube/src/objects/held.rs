//! What became of the objects of a run since they were changed: kept current by a watch of each, so that looking costs no request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chaos_core::{
    injector::{Lost, Measured, Undo, Unit},
    place::ObjectId,
};
use futures_util::StreamExt as _;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

use super::whole::Recovery;
use crate::{fields::Change, object::MANAGER};

/// What is seen of an object that was changed, and when what happened to it after the change.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The object as it was last; none before the first look.
    pub(super) object: Option<Value>,
    /// When its controller had acted on the change.
    pub(super) observed: Option<Duration>,
    /// When it began to end.
    pub(super) ending: Option<Duration>,
    /// When it was gone.
    pub(super) gone: Option<Duration>,
}

/// How far the evictions of one drain are.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Evictions>>);

#[derive(Debug, Default)]
struct Evictions {
    evicted: usize,
    /// How many had gone already when they were to be evicted.
    gone: usize,
    /// What is not evicted yet, or never, with the reason.
    held: Vec<(ObjectId, String)>,
}

impl Progress {
    /// Takes in what came of some more.
    pub(super) fn add(&self, evicted: usize, gone: usize, held: Vec<(ObjectId, String)>) {
        let mut state = lock(&self.0);
        state.evicted += evicted;
        state.gone += gone;
        state.held = held;
    }

    /// Says how many pods were told to go, of those that there were when it was planned.
    pub(super) fn measured(&self, undo: &Undo) -> Measured {
        let mut measured = Measured::nothing(Unit::Objects);
        let planned = undo.offer.takes.len() as u64;
        let state = lock(&self.0);
        // What had gone before is not this drain's doing.
        measured.met = planned.saturating_sub(state.gone as u64);
        measured.changed = (state.evicted as u64).min(measured.met);
        drop(state);
        measured.line = self.said(planned);
        measured
    }

    pub(super) fn said(&self, of: u64) -> String {
        let state = lock(&self.0);
        let mut line = format!("{} of {of} pods are evicted", state.evicted);
        if state.gone > 0 {
            line.push_str(&format!(", {} had gone before", state.gone));
        }
        for (pod, why) in &state.held {
            line.push_str(&format!("; {pod} is still there: {why}"));
        }
        line
    }
}

/// The objects that a run has changed, by the ids of their records.
#[derive(Default)]
pub(super) struct Holds {
    all: Mutex<BTreeMap<String, Held>>,
    recoveries: Mutex<BTreeMap<String, Arc<Recovery>>>,
    begun: Mutex<BTreeMap<String, Instant>>,
    losses: Arc<Losses>,
}

struct Held {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
    progress: Progress,
    /// What goes on with the object while it is held.
    beside: Option<JoinHandle<()>>,
}

impl Held {
    fn end(&self) {
        self.watching.abort();
        if let Some(beside) = &self.beside {
            beside.abort();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Default)]
struct Losses {
    all: Mutex<Vec<Lost>>,
    news: Notify,
}

impl Holds {
    /// Begins to watch an object that has just been changed. Fields that are in `kept` are to stay as they are; `generation` is the
    /// one that the change made.
    pub(super) fn watch(
        &self,
        undo: &Undo,
        objects: Api<DynamicObject>,
        kept: Vec<Change>,
        generation: Option<i64>,
    ) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (id, object) = (undo.id.clone(), undo.offer.ask.object.clone());
        let watched = Watched { object, kept, generation, since: Instant::now(), seen: Arc::clone(&seen) };
        let losses = Arc::clone(&self.losses);
        let watching = tokio::spawn(async move {
            let Some(reason) = watched.until_lost(objects).await else { return };
            lock(&losses.all).push(Lost { ids: vec![id], reason });
            losses.news.notify_one();
        });
        lock(&self.all)
            .insert(undo.id.clone(), Held { seen, watching, progress: Progress::default(), beside: None });
    }

    /// Stops to watch an object: from here on nothing that happens to it is a loss. What was seen stays known.
    pub(super) fn release(&self, id: &str) {
        if let Some(held) = lock(&self.all).get(id) {
            held.end();
        }
        lock(&self.losses.all).retain(|lost| !lost.ids.iter().any(|lost| lost == id));
    }

    /// Returns when the rollback of an object began, at its first attempt.
    pub(super) fn rollback_began(&self, id: &str) -> Instant {
        *lock(&self.begun).entry(id.to_owned()).or_insert_with(Instant::now)
    }

    /// Keeps that an object is watched from its rollback on.
    pub(super) fn recover(&self, id: &str, recovery: Arc<Recovery>) {
        lock(&self.recoveries).insert(id.to_owned(), recovery);
    }

    /// Returns how an object recovers; none where that is not watched.
    pub(super) fn recovery(&self, id: &str) -> Option<Arc<Recovery>> {
        lock(&self.recoveries).get(id).cloned()
    }

    /// Returns how far the evictions of a drained node are, to be told and asked.
    pub(super) fn progress(&self, id: &str) -> Progress {
        lock(&self.all).get(id).map(|held| held.progress.clone()).unwrap_or_default()
    }

    /// Goes on with something as long as an object is held.
    pub(super) fn beside(&self, id: &str, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(held) = lock(&self.all).get_mut(id) {
            held.beside = Some(tokio::spawn(work));
        }
    }

    /// Ends what goes on with an object, which stays as it is.
    pub(super) fn rest(&self, id: &str) {
        if let Some(beside) = lock(&self.all).get_mut(id).and_then(|held| held.beside.take()) {
            beside.abort();
        }
    }

    /// Returns what was seen of an object; none where it was never watched.
    pub(super) fn seen(&self, id: &str) -> Option<Seen> {
        lock(&self.all).get(id).map(|held| lock(&held.seen).clone())
    }

    /// Waits until an object is not as it was made any more.
    pub(super) async fn lost(&self) -> Lost {
        loop {
            if let Some(lost) = lock(&self.losses.all).pop() {
                return lost;
            }
            self.losses.news.notified().await;
        }
    }
}

struct Watched {
    object: ObjectId,
    kept: Vec<Change>,
    generation: Option<i64>,
    since: Instant,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    /// Watches until a field is not as it was made any more, and says why; never ends where none is kept, and the object goes.
    async fn until_lost(&self, objects: Api<DynamicObject>) -> Option<String> {
        let params = watcher::Config::default().fields(&format!("metadata.name={}", self.object.name));
        let mut changes = std::pin::pin!(watcher(objects, params).default_backoff());
        // Whether a new list has it: what is not in one is gone.
        let mut listed = true;
        while let Some(change) = changes.next().await {
            let same = |one: &DynamicObject| one.metadata.uid == self.object.uid;
            let gone = match change {
                Ok(Event::Init) => {
                    listed = false;
                    false
                }
                Ok(Event::InitApply(one) | Event::Apply(one)) if same(&one) => {
                    listed = true;
                    let Ok(whole) = serde_json::to_value(&one) else { continue };
                    if let Some(why) = self.look(&whole) {
                        return Some(why);
                    }
                    lock(&self.seen).object = Some(whole);
                    false
                }
                Ok(Event::InitDone) => !listed,
                Ok(Event::Delete(one)) => same(&one),
                // Another of the same name is not the one that was changed; an interrupted watch goes on.
                Ok(Event::InitApply(_) | Event::Apply(_)) | Err(_) => false,
            };
            if gone {
                let mut seen = lock(&self.seen);
                seen.ending.get_or_insert(self.since.elapsed());
                seen.gone.get_or_insert(self.since.elapsed());
                drop(seen);
                return (!self.kept.is_empty()).then(|| format!("{} was deleted", self.object));
            }
        }
        None
    }

    /// Takes in what an object has become; says what somebody else made of it, where that is a field of ours.
    fn look(&self, object: &Value) -> Option<String> {
        let mut seen = lock(&self.seen);
        if object["metadata"]["deletionTimestamp"].is_string() {
            seen.ending.get_or_insert(self.since.elapsed());
        }
        if self.generation.is_some() && object["status"]["observedGeneration"].as_i64() >= self.generation {
            seen.observed.get_or_insert(self.since.elapsed());
        }
        drop(seen);
        let other = self.kept.iter().find(|change| !change.stands(object))?;
        let now = Change::said(other.now(object));
        Some(format!("`{}` of {} became {now}{}", other.path, self.object, by(object)))
    }
}

/// Names who changed an object last, beside this program, as far as its managed fields tell.
pub(super) fn by(object: &Value) -> String {
    let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let others = managers.filter(|one| one["manager"] != MANAGER && one["subresource"] != "status");
    let last = others.max_by_key(|one| one["time"].as_str().map(str::to_owned));
    let name = last.and_then(|one| Some((one["manager"].as_str()?, one["time"].as_str()?)));
    name.map_or_else(String::new, |(name, time)| format!("; `{name}` was last to change it, at {time}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_else_changed_an_object_last_is_named() {
        let field = |manager: &str, time: &str| json!({ "manager": manager, "time": time });
        let object = json!({ "metadata": { "managedFields": [
            field("kubectl-edit", "2026-11-27T07:00:02Z"),
            field("helm", "2026-11-27T07:00:01Z"),
            field(MANAGER, "2026-11-27T07:00:09Z"),
            { "manager": "kube-controller-manager", "time": "2026-11-27T07:00:10Z", "subresource": "status" },
        ] } });
        assert_eq!(by(&object), "; `kubectl-edit` was last to change it, at 2026-11-27T07:00:02Z");
        assert_eq!(by(&json!({})), "");
    }
}
