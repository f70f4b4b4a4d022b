//! `chaos eval`: formulas on recorded signals.

use chaos_tests::{Chaos, Ended};
use serde_json::{Value, json};

const CSV: &str = "time,x,up\n0,1,true\n2,4,true\n3,9,false\n5,2,true\n8,,true\n9,2,true\n10,3,true\n";

fn eval(chaos: &Chaos, formula: &str, more: &[&str]) -> Ended {
    let mut args = vec!["eval", formula, "--signals", "run.csv"];
    args.extend(more);
    chaos.call(&args)
}

fn answer(chaos: &Chaos, formula: &str, more: &[&str]) -> Value {
    let mut all = more.to_vec();
    all.push("--json");
    let ended = eval(chaos, formula, &all);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"));
    let code = match answer["verdict"].as_str() {
        Some("passed") => 0,
        Some("failed") => 1,
        Some("inconclusive") => 3,
        _ => panic!("{ended}"),
    };
    assert_eq!(ended.code, Some(code), "{ended}");
    answer
}

fn recorded() -> Chaos {
    let chaos = Chaos::new();
    chaos.file("run.csv", CSV);
    chaos
}

#[test]
fn verdict_truth_and_margin_are_printed_as_steps() {
    let chaos = recorded();
    let found = answer(&chaos, "always[0s,2s] (x <= 5)", &[]);
    assert_eq!(found["verdict"], "passed");
    assert_eq!(found["leaning"], "passed");
    assert_eq!(
        found["boolean"],
        json!([[0.0, true], [1.0, false], [5.0, true], [6.0, null]]),
        "closed windows: 9 at 3 s counts from 1 s on, the gap at 8 s from 6 s on"
    );
    assert_eq!(
        found["margin"],
        json!([
            [0.0, 1.0, 1.0],
            [1.0, -4.0, -4.0],
            [5.0, 3.0, 3.0],
            [6.0, null, 3.0],
            [8.0, null, 2.0],
            [10.000000001, null, null]
        ])
    );
    let bounded = answer(&chaos, "always[0s,2s] (x <= 5)", &["--range", "x=0..10"]);
    assert_eq!(bounded["margin"][3], json!([6.0, -5.0, 3.0]));
}

#[test]
fn people_read_the_verdict_first() {
    let chaos = recorded();
    let text = eval(&chaos, "always[0s,4s] (x <= 5)", &[]).exits(1);
    assert!(text.stdout.starts_with("failed\n"), "{text}");
    for words in ["x <= 5 at 3s: 4 (80 %) beyond it", "values until 4s matter", "decided    at 3s"] {
        assert!(text.stdout.contains(words), "no {words:?}: {text}");
    }
    let open = eval(&chaos, "always[9s,12s] (x <= 5)", &[]).exits(3);
    assert!(open.stdout.starts_with("inconclusive, probably passed: "), "{open}");
    assert!(open.stdout.contains("horizon-not-reached"), "{open}");
    assert!(open.stdout.contains("signals until 12s; they are known until 10s"), "{open}");
    let found = answer(&chaos, "always[9s,12s] (x <= 5)", &[]);
    assert_eq!((&found["reasons"], &found["needs_until"]), (&json!(["horizon-not-reached"]), &json!(12.0)));
}

#[test]
fn claims_are_counted_from_phases_and_events() {
    let chaos = recorded();
    let phases = ["--phases", "baseline=0s..2s,fault=2s..5s,watch=5s..10s"];
    for (claim, verdict) in [
        ("never x > 5 during baseline", "passed"),
        ("never x > 5 during fault", "failed"),
        ("up within 1s after rollback", "passed"),
        ("x settles to <= 5 within 1s for 2s after fault ends", "passed"),
        ("always x <= 5 during watch", "inconclusive"),
        ("stops x > 5 within 2s after fault starts", "failed"),
        ("stops x > 5 within 3s after fault starts", "inconclusive"),
        ("stays x <= 5 for 3s after rollback", "inconclusive"),
        ("stays x <= 5 for 2s after rollback", "passed"),
        ("(always up during baseline) and (eventually not up within 2s during fault)", "passed"),
    ] {
        assert_eq!(answer(&chaos, claim, &phases)["verdict"], verdict, "{claim}");
    }
    let event = answer(&chaos, "x <= 5 @ deploy", &["--event", "deploy=4s"]);
    assert_eq!((&event["verdict"], &event["boolean"]), (&json!("failed"), &json!([[0.0, false]])));
}

