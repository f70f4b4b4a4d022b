//! Faults on top of each other.

use std::time::Duration;

use chaos_core::{
    injector::{Direction, Injector, PacketMatch, Peer, Surroundings},
    which::Which,
};

use crate::harness::{DEADLINE, World, ask_of, delay, jitter, loss};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_above_that_of_a_link_adds_to_it() {
    let Some(world) = World::new() else { return };
    let before = world.dump();
    let ms = Duration::from_millis;
    let peer = Peer { network: "10.99.0.2".parse().unwrap(), prefix: 32, port: None };
    let matches = PacketMatch { peers: Which::one(peer), ..PacketMatch::default() };
    let link = ask_of(matches, &[delay(40)], &[Direction::Egress]);
    let offer = world.injector.offer(&link, &Surroundings::default()).await.unwrap().remove(0);
    let link = world.injector.prepare("link-a-b", &offer, &world.place(), DEADLINE).await.unwrap();
    world.injector.inject(&link).await.unwrap();
    let below = world.typical();
    let undos = world.inject("slow", &[delay(50)]).await;
    let (both, other) = (world.typical(), world.exchange_with("10.99.0.3").unwrap());
    println!("{below:?} by the link, {both:?} with the fault, {other:?} to another host");
    assert!(below >= ms(40) && both >= ms(90) && other >= ms(50));
    assert!(other < both);
    world.revert(&undos).await;
    let below = world.typical();
    assert!((ms(40)..ms(90)).contains(&below), "{below:?}");
    // Of two that are not plain delays only one could act.
    let jittery = world.inject("jittery", &[jitter(20, 5)]).await;
    let offer = world.offers(&[delay(50)], &[Direction::Egress]).await.remove(0);
    let second = world.prepare("second", &offer).await.unwrap();
    let error = world.injector.inject(&second).await.unwrap_err();
    assert!(error.message.starts_with("`second` holds packets that `jittery/0` holds already"), "{error}");
    world.injector.revert(&second).await.unwrap();
    world.revert(&jittery).await;
    world.injector.revert(&link).await.unwrap();
    world.assert_as_before(&before).await;
}

#[tokio::test]
async fn traffic_passes_at_once_where_several_faults_are_released_and_each_revert_finishes_its_own() {
    let Some(world) = World::with("tcx", &[loss(1.0)]).await else { return };
    let before = world.dump();
    let mut undos = world.inject("one", &[loss(1.0)]).await;
    undos.extend(world.inject("two", &[loss(1.0)]).await);
    assert!(world.exchange().is_none());
    for _ in 0..2 {
        world.injector.release(&undos).await;
        assert!(world.exchange().is_some());
    }
    // What they did is known all the same, and the program is still there.
    assert!(world.injector.effect(&undos[0]).await.unwrap().met > 0);
    assert_ne!(world.dump(), before);
    world.revert(&undos).await;
    assert!(world.injector.effect(&undos[0]).await.unwrap().met > 0);
    world.assert_as_before(&before).await;
}
