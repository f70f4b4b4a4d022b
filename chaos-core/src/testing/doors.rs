//! The scripted world behind each of the crate's traits.

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Door, World};
use crate::{
    environment::{Broken, Environment},
    injector::{
        Ask, Hold, Injector, Lost, Measured, Offer, Packets, Recovered, Surroundings, Undo, Unit, Work,
    },
    inventory::Inventory,
    journal::{Entry, Journal},
    model::{self, Action, FaultSpec, Selector},
    non_empty::{Empty, NonEmpty},
    place::{Kind, Object, ObjectId, Place, Site},
    probe::{Observation, Opened, Prober, Probers},
    trouble::Trouble,
};

#[async_trait]
impl Injector for World {
    fn name(&self) -> &str {
        "scripted"
    }

    fn handles(&self, action: &Action) -> bool {
        match action {
            Action::Packets(_)
            | Action::Names(_)
            | Action::Objects(_)
            | Action::Processes(_)
            | Action::Custom(_) => true,
            Action::Program(_) => false,
        }
    }

    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        // As an injector that looks at the place: it has to be one that it can enter.
        if let Some(place) = &around.place {
            place.site.entry().map_err(|error| Trouble::unable(error.to_string()))?;
        }
        let offer = |work: Work| Offer {
            backend: "scripted".into(),
            hold: Hold::Agent,
            does: vec![work.to_string()],
            undoes: "strike it from the ledger".into(),
            because: Vec::new(),
            takes: Vec::new(),
            ask: Ask { work, ..ask.clone() },
        };
        let Work::Packets(packets) = &ask.work else { return Ok(vec![offer(ask.work.clone())]) };
        let each = if self.lock().split { 1 } else { packets.specs.len().max(1) };
        let some = |specs: &[FaultSpec]| Work::Packets(Packets { specs: specs.to_vec(), ..packets.clone() });
        Ok(packets.specs.chunks(each).map(some).map(offer).collect())
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let mut offer = offer.clone();
        if let Some((backend, hold)) = &self.lock().chosen {
            offer = Offer {
                backend: backend.clone(),
                hold: *hold,
                does: vec![format!("does it by {backend}")],
                ..offer
            };
        }
        let undo = Undo {
            id: id.to_owned(),
            injector: "scripted".into(),
            offer,
            deadline,
            site: place.site.clone(),
            state: serde_json::Value::Null,
            line: format!("strike {id} from the ledger"),
        };
        self.play(Door::Prepare, id, |inner| {
            inner.undos.push(undo.clone());
            undo
        })
        .await
        .map_err(Trouble::unable)
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        self.play(Door::Inject, &undo.id, |inner| inner.put(&undo.id)).await.map_err(Trouble::unable)
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        self.play(Door::Revert, &undo.id, |inner| inner.take(&undo.id)).await.map_err(Trouble::unable)
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let effect = |inner: &mut super::Inner| Measured {
            unit: Unit::Packets,
            seen: Some(inner.met),
            met: inner.met,
            changed: inner.met.min(inner.changed),
            delay: None,
            line: format!("met {} packets", inner.met),
            ..Measured::nothing(Unit::Packets)
        };
        self.play(Door::Effect, &undo.id, effect).await.map_err(Trouble::unable)
    }

    async fn recovered(&self, _: &Undo) -> Option<Recovered> {
        let after = self.lock().recovery?;
        tokio::time::sleep(after).await;
        Some(Recovered { after, calls: Duration::ZERO })
    }

    async fn lost(&self) -> Lost {
        Lost { ids: self.in_place(), reason: said(&self.lost).await }
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        vec![format!("{}: {} in place", place.object, self.in_place().len())]
    }
}

#[async_trait]
impl Environment for World {
    async fn up(&self, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        progress("building the world");
        self.play(Door::Up, "environment", |inner| inner.put("environment")).await.map_err(environment)
    }

    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble> {
        let place = Place { object: object.clone(), site: Site::Runner, names: Arc::default() };
        self.play(Door::Place, &object.name, |_| place).await.map_err(environment)
    }

    async fn broken(&self) -> Broken {
        // Each is reported once.
        let _ = self.broken.subscribe().wait_for(Option::is_some).await;
        self.broken.send_replace(None).unwrap_or_else(|| Broken::whole("it broke"))
    }

    async fn logs(&self, object: &ObjectId) -> Vec<String> {
        vec![format!("{object} says hello")]
    }

    async fn down(&self) -> Result<(), Trouble> {
        self.play(Door::Down, "environment", |inner| inner.take("environment")).await.map_err(environment)
    }
}

#[async_trait]
impl Inventory for World {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        let id = match selector {
            Selector::Here(_) => ObjectId::here(),
            Selector::Hosts(name) => ObjectId::host(&name.value),
            Selector::Netns(name) | Selector::Named(name) => ObjectId::netns(&name.value),
            Selector::Process(name) => ObjectId::process(&name.value),
            Selector::Pods(pods) => ObjectId::new(Kind::POD, pods.to_string()),
            Selector::Service(service) => ObjectId::new(Kind::SERVICE, &service.name.value),
            Selector::Object(object) => ObjectId::new(object.kind.word(), &object.name.value),
        };
        let object = |id: ObjectId| id.at([IpAddr::from([192, 0, 2, 1])]);
        let Some(count) = self.lock().objects.get(&id.name).copied() else {
            return Ok(NonEmpty::one(object(id)));
        };
        let copies = (1..=count).map(|n| object(ObjectId { name: format!("{}-{n}", id.name), ..id.clone() }));
        copies.collect::<Vec<_>>().try_into().map_err(|Empty| Trouble::absent(format!("there is no {id}")))
    }
}

#[async_trait]
impl Journal for World {
    async fn append(&self, entry: &Entry) -> Result<(), Trouble> {
        let about = entry.step().map_or_else(String::new, |(id, step)| format!("{step:?} {id}"));
        self.play(Door::Append, &about, |inner| inner.entries.push(entry.clone()))
            .await
            .map_err(Trouble::unable)
    }
}

#[async_trait]
impl Probers for World {
    async fn open(&self, probe: &model::Probe, _place: &Place) -> Result<Opened, Trouble> {
        let world = self.clone();
        let prober = move |_: &mut super::Inner| Opened::Each(Arc::new(world));
        self.play(Door::Open, &probe.name, prober).await.map_err(Trouble::unable)
    }
}

#[async_trait]
impl Prober for World {
    async fn once(&self) -> Observation {
        let answer = |inner: &mut super::Inner| (inner.service.clone(), inner.in_place.clone());
        match self.play(Door::Once, "", answer).await {
            Ok((service, in_place)) => {
                let reply = service(&in_place);
                tokio::time::sleep(reply.after).await;
                reply.observation
            }
            Err(why) => Observation::failed(why),
        }
    }
}

async fn said(word: &tokio::sync::watch::Sender<Option<String>>) -> String {
    match word.subscribe().wait_for(Option::is_some).await.map(|w| w.clone()) {
        Ok(Some(why)) => why,
        _ => std::future::pending().await,
    }
}

fn environment(message: String) -> Trouble {
    Trouble::unable(message)
}
