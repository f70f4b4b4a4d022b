//! Ending runs early, from the same terminal and from another one.

use chaos_tests::{
    Chaos, Network, Running, World, lab_or_skip, root_or_skip,
    scenario::{LAB, changed, machine},
    slot,
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
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let running = holding(&chaos);
    for signal in signals {
        running.signal(*signal);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ended = running.end().exits(4).says("ABORTED").says("everything is as it was");
    assert!(ended.took.as_secs() < 45, "the hold was not cut short: {ended}");
    let record = ended.record();
    assert_eq!(record["abort"]["kind"], "stopped", "{record}");
    assert_eq!(record["restoration"]["state"], "restored", "{record}");
    before.assert_same(&chaos, &[]);
    chaos.call(&["restore"]).exits(0).says("nothing to do");
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
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("long.chaos", changed(LAB, &[("baseline 2s", "baseline 60s"), ("20ms more", "x")]));
    let other = chaos.file("other.chaos", LAB);
    let mut running = chaos.start(&["run", &file, &other]);
    running.until_stage("baseline");
    running.signal(Signal::SIGINT);
    let ended = running.end().injected_nothing();
    assert!(matches!(ended.code, Some(4 | 5)), "{ended}");
    assert_eq!(std::fs::read_dir(chaos.out()).unwrap().count(), 1, "the next file is not begun: {ended}");
    before.assert_same(&chaos, &[]);
}

#[test]
fn a_run_is_stopped_from_another_terminal() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let running = holding(&chaos);
    let run = running.run();
    chaos.call(&["stop", "20200101-000000-1"]).exits(2).says(&run);
    chaos.call(&["restore"]).exits(0).says("still running");
    chaos.call(&["stop", &run]).exits(0).says(&run);
    running.end().exits(4).says("everything is as it was");
    before.assert_same(&chaos, &[]);
    chaos.call(&["stop", &run]).exits(2).says("no run");
}

#[test]
fn all_runs_are_stopped_and_new_ones_blocked_until_released() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let running = holding(&chaos);
    chaos.call(&["stop", "--all"]).exits(0).says(&running.run()).says("--release");
    running.end().exits(4).says("everything is as it was");
    let file = chaos.file("next.chaos", LAB);
    let blocked = chaos.call(&["run", &file]).exits(5).says("chaos stop --release");
    assert!(!blocked.stderr.contains("in place:"), "{blocked}");
    chaos.call(&["stop", "--all"]).exits(0).says("no run is alive");
    chaos.call(&["stop", "--release"]).exits(0).says("may start again");
    chaos.call(&["stop", "--release"]).exits(0).says("nothing was blocked");
    chaos.call(&["run", &file]).exits(0);
    before.assert_same(&chaos, &[]);
}

#[test]
fn two_runs_on_one_target_exclude_each_other() {
    if !root_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let network = Network::new();
    let named = [network.name.as_str()];
    let before = World::of(&chaos, &named);
    let file = chaos.file("one.chaos", machine(&network.name, &[("hold     3s", "hold     60s")]));
    let mut first = chaos.start(&["run", &file]);
    first.until_stage("hold");
    let during = World::of(&chaos, &named);
    assert_ne!(before.differences(&during), "", "the fault is nowhere to be seen");
    let run = first.run();
    let second = chaos.call(&["run", &file]).exits(5).says(&run).says("chaos stop");
    assert!(!second.stderr.contains("in place:"), "{second}");
    assert!(!first.has_ended(), "the first one goes on");
    first.signal(Signal::SIGINT);
    first.end().exits(4).says("everything is as it was");
    before.assert_same(&chaos, &named);
}
