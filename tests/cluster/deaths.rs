//! Whoever dies, the pod is as it was.

use std::time::{Duration, Instant};

use chaos_tests::wait_until;
use nix::sys::signal::Signal;

use crate::shop::Shop;

/// The agent's silence, and time for a busy machine to notice.
const PATIENCE: Duration = Duration::from_secs(8);

/// Waits until a pod's network is what it was, and requests take no longer than they did.
fn clean(shop: &Shop, pod: &str, before: &str) {
    let started = Instant::now();
    let same = wait_until(|| shop.network(pod) == before);
    assert!(same, "{}\nwas\n{before}", shop.network(pod));
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    let took = shop.request(pod, "web").expect("the service answers again");
    assert!(took < 0.05, "the delay still stands: {took} s");
}

/// Runs the delay up to its hold, and checks that it is there.
fn delayed(shop: &Shop, pod: &str) -> chaos_tests::Running {
    let file = shop.scenario("delay.chaos", &[("hold     10s", "hold     60s")]);
    let mut running = shop.start(&["run", &file]);
    running.until_stage("hold");
    let took = shop.request(pod, "web").expect("the service answers");
    assert!(took >= 0.05, "there is no delay: {took} s");
    running
}

#[test]
fn a_killed_runner_leaves_nothing_in_the_pod() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let running = delayed(&shop, &pod);
    running.signal(Signal::SIGKILL);
    running.end();
    clean(&shop, &pod, &before);
    // The journal is finished by whoever comes next.
    let mut restoring = shop.start(&["restore"]);
    assert!(wait_until(|| restoring.has_ended()), "restore does not end");
    restoring.end().exits(0);
}

#[test]
fn a_stopped_runner_holds_no_fault() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let running = delayed(&shop, &pod);
    // It sends nothing any more, and its connection stays.
    running.signal(Signal::SIGSTOP);
    clean(&shop, &pod, &before);
    running.signal(Signal::SIGCONT);
    let ended = running.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended}");
}

#[test]
fn a_killed_agent_ends_the_run_and_leaves_nothing() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let running = delayed(&shop, &pod);
    let Some(agent) = shop.agent_process(&pod) else {
        println!(
            "skipped: the nodes are not processes of this machine, so an agent in them cannot be killed"
        );
        running.signal(Signal::SIGTERM);
        running.end();
        return;
    };
    nix::sys::signal::kill(agent, Signal::SIGKILL).expect("the agent is there");
    let ended = running.end();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended}");
    clean(&shop, &pod, &before);
}

#[test]
fn what_both_deaths_leave_is_restored_by_another_agent() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let before = shop.network(&pod);
    let running = delayed(&shop, &pod);
    let Some(agent) = shop.agent_process(&pod) else {
        println!(
            "skipped: the nodes are not processes of this machine, so an agent in them cannot be killed"
        );
        running.signal(Signal::SIGTERM);
        running.end();
        return;
    };
    nix::sys::signal::kill(agent, Signal::SIGKILL).expect("the agent is there");
    running.signal(Signal::SIGKILL);
    running.end();
    shop.start(&["restore"]).end().exits(0);
    clean(&shop, &pod, &before);
    assert_eq!(shop.agents(&pod).len(), 2, "another agent looked");
}

#[test]
fn a_deleted_pod_takes_its_fault_along() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let running = delayed(&shop, &pod);
    shop.kubectl(&["-n", &shop.namespace, "delete", "pod", &pod, "--wait=false"]);
    let ended = running.end().exits(4);
    let record = ended.record();
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
    // Which pod serves in its place is said, and nothing is claimed of a fault that went with the first.
    let successor = shop.pod("client");
    let ended = ended.says(&format!("{pod} was deleted, and pod `{successor}` replaces it"));
    let claims = record["expectations"].as_array().expect("a record has expectations");
    assert!(
        !claims.is_empty() && claims.iter().all(|claim| claim["verdict"]["verdict"] == "inconclusive"),
        "{ended}"
    );
}
