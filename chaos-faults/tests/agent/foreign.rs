//! What somebody else put on an interface stays.

use chaos_core::{
    injector::{Direction, Injector},
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
    let error = world.injector.revert(&undo).await.unwrap_err();
    assert!(error.message.contains("now `tbf 17:`"), "{error}");
    pair::run(&world.pair.a, "tc qdisc del dev va root");
    world.injector.revert(&undo).await.unwrap();
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
