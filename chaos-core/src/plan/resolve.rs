//! From selectors to objects, each named target drawn once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rand::seq::index::sample;

use super::{PlanError, seed};
use crate::{
    injector::Peer,
    inventory::Inventory,
    model::{
        Experiment, Pick, Selector, Target,
        packets::{Destination, Who},
    },
    non_empty::{Empty, NonEmpty},
    place::{Object, ObjectId},
    remark::Remark,
};

/// Finds objects for a plan; what a named target picked stays the same throughout.
///
/// The inventory is asked once for each selector, so that one plan sees one world, however many objects ask for the same peers.
pub struct Resolver<'a> {
    inventory: &'a dyn Inventory,
    targets: BTreeMap<String, NonEmpty<Object>>,
    /// What the inventory answered, by the selector's text.
    found: Mutex<BTreeMap<String, NonEmpty<Object>>>,
}

impl<'a> Resolver<'a> {
    /// Draws every named target of the experiment.
    pub async fn new(
        experiment: &Experiment,
        inventory: &'a dyn Inventory,
        seed: u64,
    ) -> Result<Self, PlanError> {
        let mut resolver = Resolver::undrawn(inventory);
        for target in &experiment.targets {
            let found = resolver.find(&target.selector).await?;
            let zones = zones(target, &found, inventory).await?;
            let picked = NonEmpty::try_from(pick(target, found.into_vec(), &zones, seed));
            let picked = picked.map_err(|Empty| {
                let why = format!("the target `{}` picks none of what was found", target.name);
                PlanError::unsound(Remark::error(target.name.span, why).with_help("pick one at least"))
            })?;
            resolver.targets.insert(target.name.value.clone(), picked);
        }
        Ok(resolver)
    }

    /// Looks at the world anew, without the named targets: what they picked stays what was planned.
    pub fn undrawn(inventory: &'a dyn Inventory) -> Self {
        Resolver { inventory, targets: BTreeMap::new(), found: Mutex::default() }
    }

