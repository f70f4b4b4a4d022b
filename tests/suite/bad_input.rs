//! Files and command lines with mistakes: an error with its place, and nothing is touched.

use std::fs::File;

use chaos_tests::{
    Chaos,
    scenario::{LAB, changed},
};

#[test]
fn mistakes_are_reported_with_their_place() {
    let chaos = Chaos::new();
    for (what, changes, place, words) in [
        ("an unknown host", ("on api to client", "on apy to client"), "on apy", "did you mean `api`"),
        (
            "an unknown probe",
            ("success(get) >= 90% during", "success(gte) >= 90% during"),
            "(gte)",
            "did you mean `get`",
        ),
        ("a unit of another kind", ("delay 20ms on", "delay 20% on"), "20%", "duration"),
        ("no unit", ("baseline 2s", "baseline 2"), "baseline 2\n", "duration"),
        ("an impossible value", ("success(get) >= 90%\n", "success(get) >= 190%\n"), "190%", "190%"),
        ("a fault nobody declared", ("inject   far", "inject   farr"), "farr", "did you mean `far`"),
    ] {
        let text = changed(LAB, &[changes]);
        let line = text[..text.find(place).unwrap()].lines().count();
        let file = chaos.file("mistake.chaos", text);
        for command in ["check", "plan", "run", "explain"] {
            let ended = chaos.call(&[command, &file]).exits(2);
            let place = format!("mistake.chaos:{line}:");
            assert!(ended.stderr.contains(&place), "{what}: no `{place}`: {ended}");
            assert!(ended.said(words), "{what}: no `{words}`: {ended}");
        }
    }
    assert!(!chaos.out().exists(), "nothing was begun");
}

#[test]
fn all_mistakes_of_all_files_are_reported_at_once() {
    let chaos = Chaos::new();
    let one = chaos.file(
        "one.chaos",
        changed(LAB, &[("on api to client", "on apy to client"), ("hold     3s", "hold 3")]),
    );
    let two = chaos.file("two.chaos", changed(LAB, &[("inject   far", "inject   farr")]));
    let good = chaos.file("good.chaos", LAB);
    let ended = chaos.call(&["check", &one, &two, &good]).exits(2);
    for word in ["`api`", "`3` is a count", "`far`", "good.chaos: 1 experiment, no errors"] {
        assert!(ended.said(word), "no `{word}`: {ended}");
    }
    let json = chaos.call(&["check", "--format", "json", &one, &two, &good]).exits(2);
    let files: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let ok: Vec<bool> = files.as_array().unwrap().iter().map(|f| f["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [false, false, true], "{json}");
    assert!(files[0]["diagnostics"].as_array().unwrap().len() >= 2, "{json}");
    assert!(json.stdout.contains("\"line\""), "an editor needs places: {json}");
    // One bad file among good ones: nothing of any is run.
    chaos.call(&["run", &good, &two]).exits(2);
    assert!(!chaos.out().exists(), "nothing was begun");
}

#[test]
fn files_that_use_each_other_in_a_circle_are_refused() {
    let chaos = Chaos::new();
    let a = chaos.file("a.chaos", format!("use \"b.chaos\"\n\n{LAB}"));
    chaos.file("b.chaos", "use \"c.chaos\"\n");
    chaos.file("c.chaos", "use \"a.chaos\"\n");
    let ended = chaos.call(&["check", &a]).exits(2);
    for word in ["a.chaos", "b.chaos", "c.chaos"] {
        assert!(ended.stderr.contains(word), "no `{word}`: {ended}");
    }
    chaos.file("b.chaos", "use \"nowhere.chaos\"\n");
    chaos.call(&["check", &a]).exits(2).says("nowhere.chaos").says("b.chaos:1:");
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let chaos = Chaos::new();
    chaos.call(&["check", "nowhere.chaos"]).exits(2).says("nowhere.chaos").says("No such file");
    chaos.call(&["run", "nowhere.chaos"]).exits(2).says("nowhere.chaos");
    chaos.call(&["fmt", "nowhere.chaos"]).exits(2).says("nowhere.chaos");
    // A folder is its scenarios; where one file is meant it is none.
    chaos.call(&["check", "."]).exits(2).says("there is no `.chaos` file in `.`");
    chaos.call(&["explain", "."]).exits(2).says("directory");

    let huge = chaos.path().join("huge.chaos");
    File::create(&huge).unwrap().set_len(100 << 20).unwrap();
    for command in ["check", "run", "plan", "explain", "fmt"] {
        let ended = chaos.call(&[command, "huge.chaos"]).exits(2).says("huge.chaos");
        assert!(ended.stderr.len() < 4096, "{} bytes are said about it", ended.stderr.len());
    }

    let mut bytes = LAB.as_bytes().to_vec();
    let place = LAB.find("little").unwrap();
    bytes[place] = 0xff;
    chaos.file("binary.chaos", &bytes);
    let column = place - LAB[..place].rfind('\n').unwrap();
    for command in ["check", "run", "fmt"] {
        let ended = chaos.call(&[command, "binary.chaos"]).exits(2).says("UTF-8").says("line 2");
        assert!(ended.said(&format!("column {column}")), "no column {column}: {ended}");
    }
}

#[test]
fn values_outside_their_range_are_refused() {
    let chaos = Chaos::new();
    let text =
        format!("param far_by = 20ms in 0ms .. 50ms\n\n{}", changed(LAB, &[("delay 20ms", "delay far_by")]));
    let file = chaos.file("param.chaos", text);
    chaos.call(&["check", &file, "--set", "far_by=50ms"]).exits(0);
    chaos.call(&["check", &file, "--set", "far_by=60ms"]).exits(2).says("50ms");
    chaos.call(&["run", &file, "--set", "far_by=60ms"]).exits(2).says("50ms");
    chaos.call(&["check", &file, "--set", "far_by=5%"]).exits(2).says("duration");
    chaos.call(&["check", &file, "--set", "far_bye=5ms"]).exits(2).says("did you mean `far_by`");
    chaos.call(&["check", &file, "--set", "far_by"]).exits(2);
    assert!(!chaos.out().exists(), "nothing was begun");
}

#[test]
fn a_command_line_with_mistakes_is_bad_input() {
    let chaos = Chaos::new();
    chaos.call(&["frobnicate"]).exits(2).says("unrecognized subcommand");
    chaos.call(&["run"]).exits(2);
    chaos.call(&["run", "x.chaos", "--seed", "many"]).exits(2);
    let file = chaos.file("good.chaos", LAB);
    let ended = chaos.call(&["run", &file, "--backend", "magic"]);
    assert!(matches!(ended.code, Some(2 | 5)), "{ended}");
    assert!(ended.said("magic"), "{ended}");
}
