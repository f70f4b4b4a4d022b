//! Every way in which a run can end, by its exit code.

use chaos_tests::{
    Chaos, Ended, World, lab_or_skip,
    scenario::{LAB, changed, shipped},
    slot,
};

/// Runs one experiment and checks that the world is the same afterwards.
fn run(changes: &[(&str, &str)]) -> Option<Ended> {
    run_text(&changed(LAB, changes))
}

fn run_text(text: &str) -> Option<Ended> {
    if !lab_or_skip() {
        return None;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("experiment.chaos", text);
    let mut ended = chaos.call(&["run", &file]);
    before.assert_same(&chaos, &[]);
    chaos.call(&["restore"]).exits(0).says("nothing to do");
    // The folder goes with `chaos`: what is to be read of it is read here.
    if let Some(folder) = &ended.folder {
        let kept = std::env::temp_dir().join(format!(
            "chaos-e2e-kept.{}.{}",
            std::process::id(),
            ended.took.as_nanos()
        ));
        std::fs::rename(folder, &kept).expect("both are folders for temporary files");
        ended.folder = Some(kept);
    }
    Some(ended)
}

/// Takes away what [`run_text`] has kept.
struct Kept(Ended);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(folder) = &self.0.folder {
            // It is in the folder for temporary files in any case.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn passed() {
    let Some(ended) = run(&[]) else { return };
    let _kept = Kept(ended.clone());
    let ended = ended.exits(0).says("PASSED").says("everything is as it was");
    let record = ended.record();
    assert_eq!(record["exercised"]["far"], true, "{record}");
    assert_eq!(record["restoration"]["state"], "restored", "{record}");
}

#[test]
fn failed() {
    let Some(ended) = run(&[(">= 15ms during", "<= 15ms during")]) else { return };
    let _kept = Kept(ended.clone());
    let ended = ended.exits(1).says("FAILED").says("everything is as it was");
    let text = changed(LAB, &[(">= 15ms during", "<= 15ms during")]);
    let line = text.lines().position(|line| line.contains("<= 15ms during")).unwrap() + 1;
    let place = format!("experiment.chaos:{line}:");
    assert!(ended.stderr.contains(&place), "the clause is not underlined: {ended}");
}

#[test]
fn inconclusive_because_no_traffic_met_the_fault() {
    let Some(ended) = run(&[
        ("host client\n", "host client\n    host other\n"),
        ("delay 20ms on api to client", "delay 20ms on api to other"),
        ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
    ]) else {
        return;
    };
    let _kept = Kept(ended.clone());
    let ended = ended.exits(3).says("INCONCLUSIVE");
    let record = ended.record();
    assert_eq!(record["exercised"]["far"], false, "{record}");
}

#[test]
fn refused_because_the_steady_state_does_not_hold() {
    let Some(ended) = run(&[("success(get) >= 90%\n", "p50(get.latency) <= 10us\n")]) else { return };
    let _kept = Kept(ended.clone());
    ended.exits(5).says("REFUSED").says("p50(get.latency").injected_nothing();
}

#[test]
fn refused_because_a_probe_never_gets_an_answer() {
    let Some(ended) =
        run(&[("run http port 8080", "run http port 8080 { work 60s }"), ("timeout 2s", "timeout 300ms")])
    else {
        return;
    };
    let _kept = Kept(ended.clone());
    ended.exits(5).says("REFUSED").says("success(get").injected_nothing();
}

#[test]
fn refused_because_more_would_be_touched_than_is_allowed() {
    let Some(ended) = run(&[
        ("host api {", "host api 3 {"),
        ("steady state", "blast radius {\n    at most 2 hosts\n  }\n\n  steady state"),
    ]) else {
        return;
    };
    let ended = ended.exits(5).says("at most 2 hosts").says("3");
    assert!(ended.folder.is_none(), "it was refused when it was planned: {ended}");
}

#[test]
fn aborted_by_a_condition() {
    let Some(ended) = run(&[
        ("delay 20ms on api to client", "block api to client drop"),
        ("timeout 2s", "timeout 300ms"),
        ("hold     3s", "hold     20s"),
        (
            "abort never because \"nobody else is in this lab\"",
            "abort when success(get, over 1s) < 50% for 500ms",
        ),
        ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
    ]) else {
        return;
    };
    let _kept = Kept(ended.clone());
    let ended =
        ended.exits(4).says("ABORTED").says("success(get, over 1s) < 50%").says("everything is as it was");
    let record = ended.record();
    assert_eq!(record["abort"]["kind"], "condition", "{record}");
    assert!(ended.took.as_secs() < 20, "the hold was not cut short: {ended}");
}

#[test]
fn the_worst_of_several_files_is_the_exit_code() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let pass = chaos.file("pass.chaos", LAB);
    let fail = chaos.file("fail.chaos", changed(LAB, &[(">= 15ms during", "<= 15ms during")]));
    let unsteady = chaos
        .file("unsteady.chaos", changed(LAB, &[("success(get) >= 90%\n", "p50(get.latency) <= 10us\n")]));
    let ended = chaos.call(&["run", &fail, &unsteady, &pass]).exits(5);
    for word in ["FAILED", "REFUSED", "PASSED"] {
        assert_eq!(ended.stdout.lines().filter(|l| l.starts_with(word)).count(), 1, "{ended}");
    }
    let folders = std::fs::read_dir(chaos.out()).unwrap().count();
    assert_eq!(folders, 3, "a folder each");
}

#[test]
fn a_parameter_is_set_within_its_range() {
    let text = format!(
        "param far_by = 20ms in 0ms .. 50ms\n\n{}",
        changed(LAB, &[("delay 20ms", "delay far_by"), (">= 15ms during", ">= 45ms during")])
    );
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let file = chaos.file("param.chaos", text);
    chaos.call(&["run", &file, "--set", "far_by=50ms"]).exits(0).says("delay 50ms");
}

#[test]
fn a_partition_between_two_hosts() {
    let text = shipped(
        "partition.chaos",
        &[
            ("steady state over 3s", "steady state over 1s"),
            ("baseline 5s", "baseline 3s"),
            ("hold     10s", "hold     4s"),
            ("watch    8s", "watch    5s"),
            ("within 5s after", "within 3s after"),
            ("<= 450ms", "<= 900ms"),
            ("success(shop) >= 99%", "success(shop) >= 95%"),
            ("baseline + 50ms", "baseline + 150ms"),
        ],
    );
    let Some(ended) = run_text(&text) else { return };
    let _kept = Kept(ended.clone());
    ended.exits(0).says("cut on host api-1");
}
