//! Ending runs early, from the same terminal and from another one.

use chaos_tests::{
    Chaos, Running, Scene,
    scenario::{LAB, changed, machine},
    wait_until,
};
use nix::sys::signal::Signal;

/// Starts a run that would hold its fault for a minute, and waits until it does.
fn holding(chaos: &Chaos) -> Running {
    let file = chaos.file("long.chaos", changed(LAB, &[("hold     3s", "hold     60s")]));
    let mut running = chaos.start(&["run", &file]);
    running.until_stage("hold");
    running
}

fn stopped_by(signals: &[Signal]) {
    let Some(scene) = Scene::lab() else { return };
    let running = holding(&scene);
    for signal in signals {
        running.signal(*signal);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ended = running.end().exits(4).says("ABORTED").says("everything is as it was");
    assert!(ended.took.as_secs() < 45, "the hold was not cut short: {ended}");
    let record = ended.record();
    assert_eq!(record["abort"]["kind"], "stopped", "{record}");
    assert_eq!(record["restoration"]["state"], "restored", "{record}");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
}

#[test]
fn one_interrupt_reverts_and_ends_as_aborted() {
    stopped_by(&[Signal::SIGINT]);
}

#[test]
fn two_interrupts_hurry_and_still_revert() {
    stopped_by(&[Signal::SIGINT, Signal::SIGINT]);
}

#[test]
fn a_termination_is_an_interrupt() {
    stopped_by(&[Signal::SIGTERM]);
}

#[test]
fn an_interrupt_before_the_fault_injects_nothing() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.file("long.chaos", changed(LAB, &[("baseline 2s", "baseline 60s"), ("20ms more", "x")]));
    let other = scene.file("other.chaos", LAB);
    let mut running = scene.start(&["run", &file, &other]);
    running.until_stage("baseline");
    running.signal(Signal::SIGINT);
    let ended = running.end().injected_nothing();
    assert!(matches!(ended.code, Some(4 | 5)), "{ended}");
    assert_eq!(std::fs::read_dir(scene.out()).unwrap().count(), 1, "the next file is not begun: {ended}");
    scene.assert_as_before();
}

#[test]
fn a_run_is_stopped_from_another_terminal() {
    let Some(scene) = Scene::lab() else { return };
    let running = holding(&scene);
    let run = running.run();
    scene.call(&["stop", "20200101-000000-1"]).exits(2).says(&run);
    scene.call(&["restore"]).exits(0).says("still running");
    scene.call(&["stop", &run]).exits(0).says(&run);
    running.end().exits(4).says("everything is as it was");
    scene.assert_as_before();
    scene.call(&["stop", &run]).exits(2).says("no run");
}

#[test]
fn all_runs_are_stopped_and_new_ones_blocked_until_released() {
    let Some(scene) = Scene::lab() else { return };
    let running = holding(&scene);
    scene.call(&["stop", "--all"]).exits(0).says(&running.run()).says("--release");
    running.end().exits(4).says("everything is as it was");
    let file = scene.file("next.chaos", LAB);
    let blocked = scene.call(&["run", &file]).exits(5).says("chaos stop --release");
    assert!(!blocked.stderr.contains("in place:"), "{blocked}");
    scene.call(&["stop", "--all"]).exits(0).says("no run is alive");
    scene.call(&["stop", "--release"]).exits(0).says("may start again");
    scene.call(&["stop", "--release"]).exits(0).says("nothing was blocked");
    scene.call(&["run", &file]).exits(0);
    scene.assert_as_before();
}

#[test]
fn two_runs_on_one_target_exclude_each_other() {
    let Some(scene) = Scene::machine() else { return };
    let file = scene.file("one.chaos", machine(&scene.network().name, &[("hold     3s", "hold     60s")]));
    let mut first = scene.start(&["run", &file]);
    first.until_stage("hold");
    assert_ne!(scene.differences(), "", "the fault is nowhere to be seen");
    let run = first.run();
    let second = scene.call(&["run", &file]).exits(5).says(&run).says("chaos stop");
    assert!(!second.stderr.contains("in place:"), "{second}");
    assert!(!first.has_ended(), "the first one goes on");
    first.signal(Signal::SIGINT);
    first.end().exits(4).says("everything is as it was");
    scene.assert_as_before();
}

#[test]
fn three_interrupts_give_up_and_print_what_finishes() {
    let Some(scene) = Scene::machine() else { return };
    // Held by nobody but the agent, so that what is not reverted stays.
    let latency = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
    let changes = [("delay 20ms on", "bandwidth 1mbit on"), ("hold     3s", "hold     60s"), (latency, "")];
    let file = scene.file("long.chaos", machine(&scene.network().name, &changes));
    let mut running = scene.start(&["run", &file, "--backend", "tbf"]);
    running.until_stage("hold");
    let run = running.run();
    // A stopped agent reverts nothing, and nothing is heard of it.
    assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
    for said in ["putting everything back", "each revert gets two seconds", "giving up"] {
        running.signal(Signal::SIGINT);
        running.until_said(said);
    }
    let finish = format!("chaos restore {run}");
    let ended = running.end().exits(7).says("NOT RESTORED").says(&finish);
    assert!(ended.took.as_secs() < 60, "it did not give up: {ended}");
    let record = ended.record();
    assert_eq!(record["restoration"]["state"], "not-restored", "{record}");
    // Not even when it could go on: it was given up.
    scene.signal_agents(Signal::SIGKILL);
    assert!(wait_until(|| scene.family().is_empty()), "{:?}", scene.family());
    let left = scene.differences();
    assert!(left.contains("tbf"), "the queue is not left behind, so this test shows nothing: {left}");
    scene.call(&["restore", &run]).exits(0).says("restored");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
}
