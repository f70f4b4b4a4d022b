//! The scenarios that come with the project.

use std::fs;

use chaos_tests::{Chaos, Ended, World, lab_or_skip, repository, scenario::quick, slot};
use quick_xml::{Reader, events::Event};
use serde_json::Value;

fn all() -> Vec<String> {
    let folder = fs::read_dir(repository().join("scenarios")).expect("the repository has scenarios");
    let mut found: Vec<String> =
        folder.map(|entry| entry.expect("the folder can be read").path().display().to_string()).collect();
    found.retain(|path| path.ends_with(".chaos"));
    found.sort();
    assert!(found.len() >= 7, "{found:?}");
    found
}

#[test]
fn all_are_without_errors_and_in_the_canonical_layout() {
    let chaos = Chaos::new();
    let all = all();
    let files: Vec<&str> = all.iter().map(String::as_str).collect();
    let checked = chaos.call(&[&["check"], files.as_slice()].concat()).exits(0);
    assert_eq!(checked.stdout.matches("no errors").count(), all.len(), "{checked}");
    let formatted = chaos.call(&[&["fmt", "--check"], files.as_slice()].concat()).exits(0);
    assert_eq!(formatted.stdout, "", "{formatted}");
}

#[test]
fn all_are_explained_in_words() {
    let chaos = Chaos::new();
    for file in all() {
        let explained = chaos.call(&["explain", &file]).exits(0);
        let text = fs::read_to_string(&file).unwrap();
        let title = text.split('"').nth(1).unwrap();
        assert!(explained.said(title), "the title is missing: {explained}");
        assert!(explained.stdout.lines().count() > 8, "{explained}");
        assert!(!explained.stdout.contains("Spanned"), "that is not English: {explained}");
    }
}

#[test]
fn all_are_planned_without_touching_anything() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    for file in all() {
        let planned = chaos.call(&["plan", &file, "--seed", "7"]).exits(0);
        assert!(!planned.stdout.contains("Spanned"), "that is for a debugger: {planned}");
        let json = chaos.call(&["plan", &file, "--seed", "7", "--format", "json"]).exits(0);
        let plans: Value = serde_json::from_str(&json.stdout).unwrap();
        let parts = plans.as_array().map(Vec::len);
        assert_eq!(parts, Some(1), "{json}");
        assert!(!chaos.out().exists(), "planning makes no run folder");
    }
    assert_eq!(before.differences(&World::of(&chaos, &[])), "");
}

#[test]
fn the_quickstart_passes_and_leaves_its_evidence() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("quickstart.chaos", quick("quickstart.chaos"));
    let ended = chaos.call(&["run", &file, "--seed", "42"]).exits(0);
    before.assert_same(&chaos, &[]);
    let ended = ended.says("PASSED").says("everything is as it was").says("kept in").says("--seed 42");
    // Progress: phases, success and latency, and the faults that are active.
    for word in
        ["steady state for 2s", "baseline for 4s", "hold for 4s", "rollback", "watch for 5s", "in place:"]
    {
        assert!(ended.stderr.contains(word), "no `{word}`: {ended}");
    }
    let kept = ended.kept();
    for file in [
        "scenario/quickstart.chaos",
        "plan.json",
        "journal.jsonl",
        "events.jsonl",
        "samples/shop.csv",
        "record.json",
        "verdict.txt",
        "report.md",
        "report.html",
        "junit.xml",
        "kernel.txt",
    ] {
        let size = fs::metadata(kept.join(file)).map(|m| m.len());
        assert!(size.as_ref().is_ok_and(|size| *size > 0), "{file}: {size:?}");
    }
    let original = fs::read(chaos.path().join(&file)).unwrap();
    assert_eq!(fs::read(kept.join("scenario/quickstart.chaos")).unwrap(), original);
    let samples = fs::read_to_string(kept.join("samples/shop.csv")).unwrap();
    assert!(samples.lines().count() > 2000, "{} samples", samples.lines().count());
    let kernel = fs::read_to_string(kept.join("kernel.txt")).unwrap().to_lowercase();
    for when in ["before", "during", "after"] {
        assert!(kernel.contains(when), "{kernel}");
    }
    let journal = ended.journal();
    assert_eq!(journal.last().unwrap()["entry"], "ended", "{journal:?}");
    assert_eq!(journal.last().unwrap()["restored"], true, "{journal:?}");
    agree(&ended, "PASSED");
}

