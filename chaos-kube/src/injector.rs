//! Faults on pods, which agents in them carry out.
//!
//! Planning touches no pod, and which mechanism a pod allows is only known in it: the plan holds one offer for each pod, and the
//! agent chooses when the fault is prepared. What it chose, and all that it needs to put things back, is the state of the one
//! record that goes into the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chaos_agent::{AgentInjector, AgentProbers, Agents};
use chaos_core::{
    capability::Capability,
    injector::{Ask, Hold, Injector, Lost, Measured, Offer, Surroundings, Undo},
    model::{Action, Cluster},
    place::{Kind, ObjectId, Place, Site},
    trouble::Trouble,
};

use crate::{
    Access, Claim, Link, ObjectInjector, PodTransport, environment, pod,
    record::{self, NAME, State},
    ways::Ways,
};

/// What stands between the id of a fault's record and the number of one of its parts in the pod.
const PART: char = '#';

/// The injector that the agents host: its name, and what it handles.
#[derive(Clone, Copy)]
pub struct Hosted {
    /// Its name.
    pub name: &'static str,
    /// Whether it does an action.
    pub handles: fn(&Action) -> bool,
}

/// Puts faults on pods through the agents in them.
pub struct PodInjector {
    hosted: Hosted,
    image: String,
    /// What the injector in each agent is set to.
    settings: Option<serde_json::Value>,
    ways: Arc<Ways>,
    /// By the uid of the cluster and the image of its agents.
    hands: Mutex<BTreeMap<(String, String), Arc<Hands>>>,
}

/// The agents of one cluster.
struct Hands {
    link: Arc<Link>,
    agents: Arc<Agents>,
    injector: Arc<AgentInjector>,
}

impl PodInjector {
    /// Has this injector hosted by agents from this image.
    pub fn new(hosted: Hosted, image: impl Into<String>) -> Self {
        PodInjector {
            hosted,
            image: image.into(),
            settings: None,
            ways: Arc::default(),
            hands: Mutex::default(),
        }
    }

    /// Has the hosted injector set to this in every agent.
    #[must_use]
    pub fn set(self, settings: serde_json::Value) -> Self {
        PodInjector { settings: Some(settings), ..self }
    }

    /// Returns the image of its agents.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Takes the way to a cluster, for all records of it; those of other clusters open their own.
    pub fn reach(&self, link: &Arc<Link>) {
        self.ways.reach(link);
    }

    /// Writes down on the Leases of a run's claim what it owes, too.
    pub fn owe_to(&self, claim: &Arc<Claim>) {
        self.ways.owe_to(claim);
    }

    /// Returns what acts on the objects of the same clusters, for the same run.
    pub fn objects(&self) -> ObjectInjector {
        ObjectInjector::new(Arc::clone(&self.ways))
    }

    /// Returns what measures probes through the agents of a cluster.
    pub fn probers(&self, link: &Arc<Link>) -> AgentProbers {
        self.reach(link);
        self.hands_at(link.cluster(), &self.image).agents.probers()
    }

    /// Takes back what is still in place, and ends the agents.
    ///
    /// # Errors
    /// Something could not be reverted.
    pub async fn close(&self) -> Result<(), Trouble> {
        let all: Vec<_> =
            self.hands.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut closed = Ok(());
        for hands in all {
            closed = closed.and(hands.agents.close().await);
        }
        closed
    }

    fn hands_at(&self, cluster: &Cluster, image: &str) -> Arc<Hands> {
        let link = self.ways.to(cluster);
        let mut all = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let hands = all.entry((cluster.uid.value.clone(), image.to_owned())).or_insert_with(|| {
            let agents = Agents::new(PodTransport::new(Arc::clone(&link), image));
            if let Some(settings) = &self.settings {
                // A value is its own JSON form.
                agents.set(self.hosted.name, settings).unwrap_or_default();
            }
            let injector = Arc::new(agents.injector(self.hosted.name, self.hosted.handles));
            Arc::new(Hands { link, agents, injector })
        });
        Arc::clone(hands)
    }

