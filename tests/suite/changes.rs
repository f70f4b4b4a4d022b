//! Changes: made by a step, in place through the watch, gone at the end.

use chaos_tests::{
    Chaos, Scene, World, is_stage, lab_or_skip, namespaces_of,
    scenario::{LAB, changed},
    slot,
};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn a_change_stays_through_the_watch_and_is_gone_at_the_end() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let text = changed(
        LAB,
        &[
            ("  fault far =", "  change distant = delay 40ms on client to api\n\n  fault far ="),
            ("    inject   far\n", "    make     distant\n    inject   far\n"),
            (
                "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n",
                "    \"both add up\":     p50(get.latency) >= 55ms during far observed\n    \"it stays\":        \
                 p50(get.latency) >= 35ms during watch observed\n    \"it was near\":     \
                 p50(get.latency) <= 35ms during baseline observed\n",
            ),
        ],
    );
    let file = chaos.file("change.chaos", &text);
    chaos.call(&["fmt", "--check", &file]).exits(0);
    chaos.call(&["explain", &file]).exits(0).says("make distant, for the rest of the run");
    chaos.call(&["plan", &file]).exits(0).says("make distant");
    let ended = chaos.call(&["run", &file]).exits(0).says("PASSED").says("distant");
    let record = ended.record();
    assert_eq!(record["exercised"]["distant"], true, "{record}");
    let part = record["parts"].as_array().unwrap().iter().find(|p| p["role"] == "change").unwrap().clone();
    let watch = record["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "watch").unwrap().clone();
    assert!(part["reverting"].as_i64() >= watch["end"].as_i64(), "{part} {watch}");
    let entries: Vec<String> = ended
        .journal()
        .iter()
        .filter(|entry| entry["entry"] == "reverted")
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(entries, ["far/api/1", "distant/client/1"], "last in, first out");
    before.assert_same(&chaos, &[]);
}

/// A change beside a fault, with a point of the timeline at which both are in place.
fn with_change(change: &str) -> String {
    changed(
        LAB,
        &[
            ("  fault far =", &format!("  change distant = {change}\n\n  fault far =")),
            ("    inject   far\n", "    make     distant\n    inject   far\n"),
            ("baseline 2s", "baseline 1s"),
            ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
        ],
    )
}

/// Returns whether an event is of the change and reports this state.
fn of_change(what: &Value, state: &str) -> bool {
    what["type"] == "part" && what["fault"] == "distant" && what["state"] == state
}

#[test]
fn a_runner_killed_while_a_change_is_made_leaves_nothing_of_it() {
    type Point = (&'static str, fn(&Value) -> bool);
    let points: [Point; 5] = [
        ("when the change is written down", |what| of_change(what, "prepared")),
        ("while the change is made", |what| of_change(what, "injecting")),
        ("when the change is in place", |what| of_change(what, "active")),
        ("in the hold", |what| is_stage(what, "hold")),
        ("in the watch, where the change alone is left", |what| is_stage(what, "watch")),
    ];
    for (kind, change, options) in [
        ("kernel-held", "loss 1% on client to api", &[][..]),
        ("agent-held", "bandwidth 50mbit on client to api", &["--backend", "tcx,netem,forwarder,tbf"][..]),
    ] {
        for (point, reached) in &points {
            for agent_too in [false, true] {
                let Some(scene) = Scene::lab() else { return };
                let file = scene.file("change.chaos", with_change(change));
                scene.call(&[&["plan", file.as_str()], options].concat()).exits(0).says(kind);
                let mut running = scene.start(&[&["run", file.as_str()], options].concat());
                running.until(reached);
                let run = running.run();
                let family = scene.family();
                let namespaces = namespaces_of(&family);
                assert!(!namespaces.is_empty(), "there is no lab: {family:?}");
                running.signal(Signal::SIGSTOP);
                if agent_too {
                    scene.signal_agents(Signal::SIGKILL);
                }
                running.signal(Signal::SIGKILL);
                assert_eq!(running.end().signal, Some(9));
                let took = scene.assert_as_before();
                let left: Vec<_> = namespaces_of(&family).intersection(&namespaces).cloned().collect();
                assert!(left.is_empty(), "namespaces left: {left:?}");
                println!("{kind}: killed {point} (agent too: {agent_too}): as before after {took:.0?}");
                let said = scene.call(&["check", &file]).exits(0).says("was killed").says(&run);
                assert!(said.said("nothing of it is left"), "{said}");
                scene.call(&["check", &file]).exits(0).keeps_quiet_about("was killed");
                scene.call(&["restore"]).exits(0).says("nothing to do");
                scene.assert_as_before();
            }
        }
    }
}
