use chaos_netns::Namespace;

use super::*;
use crate::netlink::{Connection, link::VethPair};

fn portions(index: u32, count: usize) -> [(Interface, Direction, Vec<Portion>); 1] {
    let (name, qdiscs) = ("near".into(), vec![]);
    let directions = vec![Direction::Egress];
    let interface = Interface { name, index, mtu: 1500, loopback: false, ethernet: true, directions, qdiscs };
    let portion = Portion { matches: PacketMatch::default(), below: Duration::ZERO };
    [(interface, Direction::Egress, vec![portion; count])]
}

fn running(index: u32, forwarder: Option<Forwarder>) -> Running {
    Running {
        forwarder,
        index,
        direction: Direction::Egress,
        slot: Some(0),
        ahead: vec![],
        counted: Counters::default(),
        tally: Tally::default(),
    }
}

/// Forwarders of which `slow` has these.
fn of_slow(all: Vec<Running>) -> Forwarders {
    Forwarders { active: BTreeMap::from([("slow".into(), all)]), ..Forwarders::default() }
}

#[tokio::test]
async fn what_stood_on_a_fault_that_ended_holds_no_other_packets() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return println!("skipped: no network namespace can be made: {error}"),
    };
    let ground = Ground { connection: Connection::open(&namespace).await.unwrap() };
    let mut forwarders = of_slow(vec![running(1, None), running(1, None)]);
    let refused = forwarders.apply_to("slow", &ground, &portions(1, 1)).await.unwrap_err();
    assert_eq!(refused.message, "a fault that it stood on has ended since");
    forwarders.apply_to("slow", &ground, &portions(1, 2)).await.unwrap();
}

#[tokio::test]
async fn an_interface_that_is_gone_is_in_nobodys_way() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return println!("skipped: no network namespace can be made: {error}"),
    };
    let ground = Ground { connection: Connection::open(&namespace).await.unwrap() };
    let pair = VethPair { name: "near".into(), peer: "far".into(), peer_namespace: None, mtu: 1500 };
    let made = ground.connection.add_veth_pair(&pair).await.map_err(failed);
    let index = match made {
        Ok(link) => link.index,
        Err(error) => return println!("skipped: there is no pair of interfaces: {error}"),
    };
    let device = ground.device(index).await.unwrap();
    let steering = Box::new(FilterSteering { near: Arc::default() });
    let task = Task::Packets(Shape::default());
    let forwarder = match start(device, Direction::Egress, task, steering, 1).await {
        Ok(forwarder) => forwarder,
        Err(error) => return println!("skipped: no forwarder can be started: {error}"),
    };
    ground.connection.delete_link(index).await.unwrap();
    let mut forwarders = of_slow(vec![running(index, Some(forwarder))]);
    forwarders.apply_to("slow", &ground, &portions(index, 1)).await.unwrap();
}
