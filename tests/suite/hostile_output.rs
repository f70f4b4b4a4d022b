//! What the command writes: documents that stay documents, text that only says something, and evidence that is there.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::{Command, Output},
};

use chaos_tests::{
    Chaos, World, lab_or_skip, root_or_skip,
    scenario::{LAB, changed, machine},
    slot,
};
use quick_xml::{Reader, events::Event};
use serde_json::Value;

/// What steers a terminal, turns text around, hides text, and commands a CI system.
const HOSTILE: &str =
    "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2066}\u{200f}\u{e0041} ::error file=a::b ##[error]c ##vso[d]e";

#[track_caller]
fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    for line in text.lines() {
        let steers = |c: char| {
            (c.is_control() && c != '\t')
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(c, '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
        };
        assert!(!line.contains(steers), "{what}: {line:?}");
        assert!(!line.trim_start().starts_with("::"), "{what}: {line:?}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{what}: {line:?}");
    }
}

/// What of it a file may hold: the language refuses what is not to be seen.
const VISIBLE: &str = " ::error file=a::b ##[error]c ##vso[d]e";

/// A lab experiment whose every free text is hostile.
fn hostile(text: &str) -> String {
    changed(
        LAB,
        &[
            ("20ms more cost nothing but time", &format!("title{text}")),
            ("a little distance loses no request", &format!("hypothesis{text}")),
            ("nothing is lost", &format!("claim{text}")),
            ("nobody else is in this lab", &format!("because{text}")),
        ],
    )
}

#[test]
fn text_of_a_file_does_no_more_than_be_read() {
    let chaos = Chaos::new();
    let good = chaos.file("good.chaos", hostile(VISIBLE));
    let unseen = chaos.file("unseen.chaos", hostile(HOSTILE));
    // A mistake beside what is quoted around it.
    let bad = chaos.file("bad.chaos", hostile(VISIBLE).replace("p50(get.latency)", "p50(got.latency)"));
    let odd = chaos.file(&format!("odd{}.chaos", HOSTILE.replace('/', "")), "experiment");
    for arguments in [
        vec!["check", &good],
        vec!["check", &bad],
        vec!["check", &unseen],
        vec!["check", &odd],
        vec!["check", "--format", "json", &good, &bad, &unseen, &odd],
        vec!["explain", &good],
        vec!["plan", &bad],
        vec!["run", &bad, "--format", "junit"],
    ] {
        let ended = chaos.call(&arguments);
        for (stream, text) in [("output", &ended.stdout), ("errors", &ended.stderr)] {
            assert_harmless(&format!("{stream} of {arguments:?}"), text.as_bytes());
        }
    }
    // What stands in JSON still means what stood in the file.
    let ended = chaos.call(&["check", "--format", "json", &good]);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json[0]["experiments"][0], format!("title{VISIBLE}"), "{ended}");
    // A formatter changes nothing that somebody wrote.
    chaos.call(&["fmt", &good]).exits(0);
    assert!(fs::read_to_string(chaos.path().join(&good)).unwrap().contains(&format!("title{VISIBLE}")));
}

#[test]
fn journals_and_registers_do_no_more_than_be_read() {
    let chaos = Chaos::new();
    let good = chaos.file("good.chaos", LAB);
    let journal = chaos.file("journal.jsonl", format!("{{\"{HOSTILE}\n{HOSTILE}"));
    for arguments in
        [vec!["restore", &journal], vec!["stop", HOSTILE], vec!["judge", HOSTILE], vec!["check", &good]]
    {
        let ended = chaos.call(&arguments);
        assert_harmless(&format!("output of {arguments:?}"), ended.stdout.as_bytes());
        assert_harmless(&format!("errors of {arguments:?}"), ended.stderr.as_bytes());
    }
}

#[test]
fn a_run_with_hostile_texts_has_harmless_reports() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let file = chaos.file("hostile.chaos", hostile(VISIBLE));
    let ended = chaos.call(&["run", &file]).exits(0);
    assert_harmless("output", ended.stdout.as_bytes());
    assert_harmless("errors", ended.stderr.as_bytes());
    for report in ["verdict.txt", "report.md", "junit.xml", "record.json"] {
        assert_harmless(report, &fs::read(ended.kept().join(report)).unwrap());
    }
    assert_eq!(ended.record()["plan"]["experiment"]["name"]["value"], format!("title{VISIBLE}"));
}

