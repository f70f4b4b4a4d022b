//! Parts of the cluster fail while a fault is in place: the pod is clean in time on its own, the run ends as aborted, and what it
//! could not prove is settled by `restore` when the cluster is back.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use chaos_tests::{Ended, Running, wait_until};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::shop::{RECOVERY, Shop, network_of};

/// The agent's silence, and time for a busy machine to notice.
const PATIENCE: Duration = Duration::from_secs(8);

/// A run with a delay in the pod of the client.
struct Stage {
    shop: Shop,
    pod: String,
    /// A process in its network, as this machine knows it.
    main: Pid,
    before: String,
    running: Running,
}

impl Stage {
    /// Runs the delay, with this hold, up to a stage.
    fn or_skip(hold: &str, stage: &str) -> Option<Stage> {
        let shop = Shop::alone_or_skip()?;
        let pod = shop.pod("client");
        let main = shop.process(&pod, "sleep").expect("the nodes are processes of this machine");
        let before = shop.network(&pod);
        assert_eq!(network_of(main), before, "the same is seen without the API server");
        let file = shop.scenario("delay.chaos", &[("hold     10s", &format!("hold     {hold}"))]);
        let mut running = shop.start(&["run", &file]);
        running.until_stage(stage);
        Some(Stage { shop, pod, main, before, running })
    }

    /// Waits until the pod's network is what it was.
    fn is_clean(&self) {
        let started = Instant::now();
        let clean = wait_until(|| network_of(self.main) == self.before);
        assert!(clean, "{}\nwas\n{}", network_of(self.main), self.before);
        assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    }

    /// Waits until the run has noticed; returns false where it ends without.
    fn aborts(&mut self) -> bool {
        self.running.reaches(|what| what["type"] == "abort")
    }
}

/// Ends a run that cannot reach its pod, as somebody who is in a hurry.
fn hurried(running: Running) -> Ended {
    for _ in 0..2 {
        running.signal(Signal::SIGINT);
        sleep(Duration::from_millis(100));
    }
    running.end()
}

/// Checks that a run was aborted, that nothing is claimed of a fault that was lost, and that what could not be looked at is owed.
fn is_aborted(ended: &Ended) {
    let record = ended.record();
    let restored = record["restoration"]["state"] == "restored";
    assert_eq!(ended.code, Some(if restored { 4 } else { 7 }), "{ended}");
    assert_eq!(record["completion"]["state"], "aborted", "{ended}");
    assert!(!record["abort"]["reason"].as_str().unwrap_or_default().is_empty(), "{ended}");
    let claims = record["expectations"].as_array().expect("a record has expectations");
    let passed = claims.iter().filter(|claim| claim["verdict"]["verdict"] == "passed").count();
    assert_eq!(passed, 0, "{ended}");
}

/// Restores as soon as the cluster lets it.
fn restores(shop: &Shop) -> Ended {
    let started = Instant::now();
    loop {
        let ended = shop.start(&["restore"]).end();
        if ended.code == Some(0) || started.elapsed() > RECOVERY {
            return ended.exits(0);
        }
        sleep(Duration::from_secs(1));
    }
}

/// Breaks the API server at a stage, and mends it when the run has ended.
fn without_the_api_server(hold: &str, stage: &str, breaks: &str, mends: &str) {
    let Some(mut on) = Stage::or_skip(hold, stage) else { return };
    let broken =
        on.shop.breaks(&["control", breaks, "kube-apiserver"], &["control", mends, "kube-apiserver"]);
    on.is_clean();
    if stage == "rolling-back" {
        // The fault held as long as it should. Whether it was taken away just before, or is owed, the exit code says.
        let ended = hurried(on.running);
        let restored = ended.record()["restoration"]["state"] == "restored";
        assert_eq!(ended.code != Some(7), restored, "{ended}");
    } else {
        assert!(on.aborts(), "the run ends as if nothing had happened");
        is_aborted(&hurried(on.running));
    }
    let Stage { shop, pod, before, .. } = on;
    drop(broken);
    restores(&shop);
    assert_eq!(shop.network(&pod), before);
}

#[test]
fn an_api_server_that_dies_during_the_hold_leaves_nothing() {
    without_the_api_server("60s", "hold", "kill", "start");
}

#[test]
fn an_api_server_that_dies_while_a_fault_is_injected_leaves_nothing() {
    without_the_api_server("60s", "injecting", "kill", "start");
}

#[test]
fn an_api_server_that_hangs_during_rollback_leaves_nothing() {
    without_the_api_server("2s", "rolling-back", "stop", "continue");
}

#[test]
fn a_crashed_node_ends_the_run() {
    let Some(mut on) = Stage::or_skip("60s", "hold") else { return };
    let node = on.shop.node_of(&on.pod);
    let broken = on.shop.breaks(&["node", "crash", &node], &["node", "up", &node]);
    assert!(on.aborts(), "the run ends as if nothing had happened");
    let Stage { shop, running, .. } = on;
    let ended = hurried(running);
    is_aborted(&ended);
    // Of a node that is silent nothing else is known.
    assert!(ended.said(&format!("the node `node{node}`")), "{ended}");
    drop(broken);
    // With its processes the network of the pod went.
    restores(&shop);
}

#[test]
fn a_node_that_is_cut_off_ends_the_run_and_holds_no_fault() {
    let Some(mut on) = Stage::or_skip("60s", "hold") else { return };
    let node = on.shop.node_of(&on.pod);
    let broken = on.shop.breaks(&["node", "cut", &node], &["node", "heal", &node]);
    on.is_clean();
    assert!(on.aborts(), "the run ends as if nothing had happened");
    let Stage { shop, pod, before, running, .. } = on;
    is_aborted(&hurried(running));
    drop(broken);
    restores(&shop);
    assert_eq!(shop.network(&pod), before);
}
