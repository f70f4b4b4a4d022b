//! Everything that this process holds of network faults, one thing after another.

use std::{collections::BTreeMap, time::Duration};

use chaos_core::{
    injector::{Ask, Measured, Offer, Undo, Unit},
    place::Place,
    trouble::Trouble,
    which::Which,
};

use crate::{
    backend::{
        Abilities, Holding, Mechanism, forwarder,
        forwarder::Forwarders,
        ground::{Ground, State, packets},
        holds::Holds,
        layers::{self, Layer},
        nft::Nft,
        tcx::Tcx,
        tree,
        tree::Trees,
    },
    netlink::tree::Root,
    network,
};

/// The name under which undo records of network faults find their injector.
pub const NAME: &str = "network";

/// Everything this process holds, and what it can do.
#[derive(Debug)]
pub(crate) struct Machine {
    holding: Holding,
    abilities: Option<Abilities>,
    holds: Holds,
    tcx: Tcx,
    nft: Nft,
    trees: Trees,
    forwarders: Forwarders,
    layers: Vec<Layer>,
    /// What faults did that were taken back, or taken down with a namespace.
    last: BTreeMap<String, Measured>,
}

fn mechanism_of(offer: &Offer) -> Result<Mechanism, Trouble> {
    Mechanism::named(&offer.backend).ok_or_else(|| {
        Trouble::unable(format!("there is no backend `{}` in this version", offer.backend))
            .with_help("use the version of `chaos` that made the record")
    })
}

