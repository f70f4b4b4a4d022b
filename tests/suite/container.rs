//! In a container: no network namespace can be made, so capability is tried in place, and faults are done all the same.

use std::{process::Command, time::Duration};

use chaos_tests::{
    Container, Scene,
    scenario::{MACHINE, changed},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// What holds while a fault lets something through.
const PASSES: &str = "success(get) >= 5% during far";

/// Describes an experiment on where the command stands, with one fault.
fn here(fault: &str, claim: &str) -> String {
    let changes = [
        (r#"netns "BOX""#, "here"),
        ("delay 20ms on box", fault),
        (r#""the way is far":  p50(get.latency) >= 15ms during far observed"#, ""),
        ("success(get) >= 90% during far", claim),
    ];
    changed(MACHINE, &changes)
}

/// Returns what works, by name, of a section that `chaos doctor` prints.
fn works(findings: &Value, section: &str, name: &str) -> bool {
    let found = findings[section].as_array().into_iter().flatten().find(|found| found["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {findings}"))["works"] == true
}

/// Returns what `chaos doctor` finds inside.
fn doctor(container: &Container) -> Value {
    let ended = container.call(&["doctor", "--format", "json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended}"))
}

/// Does a fault with some capabilities where that mechanism is offered, and proves that all is as it was.
fn is_done(capabilities: &[&str], fault: &str, claim: &str, backend: &str) {
    let Some(scene) = Scene::machine() else { return };
    let Some(container) = Container::or_skip(&scene, scene.network(), capabilities) else { return };
    let findings = doctor(&container);
    assert!(!works(&findings, "capabilities", "network-namespace"), "{findings}");
    assert!(works(&findings, "capabilities", "veth"), "{findings}");
    scene.assert_as_before();
    if !works(&findings, "backends", backend) {
        println!("skipped: this kernel has no `{backend}` for {fault}: {findings}");
        return;
    }
    let file = scene.file("here.chaos", here(fault, claim));
    let plan = container.call(&["plan", &file, "--format", "json"]).exits(0);
    let plans: Value = serde_json::from_str(&plan.stdout).expect("a plan is JSON");
    assert_eq!(plans[0]["faults"][0]["parts"][0]["offer"]["backend"], backend, "{plan}");
    let ended = container.call(&["run", &file]).exits(0).says("everything is as it was");
    assert_eq!(ended.record()["exercised"]["far"], true, "{ended}");
    scene.assert_as_before();
}

#[test]
fn bandwidth_needs_no_more_than_net_admin() {
    is_done(&["net_admin"], "bandwidth 80kbit burst 2kb on box", PASSES, "tbf");
}

#[test]
fn refusing_needs_no_more_than_net_admin() {
    is_done(
        &["net_admin"],
        "block box to 10.88.0.2:8080 all reject",
        "success(get) <= 50% during far",
        "nft",
    );
}

#[test]
fn loss_goes_through_a_forwarder_whose_pair_stands_in_place() {
    is_done(&["net_admin", "net_raw"], "loss 10% on box", PASSES, "forwarder");
}

#[test]
fn packets_are_held_both_ways_in_place_where_a_program_leads_them() {
    is_done(&["net_admin", "net_raw", "bpf"], "delay 20ms on box both", PASSES, "forwarder");
}

#[test]
fn loss_goes_by_a_program_where_one_may_be_loaded() {
    is_done(&["net_admin", "bpf"], "loss 10% on box", PASSES, "tcx");
}

#[test]
fn a_trial_that_is_killed_is_cleaned_up_by_the_next() {
    let Some(scene) = Scene::machine() else { return };
    let Some(container) = Container::or_skip(&scene, scene.network(), &["net_admin"]) else { return };
    let ip = |words: &str| {
        let status = Command::new("ip").args(["-n", &scene.network().name]).args(words.split(' ')).status();
        assert!(status.unwrap().success(), "ip {words}");
    };
    // As one leaves it that is killed at the worst moment.
    ip("link add chaos0badcafe-a type veth peer name chaos0badcafe-b");
    for delay in [2, 5, 8, 12, 16, 20, 25, 30, 40, 60] {
        let trial = container.start(&["doctor"]);
        std::thread::sleep(Duration::from_millis(delay));
        trial.signal(Signal::SIGKILL);
        trial.end();
    }
    container.call(&["doctor"]).says("tbf");
    scene.assert_as_before();
}

#[test]
fn a_forwarder_that_is_killed_leaves_an_idle_pair_until_it_is_restored() {
    let Some(scene) = Scene::machine() else { return };
    let Some(container) = Container::or_skip(&scene, scene.network(), &["net_admin", "net_raw"]) else {
        return;
    };
    let findings = doctor(&container);
    if !works(&findings, "backends", "forwarder") {
        println!("skipped: no forwarder here: {findings}");
        return;
    }
    let file = scene.file("here.chaos", here("delay 20ms on box", PASSES));
    container.call(&["plan", &file]).exits(0).says("idle pair");
    let mut run = container.start(&["run", &file]);
    run.until_stage("hold");
    assert!(scene.signal_agents(Signal::SIGKILL));
    run.signal(Signal::SIGKILL);
    run.end();
    container.call(&["restore"]).exits(0);
    scene.assert_as_before();
}

#[test]
fn doctor_says_each_no_once_and_what_it_costs() {
    let Some(scene) = Scene::machine() else { return };
    let Some(container) = Container::or_skip(&scene, scene.network(), &[]) else { return };
    let ended = container.call(&["doctor"]).exits(5).says("no experiments with a `lab`");
    let ended = ended.says("costs:            no bandwidth").says("for the same reason");
    let pair = "the kernel refused to make the veth pair";
    assert_eq!(ended.stdout.matches(pair).count(), 1, "{ended}");
    assert_eq!(ended.stdout.matches("CAP_NET_ADMIN\n").count(), 2, "one remedy for each reason: {ended}");
    let container = Container::or_skip(&scene, scene.network(), &["net_admin"]);
    let ended = container.expect("it was there a moment ago").call(&["doctor"]);
    ended
        .says("are tried and done in place")
        .says("grant CAP_NET_RAW")
        .keeps_quiet_about("for the same reason");
}
