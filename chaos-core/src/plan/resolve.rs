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
            let picked = NonEmpty::try_from(pick(target, found.into_vec(), seed));
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
fn pick(target: &Target, found: Vec<Object>, run_seed: u64) -> Vec<Object> {
    if let Pick::PerNode(most) = target.pick {
        return per_node(most as usize, &target.name, found, run_seed);
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

/// Draws from each node on its own, so that a pod that comes or goes elsewhere changes nothing here.
fn per_node(most: usize, target: &str, found: Vec<Object>, run_seed: u64) -> Vec<Object> {
    let mut nodes: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (at, object) in found.iter().enumerate() {
        nodes.entry(object.node.clone()).or_default().push(at);
    }
    let mut chosen = BTreeSet::new();
    for (node, there) in nodes {
        let name = format!("pick {target} on {}", node.unwrap_or_default());
        let drawn = sample(&mut seed::stream(run_seed, &name), there.len(), most.min(there.len()));
        chosen.extend(drawn.into_iter().filter_map(|i| there.get(i).copied()));
    }
    found.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, object)| object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::ObjectId;

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
    fn a_seed_draws_the_same_objects_and_keeps_their_order() {
        let draw = |seed| pick(&target(Pick::Count(3)), hosts(20), seed);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let names: Vec<_> = draw(5).into_iter().map(|o| o.id.name[4..].parse::<u32>().unwrap()).collect();
        assert!(names.is_sorted());
        assert_eq!(pick(&target(Pick::Count(30)), hosts(20), 1).len(), 20);
    }
}
