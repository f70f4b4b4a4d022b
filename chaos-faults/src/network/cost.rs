//! What it costs that a mechanism does not work here.

use std::time::Duration;

use chaos_core::{
    capability::Capability,
    model::{
        Distribution, FaultSpec,
        packets::{Blocked, Refusal},
    },
    trouble::{Kind, Trouble},
};

use crate::backend::{Abilities, Mechanism};

/// The part without which nothing can be tried or done in another network namespace.
const NETWORK_NAMESPACE: &str = "network-namespace";

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

/// One fault of each kind, as people write it.
fn kinds() -> [(&'static str, FaultSpec); 9] {
    let hold = Duration::from_millis(10);
    let block = |answer| FaultSpec::Block { connections: Blocked::All, answer };
    [
        (
            "delay",
            FaultSpec::Delay {
                delay: hold,
                jitter: Duration::ZERO,
                correlation: 0.0,
                distribution: Distribution::Uniform,
                ordered: false,
            },
        ),
        ("loss", FaultSpec::Loss { ratio: 0.1, burst: None }),
        ("duplicate", FaultSpec::Duplicate { ratio: 0.1 }),
        ("corrupt", FaultSpec::Corrupt { ratio: 0.1 }),
        ("reorder", FaultSpec::Reorder { ratio: 0.1, hold }),
        ("bandwidth", FaultSpec::Bandwidth { rate: 1_000_000, burst: 15_000 }),
        ("block", block(Refusal::Drop)),
        ("block … reject", block(Refusal::Reject)),
        ("partition", FaultSpec::Partition),
    ]
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
