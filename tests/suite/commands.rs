//! The commands around runs.

use std::{fs, process::Command};

use chaos_tests::{Chaos, World, lab_or_skip, namespaces_of, scenario::LAB, slot, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn doctor_says_what_this_machine_can_do() {
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let text = chaos.call(&["doctor"]);
    let json = chaos.call(&["doctor", "--format", "json"]);
    assert_eq!(text.code, json.code, "{text}{json}");
    let findings: Value = serde_json::from_str(&json.stdout).unwrap();
    let backends = findings["backends"].as_array().unwrap();
    for name in ["tcx", "netem", "tbf", "forwarder"] {
        let backend =
            backends.iter().find(|b| b["name"] == name).unwrap_or_else(|| panic!("no {name}: {json}"));
        assert!(text.stdout.contains(name), "{text}");
        // Each "no" has its reason, and what it costs.
        let explained = backend["detail"].is_string() && backend["costs"].is_string();
        assert!(backend["works"] == true || explained, "{json}");
    }
    let parts = findings["capabilities"].as_array().unwrap();
    for name in ["network-namespace", "veth", "clsact"] {
        assert!(
            parts.iter().any(|part| part["name"] == name),
            "the agent does not say whether it has {name}: {json}"
        );
    }
    let any = backends.iter().any(|b| b["works"] == true);
    assert_eq!(json.code, Some(if any && findings["lab"]["works"] == true { 0 } else { 5 }), "{json}");
    before.assert_same(&chaos, &[]);
}

#[test]
fn completions_and_man_pages_know_the_commands() {
    let chaos = Chaos::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = chaos.call(&["completions", shell]).exits(0).stdout;
        for word in ["run", "restore", "doctor"] {
            assert!(script.contains(word), "{shell} knows nothing of `{word}`");
        }
        assert!(!script.contains("lab-init"), "{shell} offers what is not a command for people");
    }
    chaos.call(&["man", "pages"]).exits(0);
    for page in ["chaos.1", "chaos-run.1", "chaos-restore.1"] {
        let text = fs::read_to_string(chaos.path().join("pages").join(page)).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page} is not a man page");
    }
}

#[test]
fn the_help_names_the_exit_codes() {
    let chaos = Chaos::new();
    let help = chaos.call(&["--help"]).exits(0);
    for (code, word) in [(0, "passed"), (1, "failed"), (2, "bad input"), (3, "inconclusive"), (4, "aborted")]
    {
        assert!(help.said(&format!("{code} {word}")), "{help}");
    }
    for (code, word) in [(5, "refused"), (6, "not permitted"), (7, "not restored")] {
        assert!(help.said(&format!("{code} {word}")), "{help}");
    }
    chaos.call(&["--version"]).exits(0).says("chaos");
}

#[test]
fn fmt_writes_the_canonical_layout_once() {
    let chaos = Chaos::new();
    let untidy = LAB
        .replace("  fault far = delay", "  # keep me\n      fault   far=delay")
        .replace("hold     3s", "hold 3s");
    let file = chaos.file("untidy.chaos", &untidy);
    chaos.call(&["fmt", "--check", &file]).exits(1).says("untidy.chaos");
    assert_eq!(fs::read_to_string(chaos.path().join(&file)).unwrap(), untidy, "--check writes nothing");
    chaos.call(&["fmt", &file]).exits(0);
    let tidy = fs::read_to_string(chaos.path().join(&file)).unwrap();
    assert_eq!(tidy, LAB.replace("  fault far = delay", "  # keep me\n  fault far = delay"));
    chaos.call(&["fmt", "--check", &file]).exits(0);
}

#[test]
fn a_lab_can_be_looked_around_in_by_hand() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB);
    chaos.call(&["lab", "shell", "api", "true"]).exits(2).says("no lab is up");
    let mut up = chaos.start(&["lab", "up", &file]);
    up.until_said("the lab is up");
    let family = chaos.family();
    assert!(family.len() >= 3, "the command, the lab's first process, a server: {family:?}");
    assert!(!namespaces_of(&family).is_empty(), "the lab has namespaces");
    let addresses = chaos.call(&["lab", "shell", "api", "ip", "-br", "addr"]).exits(0);
    assert!(addresses.stdout.contains("10.77.0."), "{addresses}");
    chaos.call(&["lab", "shell", "client", "ping", "-c", "1", "-W", "5", "api"]).exits(0).says("1 received");
    chaos.call(&["lab", "shell", "client", "false"]).exits(1);
    chaos.call(&["lab", "shell", "nobody-here", "true"]).exits(2).says("nobody-here");
    up.signal(Signal::SIGINT);
    up.end().exits(0).says("the lab is gone");
    before.assert_same(&chaos, &[]);
    chaos.call(&["lab", "shell", "api", "true"]).exits(2).says("no lab is up");
}

#[test]
fn a_lab_is_gone_when_its_holder_is_killed() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB);
    let mut up = chaos.start(&["lab", "up", &file]);
    up.until_said("the lab is up");
    up.signal(Signal::SIGKILL);
    assert_eq!(up.end().signal, Some(9));
    assert!(wait_until(|| chaos.family().is_empty()), "{:?}", chaos.family());
    before.assert_same(&chaos, &[]);
}

#[test]
fn what_is_printed_into_a_closed_pipe_breaks_nothing() {
    let chaos = Chaos::new();
    let mut shell = Command::new("bash");
    let line = format!("set -o pipefail; '{}' completions bash | true", chaos.program().display());
    shell.args(["-c", &line]);
    chaos.prepare(&mut shell);
    let status = shell.status().unwrap();
    assert!(status.code().is_some_and(|code| code != 101 && code < 128), "{status}");
}
