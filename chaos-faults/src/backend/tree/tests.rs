use std::time::Duration;

use chaos_netns::Namespace;

use super::*;
use crate::netlink::Connection;

const LOOPBACK: u32 = 1;
const GONE: u32 = 99;

fn interface(index: u32) -> Interface {
    let (name, qdiscs) = (format!("if{index}"), vec![]);
    let directions = vec![Direction::Egress];
    Interface { name, index, mtu: 1500, loopback: false, ethernet: true, directions, qdiscs }
}

fn portions(count: usize) -> Vec<Portion> {
    vec![Portion { matches: PacketMatch::default(), below: Duration::ZERO }; count]
}

/// Trees in which `slow` has so many branches on an interface.
fn grown(index: u32, count: usize) -> Trees {
    let qdisc = QdiscOptions::Netem(Box::default());
    let branches = vec![Branch { matches: PacketMatch::default(), qdisc }; count];
    let grown = Grown { id: "slow".into(), branches, counted: QdiscStatistics::default() };
    Trees { standing: BTreeMap::from([(index, vec![grown])]), ..Trees::default() }
}

#[tokio::test]
async fn what_stood_on_a_fault_that_ended_is_led_no_other_packets() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return println!("skipped: no network namespace can be made: {error}"),
    };
    let ground = Ground { connection: Connection::open(&namespace).await.unwrap() };
    let fewer = [(interface(LOOPBACK), portions(1))];
    let refused = grown(LOOPBACK, 2).apply_to("slow", &ground, &fewer).await.unwrap_err();
    assert_eq!(refused.message, "a fault that it stood on has ended since");
}

#[tokio::test]
async fn an_interface_that_is_gone_is_in_nobodys_way() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return println!("skipped: no network namespace can be made: {error}"),
    };
    let ground = Ground { connection: Connection::open(&namespace).await.unwrap() };
    grown(GONE, 1).apply_to("slow", &ground, &[(interface(GONE), portions(1))]).await.unwrap();
}
