//! From selectors to objects, each named target drawn once.

use std::collections::BTreeMap;

use rand::seq::index::sample;

use super::{PlanError, seed};
use crate::{
    injector::Peer,
    inventory::Inventory,
    model::{
        Experiment, Selector, Target,
        packets::{Destination, Who},
    },
    place::Object,
    remark::Remark,
};

/// Finds objects for a plan; what a named target picked stays the same throughout.
pub struct Resolver<'a> {
    inventory: &'a dyn Inventory,
    targets: BTreeMap<String, Vec<Object>>,
}

impl<'a> Resolver<'a> {
    /// Draws every named target of the experiment.
    pub async fn new(
        experiment: &Experiment,
        inventory: &'a dyn Inventory,
        seed: u64,
    ) -> Result<Self, PlanError> {
        let mut resolver = Resolver { inventory, targets: BTreeMap::new() };
        for target in &experiment.targets {
            let found = resolver.find(&target.selector).await?;
            let picked = pick(target, found, seed);
            resolver.targets.insert(target.name.value.clone(), picked);
        }
        Ok(resolver)
    }

    /// Returns the objects that a selector means.
    pub async fn find(&self, selector: &Selector) -> Result<Vec<Object>, PlanError> {
        if let Selector::Named(name) = selector {
            return self.targets.get(&name.value).cloned().ok_or_else(|| {
                let why = format!("no target is named `{name}`");
                let help = format!("declare it: `target {name} = …`");
                PlanError::unsound(Remark::error(name.span, why).with_help(help))
            });
        }
        self.inventory
            .find(selector)
            .await
            .map_err(|trouble| PlanError::Inventory { trouble, span: selector.span() })
    }

    /// Returns the addresses of a destination, as seen from an object, which is never its own peer.
    pub async fn peers(&self, destination: &Destination, from: &Object) -> Result<Vec<Peer>, PlanError> {
        let port = destination.port;
        match &destination.who {
            Who::Network { address, prefix } => Ok(vec![Peer { network: *address, prefix: *prefix, port }]),
            Who::Objects(selector) => {
                let objects = self.find(selector).await?;
                let peers: Vec<Peer> = objects
                    .iter()
                    .filter(|o| *o != from)
                    .flat_map(all_addresses)
                    .map(|peer| Peer { port, ..peer })
                    .collect();
                if peers.is_empty() {
                    return Err(PlanError::unsound(
                        Remark::error(
                            destination.span,
                            format!("`{selector}` has no address that {from} could talk to"),
                        )
                        .with_help("name another host as the destination"),
                    ));
                }
                Ok(peers)
            }
        }
    }

    /// Gives up the picks.
    pub fn into_targets(self) -> BTreeMap<String, Vec<Object>> {
        self.targets
    }
}

/// Returns each address of an object as a peer on any port.
pub fn all_addresses(object: &Object) -> Vec<Peer> {
    let whole = |a: &std::net::IpAddr| if a.is_ipv4() { 32 } else { 128 };
    object.addresses.iter().map(|a| Peer { network: *a, prefix: whole(a), port: None }).collect()
}

/// Draws from what was found; the order of the inventory is kept.
fn pick(target: &Target, found: Vec<Object>, run_seed: u64) -> Vec<Object> {
    let count = target.pick.of(found.len());
    if count >= found.len() {
        return found;
    }
    let mut rng = seed::stream(run_seed, &format!("pick {}", target.name));
    let mut chosen = sample(&mut rng, found.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|i| found.get(i).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pick;
    use crate::place::ObjectKind;

    fn hosts(n: usize) -> Vec<Object> {
        (1..=n)
            .map(|i| Object { kind: ObjectKind::Host, name: format!("api-{i}"), addresses: vec![] })
            .collect()
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
    fn a_seed_draws_the_same_objects_and_keeps_their_order() {
        let draw = |seed| pick(&target(Pick::Count(3)), hosts(20), seed);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let names: Vec<_> = draw(5).into_iter().map(|o| o.name[4..].parse::<u32>().unwrap()).collect();
        assert!(names.is_sorted());
        assert_eq!(pick(&target(Pick::Count(30)), hosts(20), 1).len(), 20);
    }
}
