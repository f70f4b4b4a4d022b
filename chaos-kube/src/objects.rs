//! Faults on objects of a cluster's API: fields that get other values, and pods that end.
//!
//! Fields are changed one by one, only while the object is as it was read (its `resourceVersion` goes with the patch), and put back
//! one by one, each only while it is as it was made. A field that somebody else set meanwhile is theirs: it is named, and left. What was
//! there before stands in the journal and on the run's Lease of the object; nothing but those puts it back if the runner dies.
//!
//! A pod that was deleted, evicted or replaced by a rollout is not put back: what owns it makes another.

mod draining;
mod ending;
mod held;
mod prior;
mod restart;
mod whole;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::{
    injector::{Ask, Hold, Injector, Lost, Measured, Offer, Recovered, Surroundings, Undo, Unit},
    model::{Action, ObjectFault},
    place::{ObjectId, Place, Site},
    trouble::Trouble,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::Value;
use tokio::time::timeout;

use self::{
    held::{Holds, Seen, by},
    whole::Recovery,
};
use crate::{
    Link,
    fields::{Change, merge_patch},
    link::ANSWER,
    object::{MANAGER, api, same, there},
    record::{self, OBJECTS, ObjectState},
    ways::Ways,
};

/// How often a patch is tried that somebody else's change came before.
const TRIES: u32 = 5;

/// Changes objects of a cluster's API and puts their fields back.
pub struct ObjectInjector {
    ways: Arc<Ways>,
    holds: Holds,
}

impl ObjectInjector {
    pub(crate) fn new(ways: Arc<Ways>) -> Self {
        ObjectInjector { ways, holds: Holds::default() }
    }

    /// Changes fields of an object, from what they are to be before to what they are to become; returns the object as it is then.
    async fn turn(
        &self,
        link: &Link,
        client: &Client,
        object: &ObjectId,
        turn: impl Fn(&Value) -> Result<Value, Trouble>,
    ) -> Result<Option<Value>, Trouble> {
        let objects = api(client, object)?;
        for attempt in 1.. {
            let Some(now) = same(link, client, object).await? else { return Ok(None) };
            let to = turn(&now)?;
            if to == now {
                return Ok(Some(now));
            }
            let mut patch = merge_patch(&now, &to);
            patch["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
            let asked = timeout(ANSWER, patched(&objects, object, &patch, false)).await;
            let asked =
                asked.map_err(|_| Trouble::unable(format!("cannot change {object}: no answer in time")))?;
            match asked {
                Ok(there) => return serde_json::to_value(&there).map(Some).map_err(unwritable),
                // Somebody else changed it meanwhile, maybe another field.
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < TRIES => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(link.refused(&format!("change {object}"), &error)),
            }
        }
        Ok(None)
    }

    /// Has the API server try the changes, which changes nothing: takes over what it makes of them, such as `500m` of `0.5` and the
    /// defaults of what was not there; says why it could not be tried, where that is so.
    ///
    /// # Errors
    /// The API server would refuse them, or leave everything as it is.
    async fn tried(
        &self,
        link: &Link,
        client: &Client,
        object: &ObjectId,
        now: &Value,
        changes: &mut [Change],
    ) -> Result<Option<String>, Trouble> {
        let mut to = now.clone();
        changes.iter().for_each(|change| change.put(&mut to));
        let (objects, patch) = (api(client, object)?, merge_patch(now, &to));
        let asked = patched(&objects, object, &patch, true);
        let made = match timeout(ANSWER, asked).await {
            Ok(Ok(made)) => serde_json::to_value(&made).map_err(unwritable)?,
            // Whoever may only read sees the plan all the same; a run is refused by the look at its rights.
            Ok(Err(kube::Error::Api(status))) if status.code == 403 && status.reason == "Forbidden" => {
                return Ok(Some(format!("could not be tried: {}", status.message)));
            }
            Ok(Err(error)) => {
                return Err(link.refused(&format!("change {object}, as a dry run shows"), &error));
            }
            Err(_) => {
                return Err(Trouble::unable(format!("cannot try a change of {object}: no answer in time")));
            }
        };
        for change in &mut *changes {
            change.ours = change.now(&made).cloned();
        }
        if changes.iter().all(Change::is_idle) {
            return Err(Trouble::unable(format!(
                "nothing of {object} would change: the API server leaves it as it is"
            )));
        }
        Ok(None)
    }

    /// Returns the changes that a fault makes, as the API server would carry them out, and why that could not be tried.
    async fn changes(
        &self,
        link: &Link,
        client: &Client,
        object: &ObjectId,
        now: &Value,
        fault: &ObjectFault,
    ) -> Result<(Vec<Change>, Option<String>), Trouble> {
        let mut changes = prior::changes(link, client, object, now, fault).await?;
        if changes.is_empty() {
            return Ok((changes, None));
        }
        let untried = self.tried(link, client, object, now, &mut changes).await?;
        Ok((changes, untried))
    }
}

#[async_trait]
impl Injector for ObjectInjector {
    fn name(&self) -> &str {
        OBJECTS
    }

