//! The faults in one network namespace.

use std::collections::BTreeMap;

use chaos_core::{
    injector::{Measured, Undo, Unit},
    trouble::Trouble,
};

use super::mechanism_of;
use crate::{
    backend::{
        Mechanism, absent,
        forwarder::Forwarders,
        ground::{Ground, State, packets},
        layers::{self, Layer},
        nft::Nft,
        programs::Programs,
        tcx::Tcx,
        tree::Trees,
    },
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
    /// What faults did until they were taken down with their namespace.
    last: BTreeMap<String, Measured>,
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
        if mechanism == Mechanism::Tcx {
            return self.tcx.inject(undo, state, ground, &mut self.programs).await;
        }
        if mechanism == Mechanism::Nft {
            return self.nft.inject(undo, state.mark, ground);
        }
        let packets = packets(undo)?;
        let mut all = Vec::new();
        for interface in &state.interfaces {
            for direction in &packets.directions {
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
        self.layers.extend(all.iter().map(|(.., layer)| layer.clone()));
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
        let effect = match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.revert(undo, &mut self.programs).await?,
            Mechanism::Nft => self.nft.revert(undo),
            Mechanism::Netem | Mechanism::Tbf => {
                self.trees.revert(undo, state, ground, root.unwrap_or(Root::Prio)).await?
            }
            Mechanism::Forwarder => self.forwarders.revert(undo, state, ground, &mut self.programs).await?,
        };
        self.layers.retain(|layer| layer.id != undo.id);
        if let Some(ground) = ground {
            absent::prove(undo, state, ground).await?;
            self.trees.prove(undo, state, ground).await?;
        }
        Ok(effect)
    }

    /// Reads what a fault did so far.
    pub(super) async fn effect(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: Option<&Ground>,
    ) -> Result<Measured, Trouble> {
        let effect = match mechanism_of(&undo.offer)? {
            Mechanism::Tcx => self.tcx.effect(undo, &self.programs)?,
            Mechanism::Nft => self.nft.effect(undo)?,
            Mechanism::Forwarder => self.forwarders.effect(undo),
            Mechanism::Netem | Mechanism::Tbf => match ground {
                Some(ground) => self.trees.effect(undo, state, ground).await?,
                None => self.last.get(&undo.id).cloned().unwrap_or_else(|| Measured::nothing(Unit::Packets)),
            },
        };
        self.last.insert(undo.id.clone(), effect.clone());
        Ok(effect)
    }

    /// Returns the faults that broke: whose thread no longer runs.
    pub(super) fn broken(&self) -> Vec<String> {
        self.forwarders.dead()
    }
}
