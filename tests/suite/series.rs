//! Files that hold more than one run: `each` and `search`.

use std::fs;

use chaos_tests::{
    Chaos, World, lab_or_skip,
    scenario::{LAB, changed, shipped},
    slot,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The scenario that comes with the project, in short phases: a gateway that gives up after 200 ms, in front of a server whose
/// answers a fault delays, once for each request on a connection that is open. So it breaks at about 200 ms.
fn search(changes: &[(&str, &str)]) -> String {
    let short = [
        ("to within 25ms", "to within 50ms"),
        ("over 2s", "over 1s"),
        ("baseline 2s", "baseline 1s"),
        ("hold     5s", "hold     3s"),
        ("watch    2s", "watch    1s"),
    ];
    shipped("breaking-point.chaos", &[&short, changes].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn seconds(value: &Value) -> f64 {
    value["value"].as_f64().unwrap_or_else(|| panic!("{value} is not a quantity"))
}

#[test]
fn the_breaking_point_of_a_gateway_is_its_timeout() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("breaking-point.chaos", search(&[]));
    // Killed in its third trial: what was learnt before is not lost.
    let mut running = chaos.start(&["run", &file, "--seed", "5", "--quiet"]);
    let journal = loop {
        let text = running
            .folder()
            .and_then(|f| fs::read_to_string(f.join("search.jsonl")).ok())
            .unwrap_or_default();
        if text.matches("\"begun\"").count() == 3 {
            break text;
        }
        assert!(!running.has_ended(), "it ended before its third trial");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let folder = running.folder().unwrap();
    running.signal(Signal::SIGKILL);
    assert!(running.end().signal.is_some());
    chaos.call(&["restore"]).exits(0);
    assert_eq!(journal.matches("\"over\"").count(), 2, "{journal}");

    let folder = folder.to_str().unwrap();
    let ended = chaos
        .call(&["run", &file, "--seed", "5", "--quiet", "--resume", folder, "--format", "json"])
        .exits(0);
    let record = json(&ended.stdout);
    assert_eq!(record["conclusion"]["found"], "breaking-point", "{ended}");
    let point = seconds(&record["conclusion"]["point"]);
    // The timeout of the gateway, within the tolerance that was asked for.
    assert!((point - 0.2).abs() <= 0.05, "{point}: {ended}");
    assert_eq!(record["resumed"], serde_json::json!([2]));
    let trials = record["trials"].as_array().unwrap();
    let mut highest = 0.025;
    for trial in trials {
        let level = seconds(&trial["level"]);
        assert!(level <= 2.0 * highest + 1e-3, "{level} after {highest}: {record:#}");
        if trial["outcome"]["outcome"] == "held" {
            highest = f64::max(highest, level);
        }
        // Each trial is a whole run, in a folder of its own.
        let run = std::path::Path::new(folder).join(trial["run"].as_str().unwrap());
        let kept = json(&fs::read_to_string(run.join("record.json")).unwrap());
        assert_eq!(kept["restoration"]["state"], "restored");
        assert_eq!(kept["steady"].as_array().unwrap()[0]["held"], true);
    }
    // What is over stays over.
    let again =
        chaos.call(&["run", &file, "--seed", "5", "--quiet", "--resume", folder]).exits(0).says("FOUND");
    assert!(again.stdout.contains("Intensity against outcome"), "{again}");
    for kept in ["search.json", "verdict.txt", "report.md", "junit.xml"] {
        assert!(std::path::Path::new(folder).join(kept).is_file(), "{kept} is missing");
    }
    let other = chaos.file("other.chaos", search(&[("timeout 200ms", "timeout 150ms")]));
    chaos.call(&["run", &other, "--resume", folder]).exits(2).says("begun with another file");
    before.assert_same(&chaos, &[]);
}

#[test]
fn a_search_says_beforehand_what_it_may_take() {
    let chaos = Chaos::new();
    let file = chaos.file("breaking-point.chaos", search(&[]));
    chaos.call(&["check", &file]).exits(0);
    chaos.call(&["fmt", "--check", &file]).exits(0);
    chaos.call(&["explain", &file]).exits(0).says("trials of").says("at worst");
    let plain = chaos.file("plain.chaos", LAB);
    chaos.call(&["run", &plain, "--resume", "x"]).exits(2).says("only a file with `search`");
    chaos.call(&["run", &file, "--resume", "x"]).exits(2).says("is not the folder of a search");
    chaos.call(&["check", &file, "--set", "extra=9s"]).exits(2).says("outside of the range");
}

#[test]
fn a_person_who_stops_a_search_can_go_on_with_it() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let file = chaos.file("breaking-point.chaos", search(&[]));
    let mut running = chaos.start(&["run", &file, "--seed", "5"]);
    running.until_said("in place:");
    running.signal(Signal::SIGINT);
    let ended = running.end().exits(4).says("STOPPED").says("--resume");
    let folder = ended.folder.clone().unwrap();
    let record = json(&fs::read_to_string(folder.join("search.json")).unwrap());
    assert_eq!(record["trials"][0]["outcome"]["outcome"], "interrupted");
    assert_eq!(record["conclusion"], Value::Null);
    chaos.call(&["restore"]).exits(0).says("nothing to do");
}

#[test]
fn each_cell_is_a_run_and_one_report_tells_of_all() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let experiment = changed(
        LAB,
        &[
            ("delay 20ms", "delay extra"),
            (">= 15ms during far", "<= 60ms during far"),
            ("hold     3s", "hold     2s"),
        ],
    );
    let indented: String = experiment.lines().map(|l| format!("  {l}\n").replace("  \n", "\n")).collect();
    let text = format!("each extra in [20ms, 100ms] {{\n{indented}}}\n");
    let file = chaos.file("each.chaos", &text);
    chaos.call(&["fmt", "--check", &file]).exits(0);
    chaos.call(&["explain", &file]).exits(0).says("2 runs, one after another").says("[extra = 100ms]");
    let ended = chaos.call(&["run", &file, "--quiet"]).exits(1).says("FAILED").says("2 of 2 runs");
    let ended = ended.says("extra = 20ms").says("extra = 100ms").says("missed by");
    let folder = ended.folder.clone().unwrap();
    let matrix = json(&fs::read_to_string(folder.join("matrix.json")).unwrap());
    let verdicts: Vec<&str> =
        matrix["cells"].as_array().unwrap().iter().map(|c| c["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["passed", "failed"]);
    let junit = fs::read_to_string(folder.join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    for cell in matrix["cells"].as_array().unwrap() {
        let record = folder.join(cell["run"].as_str().unwrap()).join("record.json");
        assert!(record.is_file(), "{}", record.display());
    }
    // One cell alone, as the command line says it.
    chaos.call(&["run", &file, "--quiet", "--set", "extra=20ms"]).exits(0).says("1 of 1 runs");
    chaos.call(&["check", &file, "--set", "extra=50ms"]).exits(2).says("its values are 20ms, 100ms");
    before.assert_same(&chaos, &[]);
}
