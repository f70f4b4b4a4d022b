//! Folders of scenarios, some of their experiments, and reports for machines beside the text.

use std::fs;

use chaos_tests::{
    Chaos, lab_or_skip,
    scenario::{LAB, changed},
    slot,
};
use serde_json::Value;

/// A folder as a team keeps it: two experiments that pass, one that fails, shared parts, and notes.
fn folder(chaos: &Chaos) {
    let tagged = |title: &str, tags: &str| {
        let title = format!("experiment \"{title}\" {{\n  tags {tags}");
        changed(LAB, &[("experiment \"20ms more cost nothing but time\" {", &title)])
    };
    chaos.file("experiments/a-far.chaos", tagged("the shop is far", "shop, slow"));
    chaos.file(
        "experiments/b-near.chaos",
        changed(&tagged("the shop is near", "shop"), &[(">= 15ms during", "<= 15ms during")]),
    );
    chaos.file("experiments/pay/far.chaos", tagged("pay is far", "pay, slow"));
    chaos.file("experiments/parts.chaos", "fault away = delay 20ms on api to client\n");
    chaos.file("experiments/notes.md", "not a scenario");
    chaos.file("experiments/.old/broken.chaos", "experiment");
}

#[test]
fn a_folder_is_run_as_one_and_reported_to_machines_and_people() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    folder(&chaos);
    let reports = ["junit=out/chaos.xml", "json=out/chaos.json", "markdown=out/chaos.md"];
    let reports = reports.iter().flat_map(|report| ["--report", report]);
    let args: Vec<&str> = ["run", "experiments", "--quiet"].into_iter().chain(reports).collect();
    let ended = chaos.call(&args).exits(1);
    assert_eq!(ended.stdout.lines().last(), Some("3 experiments: 2 passed, 1 failed"), "{ended}");
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("PASSED")).count(), 2, "{ended}");
    let read = |name: &str| fs::read_to_string(chaos.path().join("out").join(name)).unwrap();
    let runs: Value = serde_json::from_str(&read("chaos.json")).unwrap();
    assert_eq!(runs.as_array().map(Vec::len), Some(3), "{runs:#}");
    let junit = read("chaos.xml");
    assert_eq!(junit.matches("<testsuites").count(), 1, "{junit}");
    for file in ["experiments/a-far.chaos", "experiments/b-near.chaos", "experiments/pay/far.chaos"] {
        assert!(junit.contains(&format!("file=\"{file}\" line=\"")), "{file}: {junit}");
    }
    assert!(read("chaos.md").contains("the shop is near"));
}

#[test]
fn some_experiments_are_run_and_the_rest_is_left_out_after_a_failure() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    folder(&chaos);
    let run = |more: &[&str]| chaos.call(&[&["run", "experiments", "--quiet"], more].concat());
    let ended = run(&["--tags", "slow", "--filter", "PAY"]).exits(0).says("pay is far");
    assert!(!ended.stdout.contains("experiments: "), "one is no series: {ended}");
    let ended = run(&["--tags", "shop,pay", "--fail-fast", "--filter", "near"]).exits(1);
    assert!(!ended.stdout.contains("experiments: "), "{ended}");
    let ended = run(&["--fail-fast"]).exits(1);
    assert_eq!(
        ended.stdout.lines().last(),
        Some("3 experiments: 1 passed, 1 failed, 1 not come to"),
        "{ended}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_runs() {
    let chaos = Chaos::new();
    folder(&chaos);
    let refused = |args: &[&str], says: &str| {
        let ended = chaos.call(&[&["run"], args].concat()).exits(2).says(says);
        assert!(!chaos.out().exists(), "{ended}");
    };
    refused(&["experiments", "--tags", "fast"], "there is `pay`, `shop`, `slow`");
    refused(&["experiments", "--filter", "nobody"], "no experiment that is asked for has `nobody`");
    refused(&["experiments/parts.chaos"], "the file holds no experiment");
    refused(&["experiments/.old"], "broken.chaos");
    refused(&["experiments/*.toml"], "there is no `.chaos` file in `experiments/*.toml`");
    refused(&["experiments", "--report", "pdf=x"], "there is no format `pdf`");
    refused(&["experiments", "--report", "junit=-"], "write `--format junit`");
    refused(
        &["experiments", "--report", "junit=x", "--report", "json=x"],
        "two reports are to be written to `x`",
    );
    refused(&["experiments", "--report", "junit=x", "--report", "json=./x"], "two reports are to be written");
    refused(&["experiments", "--report", "junit=/proc/none/x"], "cannot be written");
    // What is read is never written over, whatever it is called, and a report of before stays where nothing is run.
    chaos.file("before.xml", "of before");
    std::os::unix::fs::symlink("experiments", chaos.path().join("link")).unwrap();
    let first = fs::read_dir(chaos.path().join("experiments")).unwrap().flatten();
    let first =
        first.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "chaos")).unwrap();
    let text = fs::read_to_string(&first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    for report in [format!("json=experiments/{name}"), format!("json=link/{name}")] {
        let over = "would be written over a file of the scenario";
        refused(&["experiments", "--report", "junit=before.xml", "--report", &report], over);
    }
    assert_eq!(fs::read_to_string(&first).unwrap(), text);
    assert_eq!(fs::read_to_string(chaos.path().join("before.xml")).unwrap(), "of before");
}

#[test]
fn check_takes_folders_and_standard_input_and_speaks_to_machines() {
    let chaos = Chaos::new();
    folder(&chaos);
    let ended =
        chaos.call(&["check", "experiments"]).exits(0).says("parts.chaos: parts for other files, no errors");
    assert_eq!(ended.stdout.lines().count(), 4, "{ended}");
    let broken = "experiments/.old/broken.chaos";
    let ended = chaos.call(&["check", "experiments", broken, "--format", "github"]).exits(2);
    assert!(ended.stdout.starts_with(&format!("::error file={broken},line=1,col=")), "{ended}");
    let ended = chaos.call(&["check", "experiments", broken, "--format", "sarif"]).exits(2);
    let log: Value = serde_json::from_str(&ended.stdout).unwrap();
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], broken, "{log:#}");
    // A limit that a fault of 20 ms can hardly be told from is a warning.
    let text = changed(
        LAB,
        &[
            ("    \"nothing is lost\": success(get) >= 90% during far\n", ""),
            (">= 15ms during far observed", "<= 90ms during far"),
        ],
    );
    let warned = chaos.file("warned.chaos", text);
    chaos.call(&["check", &warned]).exits(0).says("1 warning");
    chaos.call(&["check", &warned, "--deny", "warnings"]).exits(2).says("1 warning, denied");
    chaos.call_with_input(&["check", "-"], LAB).exits(0).says("standard input: 1 experiment, no errors");
}