#[test]
fn a_hypothesis_that_fails_is_underlined() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let text = quick("quickstart-fails.chaos");
    let file = chaos.file("fails.chaos", &text);
    let ended = chaos.call(&["run", &file]).exits(1).says("FAILED").says("everything is as it was");
    before.assert_same(&chaos, &[]);
    let clause = "p95(shop.latency) <= baseline + 20ms during slow_api";
    let line = text.lines().position(|line| line.contains(clause)).unwrap() + 1;
    assert!(ended.stderr.contains(&format!("fails.chaos:{line}:")), "{ended}");
    assert!(ended.stderr.contains("───"), "nothing is underlined: {ended}");
    agree(&ended, "FAILED");
}

#[test]
fn every_format_is_well_formed_and_agrees_with_the_exit_code() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let pass = chaos.file("pass.chaos", chaos_tests::scenario::LAB);
    let mut fail = chaos_tests::scenario::changed(
        chaos_tests::scenario::LAB,
        &[(">= 15ms during", "<= 15ms during"), ("20ms more cost", "<tags> & more cost")],
    );
    fail = fail.replace("\"the way is far\"", "\"the way is <near> & cheap\"");
    let fail = chaos.file("fail.chaos", fail);
    for (file, code, failures) in [(&pass, 0, 0), (&fail, 1, 1)] {
        let _slot = slot();
        let json = chaos.call(&["run", file, "--format", "json", "--quiet"]).exits(code);
        let document: Value = serde_json::from_str(&json.stdout).unwrap_or_else(|e| panic!("{e}: {json}"));
        let verdict = if code == 0 { "passed" } else { "failed" };
        assert!(document.to_string().contains(&format!("\"{verdict}\"")), "no {verdict}: {json}");
        let kept = json.record();
        assert_eq!(document, kept, "what is printed is what is kept");
        drop(_slot);

        let _slot = slot();
        let junit = chaos.call(&["run", file, "--format", "junit", "--quiet"]).exits(code);
        let (cases, bad) = cases(&junit.stdout);
        assert!(cases >= 2, "an expectation each: {junit}");
        assert_eq!(bad, failures, "{junit}");
        drop(_slot);

        let _slot = slot();
        let markdown = chaos.call(&["run", file, "--format", "markdown", "--quiet"]).exits(code);
        assert!(markdown.stdout.starts_with('#'), "{markdown}");
        assert!(markdown.stdout.to_lowercase().contains(verdict), "{markdown}");
        assert!(markdown.stdout.contains('|'), "no table: {markdown}");
    }
}

/// Counts the test cases of a JUnit document, and those that failed or broke.
fn cases(xml: &str) -> (usize, usize) {
    let mut reader = Reader::from_str(xml);
    let (mut cases, mut bad) = (0, 0);
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}\n{xml}")) {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                b"testcase" => cases += 1,
                b"failure" | b"error" => bad += 1,
                _ => {}
            },
            _ => {}
        }
    }
    (cases, bad)
}

/// Checks that all reports in the folder of a run agree with each other.
fn agree(ended: &Ended, word: &str) {
    let read = |name: &str| fs::read_to_string(ended.kept().join(name)).expect("a run keeps its reports");
    assert!(read("verdict.txt").starts_with(word), "{}", read("verdict.txt"));
    assert!(read("report.md").to_lowercase().contains(&word.to_lowercase()), "{}", read("report.md"));
    let (cases, bad) = cases(&read("junit.xml"));
    let expectations = ended.record()["expectations"].as_array().expect("expectations are a list").len();
    assert!(cases >= expectations, "{cases} cases for {expectations} expectations");
    assert_eq!(bad > 0, word == "FAILED", "{}", read("junit.xml"));
}
