use std::time::Duration;

use async_trait::async_trait;
use chaos_core::{
    injector::{Direction, Hold, LookedUp, Named, NamedPeer, PacketMatch, Work},
    model::{Distribution, FaultSpec},
    non_empty::NonEmpty,
    place::{ObjectId, Site},
    which::Which,
};
use chaos_netns::Namespace;

use super::*;
use crate::{
    backend::Holding,
    netlink::{Connection, link::VethPair},
};

/// Knows an address for `x`, another one for every other name.
struct Fixed;

#[async_trait]
impl LookUp for Fixed {
    async fn look_up(&self, name: &str, _: &Place) -> Result<LookedUp, Trouble> {
        let address = if name == "x" { [10, 0, 0, 1] } else { [10, 0, 0, 2] };
        let addresses = NonEmpty::one(address.into());
        Ok(LookedUp { addresses, good_for: Duration::from_secs(5), whole: true })
    }
}

/// Asks for a delay that no other fault can be put on top of.
fn slow(name: &str) -> Ask {
    let peer = NamedPeer { name: name.into(), port: None, addresses: vec![] };
    let named = Named { names: NonEmpty::one(peer), others: vec![] };
    let delay = FaultSpec::Delay {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(10),
        correlation: 0.0,
        distribution: Distribution::Uniform,
        ordered: false,
    };
    let matches = PacketMatch { peers: Which::These(named.peers()), ..PacketMatch::default() };
    let directions = vec![Direction::Egress];
    let packets = Packets { specs: vec![delay], directions, matches, named: Some(named) };
    Ask { fault: format!("slow-{name}"), object: ObjectId::here(), work: Work::Packets(packets), seed: 1 }
}

fn offer(backend: &str, ask: Ask) -> Offer {
    Offer {
        backend: backend.into(),
        ask,
        hold: Hold::Kernel,
        does: vec![],
        undoes: String::new(),
        because: vec![],
        takes: vec![],
    }
}

#[tokio::test]
async fn faults_on_different_names_are_on_different_packets() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return println!("skipped: no network namespace can be made: {error}"),
    };
    let connection = Connection::open(&namespace).await.unwrap();
    let pair = VethPair { name: "near".into(), peer: "far".into(), peer_namespace: None, mtu: 1500 };
    if let Err(error) = connection.add_veth_pair(&pair).await {
        return println!("skipped: there is no pair of interfaces: {error}");
    }
    let mut entered = chaos_core::place::Namespace::new(namespace.path());
    entered.interface = Some("near".into());
    let place = Place { site: entered.into(), ..Place::runner() };
    let namespaces = Namespaces::new(Holding::Agent);
    namespaces.look_up(Arc::new(Fixed));
    let planned = async |name: &str, place: Option<&Place>, below: &[Offer]| {
        let around = Surroundings { place: place.cloned(), below: below.to_vec() };
        namespaces.offer(&slow(name), &around, &Settings::default()).await
    };
    for place in [Some(&place), None] {
        let first = match planned("x", place, &[]).await {
            Ok(first) => first,
            Err(error) => return println!("skipped: packets cannot be held here: {error}"),
        };
        let unresolved = |offer: &Offer| offer.ask.work.packets().unwrap().unresolved().is_some();
        assert!(first.iter().all(unresolved), "{first:?}");
        let second = planned("y", place, &first).await.unwrap();
        assert!(second.iter().all(unresolved), "{second:?}");
        // The same name has the same packets.
        let below = Ask { fault: "slow-too".into(), ..slow("x") };
        let refused = planned("x", place, &[Offer { ask: below, ..first[0].clone() }]).await.unwrap_err();
        assert!(refused.message.contains("`slow-too` holds already"), "{refused}");
    }
}

#[tokio::test]
async fn what_became_of_names_is_known_until_the_revert_is_done() {
    let namespaces = Namespaces::new(Holding::Agent);
    let state = State {
        inode: Namespace::current().unwrap().inode(),
        cookie: None,
        mark: 1,
        holder: None,
        interfaces: vec![],
        search: vec![],
        names: None,
    };
    let undo = Undo {
        id: "slow/here/0".into(),
        injector: super::super::NAME.into(),
        offer: offer("of a later version", slow("x")),
        site: Site::Runner,
        deadline: Duration::from_secs(1),
        state: serde_json::to_value(&state).unwrap(),
        line: String::new(),
    };
    let (stop, stopped) = oneshot::channel();
    let mut history = History::default();
    history.missed(&Trouble::unable("nobody answered"));
    let watched = Watched { history: Arc::new(Mutex::new(history)), stop: Some(stop) };
    lock(&namespaces.watched).insert(undo.id.clone(), watched);
    namespaces.revert(&undo).await.unwrap_err();
    assert!(stopped.await.is_err(), "it is looked up still");
    let mut effect = Measured::nothing(chaos_core::injector::Unit::Packets);
    namespaces.tell_names(&undo.id, &mut effect);
    assert!(effect.line.contains("nobody answered"), "{effect:?}");
}
