//! Another program on a host of a lab that is up, and the old one again at the end.

use chaos_tests::{
    Scene, is_stage, namespaces_of,
    scenario::{LAB, changed},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Runs another program beside a fault; `PROGRAM` is what differs.
const REPLACED: &str = r#"experiment "another program" {
  hypothesis "it is there, and gone at the end"

  lab {
    host client
    host api 2 { run http port 8080 { work 1ms } }
  }

  blast radius { at most 1 hosts }

  probe get = http GET "http://api-1:8080/" from client { connections reuse 30, rate 30/s, timeout 2s }

  steady state over 1s { success(get) >= 90% }

  change canary = run PROGRAM on api-1

  fault far = loss 5% on api-1 to client

  timeline {
    baseline 2s
    make     canary
    inject   far
    hold     3s
    rollback
    watch    5s
  }

  abort never because "nobody else is in this lab"

  expect {
    "it was quick":   p50(get.latency) <= 150ms during baseline observed
    "it became slow": p50(get.latency, over 1s) >= 200ms within 4s after canary made
    "it stays":       p50(get.latency) >= 200ms during watch observed
    "it answers":     success(get) >= 90% during watch observed
  }
}
"#;

fn replaced(program: &str) -> String {
    changed(REPLACED, &[("PROGRAM", program)])
}

/// Returns the servers of the lab that live: process ids, in the order in which they were started.
fn servers(scene: &Scene) -> Vec<i32> {
    let family = scene.family().into_iter();
    family.filter(|(_, words)| words.contains(" serve http ")).map(|(pid, _)| pid).collect()
}

