//! The faults in one network namespace.

use std::collections::{BTreeMap, BTreeSet};

use chaos_core::{
    injector::{Direction, Hold, Lost, Measured, PacketMatch, Packets, Undo, Unit},
    place::{Kind, Site},
    trouble::{self, Trouble},
};

use super::mechanism_of;
use crate::{
    backend::{
        Mechanism, absent,
        forwarder::{self, Forwarders},
        ground::{Ground, Interface, State, packets},
        layers::{self, Layer, Portion},
        nft::Nft,
        presence::Presence,
        programs::Programs,
        tcx::Tcx,
        tree::{self, Trees},
    },
    inventory::machine_place,
    named,
    netlink::tree::Root,
};

/// Everything that this process holds in one namespace, one thing after another.
#[derive(Debug, Default)]
pub(super) struct Faults {
    programs: Programs,
    tcx: Tcx,
    nft: Nft,
    trees: Trees,
    forwarders: Forwarders,
    layers: Vec<Layer>,
    /// By interface: tells other processes that what is there is held.
    present: Vec<(u32, Presence)>,
    /// The faults that should be in place, each with all that it is on by now.
    placed: BTreeMap<String, Placed>,
    /// What faults did until they were taken down with their namespace.
    last: BTreeMap<String, Measured>,
}

/// A fault that was put in place.
#[derive(Clone, Debug)]
struct Placed {
    undo: Undo,
    state: State,
    /// Whether it goes where its packets go: its interfaces were found by them, and nobody named one.
    follows: bool,
}

impl Faults {
    /// Puts a fault in place; `root` is what can steer below an own root qdisc here.
    pub(super) async fn inject(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: &Ground,
        root: Option<Root>,
    ) -> Result<(), Trouble> {
        let mechanism = mechanism_of(&undo.offer)?;
        self.last.remove(&undo.id);
        let follows = mechanism.is_on_interfaces() && !is_named(&undo.site);
        let placed = Placed { undo: undo.clone(), state: state.clone(), follows };
        self.placed.entry(undo.id.clone()).or_insert(placed);
        self.put(mechanism, undo, state, ground, root).await
    }

    /// Puts a fault on the interfaces of a state, where it is not yet.
    async fn put(
        &mut self,
        mechanism: Mechanism,
        undo: &Undo,
        state: &State,
        ground: &Ground,
        root: Option<Root>,
    ) -> Result<(), Trouble> {
        if mechanism == Mechanism::Tcx {
            return self.tcx.inject(undo, state, ground, &mut self.programs).await;
        }
        if mechanism == Mechanism::Nft {
            return self.nft.inject(undo, state.mark, ground);
        }
        let packets = packets(undo)?;
        let mut all = Vec::new();
        for interface in &state.interfaces {
            for direction in &interface.directions {
                let layer = Layer {
                    id: undo.id.clone(),
                    index: interface.index,
                    direction: *direction,
                    matches: packets.matches.clone(),
                    mechanism,
                    plain: layers::plain_delay(&packets.specs),
                };
                let portions = layers::stack(&layer, &self.layers)?;
                all.push((interface.clone(), *direction, portions, layer));
            }
        }
        // First, so that nothing ever stands there that seems to be a dead one's.
        if mechanism != Mechanism::Forwarder || undo.offer.hold == Hold::Agent {
            for index in state.interfaces.iter().map(|interface| interface.index) {
                if !self.present.iter().any(|(known, _)| *known == index) {
                    self.present
                        .extend(Presence::on(ground.connection.namespace(), index).map(|one| (index, one)));
                }
            }
        }
        for (.., layer) in &all {
            let same = |known: &Layer| {
                (&known.id, known.index, known.direction) == (&layer.id, layer.index, layer.direction)
            };
            if !self.layers.iter().any(same) {
                self.layers.push(layer.clone());
            }
        }
        if mechanism == Mechanism::Forwarder {
            let portions: Vec<_> =
                all.into_iter().map(|(interface, way, portions, _)| (interface, way, portions)).collect();
            return self.forwarders.inject(undo, state.mark, ground, &mut self.programs, &portions).await;
        }
        let root = root.ok_or_else(|| {
            Trouble::unable("this kernel has neither `prio` nor `htb` to steer packets below a root qdisc")
        })?;
        let portions: Vec<_> =
            all.into_iter().map(|(interface, _, portions, _)| (interface, portions)).collect();
        self.trees.inject(mechanism, undo, ground, root, &portions).await
    }