    /// The cluster of a run, which its plan was made for.
    fn current(&self) -> Result<Arc<Hands>, Trouble> {
        Ok(self.hands_at(self.ways.current()?.cluster(), &self.image))
    }

    /// Says which probes of its kubelet a fault on all packets of a pod would be on.
    async fn watched_by_its_node(&self, object: &ObjectId) -> Result<Option<String>, Trouble> {
        let link = Arc::clone(&self.current()?.link);
        let pod = environment::same(&link, &link.client().await?, object).await?;
        let watched = pod.map(|pod| pod::probed(&pod)).unwrap_or_default();
        Ok((!watched.is_empty()).then(|| {
            format!(
                "is on the kubelet's own probes, too ({}): a failing liveness probe restarts the container, a failing readiness probe takes \
                 the pod out of its Services; `to` or `from` keeps the fault off them",
                watched.join(", ")
            )
        }))
    }

    fn read(&self, undo: &Undo) -> Result<(Arc<Hands>, Vec<Undo>), Trouble> {
        let State { cluster, image, parts, .. } = record::state(undo)?;
        Ok((self.hands_at(&cluster, image.as_ref().unwrap_or(&self.image)), parts))
    }
}

#[async_trait]
impl Injector for PodInjector {
    fn name(&self) -> &str {
        NAME
    }

    fn handles(&self, action: &Action) -> bool {
        (self.hosted.handles)(action)
    }

    async fn capabilities(&self) -> Result<Vec<Capability>, Trouble> {
        // Of no cluster there is nothing to say.
        let mut all = Vec::new();
        for link in self.ways.all() {
            let mut needed = Access::default();
            needed.agents(&link.cluster().namespace);
            all.extend(needed.capabilities(&link, &link.client().await?).await?);
        }
        Ok(all)
    }

