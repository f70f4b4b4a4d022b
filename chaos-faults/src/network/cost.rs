//! What it costs that a mechanism does not work here.

use chaos_core::{
    capability::{Capability, NETWORK_NAMESPACE},
    model::{FaultSpec, packets::Refusal},
    trouble::{Kind, Trouble},
};

use crate::backend::{Abilities, Mechanism};

/// Returns everything that was tried, with what its absence costs: the mechanisms, and what they are made of.
pub(crate) fn capabilities(abilities: &Abilities) -> Vec<Capability> {
    let mechanisms = abilities.mechanisms().map(|(mechanism, found)| {
        let name = mechanism.name();
        match found {
            Ok(hold) => Capability::found(name, hold.to_string()),
            Err(Trouble { message, help, kind }) => Capability {
                available: false,
                detail: Some(message.clone()),
                remedy: help.clone(),
                permission: *kind == Kind::Permission,
                ..Capability::available(name)
            }
            .costing(cost(abilities, mechanism)),
        }
    });
    let parts = abilities.tried().iter().map(|part| {
        let costs = match part.name.as_str() {
            NETWORK_NAMESPACE => {
                "no faults in other network namespaces; here they are tried and done in place"
            }
            _ => "nothing: what needs it has another way",
        };
        part.clone().as_part().costing(costs)
    });
    mechanisms.chain(parts).collect()
}

/// Returns what a missing mechanism costs: the kinds of faults that another one does instead, and those that none does.
fn cost(abilities: &Abilities, missing: Mechanism) -> String {
    let (mut instead, mut never): (Vec<(Mechanism, Vec<&str>)>, Vec<&str>) = (Vec::new(), Vec::new());
    for (kind, spec) in kinds() {
        let order = super::order(&spec);
        let Some(rank) = order.iter().position(|mechanism| *mechanism == missing) else { continue };
        match order.iter().position(|mechanism| abilities.hold(*mechanism).is_ok()) {
            // What comes before it would be chosen anyway.
            Some(chosen) if chosen < rank => {}
            Some(chosen) => {
                let chosen = order[chosen];
                match instead.iter_mut().find(|(mechanism, _)| *mechanism == chosen) {
                    Some((_, kinds)) => kinds.push(kind),
                    None => instead.push((chosen, vec![kind])),
                }
            }
            None => never.push(kind),
        }
    }
    let instead = instead.iter().map(|(chosen, kinds)| format!("{} by `{chosen}` instead", kinds.join(", ")));
    let never = (!never.is_empty()).then(|| format!("no {}", never.join(", no ")));
    let all: Vec<_> = instead.chain(never).collect();
    if all.is_empty() {
        "nothing: other backends are preferred for its faults".into()
    } else {
        all.join("; ")
    }
}

/// One fault of each kind, under its name; a block that answers is done by others than one that does not.
fn kinds() -> impl Iterator<Item = (&'static str, FaultSpec)> {
    FaultSpec::one_of_each().into_iter().flat_map(|spec| {
        let answering = if let FaultSpec::Block { connections, answer: Refusal::Drop } = &spec {
            Some(FaultSpec::Block { connections: *connections, answer: Refusal::Reject })
        } else {
            None
        };
        [Some((spec.kind(), spec)), answering.map(|spec| ("block … reject", spec))].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::{Capability, NAMES};

    fn abilities(missing: &[&str]) -> Abilities {
        let all = ["tcx", "nft"].into_iter().chain(NAMES);
        let state = |name| match missing.contains(&name) {
            true => Capability::missing(name, "there is none", "another kernel"),
            false => Capability::available(name),
        };
        Abilities::of(all.map(state).collect())
    }

    #[test]
    fn a_missing_mechanism_costs_what_others_do_worse_or_not_at_all() {
        let cost = |missing: &[&str], mechanism| cost(&abilities(missing), mechanism);
        assert_eq!(cost(&["netem"], Mechanism::Netem), "delay, corrupt, reorder by `forwarder` instead");
        assert_eq!(cost(&["nft"], Mechanism::Nft), "no block … reject");
        let alone = cost(&["netem", "packet-socket"], Mechanism::Forwarder);
        assert_eq!(alone, "no delay, no corrupt, no reorder");
        let preferred = cost(&["packet-socket"], Mechanism::Forwarder);
        assert_eq!(preferred, "nothing: other backends are preferred for its faults");
    }
}