    fn handles(&self, action: &Action) -> bool {
        match action {
            Action::Objects(_) => true,
            Action::Packets(_)
            | Action::Names(_)
            | Action::Processes(_)
            | Action::Program(_)
            | Action::Custom(_) => false,
        }
    }

    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        let link = self.ways.current()?;
        let client = link.client().await?;
        let object = &ask.object;
        let fault = ask.work.objects().ok_or_else(|| Trouble::internal("not a fault on an object"))?;
        let now = there(&link, &client, object).await?;
        let mut offer = Offer {
            backend: "API".into(),
            ask: ask.clone(),
            hold: Hold::Record,
            does: Vec::new(),
            undoes:
                "puts each field back that is still as it was made; what somebody else set meanwhile stays"
                    .into(),
            because: Vec::new(),
            takes: Vec::new(),
        };
        match fault {
            ObjectFault::Scale { .. } | ObjectFault::Patch { .. } | ObjectFault::Detach { .. } => {
                prior::refuse_twice(fault, &around.below)?;
                let (changes, untried) = self.changes(&link, &client, object, &now, fault).await?;
                offer.does.extend(changes.iter().map(|change| {
                    let (before, ours) =
                        (Change::said(change.before.as_ref()), Change::said(change.ours.as_ref()));
                    format!("sets `{}` to {ours}; it is {before}", change.path)
                }));
                offer.because.extend(untried);
                offer.takes = prior::going(&link, &client, object, &changes).await?;
                if let ObjectFault::Detach { .. } = fault {
                    offer.does.push(
                        "what owns the pod may make another in its place, and then ends one of them when the label is back".into(),
                    );
                }
            }
            ObjectFault::Drain { bare } => {
                prior::refuse_twice(fault, &around.below)?;
                let (changes, untried) = self.changes(&link, &client, object, &now, fault).await?;
                let drained = draining::going(&link, &client, object, *bare).await?;
                if drained.takes.is_empty() {
                    return Err(Trouble::unable(format!("{object} has no pod that a drain would evict")));
                }
                offer.does = draining::does(&changes, &drained);
                offer.because.extend(untried);
                offer.because.extend(draining::tried(&link, &client, &drained.takes).await?);
                offer.takes = drained.takes;
                offer.undoes = match changes.as_slice() {
                    [] => "nothing is put back: it took no more pods before, and what went stays where it is",
                    _ => "has it take pods again; what went stays where it is by then",
                }
                .into();
            }
            ObjectFault::Restart => {
                prior::refuse_twice(fault, &around.below)?;
                let restart::Offered { does, untried, takes } =
                    restart::offered(&link, &client, object, &now).await?;
                offer.does = does;
                offer.because.extend(untried);
                offer.takes = takes;
                offer.undoes = "nothing is put back: that would be a second rollout".into();
            }
            ObjectFault::Delete { .. } | ObjectFault::Evict => {
                offer.does.push(ending::offered(&link, &client, object, &now, fault).await?);
                offer.undoes = "nothing is put back: what owns the pod makes another".into();
            }
        }
        Ok(vec![offer])
    }