    async fn offer(&self, ask: &Ask, _: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        if ask.object.kind != Kind::POD {
            return Err(Trouble::unable(format!("{} is not a pod", ask.object)));
        }
        let image = &self.image;
        let mut does = vec![
            format!(
                "adds an ephemeral container from `{image}` to the pod, which stays in its specification until the pod goes"
            ),
            "an agent in it chooses the mechanism that the pod allows, and holds the fault".into(),
        ];
        if ask.work.packets().is_some_and(|packets| packets.matches.peers.is_any()) {
            does.extend(self.watched_by_its_node(&ask.object).await?);
        }
        Ok(vec![Offer {
            backend: "agent in the pod".into(),
            ask: ask.clone(),
            hold: Hold::Agent,
            does,
            undoes: "the agent takes the fault away, at the latest 4 s after it last heard of the runner"
                .into(),
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
        let hands = self.current()?;
        let around = Surroundings { place: Some(place.clone()), below: Vec::new() };
        let offers = hands.injector.offer(&offer.ask, &around).await?;
        let mut parts = Vec::new();
        for (number, offer) in offers.iter().enumerate() {
            let id = format!("{id}{PART}{}", number + 1);
            parts.push(hands.injector.prepare(&id, offer, place, deadline).await?);
        }
        let chosen: Vec<&str> = offers.iter().map(|offer| offer.backend.as_str()).collect();
        let held = offers.iter().all(|offer| offer.hold == Hold::Kernel);
        let offer = Offer {
            backend: chosen.join(" and "),
            hold: if held { Hold::Kernel } else { Hold::Agent },
            does: offers.iter().flat_map(|offer| offer.does.clone()).collect(),
            because: offers.iter().flat_map(|offer| offer.because.clone()).collect(),
            ..offer.clone()
        };
        let line = parts.iter().map(|part| part.line.as_str()).collect::<Vec<_>>().join("; ");
        let claim = self.ways.claim();
        let state = State {
            cluster: hands.link.cluster().clone(),
            image: Some(self.image.clone()),
            run: claim.as_ref().map(|claim| claim.run().to_owned()),
            parts,
        };
        let state = serde_json::to_value(&state).map_err(|error| Trouble::internal(error.to_string()))?;
        let (id, injector) = (id.to_owned(), NAME.to_owned());
        let undo = Undo { id, injector, offer, site: place.site.clone(), deadline, state, line };
        if let Some(claim) = claim {
            claim.owe(&undo).await?;
        }
        Ok(undo)
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let (hands, parts) = self.read(undo)?;
        for part in &parts {
            hands.injector.inject(part).await?;
        }
        Ok(())
    }

    async fn release(&self, undos: &[Undo]) {
        for undo in undos {
            if let Ok((hands, parts)) = self.read(undo) {
                hands.injector.release(&parts).await;
            }
        }
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let (hands, parts) = self.read(undo)?;
        let mut reverted = Ok(());
        for part in parts.iter().rev() {
            reverted = reverted.and(hands.injector.revert(part).await);
        }
        match reverted {
            Ok(()) => {}
            // With the pod went its network, and every fault on it.
            Err(_) if gone(&hands.link, &undo.site).await => {}
            Err(error) => return Err(error),
        }
        let State { cluster, run, .. } = record::state(undo)?;
        self.ways.paid(&cluster, run.as_deref(), undo).await
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let (hands, parts) = self.read(undo)?;
        let mut whole = Measured::nothing(undo.offer.ask.work.unit());
        for part in &parts {
            whole = joined(whole, hands.injector.effect(part).await?);
        }
        Ok(whole)
    }

    async fn lost(&self) -> Lost {
        let Ok(hands) = self.current() else { return std::future::pending().await };
        let Lost { ids, reason } = hands.injector.lost().await;
        // What is lost in part is lost.
        let ids: BTreeSet<&str> =
            ids.iter().map(|id| id.rsplit_once(PART).map_or(&**id, |(whole, _)| whole)).collect();
        Lost { ids: ids.into_iter().map(str::to_owned).collect(), reason }
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        let (hands, parts) = self.read(undo)?;
        if gone(&hands.link, &undo.site).await {
            return Ok(Vec::new());
        }
        let mut lines = Vec::new();
        for part in &parts {
            lines.extend(hands.injector.standing(part).await?);
        }
        Ok(lines)
    }

    async fn leftovers(&self, _: &ObjectId) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    async fn changed_by_others(&self, undo: &Undo) -> Vec<String> {
        let Ok((hands, parts)) = self.read(undo) else { return Vec::new() };
        if gone(&hands.link, &undo.site).await {
            return vec![format!("{} is gone, and its network with it", undo.offer.ask.object)];
        }
        let mut lines = Vec::new();
        for part in &parts {
            lines.extend(hands.injector.changed_by_others(part).await);
        }
        lines
    }

    async fn evidence(&self, place: &Place) -> Vec<String> {
        match self.current() {
            Ok(hands) => hands.injector.evidence(place).await,
            Err(error) => vec![error.to_string()],
        }
    }
}

/// Returns whether the pod of a site is known to be gone, with everything in its network; not knowing is a no.
async fn gone(link: &Link, site: &Site) -> bool {
    let Site::Agent { of } = site else { return false };
    let Ok(client) = link.client().await else { return false };
    match environment::same(link, &client, of).await {
        Ok(None) => true,
        // What ended does not come back; its network is taken down with it.
        Ok(Some(pod)) => {
            let phase = pod.status.and_then(|status| status.phase);
            matches!(phase.as_deref(), Some("Succeeded" | "Failed"))
        }
        Err(_) => false,
    }
}

/// Adds up what the parts of one fault did.
fn joined(whole: Measured, part: Measured) -> Measured {
    let line =
        [whole.line, part.line].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Measured {
        unit: part.unit,
        seen: whole.seen.max(part.seen),
        met: whole.met + part.met,
        changed: whole.changed + part.changed,
        each: whole.each.into_iter().chain(part.each).collect(),
        bypassed: whole.bypassed + part.bypassed,
        delay: whole.delay.or(part.delay),
        line,
    }
}