impl Machine {
    pub(crate) fn new(holding: Holding) -> Self {
        Machine {
            holding,
            abilities: None,
            holds: Holds::default(),
            tcx: Tcx::default(),
            nft: Nft::default(),
            trees: Trees::default(),
            forwarders: Forwarders::default(),
            layers: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    async fn abilities(&mut self) -> &Abilities {
        if self.abilities.is_none() {
            self.abilities = Some(Abilities::probe().await);
        }
        self.abilities.as_ref().expect("invariant: it was just filled")
    }

    pub(crate) async fn offer(&mut self, ask: &Ask, only: &Which<String>) -> Result<Vec<Offer>, Trouble> {
        let holding = self.holding;
        network::choose(ask, self.abilities().await, holding, only)
    }

    pub(crate) async fn prepare(
        &mut self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let mechanism = mechanism_of(offer)?;
        let ground = Ground::open(&place.site).await?;
        let ask = &offer.ask;
        let packets =
            ask.work.packets().ok_or_else(|| Trouble::unable(format!("`{id}` is not about packets")))?;
        let interfaces = ground.interfaces(&place.site, &packets.matches.peers).await?;
        match mechanism {
            Mechanism::Tcx => {}
            Mechanism::Nft => tree::can_match(&packets.matches).map_err(Trouble::unable)?,
            Mechanism::Netem | Mechanism::Tbf => {
                tree::check(mechanism, &interfaces)?;
                tree::can_match(&packets.matches).map_err(Trouble::unable)?;
            }
            Mechanism::Forwarder => forwarder::check(&interfaces)?,
        }
        let names: Vec<_> = interfaces.iter().map(|interface| interface.name.clone()).collect();
        let state = State { inode: ground.inode(), interfaces };
        let unwritable =
            |error| Trouble::unable(format!("the undo record of `{id}` cannot be written: {error}"));
        Ok(Undo {
            id: id.into(),
            injector: NAME.into(),
            offer: offer.clone(),
            site: place.site.clone(),
            deadline,
            state: serde_json::to_value(&state).map_err(unwritable)?,
            line: format!(
                "take `{}` off {} of {} ({mechanism}, {})",
                ask.work,
                names.join(", "),
                ask.object,
                offer.hold
            ),
        })
    }

    pub(crate) async fn inject(&mut self, undo: &Undo) -> Result<(), Trouble> {
        let mechanism = mechanism_of(&undo.offer)?;
        let state = State::of(undo)?;
        let ground = Ground::find(&undo.site, &state).await?.ok_or_else(|| {
            Trouble::unable(format!("the network namespace of {} is gone", undo.offer.ask.object))
                .with_help("its last process ended; plan anew")
        })?;
        self.last.remove(&undo.id);
        if mechanism == Mechanism::Tcx {
            return self.tcx.inject(undo, &state, &ground, &mut self.holds).await;
        }
        if mechanism == Mechanism::Nft {
            return self.nft.inject(undo, &ground);
        }
        let packets = packets(undo)?;
        let mut all = Vec::new();
        for interface in &state.interfaces {
            for direction in &packets.directions {
                let layer = Layer {
                    id: undo.id.clone(),
                    namespace: ground.inode(),
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
        self.layers.extend(all.iter().map(|(.., layer)| layer.clone()));
        if mechanism == Mechanism::Forwarder {
            let portions: Vec<_> =
                all.into_iter().map(|(interface, way, portions, _)| (interface, way, portions)).collect();
            return self.forwarders.inject(undo, &ground, &mut self.holds, &portions).await;
        }
        let root = self.abilities().await.root.ok_or_else(|| {
            Trouble::unable("this kernel has neither `prio` nor `htb` to steer packets below a root qdisc")
        })?;
        let portions: Vec<_> =
            all.into_iter().map(|(interface, _, portions, _)| (interface, portions)).collect();
        self.trees.inject(mechanism, undo, &ground, root, &portions).await
    }

    /// Lets traffic pass at once where a program only needs to be exchanged. Taking one off an interface waits until the
    /// kernel has let go of it everywhere, 10 to 15 ms each and one after another whoever asks.
    pub(crate) fn release<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            if let Err(error) = self.tcx.release(id, &mut self.holds) {
                // The revert that follows tries again, and tells.
                tracing::warn!(%error, id, "traffic does not pass yet");
            }
        }
    }

    pub(crate) async fn revert(&mut self, undo: &Undo) -> Result<Measured, Trouble> {
        let mechanism = mechanism_of(&undo.offer)?;
        let state = State::of(undo)?;
        let ground = Ground::find(&undo.site, &state).await?;
        let effect = match mechanism {
            Mechanism::Tcx => self.tcx.revert(undo, &mut self.holds)?,
            Mechanism::Nft => self.nft.revert(undo, ground.as_ref())?,
            Mechanism::Netem | Mechanism::Tbf => {
                let root = self.abilities.as_ref().and_then(|abilities| abilities.root).unwrap_or(Root::Prio);
                self.trees.revert(undo, &state, ground.as_ref(), root).await?
            }
            Mechanism::Forwarder => {
                self.forwarders.revert(undo, &state, ground.as_ref(), &mut self.holds).await?
            }
        };
        self.layers.retain(|layer| layer.id != undo.id);
        if let Some(ground) = &ground {
            ground.prove(&state).await?;
        }
        Ok(effect)
    }

    pub(crate) async fn effect(&mut self, undo: &Undo) -> Result<Measured, Trouble> {
        let mechanism = mechanism_of(&undo.offer)?;
        let effect = match mechanism {
            Mechanism::Tcx => self.tcx.effect(undo, &self.holds)?,
            Mechanism::Nft => self.nft.effect(undo)?,
            Mechanism::Forwarder => self.forwarders.effect(undo),
            Mechanism::Netem | Mechanism::Tbf => {
                let state = State::of(undo)?;
                match Ground::find(&undo.site, &state).await? {
                    Some(ground) => self.trees.effect(undo, &state, &ground).await?,
                    None => {
                        self.last.get(&undo.id).cloned().unwrap_or_else(|| Measured::nothing(Unit::Packets))
                    }
                }
            }
        };
        self.last.insert(undo.id.clone(), effect.clone());
        Ok(effect)
    }

    /// Returns the faults that broke: whose thread no longer runs.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.forwarders.dead()
    }
}
