//! What a harness may test that is not a network: a queue of its own process, with an injector and a prober for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use chaos_core::{
    injector::{Ask, Hold, Injector, Measured, Offer, Surroundings, Undo, Unit},
    model::{Action, Probe},
    place::Place,
    probe::{Observation, Opened, Prober, Probers},
    trouble::Trouble,
};

/// What this harness tests: a queue, which can be made slow.
#[derive(Debug, Default)]
pub struct Queue {
    /// By how many milliseconds.
    pub slow: AtomicU64,
    /// How many orders it took while it was.
    pub met: AtomicU64,
}

impl Queue {
    async fn order(&self) {
        let slow = self.slow.load(SeqCst);
        self.met.fetch_add(u64::from(slow > 0), SeqCst);
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
}

/// Opens the probe `custom "queue"`, and is it.
#[derive(Clone)]
pub struct Orders(pub Arc<Queue>);

#[async_trait]
impl Prober for Orders {
    async fn once(&self) -> Observation {
        self.0.order().await;
        Observation::ok()
    }
}

#[async_trait]
impl Probers for Orders {
    async fn open(&self, _probe: &Probe, _place: &Place) -> Result<Opened, Trouble> {
        Ok(Opened::Each(Arc::new(self.clone())))
    }
}

/// Does the fault `custom "queue"`.
pub struct Slow(pub Arc<Queue>);

fn denied(message: String, help: &str) -> Trouble {
    Trouble::unable(message).with_help(help)
}

#[async_trait]
impl Injector for Slow {
    fn name(&self) -> &str {
        "queue"
    }

    fn handles(&self, action: &Action) -> bool {
        matches!(action, Action::Custom(_))
    }

    async fn offer(&self, ask: &Ask, _around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        let custom =
            ask.work.custom().ok_or_else(|| denied("it does nothing else".into(), "write `custom`"))?;
        if let Some(unknown) = custom.unknown(&["by", "mode"]) {
            return Err(denied(format!("there is no setting `{}`", unknown.key), "there is `by` and `mode`"));
        }
        let by = custom.setting("by").and_then(|value| value.as_quantity()?.as_duration());
        let by = by.ok_or_else(|| denied("it has to know by how much".into(), "write `by 100ms`"))?;
        Ok(vec![Offer {
            backend: "queue".into(),
            ask: ask.clone(),
            // The queue is part of this process.
            hold: Hold::Environment,
            does: vec![format!("let every order take {by:?} longer")],
            undoes: "let orders take as long as before".into(),
            because: Vec::new(),
            takes: Vec::new(),
        }])
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let before = self.0.slow.load(SeqCst);
        Ok(Undo {
            id: id.into(),
            injector: self.name().into(),
            offer: offer.clone(),
            site: place.site.clone(),
            deadline,
            state: before.into(),
            line: format!("let orders take {before} ms longer, as before"),
        })
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let custom = undo.offer.ask.work.custom();
        let by = custom.and_then(|custom| custom.setting("by")?.as_quantity()?.as_duration());
        let by = by.ok_or_else(|| Trouble::unable("it has to know by how much"))?;
        self.0.slow.store(by.as_millis() as u64, SeqCst);
        Ok(())
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let before = undo.state.as_u64().ok_or_else(|| Trouble::unable("the record holds no number"))?;
        self.0.slow.store(before, SeqCst);
        Ok(())
    }

    async fn effect(&self, _undo: &Undo) -> Result<Measured, Trouble> {
        let met = self.0.met.load(SeqCst);
        let line = format!("{met} orders took longer");
        Ok(Measured { met, changed: met, line, ..Measured::nothing(Unit::Requests) })
    }
}
