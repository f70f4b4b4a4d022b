//! Runners and agents that are killed or stopped at every point of the timeline.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use chaos_tests::{Chaos, Running, Scene, is_stage, namespaces_of, ping, scenario::machine, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A point of the timeline: its name, the event that marks it, and how long after that.
type Point = (&'static str, fn(&Value) -> bool, u64);

fn part(what: &Value, state: &str) -> bool {
    what["type"] == "part" && what["role"] == "fault" && what["state"] == state
}

/// Ten points of the timeline.
const POINTS: [Point; 10] = [
    ("while it sets up", |what| what["type"] == "run-started", 0),
    ("in the steady state", |what| is_stage(what, "steady-state"), 300),
    ("in the baseline", |what| is_stage(what, "baseline"), 500),
    ("when it begins to inject", |what| is_stage(what, "injecting"), 0),
    ("when the first part is written down", |what| part(what, "prepared"), 0),
    ("while the first part is injected", |what| part(what, "injecting"), 1),
    ("when the first part is in place", |what| part(what, "active"), 0),
    ("in the middle of the hold", |what| is_stage(what, "hold"), 800),
    ("when it begins to roll back", |what| is_stage(what, "rolling-back"), 0),
    ("in the watch", |what| is_stage(what, "watch"), 200),
];

/// Kernel-held faults of three kinds.
const KERNEL_HELD: (&str, &str) =
    ("delay 20ms on box", "delay 20ms jitter 2ms and loss 1% and duplicate 1% on box");

/// A fault that only an agent holds.
const AGENT_HELD: (&str, &str) = ("delay 20ms on box", "bandwidth 1mbit on box");

const SHORTER: [(&str, &str); 3] =
    [("baseline 2s", "baseline 1s"), ("hold     3s", "hold     2s"), ("watch    2s", "watch    1s")];

/// Waits for a point of the timeline.
fn reach(running: &mut Running, point: &Point) {
    running.until(point.1);
    std::thread::sleep(Duration::from_millis(point.2));
}

/// Returns the namespaces that processes are in, of those that are asked for.
fn still_there(namespaces: &BTreeSet<PathBuf>, family: &[(i32, String)]) -> BTreeSet<PathBuf> {
    namespaces_of(family).intersection(namespaces).cloned().collect()
}

#[test]
fn a_killed_runner_leaves_nothing_in_a_namespace_of_this_machine() {
    let Some(network) = Scene::network_or_skip() else { return };
    let text = machine(&network.name, &[&SHORTER[..], &[KERNEL_HELD]].concat());
    for point in &POINTS {
        let scene = Scene::on(&network);
        let file = scene.file("machine.chaos", &text);
        let mut running = scene.start(&["run", &file]);
        reach(&mut running, point);
        running.signal(Signal::SIGKILL);
        assert_eq!(running.end().signal, Some(9));
        let took = scene.assert_as_before();
        println!("runner killed {}: everything is as it was after {took:.0?}", point.0);
        restore(&scene);
    }
}

#[test]
fn a_killed_runner_leaves_nothing_of_its_lab() {
    let changes = [&SHORTER[..], &[("delay 20ms on", "delay 20ms and loss 1% on")]].concat();
    for point in &POINTS {
        let Some(scene) = Scene::lab() else { return };
        let file = scene.in_lab(&changes);
        let mut running = scene.start(&["run", &file]);
        reach(&mut running, point);
        let family = scene.family();
        let namespaces = namespaces_of(&family);
        running.signal(Signal::SIGKILL);
        running.end();
        let took = scene.assert_as_before();
        let left = still_there(&namespaces, &family);
        assert!(left.is_empty(), "namespaces left: {left:?}");
        println!(
            "runner killed {}: {} processes and {} namespaces gone after {took:.0?}",
            point.0,
            family.len(),
            namespaces.len()
        );
        restore(&scene);
    }
}

/// Checks that every start warns of a dead run until it is restored, but says it once where nothing of it is left, and that
/// restoring twice finds nothing to do.
fn restore(scene: &Scene) {
    let file = scene.in_lab(&[]);
    if scene.differences().is_empty() {
        scene.call(&["check", &file]).exits(0).says("was killed, and nothing of it is left");
        scene.call(&["check", &file]).exits(0).keeps_quiet_about("was killed");
    } else {
        for _ in 0..2 {
            scene.call(&["check", &file]).exits(0).says("was killed and may").says("chaos restore");
        }
    }
    let restored = scene.call(&["restore"]).exits(0);
    assert!(!restored.stderr.contains("error"), "{restored}");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
    scene.call(&["check", &file]).exits(0).keeps_quiet_about("chaos restore");
}

#[test]
fn a_killed_agent_is_replaced_and_everything_reverted() {
    let Some(network) = Scene::network_or_skip() else { return };
    for (kind, fault) in [("kernel-held", KERNEL_HELD), ("agent-held", AGENT_HELD)] {
        for point in [&POINTS[2], &POINTS[6], &POINTS[7], &POINTS[8], &POINTS[9]] {
            let scene = Scene::on(&network);
            let text = machine(
                &network.name,
                &[
                    &SHORTER[..],
                    &[
                        fault,
                        (
                            "\"the way is far\":  p50(get.latency) >= 15ms during far observed",
                            "\"all in time\": p50(get.latency) <= 1s during far",
                        ),
                    ],
                ]
                .concat(),
            );
            let file = scene.file("machine.chaos", text);
            let mut running = scene.start(&["run", &file]);
            reach(&mut running, point);
            let killed = scene.signal_agents(Signal::SIGKILL);
            let ended = running.end();
            scene.assert_as_before();
            // A fault that was lost ends the run early; one that is gone already, or not there yet, does not matter.
            assert!(matches!(ended.code, Some(0 | 3 | 4)), "{}: {ended}", point.0);
            if killed && point.0 == "in the middle of the hold" {
                let ended = ended.clone().exits(4);
                assert_eq!(ended.record()["abort"]["kind"], "lost", "{ended}");
            }
            assert!(ended.said("everything is as it was"), "{}: {ended}", point.0);
            println!("{kind}: agent killed {} ({killed}): exit code {:?}", point.0, ended.code);
            scene.call(&["restore"]).exits(0).says("nothing to do");
        }
    }
}

#[test]
fn an_agent_that_gave_up_on_a_stalled_runner_is_replaced() {
    let Some(network) = Scene::network_or_skip() else { return };
    for round in 0..2 {
        let scene = Scene::on(&network);
        let file = scene.file("machine.chaos", machine(&network.name, &[]));
        let mut running = scene.start(&["run", &file]);
        reach(&mut running, &POINTS[2]);
        // When it goes on, the agent is gone and the fault is due at the same moment.
        running.signal(Signal::SIGSTOP);
        let gave_up = wait_until(|| scene.agents().is_empty());
        std::thread::sleep(Duration::from_millis(1500));
        running.signal(Signal::SIGCONT);
        assert!(gave_up, "the agent stays without a sign of life from its runner: {}", running.end());
        let ended = running.end();
        scene.assert_as_before();
        assert!(matches!(ended.code, Some(0 | 3)), "round {round}: {ended}");
        assert_eq!(ended.record()["parts"][0]["state"], "reverted", "{ended}");
    }
}

#[test]
fn runner_and_agent_killed_at_once_leave_nothing_that_the_kernel_holds() {
    let Some(network) = Scene::network_or_skip() else { return };
    let text = machine(&network.name, &[&SHORTER[..], &[KERNEL_HELD]].concat());
    for point in [&POINTS[4], &POINTS[5], &POINTS[6], &POINTS[7], &POINTS[8]] {
        let scene = Scene::on(&network);
        let file = scene.file("machine.chaos", &text);
        let mut running = scene.start(&["run", &file]);
        reach(&mut running, point);
        kill_both(&scene, &running);
        running.end();
        let took = scene.assert_as_before();
        println!("kernel-held: both killed {}: everything is as it was after {took:.0?}", point.0);
        restore(&scene);
    }
}

/// Stops both first, so that neither sees the other die.
fn kill_both(chaos: &Chaos, running: &Running) {
    running.signal(Signal::SIGSTOP);
    let agents = chaos.agents();
    chaos.signal_agents(Signal::SIGSTOP);
    chaos.signal_agents(Signal::SIGKILL);
    running.signal(Signal::SIGKILL);
    assert!(agents.len() <= 1, "one agent serves a run: {agents:?}");
}

#[test]
fn what_only_an_agent_held_is_put_back_by_restore_when_both_are_killed() {
    let Some(network) = Scene::network_or_skip() else { return };
    let latency = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
    let text = machine(&network.name, &[&SHORTER[..], &[AGENT_HELD, (latency, "")]].concat());
    for point in [&POINTS[4], &POINTS[5], &POINTS[6], &POINTS[7], &POINTS[8]] {
        let scene = Scene::on(&network);
        let file = scene.file("machine.chaos", &text);
        let mut running = scene.start(&["run", &file, "--backend", "tbf"]);
        reach(&mut running, point);
        let run = running.run();
        kill_both(&scene, &running);
        running.end();
        assert!(wait_until(|| scene.family().is_empty()), "{:?}", scene.family());
        if matches!(point.0, "when the first part is in place" | "in the middle of the hold") {
            let left = scene.differences();
            assert!(left.contains("tbf"), "the queue is not left behind, so this test shows nothing: {left}");
            // Nobody begins anything on it before it is put back.
            scene.call(&["run", &file, "--backend", "tbf"]).exits(5).says(&run).says("chaos restore");
        }
        println!("agent-held: both killed {}", point.0);
        restore(&scene);
    }
}

#[test]
fn restore_takes_the_journal_of_a_run_wherever_it_is() {
    let Some(scene) = Scene::machine() else { return };
    let latency = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
    let text = machine(&scene.network().name, &[&SHORTER[..], &[AGENT_HELD, (latency, "")]].concat());
    let file = scene.file("machine.chaos", &text);
    let mut running = scene.start(&["run", &file, "--backend", "tbf"]);
    reach(&mut running, &POINTS[7]);
    let folder = running.folder().unwrap();
    kill_both(&scene, &running);
    running.end();
    assert_ne!(scene.differences(), "");
    // From a machine that has forgotten the run, as after `/run` was emptied, with nothing but its folder.
    let other = Chaos::new();
    let moved = other.path().join("moved");
    std::fs::rename(&folder, &moved).unwrap();
    other.call(&["restore", &moved.display().to_string()]).exits(0).says("restored");
    scene.assert_as_before();
    other.call(&["restore", &moved.display().to_string()]).exits(0).says("nothing to do");
}

/// Stops the agent in the middle of the hold, and returns how long it took until traffic flowed as before.
fn stopped_agent(
    fault: (&str, &str),
    options: &[&str],
    flows: impl Fn(&std::net::UdpSocket) -> bool,
) -> Option<Duration> {
    let scene = Scene::machine()?;
    let latency = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
    let changes = [fault, ("hold     3s", "hold     30s"), (latency, ""), ("timeout 2s", "timeout 500ms")];
    let file = scene.on_machine(&changes);
    let mut running = scene.start(&[&["run", file.as_str()], options].concat());
    reach(&mut running, &POINTS[7]);
    let socket = scene.network().socket();
    assert!(!flows(&socket), "the fault is not felt, so this test shows nothing");
    assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
    let stopped = Instant::now();
    while !flows(&socket) {
        assert!(stopped.elapsed() < Duration::from_secs(30), "traffic never flows again: {}", running.end());
    }
    let took = stopped.elapsed();
    let ended = running.end();
    assert!(matches!(ended.code, Some(4)), "{ended}");
    assert!(ended.said("everything is as it was"), "{ended}");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
    Some(took)
}

#[test]
fn traffic_flows_again_when_a_forwarding_agent_is_stopped() {
    // What flows undelayed is not held by anybody any more.
    let fault = ("delay 20ms on box", "delay 200ms on box");
    let Some(took) = stopped_agent(fault, &["--backend", "forwarder"], |socket| {
        ping(socket, Duration::from_millis(100)).is_some()
    }) else {
        return;
    };
    println!(
        "agent stopped: undelayed traffic through the forwarder's interface after {took:.0?} (aim: 500 ms)"
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn traffic_flows_again_when_an_agent_that_blocks_is_stopped() {
    let fault = ("delay 20ms on box", "block box to 10.88.0.2:7 drop");
    let Some(took) = stopped_agent(fault, &["--backend", "tcx"], |socket| {
        ping(socket, Duration::from_millis(100)).is_some()
    }) else {
        return;
    };
    println!("agent stopped: blocked traffic flows again after {took:.0?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_queue_is_taken_away_when_its_agent_is_stopped() {
    // 20 datagrams of 1,000 bytes are 2.5 s at 64 kbit/s, and no time at all without.
    let fault = ("delay 20ms on box", "bandwidth 64kbit burst 2kb on box");
    let Some(took) = stopped_agent(fault, &["--backend", "tbf"], |socket| {
        for _ in 0..20 {
            // The queue drops what does not fit.
            let _ = socket.send(&[0; 1000]);
        }
        ping(socket, Duration::from_millis(500)).is_some()
    }) else {
        return;
    };
    println!("agent stopped: the queue is gone after {took:.0?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
