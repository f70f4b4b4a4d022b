use std::time::Duration;

use chaos_core::{
    injector::{PacketMatch, Peer},
    which::Which,
};
use chaos_faults::netlink::{
    Handle, NetlinkError, QdiscOptions, Tbf,
    tree::{Branch, Root, Tree},
};

use crate::two_hosts::{B4, B4_OTHER, B6, drain, run, socket, two_hosts};

#[tokio::test]
async fn a_token_bucket_is_added_read_back_and_removed() {
    let Some(hosts) = two_hosts(&["veth", "tbf"]).await else { return };
    let index = hosts.left.index;
    let before = hosts.a.qdiscs(index).await.unwrap();
    // More than 32 bits of rate too.
    for rate in [125_000, 6_000_000_000] {
        let tbf = Tbf::for_rate(rate, 1500, Duration::from_millis(50));
        hosts.a.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, &tbf.into()).await.unwrap();
        let root = hosts.a.root_qdisc(index).await.unwrap().unwrap();
        assert_eq!((root.kind.as_str(), root.handle), ("tbf", Handle::OWN_ROOT));
        let Some(QdiscOptions::Tbf(back)) = root.decoded else { panic!("{root:?}") };
        assert!(tbf.matches(&back), "{tbf:?} {back:?}");
        let shown = run(&hosts.a, "tc qdisc show dev left");
        let printed = if rate == 125_000 { "rate 1Mbit" } else { "rate 48Gbit" };
        assert!(shown.contains("qdisc tbf c4a0: root") && shown.contains(printed), "{shown}");
        for _ in 0..2 {
            hosts.a.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await.unwrap();
            assert_eq!(hosts.a.qdiscs(index).await.unwrap(), before);
        }
    }
}

#[tokio::test]
async fn a_foreign_root_is_refused_and_outlives_our_removal() {
    let Some(hosts) = two_hosts(&["veth", "tbf", "htb"]).await else { return };
    let index = hosts.left.index;
    run(&hosts.a, "tc qdisc add dev left root handle 7: htb");
    let tbf = Tbf::for_rate(1000, 1500, Duration::from_millis(50));
    let refused = hosts.a.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, &tbf.into()).await.unwrap_err();
    assert!(matches!(&refused, NetlinkError::ForeignRoot { kind, .. } if kind == "htb"), "{refused}");
    hosts.a.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await.unwrap();
    hosts.a.remove_tree(index).await.unwrap();
    let root = hosts.a.root_qdisc(index).await.unwrap().unwrap();
    assert_eq!((root.kind.as_str(), root.handle), ("htb", Handle::qdisc(7)));
}

#[tokio::test]
async fn a_foreign_qdisc_is_made_again_as_it_was() {
    let Some(hosts) = two_hosts(&["veth", "tbf"]).await else { return };
    let index = hosts.left.index;
    run(
        &hosts.a,
        "tc qdisc add dev left root handle 9: tbf rate 3mbit burst 20kb latency 70ms peakrate 4mbit mtu 1540",
    );
    let shown = run(&hosts.a, "tc qdisc show dev left");
    let saved = hosts.a.root_qdisc(index).await.unwrap().unwrap();
    hosts.a.delete_qdisc(index, Handle::ROOT, saved.handle).await.unwrap();
    assert_ne!(run(&hosts.a, "tc qdisc show dev left"), shown);
    hosts.a.restore_qdisc(index, &saved).await.unwrap();
    assert_eq!(run(&hosts.a, "tc qdisc show dev left"), shown);
}

/// Steers one peer into a token bucket and checks by its counters that nothing else goes there.
async fn only_matched_packets_pass_the_branch(root: Root, needs: &[&str]) {
    let Some(hosts) = two_hosts(needs).await else { return };
    let index = hosts.left.index;
    let before = hosts.a.qdiscs(index).await.unwrap();
    let peer = |network: &str, prefix| Peer { network: network.parse().unwrap(), prefix, port: None };
    let tbf = || Tbf::for_rate(125_000_000, 1500, Duration::from_millis(50)).into();
    let tree = Tree {
        root,
        branches: vec![
            Branch {
                matches: PacketMatch { peers: Which::one(peer(B4, 32)), ..PacketMatch::default() },
                qdisc: tbf(),
            },
            Branch {
                matches: PacketMatch {
                    peers: Which::one(peer(B6, 128)),
                    ports: Which::one(4000.into()),
                    protocol: None,
                },
                qdisc: tbf(),
            },
        ],
    };
    hosts.a.install_tree(index, &tree).await.unwrap();
    for (to, port, expected) in
        [(B4, 4000, [20, 0]), (B4_OTHER, 4000, [20, 0]), (B6, 4000, [20, 20]), (B6, 4001, [20, 20])]
    {
        let receiver = socket(&hosts.b, to, port);
        let sender = socket(&hosts.a, if to.contains(':') { "::" } else { "0.0.0.0" }, 0);
        for number in 0..20u8 {
            sender.send_to(&[number], receiver.local_addr().unwrap()).unwrap();
        }
        assert_eq!(drain(&receiver, Duration::from_millis(500)).len(), 20, "{to} {port}");
        for (branch, expected) in (0..).zip(expected) {
            let passed = hosts.a.branch_statistics(index, branch).await.unwrap().unwrap();
            assert_eq!((passed.packets, passed.drops), (expected, 0), "branch {branch} after {to} {port}");
        }
    }
    for _ in 0..2 {
        hosts.a.remove_tree(index).await.unwrap();
        assert_eq!(hosts.a.qdiscs(index).await.unwrap(), before);
    }
}

#[tokio::test]
async fn prio_steers_only_matched_packets() {
    only_matched_packets_pass_the_branch(Root::Prio, &["veth", "tbf", "prio", "u32"]).await;
}

#[tokio::test]
async fn htb_steers_only_matched_packets() {
    only_matched_packets_pass_the_branch(Root::Htb, &["veth", "tbf", "htb", "u32"]).await;
}

#[tokio::test]
async fn a_tree_that_cannot_be_finished_leaves_nothing() {
    let Some(hosts) = two_hosts(&["veth", "htb"]).await else { return };
    let index = hosts.left.index;
    let before = hosts.a.qdiscs(index).await.unwrap();
    // A token bucket without a rate is refused by the kernel, after the root and its class stand.
    let broken = Tbf { rate: 0, burst: 0, limit: 0 };
    let tree = Tree {
        root: Root::Htb,
        branches: vec![Branch { matches: PacketMatch::default(), qdisc: broken.into() }],
    };
    let refused = hosts.a.install_tree(index, &tree).await.unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL), "{refused}");
    assert_eq!(hosts.a.qdiscs(index).await.unwrap(), before);
}