    /// Has a fault be on other remote ends: those that its names have by now. One that was reverted meanwhile stays so.
    pub(super) async fn renamed(
        &mut self,
        id: &str,
        packets: Packets,
        ground: &Ground,
    ) -> Result<(), Trouble> {
        let Some(Placed { mut undo, state, .. }) = self.placed.get(id).cloned() else { return Ok(()) };
        let matches = packets.matches.clone();
        undo.offer.ask = named::with_packets(&undo.offer.ask, packets);
        match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.apply_to(id, &matches, &self.programs)?,
            Mechanism::Nft => self.nft.apply_anew(&undo)?,
            Mechanism::Netem | Mechanism::Tbf => {
                let portions = self.restacked(id, &state, &matches)?;
                let portions: Vec<_> =
                    portions.into_iter().map(|(interface, _, portions)| (interface, portions)).collect();
                self.trees.apply_to(id, ground, &portions).await?;
            }
            Mechanism::Forwarder => {
                let portions = self.restacked(id, &state, &matches)?;
                self.forwarders.apply_to(id, ground, &portions).await?;
            }
        }
        for layer in self.layers.iter_mut().filter(|layer| layer.id == id) {
            layer.matches.clone_from(&matches);
        }
        if let Some(placed) = self.placed.get_mut(id) {
            placed.undo = undo;
        }
        Ok(())
    }

    /// Returns the portions of a fault that holds packets, with other packets on the same interfaces.
    fn restacked(
        &self,
        id: &str,
        state: &State,
        matches: &PacketMatch,
    ) -> Result<Vec<(Interface, Direction, Vec<Portion>)>, Trouble> {
        let mut all = Vec::new();
        for interface in &state.interfaces {
            for direction in &interface.directions {
                let is_it = |layer: &Layer| {
                    (layer.id.as_str(), layer.index, layer.direction) == (id, interface.index, *direction)
                };
                let Some(at) = self.layers.iter().position(is_it) else { continue };
                let (below, above) = (&self.layers[..at], &self.layers[at + 1..]);
                let before = &self.layers[at];
                let after = Layer { matches: matches.clone(), ..before.clone() };
                let portions = layers::stack(&after, below)?;
                let same = layers::stack(before, below)?
                    .iter()
                    .map(|one| one.below)
                    .eq(portions.iter().map(|one| one.below));
                if !same || layers::shares(before, above) || layers::shares(&after, above) {
                    return Err(Trouble::unable(
                        "another fault holds packets of the addresses that it had, or of those that it has now",
                    ));
                }
                all.push((interface.clone(), *direction, portions));
            }
        }
        Ok(all)
    }

    /// Returns the interfaces on which queues and filters of this process stand.
    fn held(&self) -> Vec<u32> {
        self.trees.interfaces().chain(self.forwarders.interfaces()).collect()
    }

    /// Returns whether queues of this process stand on an interface.
    pub(super) fn queues_on(&self, index: u32) -> bool {
        self.trees.stand_on(index)
    }

    /// Lets traffic pass at once where a program only needs to be exchanged. Taking one off an interface waits until the
    /// kernel has let go of it everywhere, 10 to 15 ms each and one after another whoever asks.
    pub(super) fn release(&mut self, id: &str) {
        if let Err(error) = self.tcx.release(id, &mut self.programs) {
            // The revert that follows tries again, and says so.
            tracing::warn!(%error, id, "traffic does not pass yet");
        }
    }

    /// Takes a fault off, and looks whether its parts are absent, whoever held them; without a ground the namespace is gone,
    /// and everything in it.
    pub(super) async fn revert(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: Option<&Ground>,
        root: Option<Root>,
    ) -> Result<Measured, Trouble> {
        let state = match ground {
            // Who held it knew all that it was on, and is no more.
            Some(ground) if !self.placed.contains_key(&undo.id) => {
                &absent::found(undo, state, ground, &self.held()).await?
            }
            _ => &self.by_now(undo, state),
        };
        let effect = match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.revert(undo, &mut self.programs).await?,
            Mechanism::Nft => self.nft.revert(undo),
            Mechanism::Netem | Mechanism::Tbf => {
                self.trees.revert(undo, state, ground, root.unwrap_or(Root::Prio)).await?
            }
            Mechanism::Forwarder => self.forwarders.revert(undo, state, ground, &mut self.programs).await?,
        };
        self.layers.retain(|layer| layer.id != undo.id);
        let held = self.held();
        self.present.retain(|(index, _)| held.contains(index));
        if let Some(ground) = ground {
            absent::prove(undo, state, ground).await?;
            self.trees.prove(undo, state, ground).await?;
        }
        self.placed.remove(&undo.id);
        let effect = self.never_less(&undo.id, effect);
        self.last.remove(&undo.id);
        Ok(effect)
    }

    /// Reads what a fault did so far.
    pub(super) async fn effect(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: Option<&Ground>,
    ) -> Result<Measured, Trouble> {
        let state = &self.by_now(undo, state);
        let effect = match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.effect(undo, &self.programs)?,
            Mechanism::Nft => self.nft.effect(undo)?,
            Mechanism::Forwarder => self.forwarders.effect(undo),
            Mechanism::Netem | Mechanism::Tbf => match ground {
                Some(ground) => self.trees.effect(undo, state, ground).await?,
                None => self.last.get(&undo.id).cloned().unwrap_or_else(|| Measured::nothing(Unit::Packets)),
            },
        };
        let effect = self.never_less(&undo.id, effect);
        self.last.insert(undo.id.clone(), effect.clone());
        Ok(effect)
    }

    /// Returns what a fault did, or what was read of it last where that is more: with what somebody removed went its counters.
    fn never_less(&self, id: &str, now: Measured) -> Measured {
        self.last.get(id).filter(|last| last.met > now.met).cloned().unwrap_or(now)
    }

    /// Returns a state with the interfaces that came after it was recorded.
    fn by_now(&self, undo: &Undo, state: &State) -> State {
        self.placed.get(&undo.id).map_or(state, |placed| &placed.state).clone()
    }

    /// Returns the ids of the faults that should be in place.
    pub(super) fn placed(&self) -> Vec<String> {
        self.placed.keys().cloned().collect()
    }

    /// Looks whether a fault stands, and returns it as lost where others took something of it away.
    pub(super) async fn look_after(&mut self, id: &str, ground: &Ground) -> Option<Lost> {
        let placed = self.placed.get(id)?.clone();
        match self.missing(&placed, ground).await {
            Ok(what) => what.map(|reason| Lost { ids: vec![id.to_owned()], reason }),
            // What cannot be seen now can in the next round, or else it is its revert that fails.
            Err(error) => {
                tracing::debug!(%error, id, "it cannot be seen whether it stands");
                None
            }
        }
    }

    /// Says what of a fault does not stand any more.
    async fn missing(&mut self, placed: &Placed, ground: &Ground) -> Result<Option<String>, Trouble> {
        let Placed { undo, state, follows } = placed;
        let object = &undo.offer.ask.object;
        if object.kind == Kind::PROCESS
            && let Err(error) = machine_place(object)
            && error.kind == trouble::Kind::Absent
        {
            return Ok(Some(error.message));
        }
        if let Some(strayed) = ground.strayed(&undo.site)? {
            return Ok(Some(strayed));
        }
        let (mut gone, mut there) = (Vec::new(), BTreeSet::new());
        for interface in &state.interfaces {
            if ground.link(interface.index).await?.is_some() {
                there.insert(interface.index);
            } else {
                gone.push(interface.name.as_str());
            }
        }
        // Packets that have another way are followed there.
        if !gone.is_empty() && (!follows || there.is_empty()) {
            return Ok(Some(format!(
                "interface `{}` is gone, and with it what was on it",
                gone.join("`, `")
            )));
        }
        let names = |index: u32| {
            let named = state.interfaces.iter().find(|interface| interface.index == index);
            named.map_or_else(|| index.to_string(), |interface| interface.name.clone())
        };
        match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.missing(&undo.id, &self.programs, &there, &names),
            Mechanism::Nft => self.nft.missing(undo, state.mark),
            Mechanism::Netem | Mechanism::Tbf => self.trees.missing(undo, state, ground).await,
            Mechanism::Forwarder => self.forwarders.missing(undo, ground, &self.programs, &names).await,
        }
    }

    /// Puts the faults on interfaces that carry their packets by now: routes and links may change while they hold. Returns those
    /// that cannot be put there, so that packets pass them by.
    pub(super) async fn follow(&mut self, ground: &Ground, root: Option<Root>) -> Vec<Lost> {
        if !self.placed.values().any(|placed| placed.follows) {
            return Vec::new();
        }
        let layout = match ground.layout().await {
            Ok(layout) => layout,
            // There is nothing to see for now, and the next round looks again.
            Err(error) => {
                tracing::debug!(%error, "the routes cannot be read");
                return Vec::new();
            }
        };
        let mut lost = Vec::new();
        let followed = self.placed.values().filter(|placed| placed.follows);
        for Placed { undo, state, .. } in followed.cloned().collect::<Vec<_>>() {
            let more = match packets(&undo).and_then(|packets| layout.carriers(packets)) {
                Ok(carriers) => missing(carriers, &state.interfaces),
                Err(error) => {
                    lost.push(passed_by(&undo, &error));
                    continue;
                }
            };
            for (index, directions) in more {
                if let Err(error) = self.reach(&undo, &state, index, directions, ground, root).await
                    // One that is gone again carries nothing.
                    && !matches!(ground.link(index).await, Ok(None))
                {
                    lost.push(passed_by(&undo, &error));
                }
            }
        }
        lost
    }

    /// Puts a fault on one more interface.
    async fn reach(
        &mut self,
        undo: &Undo,
        recorded: &State,
        index: u32,
        directions: Vec<Direction>,
        ground: &Ground,
        root: Option<Root>,
    ) -> Result<(), Trouble> {
        let mechanism = mechanism_of(&undo.offer)?;
        let Some(link) = ground.link(index).await? else { return Ok(()) };
        let interface = ground.interface(link, directions).await?;
        let state = State { interfaces: vec![interface.clone()], ..recorded.clone() };
        match mechanism {
            Mechanism::Tcx | Mechanism::Nft => {}
            Mechanism::Netem | Mechanism::Tbf => tree::check(mechanism, &state.interfaces)?,
            Mechanism::Forwarder => forwarder::check(&state.interfaces, undo.offer.hold)?,
        }
        tracing::info!(id = undo.id, interface = interface.name, "the fault's packets go another way");
        // Owed a revert from here on, also half done.
        if let Some(placed) = self.placed.get_mut(&undo.id) {
            placed.state.interfaces.push(interface);
        }
        self.put(mechanism, undo, &state, ground, root).await
    }

    /// Returns the faults that broke: whose thread no longer runs.
    pub(super) fn broken(&self) -> Vec<String> {
        self.forwarders.dead()
    }
}

/// Returns whether a site says itself which interface is meant.
fn is_named(site: &Site) -> bool {
    match site {
        Site::Namespace(namespace) => namespace.interface.is_some(),
        Site::Runner | Site::Agent { .. } | Site::Api => false,
    }
}

/// Returns the carriers, and their directions, that a fault is not on yet.
fn missing(carriers: Vec<(u32, Vec<Direction>)>, interfaces: &[Interface]) -> Vec<(u32, Vec<Direction>)> {
    let covered = |index: u32, direction: &Direction| {
        interfaces.iter().any(|known| known.index == index && known.directions.contains(direction))
    };
    let left = carriers.into_iter().map(|(index, directions)| {
        let left: Vec<_> = directions.into_iter().filter(|direction| !covered(index, direction)).collect();
        (index, left)
    });
    left.filter(|(_, directions)| !directions.is_empty()).collect()
}

fn passed_by(undo: &Undo, error: &Trouble) -> Lost {
    let reason =
        format!("routes or interfaces changed, and `{}` cannot follow its packets: {error}", undo.id);
    Lost { ids: vec![undo.id.clone()], reason }
}
