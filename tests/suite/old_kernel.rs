//! On a kernel before 6.6, which knows no TCX links: other mechanisms do the same, and what they hold is put back.

use std::time::Duration;

use chaos_tests::{Chaos, Ended, Scene, ping, root_or_skip, scenario::machine, wait_until, without_tcx};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Calls the command on the older kernel.
fn call(chaos: &Chaos, arguments: &[&str]) -> Ended {
    start(chaos, arguments).end()
}

fn start(chaos: &Chaos, arguments: &[&str]) -> chaos_tests::Running {
    let mut command = chaos.command(arguments);
    without_tcx(&mut command);
    chaos.start_prepared(command, format!("{} without TCX", arguments.join(" ")))
}

#[test]
fn doctor_names_the_kernel_that_would_help() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let findings: Value =
        serde_json::from_str(&call(&chaos, &["doctor", "--format", "json"]).stdout).unwrap();
    let tcx = findings["backends"].as_array().unwrap().iter().find(|b| b["name"] == "tcx").unwrap();
    assert_eq!(tcx["works"], false, "{findings}");
    assert!(tcx["remedy"].as_str().is_some_and(|r| r.contains("Linux 6.6")), "{findings}");
}

#[test]
fn faults_go_through_other_mechanisms_and_are_put_back() {
    let Some(scene) = Scene::machine() else { return };
    let all = machine(&scene.network().name, &[("delay 20ms on box", "delay 20ms and loss 1% on box")]);
    let file = scene.file("machine.chaos", all);
    let json = call(&scene, &["plan", &file, "--format", "json"]).exits(0);
    let plans: Value = serde_json::from_str(&json.stdout).unwrap();
    let parts = plans[0]["faults"][0]["parts"].as_array().unwrap();
    for part in parts {
        let offer = &part["offer"];
        assert_ne!(offer["backend"], "tcx", "{offer}");
        assert_eq!(offer["hold"], "agent", "nothing of this kernel ends a fault on its own: {offer}");
        let because = offer["because"].to_string();
        assert!(because.contains("not tcx: cannot attach a BPF program"), "{offer}");
    }
    assert!(!parts.is_empty(), "{json}");
    // The delay is felt, and everything is put back.
    let ended = call(&scene, &["run", &file]).exits(0).says("PASSED").says("everything is as it was");
    assert_eq!(ended.record()["exercised"]["far"], true, "{ended}");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
}

#[test]
fn a_killed_runner_leaves_nothing_without_the_kernels_help() {
    let Some(scene) = Scene::machine() else { return };
    let file =
        scene.file("machine.chaos", machine(&scene.network().name, &[("hold     3s", "hold     60s")]));
    let mut running = start(&scene, &["run", &file]);
    running.until_stage("hold");
    let socket = scene.network().socket();
    let felt = |least: u64| {
        ping(&socket, Duration::from_secs(2)).is_some_and(|took| took >= Duration::from_millis(least))
    };
    assert!(wait_until(|| felt(15)), "the fault is not felt, so this test shows nothing");
    running.signal(Signal::SIGKILL);
    running.end();
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0);
    scene.call(&["restore"]).exits(0).says("nothing to do");
}
