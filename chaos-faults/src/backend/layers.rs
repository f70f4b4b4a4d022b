//! Faults that hold packets, on top of each other.
//!
//! A packet goes through one queue only, so of two faults on the same packets only one would act. The delays of a lab's
//! links lie below every fault on its hosts, so that must not be: where the lower one is a plain delay, the upper one does
//! both for the packets they share. Other combinations are refused.

use std::{collections::BTreeSet, time::Duration};

use chaos_core::{
    injector::{Direction, Offer, PacketMatch, Peer},
    model::FaultSpec,
    trouble::Trouble,
    which::Which,
};

use super::Mechanism;

/// A fault that holds packets, on one device and direction of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) id: String,
    pub(crate) index: u32,
    pub(crate) direction: Direction,
    pub(crate) matches: PacketMatch,
    pub(crate) mechanism: Mechanism,
    /// Its delay, if it does nothing else.
    pub(crate) plain: Option<Duration>,
}

/// Some of a fault's packets, and by how much another fault below delays them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    pub(crate) matches: PacketMatch,
    pub(crate) below: Duration,
}

/// Returns the delay of a fault that does nothing else.
pub(crate) fn plain_delay(specs: &[FaultSpec]) -> Option<Duration> {
    match specs {
        [FaultSpec::Delay { delay, jitter, .. }] if jitter.is_zero() => Some(*delay),
        _ => None,
    }
}

/// Returns the faults that will be in place, for a plan: on one interface, since only those on the same packets count.
pub(crate) fn planned(below: &[Offer]) -> Vec<Layer> {
    let mut all = Vec::new();
    for offer in below {
        let (Some(mechanism), Some(packets)) = (Mechanism::named(&offer.backend), offer.ask.work.packets())
        else {
            continue;
        };
        if mechanism.holds_packets() {
            all.extend(packets.directions.iter().map(|direction| Layer {
                id: offer.ask.fault.clone(),
                index: 0,
                direction: *direction,
                matches: packets.matches.clone(),
                mechanism,
                plain: plain_delay(&packets.specs),
            }));
        }
    }
    all
}

/// Splits the packets of a fault by what is below; of several portions that a packet is in, the first one counts.
pub(crate) fn stack(upper: &Layer, all: &[Layer]) -> Result<Vec<Portion>, Trouble> {
    let same = |layer: &&Layer| {
        (layer.index, layer.direction) == (upper.index, upper.direction) && layer.id != upper.id
    };
    let mut portions: Vec<Portion> = Vec::new();
    let refuse = |lower: &Layer, why: &str| {
        Trouble::unable(format!("`{}` holds packets that `{}` holds already, {why}", upper.id, lower.id))
            .with_help("join both with `and` in one fault, or let them apply to different packets")
    };
    for lower in all.iter().filter(same) {
        let Some(common) = intersection(&upper.matches, &lower.matches) else { continue };
        let Some(below) = lower.plain else {
            return Err(refuse(lower, "and only a plain delay can be below another fault"));
        };
        let bypassed = lower.mechanism == Mechanism::Forwarder && upper.mechanism != Mechanism::Forwarder;
        if bypassed {
            return Err(refuse(lower, &format!("past the queue that `{}` would use", upper.mechanism)));
        }
        if portions.iter().any(|portion| intersection(&portion.matches, &common).is_some()) {
            return Err(refuse(lower, "and so does a third fault"));
        }
        portions.push(Portion { matches: common, below });
    }
    portions.push(Portion { matches: upper.matches.clone(), below: Duration::ZERO });
    Ok(portions)
}

/// Returns whether one of these holds some of the same packets.
pub(crate) fn shares(one: &Layer, others: &[Layer]) -> bool {
    others.iter().any(|other| {
        (other.index, other.direction) == (one.index, one.direction)
            && other.id != one.id
            && intersection(&one.matches, &other.matches).is_some()
    })
}

/// Refuses portions of which not each has a queue of the fault: it was split by faults below it, of which one is no more.
pub(crate) fn one_each(queues: usize, portions: &[Portion]) -> Result<(), Trouble> {
    if queues == portions.len() {
        return Ok(());
    }
    Err(Trouble::unable("a fault that it stood on has ended since"))
}