    /// Returns the objects that a selector means.
    pub async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, PlanError> {
        if let Selector::Named(name) = selector {
            return self.targets.get(&name.value).cloned().ok_or_else(|| {
                let why = format!("no target is named `{name}`");
                let help = format!("declare it: `target {name} = …`");
                PlanError::unsound(Remark::error(name.span, why).with_help(help))
            });
        }
        let asked = selector.to_string();
        if let Some(objects) = self.found().get(&asked) {
            return Ok(objects.clone());
        }
        let objects = self.inventory.find(selector).await;
        let objects = objects.map_err(|trouble| PlanError::Inventory { trouble, span: selector.span() })?;
        self.found().insert(asked, objects.clone());
        Ok(objects)
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, NonEmpty<Object>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the addresses of all destinations, as seen from an object, which is never its own peer.
    ///
    /// # Errors
    /// A destination without any address is refused: without it a fault would reach further than its words.
    pub async fn peers(
        &self,
        destinations: &NonEmpty<Destination>,
        from: &ObjectId,
    ) -> Result<NonEmpty<Peer>, PlanError> {
        let mut peers = BTreeSet::new();
        for destination in destinations {
            peers.extend(self.addresses(destination, from).await?);
        }
        let peers: Vec<Peer> = peers.into_iter().collect();
        peers.try_into().map_err(|Empty| unreachable(destinations.first(), from))
    }

    async fn addresses(
        &self,
        destination: &Destination,
        from: &ObjectId,
    ) -> Result<NonEmpty<Peer>, PlanError> {
        let port = destination.port;
        match &destination.who {
            Who::Network { address, prefix } => {
                Ok(NonEmpty::one(Peer { network: *address, prefix: *prefix, port }))
            }
            // Whoever injects the fault finds out, and puts them here.
            Who::Name(_) => Ok(Peer::anybody(port)),
            Who::Objects(selector) => {
                let objects = self.find(selector).await?;
                let peers = addresses(objects.iter().filter(|object| object.id != *from));
                let peers: Vec<Peer> = peers.into_iter().map(|peer| Peer { port, ..peer }).collect();
                peers.try_into().map_err(|Empty| unreachable(destination, from))
            }
        }
    }

    /// Gives up the picks.
    pub fn into_targets(self) -> BTreeMap<String, NonEmpty<Object>> {
        self.targets
    }
}

/// Returns each address of some objects as a peer on any port.
pub fn addresses<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<Peer> {
    objects.flat_map(|object| object.addresses.iter().map(|address| Peer::address(*address))).collect()
}

fn unreachable(destination: &Destination, from: &ObjectId) -> PlanError {
    let who = match &destination.who {
        Who::Objects(selector) => selector.to_string(),
        Who::Network { address, prefix } => format!("{address}/{prefix}"),
        Who::Name(name) => name.clone(),
    };
    let why = format!("`{who}` has no address that {from} could talk to");
    PlanError::unsound(Remark::error(destination.span, why).with_help("name another host as the destination"))
}

/// Draws from what was found; the order of the inventory is kept.
fn pick(target: &Target, found: Vec<Object>, zones: &BTreeMap<String, String>, run_seed: u64) -> Vec<Object> {
    let each = |most: u32, place: &dyn Fn(&Object) -> String| {
        of_each(most as usize, &target.name, &found, place, run_seed)
    };
    match target.pick {
        Pick::PerNode(most) => return each(most, &|object| on(object)),
        Pick::PerZone(most) => {
            return each(most, &|object| zones.get(&on(object)).cloned().unwrap_or_default());
        }
        Pick::All | Pick::Count(_) | Pick::Share { .. } => {}
    }
    let count = target.pick.of(found.len());
    if count >= found.len() {
        return found;
    }
    let mut rng = seed::stream(run_seed, &format!("pick {}", target.name));
    let mut chosen = sample(&mut rng, found.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|i| found.get(i).cloned()).collect()
}

/// The node of an object.
fn on(object: &Object) -> String {
    object.node.clone().unwrap_or_default()
}

/// Asks for the zones of the nodes of what was found, where a target is picked by them.
///
/// # Errors
/// A node is in no zone: whatever was picked of it would be of no zone.
async fn zones(
    target: &Target,
    found: &NonEmpty<Object>,
    inventory: &dyn Inventory,
) -> Result<BTreeMap<String, String>, PlanError> {
    match target.pick {
        Pick::PerZone(_) => {}
        Pick::All | Pick::Count(_) | Pick::PerNode(_) | Pick::Share { .. } => return Ok(BTreeMap::new()),
    }
    let nodes: BTreeSet<String> = found.iter().map(on).collect();
    let zones = inventory.zones(&nodes).await;
    let zones = zones.map_err(|trouble| PlanError::Inventory { trouble, span: target.selector.span() })?;
    let without: Vec<&str> =
        nodes.iter().filter(|node| !zones.contains_key(*node)).map(String::as_str).collect();
    if !without.is_empty() {
        let why =
            format!("`{}` is picked per zone, and no zone is known of {}", target.name, without.join(", "));
        let help = "label the nodes with `topology.kubernetes.io/zone`, or pick `per node`";
        return Err(PlanError::unsound(Remark::error(target.name.span, why).with_help(help)));
    }
    Ok(zones)
}

/// Draws from each place on its own, so that a pod that comes or goes elsewhere changes nothing here.
fn of_each(
    most: usize,
    target: &str,
    found: &[Object],
    place: &dyn Fn(&Object) -> String,
    run_seed: u64,
) -> Vec<Object> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, object) in found.iter().enumerate() {
        places.entry(place(object)).or_default().push(at);
    }
    let mut chosen = BTreeSet::new();
    for (place, there) in places {
        let name = format!("pick {target} on {place}");
        let drawn = sample(&mut seed::stream(run_seed, &name), there.len(), most.min(there.len()));
        chosen.extend(drawn.into_iter().filter_map(|i| there.get(i).copied()));
    }
    chosen.into_iter().filter_map(|at| found.get(at).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::ObjectId;

    fn pick(target: &Target, found: Vec<Object>, seed: u64) -> Vec<Object> {
        super::pick(target, found, &BTreeMap::new(), seed)
    }

    fn hosts(n: usize) -> Vec<Object> {
        (1..=n).map(|i| ObjectId::host(format!("api-{i}")).at([])).collect()
    }

    fn target(pick: Pick) -> Target {
        Target { name: "api".into(), selector: Selector::Hosts("api".into()), pick }
    }

    #[test]
    fn shares_round_down_but_never_to_nothing() {
        let half = |n, up_to| pick(&target(Pick::Share { fraction: 0.5, up_to }), hosts(n), 1).len();
        assert_eq!((half(1, None), half(3, None), half(4, None), half(10, Some(3))), (1, 1, 2, 3));
        // 0.29 × 100 is 28.999… in binary and still means 29.
        assert_eq!(pick(&target(Pick::Share { fraction: 0.29, up_to: None }), hosts(100), 1).len(), 29);
    }

    #[test]
    fn each_node_gives_its_share_whatever_happens_on_others() {
        let on = |node: &str, n: usize| {
            let node = node.to_owned();
            hosts(n).into_iter().map(move |host| Object {
                id: ObjectId { namespace: Some(node.clone()), ..host.id },
                node: Some(node.clone()),
                ..host
            })
        };
        let draw = |all: Vec<Object>| pick(&target(Pick::PerNode(2)), all, 7);
        let both = draw(on("a", 9).chain(on("b", 1)).collect());
        let of =
            |node: &str| both.iter().filter(|o| o.node.as_deref() == Some(node)).cloned().collect::<Vec<_>>();
        assert_eq!((of("a").len(), of("b").len()), (2, 1));
        assert_eq!(draw(on("a", 9).collect()), of("a"), "another node does not change the draw");
    }

    #[test]
    fn each_zone_gives_its_share_however_its_nodes_are_called() {
        let on = |node: &str| {
            let node = node.to_owned();
            hosts(3).into_iter().map(move |host| Object { node: Some(node.clone()), ..host })
        };
        let zones = [("a", "north"), ("b", "north"), ("c", "south")];
        let zones: BTreeMap<String, String> =
            zones.into_iter().map(|(node, zone)| (node.to_owned(), zone.to_owned())).collect();
        let all: Vec<Object> = on("a").chain(on("b")).chain(on("c")).collect();
        for seed in 0..20 {
            let picked = super::pick(&target(Pick::PerZone(2)), all.clone(), &zones, seed);
            let of = |zone: &str| picked.iter().filter(|o| zones[o.node.as_ref().unwrap()] == zone).count();
            assert_eq!((of("north"), of("south")), (2, 2), "{picked:?}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_objects_and_keeps_their_order() {
        let draw = |seed| pick(&target(Pick::Count(3)), hosts(20), seed);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let names: Vec<_> = draw(5).into_iter().map(|o| o.id.name[4..].parse::<u32>().unwrap()).collect();
        assert!(names.is_sorted());
        assert_eq!(pick(&target(Pick::Count(30)), hosts(20), 1).len(), 20);
    }
}