#[test]
fn another_program_runs_on_a_host_until_the_end_of_the_run() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.file("canary.chaos", replaced("http port 8080 { work 200ms }"));
    scene.call(&["fmt", "--check", &file]).exits(0);
    scene
        .call(&["explain", &file])
        .exits(0)
        .says("canary: run http port 8080 { work 200ms } on api-1")
        .says("instead of an HTTP server on port 8080, 1ms of work for a request: an HTTP server on port 8080, 200ms")
        .says("At the end the old one runs again");
    scene
        .call(&["plan", &file])
        .exits(0)
        .says("run http port 8080 { work 200ms } instead of http port 8080 { work 1ms }")
        .says("lab-program")
        .says("undone: end it, run http port 8080 { work 1ms } again")
        .says("1 of 3 touched, at most 1 hosts allowed");

    let mut running = scene.start(&["run", &file]);
    running.until_stage("baseline");
    let before = servers(&scene);
    running.until(|what| of_canary(what, "active"));
    let with = servers(&scene);
    running.until(|what| of_canary(what, "reverted"));
    let ended = running.end().exits(0).says("PASSED").says("everything is as it was");
    scene.assert_as_before();

    // One server ended and another one runs; the other host's was let be.
    assert_eq!((before.len(), with.len()), (2, 2), "{before:?} {with:?}");
    assert_eq!(before.iter().filter(|pid| with.contains(pid)).count(), 1, "{before:?} {with:?}");
    let record = ended.record();
    assert_eq!(record["exercised"]["canary"], true, "{ended}");
    let parts = record["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["role"] == "change").unwrap();
    assert!(part["effect"]["met"].as_u64().unwrap() >= 1, "{part}");
    assert!(part["effect"]["line"].as_str().unwrap().contains("connections were opened to it"), "{part}");
    let watch = record["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "watch").unwrap();
    assert!(part["reverting"].as_i64() >= watch["end"].as_i64(), "{part} {watch}");
    // Written down before it is made, reverted as the last.
    let journal = ended.journal();
    let steps: Vec<&str> = journal
        .iter()
        .filter(|entry| entry["id"] == "canary/api-1/1" || entry["undo"]["id"] == "canary/api-1/1")
        .map(|entry| entry["entry"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["prepared", "injecting", "injected", "reverting", "reverted"], "{ended}");
    let reverted: Vec<&str> = journal
        .iter()
        .filter(|entry| entry["entry"] == "reverted")
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(reverted, ["far/api-1/1", "canary/api-1/1"], "last in, first out");
    scene.call(&["restore"]).exits(0).says("nothing to do");
}

/// Returns whether an event is of the canary and reports this state.
fn of_canary(what: &Value, state: &str) -> bool {
    what["type"] == "part" && what["fault"] == "canary" && what["state"] == state
}

#[test]
fn a_program_that_does_not_become_ready_could_not_be_made_and_the_old_one_is_back() {
    for (program, said) in [
        ("\"sh -c exit\" ready when tcp 8080", "ended before it was ready, with exit status: 0"),
        ("\"no-such-program-anywhere\" ready after 1s", "cannot start `no-such-program-anywhere`"),
        ("\"sleep 60\" ready when tcp 8080", "was not ready within 10s: nothing listens on tcp port 8080"),
    ] {
        let Some(scene) = Scene::lab() else { return };
        let file = scene.file("canary.chaos", replaced(program));
        let ended = scene
            .call(&["run", "--allow-exec", &file])
            .exits(4)
            .says("ABORTED")
            .says("`canary/api-1/1` could not be made");
        let ended = ended.says(said).says("everything is as it was");
        scene.assert_as_before();
        let record = ended.record();
        assert_eq!(record["abort"]["kind"], "inject", "{ended}");
        let parts = record["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["role"] == "change").unwrap();
        // Taken back means that the old program runs and is ready again.
        assert_eq!(part["state"], "reverted", "{ended}");
        assert!(part["injected"].is_null(), "{ended}");
        scene.call(&["restore"]).exits(0).says("nothing to do");
    }
}

#[test]
fn a_program_that_ends_by_itself_while_it_stands_in_aborts_the_run() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.file("canary.chaos", replaced("\"sleep 1.5\" ready after 500ms"));
    let ended = scene.call(&["run", "--allow-exec", &file]).exits(4).says("ABORTED");
    let ended =
        ended.says("`sleep 1.5` on host `api-1` ended with exit status: 0").says("everything is as it was");
    scene.assert_as_before();
    assert_eq!(ended.record()["abort"]["kind"], "environment", "{ended}");
}

#[test]
fn gateways_name_servers_and_real_programs_are_replaced_too() {
    let Some(scene) = Scene::lab() else { return };
    let text = changed(
        LAB,
        &[
            (
                "    host api { run http port 8080 }\n",
                "    host api { run http port 8080 { work 1ms } }\n    host gw { run gateway port 80 to api:8080 }\n    \
                 host ns { run dns }\n    host real { run \"sleep 100\" ready after 10ms }\n",
            ),
            ("http://api:8080/", "http://gw/"),
            (
                "  fault far =",
                "  change way   = run gateway port 80 to real:8080 { timeout 1s, retries 1 } on gw\n  \
                 change names = run dns on ns\n  change real  = run http port 8080 { work 100ms } on real\n\n  fault far =",
            ),
            ("delay 20ms on api to client", "delay 20ms on gw to client"),
            (
                "    inject   far\n",
                "    make     real\n    make     names\n    make     way\n    inject   far\n",
            ),
            (">= 15ms during", ">= 100ms during"),
        ],
    );
    let file = scene.file("several.chaos", text);
    let ended = scene.call(&["run", "--allow-exec", &file]).says("everything is as it was");
    scene.assert_as_before();
    let record = ended.record();
    let parts = record["parts"].as_array().unwrap();
    let made: Vec<&Value> = parts.iter().filter(|part| part["role"] == "change").collect();
    assert_eq!(made.len(), 3, "{ended}");
    for part in made {
        assert_eq!(part["state"], "reverted", "{ended}");
        assert!(!part["injected"].is_null(), "{ended}");
    }
    assert_eq!(record["exercised"]["way"], true, "{ended}");
    assert_eq!(record["exercised"]["real"], true, "{ended}");
    // The far gateway asks the slow server: 100 ms of work, and 20 ms of way.
    assert_eq!(record["expectations"][1]["verdict"]["verdict"], "passed", "{ended}");
    let order: Vec<String> = ended
        .journal()
        .iter()
        .filter(|entry| entry["entry"] == "reverted")
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["far/gw/1", "way/gw/1", "names/ns/1", "real/real/1"], "last in, first out");
}

#[test]
fn a_runner_killed_while_a_program_is_replaced_leaves_nothing_of_the_lab() {
    type Point = (&'static str, fn(&Value) -> bool);
    let points: [Point; 5] = [
        ("when it is written down", |what| of_canary(what, "prepared")),
        ("while it is made", |what| of_canary(what, "injecting")),
        ("when the new program is ready", |what| of_canary(what, "active")),
        ("in the watch", |what| is_stage(what, "watch")),
        ("while the old program is put back", |what| of_canary(what, "reverting")),
    ];
    for (point, reached) in &points {
        let Some(scene) = Scene::lab() else { return };
        let file = scene.file("canary.chaos", replaced("http port 8080 { work 200ms }"));
        let mut running = scene.start(&["run", &file]);
        running.until(reached);
        let family = scene.family();
        let namespaces = namespaces_of(&family);
        assert!(!namespaces.is_empty(), "there is no lab: {family:?}");
        running.signal(Signal::SIGKILL);
        assert_eq!(running.end().signal, Some(9));
        let took = scene.assert_as_before();
        let left: Vec<_> = namespaces_of(&family).intersection(&namespaces).cloned().collect();
        assert!(left.is_empty(), "namespaces left: {left:?}");
        println!("killed {point}: as before after {took:.0?}");
        scene.call(&["restore"]).exits(0).keeps_quiet_about("error");
        scene.call(&["restore"]).exits(0).says("nothing to do");
        scene.assert_as_before();
    }
}
