//! What most tests begin with.

use std::{ops::Deref, sync::Arc, time::Duration};

use crate::{
    Chaos, Network, Slot, World, lab_or_skip, root_or_skip,
    scenario::{LAB, changed, machine},
    slot,
};

/// A place to call the command from, with the right to run an experiment there, in a world that is looked at before and after.
#[derive(Debug)]
pub struct Scene {
    chaos: Chaos,
    network: Option<Arc<Network>>,
    before: World,
    _slot: Slot,
}

impl Scene {
    /// Sets the scene for experiments in labs; none, with the reason printed, where no lab can be made.
    pub fn lab() -> Option<Scene> {
        lab_or_skip().then(|| Scene::set(None))
    }

    /// Sets the scene for experiments on namespaces of this machine, which it makes; none, with the reason printed, without
    /// the right to that.
    pub fn machine() -> Option<Scene> {
        Some(Scene::on(&Scene::network_or_skip()?))
    }

    /// Makes namespaces for several scenes, one after another.
    pub fn network_or_skip() -> Option<Arc<Network>> {
        root_or_skip().then(|| Arc::new(Network::new()))
    }

    /// Sets the scene on namespaces that are there already.
    pub fn on(network: &Arc<Network>) -> Scene {
        Scene::set(Some(network.clone()))
    }

    fn set(network: Option<Arc<Network>>) -> Scene {
        let _slot = slot();
        let chaos = Chaos::new();
        let before = look(&chaos, network.as_deref());
        Scene { chaos, network, before, _slot }
    }

    /// Returns the namespaces.
    #[track_caller]
    pub fn network(&self) -> &Network {
        self.network.as_deref().expect("this scene is a lab's")
    }

    /// Writes an experiment in a lab, with changes, and returns its file.
    #[track_caller]
    pub fn in_lab(&self, changes: &[(&str, &str)]) -> String {
        self.chaos.file("lab.chaos", changed(LAB, changes))
    }

    /// Writes an experiment on the namespaces, with changes, and returns its file.
    #[track_caller]
    pub fn on_machine(&self, changes: &[(&str, &str)]) -> String {
        self.chaos.file("machine.chaos", machine(&self.network().name, changes))
    }

    /// Takes the world as it is now for what it was before: after something that the test itself has changed.
    pub fn begin_now(&mut self) {
        self.before = look(&self.chaos, self.network.as_deref());
    }

    /// Returns what is different from before.
    pub fn differences(&self) -> String {
        self.before.differences(&look(&self.chaos, self.network.as_deref()))
    }

    /// Panics unless the world becomes what it was before, within seconds; returns how long that took.
    #[track_caller]
    pub fn assert_as_before(&self) -> Duration {
        self.before.assert_same(&self.chaos, &names(self.network.as_deref()))
    }
}

impl Deref for Scene {
    type Target = Chaos;
    fn deref(&self) -> &Chaos {
        &self.chaos
    }
}

fn names(network: Option<&Network>) -> Vec<&str> {
    network.iter().map(|network| network.name.as_str()).collect()
}

fn look(chaos: &Chaos, network: Option<&Network>) -> World {
    World::of(chaos, &names(network))
}