/// Calls the command on a terminal, with variables set; returns what it shows.
fn on_a_terminal(chaos: &Chaos, variables: &str, arguments: &str) -> Vec<u8> {
    let mut script = Command::new("script");
    let line = format!("env -u NO_COLOR {variables} {} {arguments}", chaos.program().display());
    script.args(["-qec", &line, "/dev/null"]);
    chaos.prepare(&mut script);
    script.output().expect("`script` of util-linux is there").stdout
}

#[test]
fn a_terminal_that_wants_no_colours_gets_none() {
    let chaos = Chaos::new();
    let bad = chaos.file("bad.chaos", "experiment \"x\" {}");
    let good = chaos.file("good.chaos", LAB);
    fs::write(chaos.path().join("s.csv"), "time,x\n0,1\n1,2\n").unwrap();
    let calls = [format!("check {bad}"), format!("plan {good}"), "eval 'x <= 1' --signals s.csv".into()];
    for call in &calls {
        for variables in ["TERM=dumb", "CLICOLOR=0 TERM=xterm", "NO_COLOR=1 TERM=xterm", "-u TERM"] {
            let shown = on_a_terminal(&chaos, variables, call);
            let text = String::from_utf8_lossy(&shown);
            assert!(!shown.is_empty() && !text.contains('\u{1b}'), "{variables} {call}: {text:?}");
        }
    }
    // Where colours are wanted, they are there.
    let shown = on_a_terminal(&chaos, "TERM=xterm", &calls[0]);
    assert!(String::from_utf8_lossy(&shown).contains('\u{1b}'), "{shown:?}");
}

/// Calls the command with its output to a device that is full.
fn to_a_full_disk(chaos: &Chaos, arguments: &[&str]) -> Output {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full is there");
    chaos.command(arguments).stdout(full).output().expect("the command starts")
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let chaos = Chaos::new();
    let good = chaos.file("good.chaos", LAB);
    fs::write(chaos.path().join("s.csv"), "time,x\n0,1\n1,2\n").unwrap();
    for arguments in [
        vec!["check", &good],
        vec!["check", "--format", "json", &good],
        vec!["explain", &good],
        vec!["eval", "x <= 1", "--signals", "s.csv"],
        vec!["eval", "x <= 1", "--signals", "s.csv", "--json"],
        vec!["completions", "bash"],
    ] {
        let output = to_a_full_disk(&chaos, &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {said}");
        assert!(
            said.contains("cannot be written to standard output: No space left"),
            "{arguments:?}: {said}"
        );
    }
    // A reader that has seen enough is not an error.
    let mut child = chaos.command(&["explain", &good]);
    child.stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_folder_for_runs_that_cannot_be_one_is_refused_before_anything_is_injected() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let file = chaos.file("lab.chaos", LAB);
    chaos.file("a-file", "");
    for out in ["/dev/full", "/dev/null", "/proc/x", "a-file", "a-file/below"] {
        let ended = chaos.call(&["run", &file, "--quiet", "--out", out]).exits(5);
        let ended = ended.says(&format!("cannot make a folder for the run in `{out}`")).says("--out DIR");
        assert!(!ended.said("PASSED"), "{ended}");
    }
}

#[test]
fn a_pass_whose_folder_vanished_is_not_kept() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB);
    for (part, format) in [
        ("", "text"),
        ("events.jsonl", "text"),
        ("scenario", "text"),
        ("events.jsonl", "json"),
        ("plan.json", "junit"),
        ("scenario", "markdown"),
    ] {
        let mut running = chaos.start(&["run", &file, "--format", format]);
        running.until_stage("hold");
        let folder = running.folder().unwrap();
        let lost = folder.join(part);
        if lost.is_dir() {
            fs::remove_dir_all(&lost).unwrap();
        } else {
            fs::remove_file(&lost).unwrap();
        }
        let ended = running.end().exits(5).says("could not be kept whole").says("is gone");
        let ended = ended.says("without its evidence");
        // What is said of where to look is true.
        let (kept, never) =
            if part.is_empty() { ("not kept: ", "kept in ") } else { ("kept in part in ", "kept in .") };
        if format == "text" {
            assert!(ended.stdout.contains(kept) && !ended.stdout.contains(never), "{part}: {ended}");
        }
        // The headline, and all reports that could still be written, agree with the exit code.
        let headline = |format: &str| match format {
            "json" => "\"verdict\": \"not-kept\"",
            "junit" => "type=\"not-kept\"",
            _ => "NOT KEPT",
        };
        assert!(ended.stdout.contains(headline(format)), "{format}: {ended}");
        for (name, format) in [
            ("verdict.txt", "text"),
            ("record.json", "json"),
            ("junit.xml", "junit"),
            ("report.md", "markdown"),
        ] {
            let Ok(text) = fs::read_to_string(folder.join(name)) else {
                assert!(part.is_empty(), "{name} is not there: {ended}");
                continue;
            };
            assert!(text.contains(headline(format)), "{name}: {text}");
        }
        before.assert_same(&chaos, &[]);
    }
}