#[test]
fn every_form_of_file_says_the_same() {
    let chaos = recorded();
    let lists = r#"{"time": [0, 2, 3, 5, 8, 9, 10], "x": [1, 4, 9, 2, null, 2, 3]}"#;
    let rows = r#"[{"time": 0, "x": 1}, {"time": 2, "x": 4}, {"time": 3, "x": 9}, {"time": 5, "x": 2}, {"time": 8},
        {"time": 9, "x": 2}, {"time": 10, "x": 3}]"#;
    let dates: String = CSV
        .lines()
        .map(|line| match line.split_once(',') {
            Some((time, rest)) if time != "time" => format!("2026-01-31T12:00:{:0>2}Z,{rest}\n", time),
            _ => format!("{line}\n"),
        })
        .collect();
    let prometheus = json!({"status": "success", "data": {"resultType": "matrix", "result": [{
        "metric": {"__name__": "lag", "job": "a"},
        "values": [[1700000000, "1"], [1700000002, "4"], [1700000003, "9"], [1700000005, "2"]]}]}});
    chaos.file("lists.json", lists);
    chaos.file("rows.json", rows);
    chaos.file("dates.csv", dates);
    chaos.file("answer.json", prometheus.to_string());
    let formula = "always[0s,1s] (x <= 5)";
    let expected = answer(&chaos, formula, &[]);
    let of = |file: &str| -> Value {
        let ended = chaos.call(&["eval", formula, "--signals", file, "--json"]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"))
    };
    for file in ["lists.json", "rows.json", "dates.csv"] {
        assert_eq!(of(file), expected, "{file}");
    }
    let polled = of("x=answer.json");
    assert_eq!(polled["boolean"], json!([[0.0, true], [2.0, false], [5.0, null]]), "{polled}");
}

#[test]
fn bad_input_is_reported_with_its_place() {
    let chaos = recorded();
    for (formula, more, words) in [
        ("alwys[0s,1s] (x <= 5)", &[][..], "did you mean `always`"),
        ("y <= 5", &[], "no signal is called `y`"),
        ("up and x <= 5 or up", &[], "mixed without parentheses"),
        ("(x <= 5) until[1s,2s] (up)", &[], "the window of `until` starts at 0s"),
        ("x <= 5", &["--range", "x=5"], "`x=5` is not a range"),
        ("x <= 5", &["--range", "z=0..5"], "names `z`"),
        ("x <= 5", &["--range", "x=0..5"], "`x` is 9 at 3 s, outside of its range 0..5"),
        ("x <= 5", &["--phases", "fault"], "`fault` is not a phase"),
        ("x <= 5", &["--phases", "fault=5..6s"], "`5` has no unit"),
        ("x <= 5", &["--phases", "fault=6s..5s"], "ends before it starts"),
        ("x <= 5", &["--event", "deploy"], "`deploy` is not an event"),
        ("x <= 5", &["--zero", "noon"], "`noon` is not a time"),
        ("x <= 5", &["--zero", "2026-01-31T12:00:00Z"], "of another kind"),
        ("x <= 5", &["--signals", "run.csv"], "`x` is in run.csv and in run.csv"),
        ("x <= 5", &["--signals", "none.csv"], "cannot read none.csv"),
    ] {
        let ended = eval(&chaos, formula, more).exits(2);
        assert!(ended.stderr.contains(words), "{formula} {more:?}: no {words:?}: {ended}");
        assert!(ended.stdout.is_empty(), "{ended}");
    }
    for (text, words) in [
        ("", "bad.csv: the file is empty"),
        ("time,x\n", "bad.csv: the file has a header and no rows"),
        ("at,x\n0,1\n", "bad.csv:1: the header has no column `time`"),
        ("time,x\n0,1\n1,abc\n", "bad.csv:3: `abc` in column `x` is not a number"),
        ("time,x\n1,1\n0,1\n", "bad.csv:3: the time `0` comes after `1`"),
        ("time,x\n0,1\n0,1\n", "bad.csv:3: the time `0` stands twice"),
        ("{\"time\": [0,\n NaN]}", "this is not JSON"),
    ] {
        let file = chaos.file("bad.csv", text);
        let ended = chaos.call(&["eval", "x <= 5", "--signals", &file]).exits(2);
        assert!(ended.stderr.contains(words), "{text:?}: {ended}");
    }
    chaos.file("nan.csv", "time,x\n0,1\n1,NaN\n2,1\n");
    let noted = chaos.call(&["eval", "always[0s,2s] (x <= 5)", "--signals", "nan.csv"]).exits(3);
    assert!(noted.stderr.contains("note: nan.csv: 1 value of `x` counts as unknown"), "{noted}");
}
