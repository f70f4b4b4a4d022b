//! The documents say what is so: every command in them is run, or it is said here why not.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use chaos_tests::{Chaos, World, lab_or_skip, repository, scenario::quick, slot};

/// Command lines that are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("./tests/all", "it runs this test"),
    (
        "cargo rustc --release -p chaos-cli -- -C target-feature=+crt-static",
        "minutes of building; `tests/sizes` builds it",
    ),
    ("rustup target add x86_64-unknown-linux-musl", "it installs; `tests/sizes` does it"),
    (
        "cargo build --profile small -p chaos-agent-bin --target x86_64-unknown-linux-musl",
        "minutes of building; `tests/sizes` builds it",
    ),
    ("chaos image --output agent.tar", "it takes a static agent; `tests/cluster/run` makes one so"),
    ("cargo install oha && apt-get install wrk", "it installs what only a comparison needs"),
];

/// What `eval` is shown with: recordings of a fault from 30 s to 60 s, in which everything is as it should be.
const RECORDED: [(&str, &str); 2] = [
    ("run.csv", "time,latency,errors\n0,0.05,0\n30,0.08,0.2\n60,0.06,0.1\n65,0.05,0\n120,0.05,0\n"),
    (
        "answer.json",
        r#"{"status": "success", "data": {"resultType": "matrix", "result":
            [{"metric": {"__name__": "lag"}, "values": [[0, "1"], [15, "2"], [30, "7"], [45, "1"], [60, "1"], [75, "1"]]}]}}"#,
    ),
];

/// A line of a block that is meant for a shell.
#[derive(Debug)]
struct Line {
    file: String,
    number: usize,
    command: String,
    /// The exit codes that its comment names, else 0.
    exits: Vec<i32>,
}

fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(repository().join("docs")).expect("the repository has documents");
    let mut found: Vec<PathBuf> = docs.map(|entry| entry.expect("the folder can be read").path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "md"));
    found.push(repository().join("README.md"));
    found.sort();
    assert!(found.len() >= 7, "{found:?}");
    found
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).expect("documents have names")
}

/// Returns the lines of all blocks that are marked as `sh` or `console`; of the latter those behind a `$`.
fn lines() -> Vec<Line> {
    let mut found = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document is text");
        let mut block = None;
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(kind) = line.strip_prefix("```") {
                block = if block.is_none() { Some(kind.trim().to_owned()) } else { None };
                continue;
            }
            let command = match block.as_deref() {
                Some("sh" | "bash" | "shell") => line,
                Some("console") => match line.strip_prefix("$ ") {
                    Some(command) => command,
                    None => continue,
                },
                _ => continue,
            };
            let (command, comment) = command.split_once(" #").unwrap_or((command, ""));
            let said = comment.split("exits with ").nth(1).unwrap_or("0");
            let exits = said.split(" or ").map_while(|code| code.trim().get(..1)?.parse().ok()).collect();
            let command = command.trim().to_owned();
            if !command.is_empty() && !command.starts_with('#') {
                found.push(Line { file: name(&path), number, command, exits });
            }
        }
    }
    found
}

/// Returns the call of `chaos` that a line is, where `cargo run` only builds it first.
fn as_chaos(command: &str) -> Option<String> {
    let built =
        command.strip_prefix("cargo run --release -- ").or_else(|| command.strip_prefix("cargo run -- "));
    match built {
        Some(arguments) => Some(format!("chaos {arguments}")),
        None => command.starts_with("chaos ").then(|| command.to_owned()),
    }
}

#[test]
fn every_command_of_the_documents_is_run() {
    let lines = lines();
    let unused: Vec<&str> = NOT_RUN
        .iter()
        .map(|(command, _)| *command)
        .filter(|command| !lines.iter().any(|line| line.command == *command))
        .collect();
    assert!(unused.is_empty(), "excused, but in no document: {unused:?}");
    assert!(lines.iter().any(|line| as_chaos(&line.command).is_some()), "{lines:?}");
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    // As in a checkout, without writing into this one.
    for folder in ["scenarios", "bin"] {
        fs::create_dir(chaos.path().join(folder)).expect("the folder is ours");
    }
    for entry in fs::read_dir(repository().join("scenarios")).expect("the repository has scenarios") {
        let name = name(&entry.expect("the folder can be read").path());
        if name.ends_with(".chaos") {
            chaos.file(&format!("scenarios/{name}"), quick(&name));
        }
    }
    // Those on a cluster are only read here.
    symlink(repository().join("scenarios/kubernetes"), chaos.path().join("scenarios/kubernetes"))
        .expect("the folder is ours");
    for (name, text) in RECORDED {
        chaos.file(name, text);
    }
    symlink(chaos.program(), chaos.path().join("bin/chaos")).expect("the folder is ours");
    for line in &lines {
        let Line { file, number, command, exits } = line;
        if let Some((_, why)) = NOT_RUN.iter().find(|(excused, _)| excused == command) {
            println!("{file}:{number}: not run: `{command}`: {why}");
            continue;
        }
        let place = format!("{file}:{number}: `{command}`");
        if let Some(benchmark) = command.strip_prefix("cargo run --release -p chaos-benches -- ") {
            // They take minutes and an idle machine; that there is such a one is seen in the program's own list.
            let main =
                fs::read_to_string(repository().join("benches/src/main.rs")).expect("benchmarks are there");
            let word = benchmark.split(' ').next().unwrap_or_default();
            assert!(main.contains(&format!("mod {word};")), "{place}: there is no such benchmark");
            println!("{place}: not run: a benchmark");
            continue;
        }
        let Some(call) = as_chaos(command) else { panic!("{place}: neither run nor excused") };
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("PATH=$PWD/bin:$PATH; {call}")]);
        chaos.prepare(&mut shell);
        let ended = chaos.start_prepared(shell, format!("(by {place})")).end();
        let code = ended.code.unwrap_or(-1);
        assert!(exits.contains(&code), "{place} should exit with {exits:?}: {ended}");
        before.assert_same(&chaos, &[]);
        println!("{place}: exit code {code} after {:.1?}", ended.took);
    }
}

/// Returns the anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Returns the text of a document between its blocks.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a document is text");
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for path in documents() {
        let text = prose(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{}: `{link}` does not exist", name(&path));
            let found = || {
                prose(&target)
                    .lines()
                    .any(|l| l.starts_with('#') && anchor(l.trim_start_matches('#')) == heading)
            };
            assert!(heading.is_empty() || found(), "{}: `{link}` has no such heading", name(&path));
            links += 1;
        }
    }
    assert!(links > 30, "{links} links are found");
}

#[test]
fn every_call_within_a_sentence_is_one() {
    let chaos = Chaos::new();
    let mut seen = 0;
    for path in documents() {
        let text = prose(&path);
        for call in text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("chaos ")) {
            let mut words = call.split_whitespace().skip(1);
            let Some(command) = words.next() else { continue };
            let mut arguments = vec![command];
            // `lab up` and its like are two words.
            let rest: Vec<&str> = words.collect();
            if command == "lab" {
                arguments.extend(rest.first());
            }
            arguments.push("--help");
            let help = chaos.call(&arguments);
            assert_eq!(help.code, Some(0), "{}: `{call}`: {help}", name(&path));
            for option in rest.iter().map(|word| word.trim_matches(['[', ']', ',', '.'])) {
                let known = !option.starts_with("--") || help.stdout.contains(option);
                assert!(known, "{}: `{call}`: there is no `{option}`: {help}", name(&path));
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} calls are found");
}