#[test]
fn a_pass_on_a_full_disk_is_not_kept() {
    if !root_or_skip() || !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB);
    let out = chaos.path().join("small");
    fs::create_dir(&out).unwrap();
    // A disk of its own, seen by this one process and what it starts.
    let mut command = Command::new("unshare");
    let line = format!(
        "mount -t tmpfs -o size=8m small {0} && exec {1} run {file} --out {0}",
        out.display(),
        chaos.program().display()
    );
    command.args(["-m", "sh", "-c", &line]);
    chaos.prepare(&mut command);
    let mut running = chaos.start_prepared(command, "run on a small disk".into());
    running.until_said("in place:");
    let disk = format!("/proc/{}/root{}", running.pid(), out.display());
    let mut fill = File::create(format!("{disk}/fill")).unwrap();
    let block = [0_u8; 4096];
    while fill.write_all(&block).is_ok() {}
    running.end().exits(5).says("could not be kept whole").says("No space left").says("without its evidence");
    before.assert_same(&chaos, &[]);
}

/// Counts the documents, suites and test cases of a JUnit text, which must be one well-formed document.
fn junit(xml: &str) -> (usize, usize, usize) {
    let mut reader = Reader::from_str(xml);
    let (mut depth, mut roots, mut suites, mut red) = (0, 0, 0, 0);
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}\n{xml}")) {
            Event::Eof => return (roots, suites, red),
            Event::Start(tag) => {
                roots += usize::from(depth == 0);
                suites += usize::from(tag.name().as_ref() == b"testsuite");
                red += usize::from(matches!(tag.name().as_ref(), b"failure" | b"error"));
                depth += 1;
            }
            Event::Empty(tag) => {
                roots += usize::from(depth == 0);
                red += usize::from(matches!(tag.name().as_ref(), b"failure" | b"error"));
            }
            Event::End(_) => depth -= 1,
            Event::Decl(_) => assert_eq!(roots, 0, "{xml}"),
            _ => {}
        }
    }
}

#[test]
fn one_invocation_is_one_document() {
    if !root_or_skip() || !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let lab = chaos.file("lab.chaos", LAB);
    let missing = chaos.file("missing.chaos", machine("chaos-no-such-namespace", &[]));
    let two = format!(
        "{}\n{}",
        machine("chaos-none", &[]),
        machine("chaos-none", &[]).replace("20ms more", "More")
    );
    let two = chaos.file("two.chaos", two);
    let files = [lab.as_str(), &missing, &two];
    {
        let _slot = slot();
        let ended = chaos.call(&[&["run", "--quiet", "--format", "json"], &files[..]].concat()).exits(5);
        let all: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"));
        let verdicts: Vec<&Value> =
            all.as_array().unwrap().iter().map(|one| &one["result"]["verdict"]).collect();
        assert_eq!(verdicts, ["passed", "refused", "refused", "refused"]);
    }
    {
        let _slot = slot();
        let ended = chaos.call(&[&["run", "--quiet", "--format", "junit"], &files[..]].concat()).exits(5);
        assert_eq!(junit(&ended.stdout), (1, 4, 3), "{ended}");
    }
    // One that was asked for is an object, also where it was not run.
    let ended = chaos.call(&["run", "--quiet", "--format", "json", &missing]).exits(5);
    let one: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"));
    assert_eq!(one["result"]["verdict"], "refused", "{ended}");
    // The shape is that of what was asked for, not of what came.
    let ended = chaos.call(&["run", "--quiet", "--format", "json", &two]).exits(5);
    let two: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"));
    assert_eq!(two.as_array().map(Vec::len), Some(2), "{ended}");
}

#[test]
fn a_command_that_is_to_be_copied_is_one_whatever_the_file_is_called() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let name = "it's a $(touch here) & co.chaos";
    chaos.file(name, LAB);
    let ended = chaos.call(&["run", name]).exits(0);
    let again =
        ended.stdout.lines().find_map(|line| line.strip_prefix("again:")).expect("it says how").trim();
    // A shell takes it for the words that were meant.
    let words = std::process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {again}")])
        .current_dir(chaos.path())
        .output()
        .unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(words[..4], ["chaos", "run", name, "--seed"], "{again}");
    assert!(!chaos.path().join("here").exists());
}
