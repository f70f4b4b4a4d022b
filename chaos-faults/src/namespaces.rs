//! The network faults of this process, by the namespaces they are in.
//!
//! What is done in one namespace comes one after another, in several at once. While a fault stands in a namespace, so does one
//! connection to it, and with it the namespace itself: its number cannot become another's, and what was put there can be taken off
//! although its last process has ended.

mod faults;
mod renaming;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chaos_core::{
    injector::{Ask, LookUp, Lost, Measured, Offer, Surroundings, Undo, Work},
    place::{Kind, ObjectId, Place, Site},
    trouble::{self, Trouble},
};
use tokio::sync::OnceCell;

use self::{faults::Faults, renaming::Watched};
use crate::{
    backend::{
        Abilities, Holding, Mechanism, absent, forwarder,
        ground::{Ground, State},
        layers, queries, tree,
    },
    holder::Holder,
    inventory::machine_place,
    named,
    network::{self, Terrain},
    resolvers::{self, Resolvers},
    sessions,
    settings::Settings,
};

/// The name under which undo records of network faults find their injector.
pub const NAME: &str = "network";

/// All namespaces in which this process has faults, and what it can do.
pub(crate) struct Namespaces {
    holding: Holding,
    /// Who finds the addresses of names, where anybody does.
    names: OnceLock<Arc<dyn LookUp>>,
    abilities: OnceCell<Abilities>,
    registry: Mutex<Registry>,
    /// The faults whose names are looked up again while they stand.
    watched: Mutex<BTreeMap<String, Watched>>,
    /// The faults that could not be put on what their names became.
    outrun: Mutex<Vec<Lost>>,
}

/// Which fault is where, from its preparation until it is reverted.
#[derive(Debug, Default)]
struct Registry {
    /// By the number of the namespace.
    occupied: BTreeMap<u64, Occupied>,
    /// The number of each fault's namespace, by the id of its record.
    faults: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Occupied {
    namespace: Arc<Occupation>,
    /// How many faults are there.
    faults: usize,
}

/// A namespace with faults of this process; without a ground it is gone.
#[derive(Debug)]
struct Occupation {
    ground: Option<Ground>,
    faults: tokio::sync::Mutex<Faults>,
}

impl Occupation {
    fn on(ground: Option<Ground>) -> Arc<Self> {
        Arc::new(Occupation { ground, faults: tokio::sync::Mutex::default() })
    }
}

impl Registry {
    /// Counts a fault in at a namespace that was opened, unless somebody was faster.
    fn enter(&mut self, ground: Ground, id: &str) -> Arc<Occupation> {
        let inode = ground.inode();
        let occupied = self
            .occupied
            .entry(inode)
            .or_insert_with(|| Occupied { namespace: Occupation::on(Some(ground)), faults: 0 });
        let namespace = Arc::clone(&occupied.namespace);
        if self.faults.insert(id.to_owned(), inode) != Some(inode) {
            occupied.faults += 1;
        }
        namespace
    }

    /// Counts a fault out; with the last one goes the connection.
    fn leave(&mut self, id: &str) {
        let Some(inode) = self.faults.remove(id) else { return };
        if let Some(occupied) = self.occupied.get_mut(&inode) {
            occupied.faults = occupied.faults.saturating_sub(1);
            if occupied.faults == 0 {
                self.occupied.remove(&inode);
            }
        }
    }

