//! As an ordinary user.

use std::process::Command;

use chaos_tests::{
    Chaos, Network, World, is_root, namespaces_of, other_user, root_or_skip,
    scenario::{LAB, machine},
    slot, user_or_skip,
};
use nix::sys::signal::Signal;

#[test]
fn a_lab_works_without_any_right_and_is_gone_afterwards() {
    if !user_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::of_user();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB);
    chaos.call(&["plan", &file]).exits(0);
    let mut running = chaos.start(&["run", &file]);
    running.until_stage("hold");
    let family = chaos.family();
    assert!(!namespaces_of(&family).is_empty(), "{family:?}");
    let ended = running.end().exits(0).says("PASSED").says("everything is as it was");
    assert_eq!(ended.record()["exercised"]["far"], true, "{ended}");
    before.assert_same(&chaos, &[]);
}

#[test]
fn a_lab_of_an_ordinary_user_is_gone_when_everything_is_killed() {
    if !user_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::of_user();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("lab.chaos", LAB.replace("hold     3s", "hold     60s"));
    let mut running = chaos.start(&["run", &file]);
    running.until_stage("hold");
    running.signal(Signal::SIGKILL);
    running.end();
    before.assert_same(&chaos, &[]);
    chaos.call(&["check", &file]).exits(0).says("was killed, and nothing of it is left");
    chaos.call(&["check", &file]).exits(0).keeps_quiet_about("was killed");
    chaos.call(&["restore"]).exits(0).says("nothing to do");
}

#[test]
fn faults_on_this_machine_are_not_permitted() {
    if !root_or_skip() {
        return;
    }
    let network = Network::new();
    let chaos = Chaos::of_user();
    let named = [network.name.as_str()];
    let before = World::of(&chaos, &named);
    let file = chaos.file("machine.chaos", machine(&network.name, &[]));
    let ended = chaos.call(&["run", &file]).exits(6);
    assert!(ended.said("root") || ended.said("CAP_NET_ADMIN"), "what would help is not said: {ended}");
    before.assert_same(&chaos, &named);
}

#[test]
fn a_lab_is_not_permitted_where_user_namespaces_are_denied() {
    if !root_or_skip() {
        return;
    }
    // A user namespace in which nobody may make another one is such a machine.
    let denied = |chaos: &Chaos, words: &str| {
        let line = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces || exit 99; \
             exec setpriv --inh-caps=-all --ambient-caps=-all '{}' {words}",
            chaos.program().display()
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-current-user", "--keep-caps", "bash", "-c", &line]);
        other_user(&mut command);
        chaos.prepare(&mut command);
        chaos.start_prepared(command, format!("{words} without user namespaces")).end()
    };
    let chaos = Chaos::of_user();
    let tried = denied(&chaos, "--version");
    if tried.code != Some(0) {
        println!("skipped: no machine without user namespaces can be made here: {}", tried.stderr.trim());
        return;
    }
    let file = chaos.file("lab.chaos", LAB);
    for command in ["run", "plan"] {
        let ended = denied(&chaos, &format!("{command} {file}")).exits(6);
        assert!(ended.said("user namespace"), "{ended}");
        assert!(ended.said("max_user_namespaces") || ended.said("chaos doctor"), "no remedy: {ended}");
    }
    assert!(!chaos.out().exists(), "nothing was begun");
    denied(&chaos, "doctor").exits(5).says("max_user_namespaces");
}

#[test]
fn doctor_tells_an_ordinary_user_what_is_missing() {
    if !is_root() {
        println!("skipped: becoming another user takes root");
        return;
    }
    let chaos = Chaos::of_user();
    let ended = chaos.call(&["doctor"]).says("ordinary user");
    let mut id = Command::new("id");
    other_user(&mut id);
    assert!(String::from_utf8_lossy(&id.output().unwrap().stdout).contains("65534"));
    assert!(matches!(ended.code, Some(0 | 5)), "{ended}");
}
