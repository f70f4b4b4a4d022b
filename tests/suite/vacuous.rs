//! Faults that match traffic and do nothing to it, or to other traffic than what is claimed of: no verdict comes of them.

use std::time::Duration;

use chaos_tests::{Scene, is_stage};
use nix::sys::signal::Signal;

/// An experiment whose probe has kept connections, with one fault and one claim that holds as long as nothing happens.
fn with_fault(fault: &str) -> String {
    format!(
        r#"experiment "vacuous" {{
  hypothesis "nothing happens"

  lab {{
    host client
    host api {{ run http port 8080 }}
    host idle
  }}

  probe get = http GET "http://api:8080/" from client {{ connections reuse 4, rate 50/s, timeout 1s, label backend = header "x-served-by" }}
  probe bg = tcp "idle:8080" from client {{ rate 5/s, timeout 500ms }}

  steady state over 1s {{ success(get) >= 90% }}

  fault f = {fault}

  timeline {{ baseline 2s, inject f, hold 4s, rollback, watch 2s }}

  expect {{ "served": success(get) >= 90% during f }}
}}
"#
    )
}

#[test]
fn what_changed_nothing_is_undecided() {
    for (fault, said) in [
        ("loss 0.001% on api to client", "changed none of them"),
        ("corrupt 0.001% on api to client", "changed none"),
        ("duplicate 0.001% on api to client", "changed none of them"),
        ("reorder 0.01% hold 1ms on api to client", "`f`"),
        ("bandwidth 900gbit on api to client", "changed none of them"),
        ("block client to api:8080 new", "changed none of them"),
        ("delay 1ns and loss 0.001% on api to client", "`f` was asked for"),
        ("delay 1ns on api to client", "which is too short to be measured"),
        ("loss 60% on idle to client", "`f` matches no request of `get`"),
        ("loss 60% on client to idle", "`f` matches no request of `get`"),
    ] {
        let Some(scene) = Scene::lab() else { return };
        let file = scene.file("vacuous.chaos", with_fault(fault));
        let ended = scene.call(&["run", &file]).exits(3).says("not exercised");
        let text = ended.record().to_string();
        assert!(text.contains(said), "{fault}: {ended}");
        scene.assert_as_before();
    }
}

#[test]
fn what_changed_something_is_decided() {
    for fault in [
        "loss 5% on api to client",
        "delay 5ms and loss 5% on api to client",
        "reorder 25% hold 20ms on api to client",
        "bandwidth 60kbit burst 2kb on api to client",
    ] {
        let Some(scene) = Scene::lab() else { return };
        let file =
            scene.file("vacuous.chaos", with_fault(fault).replace(">= 90% during f", ">= 1% during f"));
        let ended = scene.call(&["run", &file]).exits(0);
        assert_eq!(ended.record()["exercised"]["f"], true, "{fault}: {ended}");
    }
}

/// A fault that did nothing is not a reason for a failure either.
#[test]
fn a_failure_beside_a_fault_that_did_nothing_is_undecided() {
    let Some(scene) = Scene::lab() else { return };
    let text = with_fault("loss 60% on idle to client")
        .replace("success(get) >= 90% during f", "p50(get.latency) <= 1us during f");
    let file = scene.file("vacuous.chaos", text);
    scene.call(&["run", &file]).exits(3).says("not exercised").says("INCONCLUSIVE");
}

/// A forwarder that stalls for less than it takes to be given up lets packets pass.
#[test]
fn what_passed_a_stalled_forwarder_is_counted() {
    let Some(scene) = Scene::lab() else { return };
    let text = with_fault("delay 100ms on api to client").replace("hold 4s", "hold 6s");
    let file = scene.file("vacuous.chaos", text);
    let options = ["--backend", "forwarder,tcx,netem"];
    let mut running = scene.start(&[&["run", file.as_str()], &options[..]].concat());
    running.until(|what| is_stage(what, "hold"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(scene.signal_agents(Signal::SIGCONT));
    let ended = running.end().exits(3).says("not exercised");
    let parts = ended.record()["parts"].to_string();
    assert!(parts.contains("pass because the forwarder had stalled"), "{parts}");
    assert!(ended.record()["idle"]["f"].as_str().is_some_and(|why| why.contains("had stalled")), "{ended}");
    scene.assert_as_before();
}

/// The outage takes the label with it that the condition looks for.
#[test]
fn a_condition_that_sees_nothing_of_an_outage_is_blind() {
    let Some(scene) = Scene::lab() else { return };
    let text = with_fault("block api to client")
        .replace("hold 4s", "hold 42s")
        .replace("  expect", "  abort when errors(get where backend = \"api\", over 1s) > 1%\n\n  expect")
        .replace("timeout 1s", "timeout 300ms")
        .replace("reuse 4", "fresh");
    let file = scene.file("blind.chaos", text);
    let ended = scene.call(&["run", &file]).exits(4).says("no measurement of probe `get` counted for");
    assert_eq!(ended.record()["abort"]["kind"], "blind", "{ended}");
    scene.assert_as_before();
}