/// Returns a match for the packets that both match, or one that is too wide where that cannot be said: two different sets
/// of ports, of which a packet may have one at either end. Nothing if there is no such packet.
fn intersection(one: &PacketMatch, other: &PacketMatch) -> Option<PacketMatch> {
    let protocol = match (one.protocol, other.protocol) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    let peers = match (&one.peers, &other.peers) {
        (Which::Any, peers) | (peers, Which::Any) => peers.clone(),
        (Which::These(ours), Which::These(theirs)) => {
            let pairs = ours.iter().flat_map(|a| theirs.iter().filter_map(|b| narrower(a, b)));
            let common: BTreeSet<Peer> = pairs.collect();
            Which::these(Vec::from_iter(common)).ok()?
        }
    };
    let ports = if one.ports.is_any() { other.ports.clone() } else { one.ports.clone() };
    Some(PacketMatch { peers, ports, protocol })
}

/// Returns the packets of both peers as one.
fn narrower(a: &Peer, b: &Peer) -> Option<Peer> {
    let port = match (a.port, b.port) {
        (Some(a), Some(b)) => Some(a.common(b)?),
        (a, b) => a.or(b),
    };
    let (wide, narrow) = if a.prefix <= b.prefix { (a, b) } else { (b, a) };
    super::carriers::contains(wide, narrow.network).then_some(Peer { port, ..*narrow })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(network: &str, prefix: u8) -> Peer {
        Peer { network: network.parse().unwrap(), prefix, port: None }
    }

    fn layer(id: &str, mechanism: Mechanism, peers: Which<Peer>, plain: Option<u64>) -> Layer {
        Layer {
            id: id.into(),
            index: 2,
            direction: Direction::Egress,
            matches: PacketMatch { peers, ..PacketMatch::default() },
            mechanism,
            plain: plain.map(Duration::from_millis),
        }
    }

    #[test]
    fn a_fault_above_the_delays_of_links_adds_to_each() {
        let (a, b) = (peer("10.0.0.1", 32), peer("10.0.1.1", 32));
        let below = [
            layer("link-a", Mechanism::Netem, Which::one(a), Some(20)),
            layer("link-b", Mechanism::Netem, Which::one(b), Some(30)),
        ];
        let portions = stack(&layer("slow", Mechanism::Netem, Which::Any, Some(100)), &below).unwrap();
        let expected: Vec<_> =
            portions.iter().map(|portion| (portion.matches.peers.clone(), portion.below)).collect();
        let ms = Duration::from_millis;
        assert_eq!(expected, [(Which::one(a), ms(20)), (Which::one(b), ms(30)), (Which::Any, ms(0))]);
        let one = stack(&layer("slow", Mechanism::Forwarder, Which::one(peer("10.0.0.0", 24)), None), &below)
            .unwrap();
        assert_eq!(one.len(), 2);
        assert_eq!(one[0].matches.peers, Which::one(a));
    }

    #[test]
    fn apart_is_apart() {
        let below = [layer("link-a", Mechanism::Forwarder, Which::one(peer("10.0.0.1", 32)), None)];
        let upper = layer("slow", Mechanism::Netem, Which::one(peer("10.0.0.2", 32)), None);
        assert_eq!(stack(&upper, &below).unwrap().len(), 1);
        let elsewhere = Layer { index: 9, ..layer("slow", Mechanism::Netem, Which::Any, None) };
        assert_eq!(stack(&elsewhere, &below).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_combined_is_refused() {
        let upper = layer("slow", Mechanism::Netem, Which::Any, Some(5));
        let jittery = [layer("other", Mechanism::Netem, Which::Any, None)];
        assert_eq!(
            stack(&upper, &jittery).unwrap_err().message,
            "`slow` holds packets that `other` holds already, and only a plain delay can be below another fault"
        );
        let past = [layer("other", Mechanism::Forwarder, Which::Any, Some(5))];
        assert!(stack(&upper, &past).unwrap_err().message.ends_with("past the queue that `netem` would use"));
    }
}
