//! What followed its packets to another interface is found there when its agent is dead.

use std::time::{Duration, Instant};

use chaos_core::{
    injector::{Direction, Hold, Injector, Undo},
    model::FaultSpec,
};
use nix::sys::signal::Signal;

use crate::{
    harness::{World, bandwidth, delay},
    pair,
};

/// How long it may take on a busy machine until a fault is where its packets are.
const FOLLOWS: Duration = Duration::from_secs(8);

/// What is done in the namespace between the fault's move and the death of its agent, or after it.
type Change = fn(&World);

/// The backends whose parts outlive their agent, and a fault that each does.
fn faults() -> [(&'static str, FaultSpec); 3] {
    [("tbf", bandwidth(1_000_000)), ("netem", delay(20)), ("forwarder", delay(20))]
}

/// What a fault may have on the interfaces of `a`: qdiscs and filters.
fn parts(world: &World) -> String {
    let links = pair::run(&world.pair.a, "ip -o link");
    let names = links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
    // The ends of a dead forwarder's pair go when the kernel has time.
    let names = names.filter(|name| !name.starts_with("chaos"));
    let of = |name: &str| {
        ["egress", "ingress"]
            .map(|hook| pair::run(&world.pair.a, &format!("tc filter show dev {name} {hook}")))
            .concat()
    };
    let filters: Vec<_> = names.map(|name| format!("{name}: {}", of(name))).collect();
    format!("{}\n{}", pair::run(&world.pair.a, "tc qdisc"), filters.join("\n"))
}

fn is_on(world: &World, interface: &str) -> bool {
    let queues = pair::run(&world.pair.a, &format!("tc qdisc show dev {interface}"));
    let filters = pair::run(&world.pair.a, &format!("tc filter show dev {interface} egress"));
    queues.contains("c4a0:") || filters.contains("mirred")
}

/// Makes another link of `a`, with an address, so that it carries packets of a fault on all of them.
fn another_link(world: &World) {
    world.pair.ip_a("link add vc type veth peer name vd");
    world.pair.ip_a("link set vd addrgenmode none up");
    world.pair.ip_a("link set vc addrgenmode none up");
    world.pair.ip_a("addr add 10.98.0.1/24 dev vc");
}

async fn inject(world: &World, id: &str, spec: &FaultSpec) -> Undo {
    let mut offer = world.offers(std::slice::from_ref(spec), &[Direction::Egress]).await.remove(0);
    if offer.backend == "forwarder" {
        // As where no BPF may be loaded.
        offer.hold = Hold::Agent;
    }
    let undo = world.prepare(id, &offer).await.unwrap();
    world.injector.inject(&undo).await.unwrap();
    undo
}

async fn wait_until_on(world: &World, interface: &str) {
    let begun = Instant::now();
    while !is_on(world, interface) {
        assert!(begun.elapsed() < FOLLOWS, "the fault is not on `{interface}`: {}", parts(world));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn found_where_it_went(change: Change, expected: &str) {
    for (backend, spec) in faults() {
        let Some(world) = World::with(backend, std::slice::from_ref(&spec)).await else { continue };
        let undo = inject(&world, "one", &spec).await;
        another_link(&world);
        wait_until_on(&world, "vc").await;
        world.signal(Signal::SIGKILL);
        world.assert_agent_gone().await;
        change(&world);
        let restore = world.another();
        let standing = restore.standing(&undo).await.unwrap();
        assert!(
            expected.is_empty() || standing.iter().any(|line| line.contains(expected)),
            "{backend}: {standing:?}"
        );
        restore.revert(&undo).await.unwrap();
        let left = parts(&world);
        for ours in ["c4a", "mirred", "clsact"] {
            assert!(!left.contains(ours), "{backend}: `{ours}` is left: {left}");
        }
        assert_eq!(restore.standing(&undo).await.unwrap(), [""; 0], "{backend}");
        restore.revert(&undo).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_interface_that_came_later() {
    found_where_it_went(|_| {}, "interface `vc`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_that_has_another_name_by_now() {
    let renamed: Change = |world| {
        world.pair.ip_a("link set vc down");
        world.pair.ip_a("link set vc name eth7 up");
    };
    found_where_it_went(renamed, "interface `eth7`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_whose_route_went_back() {
    found_where_it_went(|world| drop(world.pair.ip_a("addr flush dev vc")), "interface `vc`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_that_stands_where_the_first_one_is_gone() {
    found_where_it_went(|world| drop(world.pair.ip_a("link del va")), "interface `vc`").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nowhere_where_the_second_one_is_gone() {
    found_where_it_went(|world| drop(world.pair.ip_a("link del vc")), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_living_process_and_an_administrator_have_there_stays() {
    for (backend, spec) in faults() {
        let Some(mut world) = World::with(backend, std::slice::from_ref(&spec)).await else { continue };
        let undo = inject(&world, "dead", &spec).await;
        another_link(&world);
        wait_until_on(&world, "vc").await;
        world.signal(Signal::SIGKILL);
        world.assert_agent_gone().await;
        // Somebody cleans up by hand, and begins anew.
        let qdisc = if backend == "forwarder" { "clsact" } else { "root" };
        for interface in ["va", "vc"] {
            pair::run(&world.pair.a, &format!("tc qdisc del dev {interface} {qdisc}"));
        }
        world.pair.ip_a("link add ve type veth peer name vf");
        pair::run(&world.pair.a, "tc qdisc add dev ve clsact");
        let another = world.only(backend);
        let dead = std::mem::replace(&mut world.injector, another);
        let living = inject(&world, "living", &spec).await;
        wait_until_on(&world, "vc").await;
        let before = parts(&world);
        let restore = world.another();
        assert_eq!(restore.standing(&undo).await.unwrap(), [""; 0], "{backend}");
        restore.revert(&undo).await.unwrap();
        assert_eq!(parts(&world), before, "{backend}");
        world.injector.revert(&living).await.unwrap();
        let left = parts(&world);
        assert!(left.contains("clsact") && !left.contains("c4a") && !left.contains("mirred"), "{left}");
        drop(dead);
    }
}
