use chaos_faults::netlink::NetlinkError;
use chaos_netns::Namespace;

use crate::two_hosts::{A4, A6, B4, two_hosts};

#[tokio::test]
async fn interfaces_are_found_by_name_address_and_route() {
    let Some(hosts) = two_hosts(&["veth"]).await else { return };
    let link = hosts.a.link_by_name("left").await.unwrap();
    assert_eq!((link.mtu, link.up, link.loopback, link.kind.as_deref()), (1500, true, false, Some("veth")));
    assert_eq!(
        link.addresses,
        [(A4.parse().unwrap(), 24), (A6.parse().unwrap(), 64)],
        "and no link-local one"
    );
    assert_eq!(hosts.a.link_by_address(A6.parse().unwrap()).await.unwrap(), link);
    assert_eq!(hosts.a.link_towards(B4.parse().unwrap()).await.unwrap(), link);
    let own = hosts.a.route_to(A4.parse().unwrap()).await.unwrap();
    assert!(own.local && own.index == 1, "{own:?}");
    let route = hosts.a.route_to(B4.parse().unwrap()).await.unwrap();
    assert_eq!((route.source, route.gateway), (Some(A4.parse().unwrap()), None));

    let nowhere = hosts.a.route_to("192.0.2.1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(nowhere, NetlinkError::NoRoute(_)), "{nowhere}");
    assert!(matches!(hosts.a.link_by_name("gone").await, Err(NetlinkError::NoInterface(_))));
}

#[tokio::test]
async fn a_link_moves_changes_and_goes_away_with_its_other_end() {
    let Some(hosts) = two_hosts(&["veth"]).await else { return };
    let elsewhere = Namespace::create().unwrap();
    assert_ne!(&elsewhere, hosts.a.namespace());
    hosts.a.set_link_mtu(hosts.left.index, 9000).await.unwrap();
    hosts.a.set_link_without_own_addresses(hosts.left.index).await.unwrap();
    assert_eq!(hosts.a.link_by_name("left").await.unwrap().mtu, 9000);
    hosts.a.move_link(hosts.left.index, &elsewhere).await.unwrap();
    assert!(hosts.a.link_by_name("left").await.is_err());
    let there = chaos_faults::netlink::Connection::open(&elsewhere).await.unwrap();
    let moved = there.link_by_name("left").await.unwrap();
    there.delete_link(moved.index).await.unwrap();
    there.delete_link(moved.index).await.unwrap();
    assert!(hosts.b.link_by_name("right").await.is_err(), "the other end goes too");
}

#[tokio::test]
async fn namespaces_are_equal_when_they_are_the_same() {
    let Some(hosts) = two_hosts(&[]).await else { return };
    let seen_from_inside = hosts.a.namespace().run(Namespace::current).unwrap().unwrap();
    assert_eq!(&seen_from_inside, hosts.a.namespace());
    assert_ne!(hosts.a.namespace(), hosts.b.namespace());
    assert_ne!(Namespace::current().unwrap(), seen_from_inside, "the calling thread stays where it was");
    let missing = Namespace::open("/run/netns/never-made-by-anybody").unwrap_err();
    assert!(missing.to_string().contains("/run/netns/never-made-by-anybody"));
}
