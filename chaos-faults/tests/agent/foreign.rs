//! What somebody else put on an interface stays.

use chaos_core::{
    injector::{Direction, Injector},
    model::{
        FaultSpec,
        packets::{Blocked, Refusal},
    },
    place::Namespace,
};

use crate::{
    harness::{World, bandwidth, delay},
    pair,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_root_qdisc_is_refused_by_name() {
    let Some(world) = World::with("tbf", &[bandwidth(1_000_000)]).await else { return };
    pair::run(&world.pair.a, "tc qdisc add dev va root handle 17: tbf rate 1gbit burst 1mb limit 10mb");
    let before = world.dump();
    let offer = world.offers(&[bandwidth(1_000_000)], &[Direction::Egress]).await.remove(0);
    let error = world.prepare("rate", &offer).await.unwrap_err();
    assert_eq!(
        error.message,
        "interface `va` already has the root qdisc `tbf 17:`, which somebody set and tbf would replace"
    );
    assert!(error.help.unwrap().contains("tc qdisc del dev va root"));
    assert_eq!(world.dump(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_came_between_is_neither_replaced_nor_removed() {
    let Some(world) = World::with("tbf", &[bandwidth(1_000_000)]).await else { return };
    let offer = world.offers(&[bandwidth(1_000_000)], &[Direction::Egress]).await.remove(0);
    let undo = world.prepare("rate", &offer).await.unwrap();
    pair::run(&world.pair.a, "tc qdisc add dev va root handle 17: tbf rate 1gbit burst 1mb limit 10mb");
    let before = world.dump();
    let error = world.injector.inject(&undo).await.unwrap_err();
    assert!(error.message.contains("`tbf` (17:)"), "{error}");
    assert_eq!(world.dump(), before);
    // It is not as it was, and not by our doing: that is said, not put right.
    world.injector.revert(&undo).await.unwrap();
    assert_eq!(world.dump(), before);
    let changed = world.injector.changed_by_others(&undo).await;
    assert!(matches!(&changed[..], [line] if line.contains("now `tbf 17:`")), "{changed:?}");
    pair::run(&world.pair.a, "tc qdisc del dev va root");
    assert_eq!(world.injector.changed_by_others(&undo).await, [""; 0]);
}

/// Somebody else's qdisc, the specs that stand there already, and the backend that does them.
type Meanwhile = (&'static str, &'static str, FaultSpec);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_put_there_meanwhile_is_said_and_neither_fought_nor_removed() {
    let block = FaultSpec::loss(0.5);
    let cases: [Meanwhile; 4] = [
        ("tc qdisc add dev va clsact", "tcx", block),
        (
            "tc qdisc add dev va root handle 17: tbf rate 1gbit burst 1mb limit 10mb",
            "tcx",
            FaultSpec::loss(0.5),
        ),
        ("tc qdisc add dev va clsact", "tbf", bandwidth(1_000_000)),
        (
            "tc qdisc replace dev va root handle 17: tbf rate 1gbit burst 1mb limit 10mb",
            "tbf",
            bandwidth(1_000_000),
        ),
    ];
    for (command, backend, spec) in cases {
        let Some(world) = World::with(backend, std::slice::from_ref(&spec)).await else { return };
        let undos = world.inject("one", std::slice::from_ref(&spec)).await;
        pair::run(&world.pair.a, command);
        for undo in &undos {
            world.injector.revert(undo).await.unwrap();
        }
        let changed = world.injector.changed_by_others(&undos[0]).await;
        assert!(
            matches!(&changed[..], [line] if line.contains("of others")),
            "{backend}, {command}: {changed:?}"
        );
        assert!(!world.dump().concat().contains("c4a0"), "{backend}, {command}: {:?}", world.dump());
        let theirs = if command.contains("clsact") { "clsact" } else { "17:" };
        assert!(world.dump().concat().contains(theirs), "{backend}, {command}: {:?}", world.dump());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_on_an_interface_that_is_gone_is_reverted_at_once() {
    let block = || FaultSpec::Block { connections: Blocked::All, answer: Refusal::Reject };
    let cases = [
        ("tcx", FaultSpec::loss(0.5)),
        ("tbf", bandwidth(1_000_000)),
        ("forwarder", delay(20)),
        ("nft", block()),
    ];
    for (backend, spec) in cases {
        let Some(world) = World::with(backend, std::slice::from_ref(&spec)).await else { return };
        let undos = world.inject("one", std::slice::from_ref(&spec)).await;
        pair::run(&world.pair.a, "ip link del va");
        let begun = std::time::Instant::now();
        for undo in &undos {
            world.injector.revert(undo).await.unwrap_or_else(|error| panic!("{backend}: {error}"));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{backend}: {:?}", begun.elapsed());
        let changed = world.injector.changed_by_others(&undos[0]).await;
        assert_eq!(changed, ["interface `va` is gone, and what was on it"], "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarder_leaves_a_foreign_root_alone() {
    let Some(world) = World::with("forwarder", &[delay(20)]).await else { return };
    pair::run(&world.pair.a, "tc qdisc add dev va root handle 17: tbf rate 1gbit burst 1mb limit 10mb");
    let before = world.dump();
    let undos = world.inject("slow", &[delay(20)]).await;
    assert!(world.typical() >= std::time::Duration::from_millis(20));
    world.revert(&undos).await;
    world.assert_as_before(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_gone_has_nothing_left_to_revert() {
    let Some(world) = World::new() else { return };
    let offer = world.offers(&[delay(20)], &[Direction::Egress]).await.remove(0);
    let mut undo = world.prepare("slow", &offer).await.unwrap();
    undo.site = Namespace::new("/proc/1/fd/no-such-file").into();
    undo.state["inode"] = 1.into();
    world.injector.revert(&undo).await.unwrap();
    let error = world.injector.inject(&undo).await.unwrap_err();
    assert_eq!(error.message, "the network namespace of netns a is gone");
}