    fn find(&self, inode: u64) -> Option<&Arc<Occupation>> {
        self.occupied.get(&inode).map(|occupied| &occupied.namespace)
    }
}

fn mechanism_of(offer: &Offer) -> Result<Mechanism, Trouble> {
    Mechanism::named(&offer.backend).ok_or_else(|| {
        Trouble::unable(format!("there is no backend `{}` in this version", offer.backend))
            .with_help("use the version of `chaos` that made the record")
    })
}

impl Namespaces {
    pub(crate) fn new(holding: Holding) -> Self {
        Namespaces {
            holding,
            names: OnceLock::new(),
            abilities: OnceCell::new(),
            registry: Mutex::default(),
            watched: Mutex::default(),
            outrun: Mutex::default(),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what this kernel and this user can do, tried once.
    pub(crate) async fn abilities(&self) -> &Abilities {
        self.abilities.get_or_init(Abilities::probe).await
    }

    pub(crate) async fn offer(
        &self,
        ask: &Ask,
        around: &Surroundings,
        settings: &Settings,
    ) -> Result<Vec<Offer>, Trouble> {
        let mut encrypted = 0;
        let resolved = match &around.place {
            Some(place) => self.resolved(ask, place).await?,
            None => ask.clone(),
        };
        let terrain = match (&around.place, resolved.work.packets()) {
            (Some(place), Some(packets)) => {
                let known = |inode| self.registry().find(inode).and_then(|found| found.ground.clone());
                let ground = Ground::open(&place.site, known).await?;
                sessions::spare_on(&resolved, &ground, settings)?;
                if ask.work.names().is_some() {
                    let layout = ground.layout().await?;
                    queries::check(&ask.object, &Resolvers::of(&place.names)?.servers, &layout)?;
                    encrypted = resolvers::encrypted(ground.connection.namespace());
                }
                Some(ground.interfaces(&place.site, packets).await?)
            }
            _ => None,
        };
        let layers = layers::planned(&self.below(ask, around).await?);
        let terrain = Terrain { interfaces: terrain, layers, encrypted };
        let mut offers =
            network::choose(&resolved, self.abilities().await, self.holding, &settings.only, &terrain)?;
        // Names are looked up again right before the fault is injected.
        for offer in &mut offers {
            if let (Work::Packets(offered), Some(asked)) = (&mut offer.ask.work, ask.work.packets()) {
                offered.matches.clone_from(&asked.matches);
                offered.named.clone_from(&asked.named);
            }
        }
        Ok(offers)
    }

    /// Opens the namespace of a site for a fault, by the connection that is there already where one is.
    async fn enter(&self, site: &Site, id: &str) -> Result<Ground, Trouble> {
        let known = |inode| self.registry().find(inode).and_then(|found| found.ground.clone());
        let ground = Ground::open(site, known).await?;
        self.registry().enter(ground.clone(), id);
        Ok(ground)
    }

    /// Finds the namespace of an undo record again.
    async fn find(&self, undo: &Undo, state: &State) -> Result<Arc<Occupation>, Trouble> {
        if let Some(known) = self.registry().find(state.inode) {
            return Ok(Arc::clone(known));
        }
        Ok(match Ground::find(&undo.site, state).await? {
            Some(ground) => self.registry().enter(ground, &undo.id),
            None => Occupation::on(None),
        })
    }

    pub(crate) async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
        settings: &Settings,
    ) -> Result<Undo, Trouble> {
        let ask = self.resolved(&offer.ask, place).await?;
        let mut resolved = Offer { ask, ..offer.clone() };
        let ground = self.enter(&place.site, id).await?;
        if let Some(packets) = resolved.ask.work.packets().filter(|packets| packets.named.is_some()) {
            resolved.does.extend(named::addresses_in_words(packets));
            // These may be others than those that were planned with.
            if let Err(refused) = sessions::spare_on(&resolved.ask, &ground, settings) {
                self.registry().leave(id);
                return Err(refused);
            }
        }
        let prepared = self.undo(id, &resolved, place, deadline, &ground).await;
        if prepared.is_err() {
            self.registry().leave(id);
        }
        prepared
    }

    async fn undo(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
        ground: &Ground,
    ) -> Result<Undo, Trouble> {
        let mechanism = mechanism_of(offer)?;
        let ask = &offer.ask;
        let packets =
            ask.work.packets().ok_or_else(|| Trouble::unable(format!("`{id}` is not about packets")))?;
        let search = match ask.work.names() {
            Some(_) => {
                let resolvers = Resolvers::of(&place.names)?;
                queries::check(&ask.object, &resolvers.servers, &ground.layout().await?)?;
                resolvers.search
            }
            None => Vec::new(),
        };
        let interfaces = ground.interfaces(&place.site, packets).await?;
        match mechanism {
            Mechanism::Tcx => {}
            Mechanism::Nft => tree::can_match(&packets.matches)?,
            Mechanism::Netem | Mechanism::Tbf => {
                tree::check(mechanism, &interfaces)?;
                tree::can_match(&packets.matches)?;
            }
            Mechanism::Forwarder => forwarder::check(&interfaces, offer.hold)?,
        }
        let names: Vec<_> = interfaces.iter().map(|interface| interface.name.clone()).collect();
        let holder = match self.holding {
            Holding::Agent => Holder::own(),
            // It is the runner itself, or a program that does other things, too.
            Holding::KernelOnly => None,
        };
        if matches!(mechanism, Mechanism::Netem | Mechanism::Tbf) {
            // What another run left or holds there is not this one's to take away, so it owes nothing there either.
            let known = self.registry().find(ground.inode()).cloned();
            let faults = match &known {
                Some(namespace) => Some(namespace.faults.lock().await),
                None => None,
            };
            for interface in &interfaces {
                let ours = faults.as_ref().is_some_and(|faults| faults.queues_on(interface.index));
                tree::check_own(interface, ours)?;
            }
        }
        let cookie = ground.connection.namespace().cookie();
        let resolving = packets.named.is_some().then(|| Arc::clone(&place.names));
        let inode = ground.inode();
        let state =
            State { inode, cookie, mark: rand::random(), holder, interfaces, search, names: resolving };
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

    pub(crate) async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let state = State::of(undo)?;
        let namespace = self.find(undo, &state).await?;
        let Some(ground) = &namespace.ground else {
            let gone = format!("the network namespace of {} is gone", undo.offer.ask.object);
            return Err(Trouble::unable(gone).with_help("its last process ended; plan anew"));
        };
        let root = self.abilities().await.root;
        namespace.faults.lock().await.inject(undo, &state, ground, root).await
    }

    /// Lets traffic pass at once, where that takes no time.
    pub(crate) async fn release<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            let namespace = {
                let registry = self.registry();
                registry.faults.get(id).and_then(|inode| registry.find(*inode)).cloned()
            };
            if let Some(namespace) = namespace {
                namespace.faults.lock().await.release(id);
            }
        }
    }