    async fn prepare(&self, id: &str, offer: &Offer, _: &Place, deadline: Duration) -> Result<Undo, Trouble> {
        let link = self.ways.current()?;
        let client = link.client().await?;
        let object = &offer.ask.object;
        let fault = offer.ask.work.objects().ok_or_else(|| Trouble::internal("not a fault on an object"))?;
        let now = there(&link, &client, object).await?;
        let changes = match fault {
            ObjectFault::Scale { .. } | ObjectFault::Patch { .. } | ObjectFault::Detach { .. } => {
                let (changes, _) = self.changes(&link, &client, object, &now, fault).await?;
                // The blast radius was counted with these pods.
                grown(offer, prior::going(&link, &client, object, &changes).await?.len())?;
                changes
            }
            ObjectFault::Drain { bare } => {
                let (changes, _) = self.changes(&link, &client, object, &now, fault).await?;
                draining::still(&link, &client, object, *bare, &offer.takes).await?;
                changes
            }
            ObjectFault::Restart => {
                grown(offer, restart::replaced(&link, &client, object, &now).await?.len())?;
                Vec::new()
            }
            ObjectFault::Delete { .. } | ObjectFault::Evict => Vec::new(),
        };
        let line = match changes.as_slice() {
            [] => offer.undoes.clone(),
            changes => record::line(changes, object),
        };
        let claim = self.ways.claim();
        let state = ObjectState {
            cluster: link.cluster().clone(),
            run: claim.as_ref().map(|claim| claim.run().to_owned()),
            changes,
            ready: whole::ready(&now),
        };
        let undo = Undo {
            id: id.to_owned(),
            injector: OBJECTS.to_owned(),
            offer: offer.clone(),
            // Nothing is done in the object itself, not even where that is a pod.
            site: Site::Api,
            deadline,
            state: serde_json::to_value(&state).map_err(unwritable)?,
            line,
        };
        if let Some(claim) = claim {
            claim.owe(&undo).await?;
        }
        Ok(undo)
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let ObjectState { cluster, changes, .. } = record::object_state(undo)?;
        let link = self.ways.to(&cluster);
        let client = link.client().await?;
        let object = &undo.offer.ask.object;
        if let Some(ObjectFault::Restart) = undo.offer.ask.work.objects() {
            let generation = restart::begin(&link, &client, undo).await?;
            self.holds.watch(undo, api(&client, object)?, Vec::new(), generation);
            return Ok(());
        }
        let drained = match undo.offer.ask.work.objects() {
            Some(ObjectFault::Drain { .. }) => true,
            Some(_) | None => false,
        };
        if changes.is_empty() && !drained {
            ending::end(&link, &client, undo).await?;
            self.holds.watch(undo, api(&client, object)?, Vec::new(), None);
            return Ok(());
        }
        let turned = self.turn(&link, &client, object, |now| {
            let mut to = now.clone();
            for change in &changes {
                if change.stands(now) {
                    continue;
                }
                if !change.is_free(now) {
                    return Err(Trouble::unable(format!(
                        "`{}` of {object} is {} by now{}",
                        change.path,
                        Change::said(change.now(now)),
                        by(now)
                    )));
                }
                change.put(&mut to);
            }
            Ok(to)
        });
        let there = turned.await?.ok_or_else(|| Trouble::absent(format!("{object} is gone")))?;
        if let Some(other) = changes.iter().find(|change| !change.stands(&there)) {
            // It is ours, whatever it is: nobody else has changed the object since.
            let mut back = there.clone();
            changes.iter().for_each(|change| change.restore(&mut back));
            let mut patch = merge_patch(&there, &back);
            patch["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
            let asked = patched(&api(&client, object)?, object, &patch, false).await;
            asked.map_err(|error| link.refused(&format!("put {object} back"), &error))?;
            return Err(Trouble::unable(format!(
                "the API server made `{}` of {object} {} instead",
                other.path,
                Change::said(other.now(&there))
            ))
            .with_help("an admission webhook or the kind's own defaults may have changed it"));
        }
        let generation = there["metadata"]["generation"].as_i64();
        // Kinds without a generation of their own are acted on by whoever watches them.
        let generation = there["status"]["observedGeneration"].is_i64().then_some(generation).flatten();
        self.holds.watch(undo, api(&client, object)?, changes, generation);
        if drained {
            let pods = undo.offer.takes.iter().map(|pod| pod.id.clone()).collect();
            let progress = self.holds.progress(&undo.id);
            let (left, failed) = draining::evict(&link, &client, pods, &progress).await;
            if let Some(trouble) = failed {
                return Err(trouble);
            }
            if !left.is_empty() {
                self.holds.beside(&undo.id, draining::insist(link, client, left, progress));
            }
        }
        Ok(())
    }

    async fn release(&self, undos: &[Undo]) {
        // What a drain still asks for would be new harm, and nothing puts it back.
        undos.iter().for_each(|undo| self.holds.rest(&undo.id));
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let ObjectState { cluster, run, changes, ready } = record::object_state(undo)?;
        let began = self.holds.rollback_began(&undo.id);
        self.holds.release(&undo.id);
        let mut is_there = false;
        if !changes.is_empty() {
            let link = self.ways.to(&cluster);
            let client = link.client().await?;
            let object = &undo.offer.ask.object;
            let turned = self.turn(&link, &client, object, |now| {
                let mut to = now.clone();
                for change in changes.iter().rev().filter(|change| change.stands(now)) {
                    change.take(&mut to);
                }
                Ok(to)
            });
            // With the object went what was changed of it.
            let there = turned.await?;
            is_there = there.is_some();
            if let Some(there) = there
                && let Some(other) =
                    changes.iter().find(|change| change.stands(&there) && !change.is_back(&there))
            {
                return Err(Trouble::unable(format!(
                    "the API server keeps `{}` of {object} at {}",
                    other.path,
                    Change::said(other.now(&there))
                )));
            }
        }
        self.ways.paid(&cluster, run.as_deref(), undo).await?;
        // Only a run waits, for what it has changed; whoever restores after it does not. Nothing is owed any more, so that what
        // cannot be watched is not waited for.
        if let Some(fault) = undo.offer.ask.work.objects()
            && whole::takes_time(fault)
            && (is_there || matches!(fault, ObjectFault::Restart))
            && self.ways.claim().is_some()
            && let Ok(client) = self.ways.to(&cluster).client().await
            && let Ok(objects) = api(&client, &undo.offer.ask.object)
        {
            let object = &undo.offer.ask.object;
            self.holds.recover(&undo.id, Recovery::watch(objects, object, fault.clone(), ready, began));
        }
        Ok(())
    }

    async fn recovered(&self, undo: &Undo) -> Option<Recovered> {
        self.holds.recovery(&undo.id)?.wait().await
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let fault = undo.offer.ask.work.objects();
        let seen = self.holds.seen(&undo.id).unwrap_or_default();
        Ok(match fault {
            Some(ObjectFault::Delete { .. } | ObjectFault::Evict) => ending::measured(&seen),
            Some(ObjectFault::Drain { .. }) => self.holds.progress(&undo.id).measured(undo),
            Some(ObjectFault::Restart) => restart::measured(undo, &seen),
            Some(ObjectFault::Scale { to }) => prior::scaled(undo, &seen, *to)?,
            Some(ObjectFault::Patch { .. } | ObjectFault::Detach { .. }) | None => changed(&seen),
        })
    }

    async fn lost(&self) -> Lost {
        self.holds.lost().await
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        let ObjectState { cluster, changes, .. } = record::object_state(undo)?;
        let link = self.ways.to(&cluster);
        let object = &undo.offer.ask.object;
        let Some(now) = same(&link, &link.client().await?, object).await? else { return Ok(Vec::new()) };
        let standing = changes.iter().filter(|change| change.stands(&now) && !change.is_back(&now));
        Ok(standing
            .map(|change| format!("`{}` of {object} is {}", change.path, Change::said(change.ours.as_ref())))
            .collect())
    }

    async fn changed_by_others(&self, undo: &Undo) -> Vec<String> {
        let Ok(ObjectState { cluster, changes, .. }) = record::object_state(undo) else { return Vec::new() };
        let link = self.ways.to(&cluster);
        let object = &undo.offer.ask.object;
        let Ok(client) = link.client().await else { return Vec::new() };
        match same(&link, &client, object).await {
            Ok(None) if !changes.is_empty() => vec![format!("{object} is gone, and what was changed of it")],
            Ok(None) | Err(_) => Vec::new(),
            Ok(Some(now)) => {
                let others = changes.iter().filter(|change| !change.is_back(&now));
                let line = |change: &Change| {
                    let said = Change::said(change.now(&now));
                    format!("`{}` of {object} is {said}{}", change.path, by(&now))
                };
                others.map(line).collect()
            }
        }
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        let object = &place.object;
        let read = async {
            let link = self.ways.current()?;
            same(&link, &link.client().await?, object).await
        };
        match read.await {
            Ok(Some(now)) => prior::said(object, &now),
            Ok(None) => vec![format!("{object} is gone")],
            Err(trouble) => vec![trouble.to_string()],
        }
    }
}

/// Refuses more pods than the blast radius was counted with.
fn grown(offer: &Offer, going: usize) -> Result<(), Trouble> {
    if going <= offer.takes.len() {
        return Ok(());
    }
    let (object, counted) = (&offer.ask.object, offer.takes.len());
    Err(Trouble::unable(format!(
        "{object} has grown since it was planned: {going} pods would go, and {counted} were counted"
    ))
    .with_help("plan again"))
}

/// Says what a change of fields did.
fn changed(seen: &Seen) -> Measured {
    let mut measured = Measured::nothing(Unit::Objects);
    if seen.object.is_none() {
        return measured;
    }
    (measured.met, measured.changed) = (1, 1);
    measured.line = match seen.observed {
        Some(after) => format!("its controller saw it {:.1} s after the change", after.as_secs_f64()),
        None => "it stands as it was made".to_owned(),
    };
    measured
}

/// Sends a merge patch whose fields the kind has to know; `trial` changes nothing.
async fn patched(
    objects: &Api<DynamicObject>,
    object: &ObjectId,
    patch: &Value,
    trial: bool,
) -> Result<DynamicObject, kube::Error> {
    let parameters = PatchParams {
        dry_run: trial,
        field_manager: Some(MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    objects.patch(&object.name, &parameters, &Patch::Merge(patch)).await
}

fn unwritable(error: serde_json::Error) -> Trouble {
    Trouble::internal(error.to_string())
}