    pub(crate) async fn revert(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let state = State::of(undo)?;
        // Whoever else holds it must neither keep it nor change anything here later.
        if let Some(holder) = state.holder {
            holder.end().await?;
        }
        let namespace = self.find(undo, &state).await?;
        let root = self.abilities.get().and_then(|abilities| abilities.root);
        self.end_watch(&undo.id);
        let mut effect =
            namespace.faults.lock().await.revert(undo, &state, namespace.ground.as_ref(), root).await?;
        self.tell_names(&undo.id, &mut effect);
        self.forget_names(&undo.id);
        self.registry().leave(&undo.id);
        Ok(effect)
    }

    pub(crate) async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let state = State::of(undo)?;
        let known = self.registry().find(state.inode).cloned();
        let namespace = known.unwrap_or_else(|| Occupation::on(None));
        let mut effect =
            namespace.faults.lock().await.effect(undo, &state, namespace.ground.as_ref()).await?;
        self.tell_names(&undo.id, &mut effect);
        Ok(effect)
    }

    /// Says what others changed meanwhile where a fault was.
    pub(crate) async fn changed_by_others(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        let state = State::of(undo)?;
        match Ground::find(&undo.site, &state).await? {
            Some(ground) => ground.changed_by_others(&state).await,
            None => Ok(vec![format!(
                "the network namespace of {} is gone, and what was in it",
                undo.offer.ask.object
            )]),
        }
    }

    /// Says what stands of a fault, whoever holds it; changes nothing.
    pub(crate) async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        let state = State::of(undo)?;
        match Ground::find(&undo.site, &state).await? {
            Some(ground) => absent::standing(undo, &state, &ground).await,
            None => Ok(Vec::new()),
        }
    }

    /// Says what of this crate's making stands on an object, whoever made it; changes nothing.
    pub(crate) async fn leftovers(&self, object: &ObjectId) -> Result<Vec<String>, Trouble> {
        if object.kind == Kind::HOST {
            // It went with its lab.
            return Ok(Vec::new());
        }
        match machine_place(object) {
            Ok(place) => absent::leftovers(&Ground::open(&place.site, |_| None).await?).await,
            Err(error) if error.kind == trouble::Kind::Absent => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Looks after all faults, and returns those that do not stand as they should.
    pub(crate) async fn look_after(&self) -> Vec<Lost> {
        let all: Vec<_> =
            self.registry().occupied.values().map(|occupied| Arc::clone(&occupied.namespace)).collect();
        let root = self.abilities.get().and_then(|abilities| abilities.root);
        let mut lost = self.outrun();
        for namespace in all {
            let Some(ground) = &namespace.ground else { continue };
            let mut faults = namespace.faults.lock().await;
            lost.extend(faults.follow(ground, root).await);
            let placed = faults.placed();
            drop(faults);
            // One after another, so that whoever wants to revert one waits for one.
            for id in placed {
                lost.extend(namespace.faults.lock().await.look_after(&id, ground).await);
            }
        }
        lost
    }

    /// Returns the faults that broke, but for namespaces in which something is being done right now.
    pub(crate) fn broken(&self) -> Vec<String> {
        let all: Vec<_> =
            self.registry().occupied.values().map(|occupied| Arc::clone(&occupied.namespace)).collect();
        let broken = |namespace: &Arc<Occupation>| Some(namespace.faults.try_lock().ok()?.broken());
        all.iter().filter_map(broken).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use chaos_netns::Namespace;

    use super::*;

    #[tokio::test]
    async fn one_connection_serves_all_faults_in_a_namespace_and_goes_with_the_last() {
        let namespace = match Namespace::create() {
            Ok(namespace) => namespace,
            Err(error) => return println!("skipped: no network namespace can be made: {error}"),
        };
        let namespaces = Namespaces::new(Holding::Agent);
        let site = Site::from(chaos_core::place::Namespace::new(namespace.path()));
        for id in ["a", "b", "a"] {
            namespaces.enter(&site, id).await.unwrap();
        }
        let inode = namespace.inode();
        let first = namespaces.registry().find(inode).cloned().unwrap();
        namespaces.registry().leave("a");
        namespaces.enter(&site, "c").await.unwrap();
        assert!(Arc::ptr_eq(&first, namespaces.registry().find(inode).unwrap()));
        for id in ["b", "c"] {
            assert!(namespaces.registry().find(inode).is_some());
            namespaces.registry().leave(id);
        }
        namespaces.registry().leave("c");
        assert!(namespaces.registry().occupied.is_empty() && namespaces.registry().faults.is_empty());
    }
}
