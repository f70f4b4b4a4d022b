//! Restored means looked at: what stands in the kernel counts, whoever holds it.

use std::{path::Path, process::Command, time::Duration};

use chaos_tests::{Chaos, Running, Scene, ping, wait_until};
use nix::sys::signal::Signal;

const LATENCY: &str = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";

/// Faults of each mechanism that a packet feels, and the backend that does them.
const FELT: [(&str, &str); 4] = [
    ("loss 100% on box", "tcx"),
    ("block box to 10.88.0.2:7 reject", "nft"),
    ("bandwidth 64kbit burst 2kb on box", "tbf"),
    ("delay 400ms on box", "forwarder"),
];

/// Begins a run and waits for the middle of its hold.
fn holding(scene: &Scene, fault: &str, backend: &str) -> Running {
    let changes = [("delay 20ms on box", fault), ("hold     3s", "hold     90s"), (LATENCY, "")];
    let file = scene.on_machine(&changes);
    let mut running = scene.start(&["run", &file, "--backend", backend]);
    running.until_stage("hold");
    running
}

/// Freezes the agent and kills the runner, so that nobody is left who would revert anything.
fn freeze_and_kill(scene: &Scene, running: Running) -> String {
    let run = running.run();
    assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
    running.signal(Signal::SIGKILL);
    running.end();
    run
}

/// Returns whether a datagram comes back at once although many others are on their way.
fn flows(scene: &Scene) -> bool {
    let socket = scene.network().socket();
    for _ in 0..20 {
        // What is refused or does not fit is what is looked for.
        let _ = socket.send(&[0; 1000]);
    }
    ping(&socket, Duration::from_millis(250)).is_some()
}

#[test]
fn what_a_frozen_agent_holds_is_found_and_ended() {
    for (fault, backend) in FELT {
        let Some(scene) = Scene::machine() else { return };
        let run = freeze_and_kill(&scene, holding(&scene, fault, backend));
        assert!(!flows(&scene), "{backend}: the fault is not felt, so this test shows nothing");
        let ended = scene.call(&["restore", &run]).exits(0).says("restored");
        assert!(flows(&scene), "{backend}: the fault stands: {ended}");
        assert!(wait_until(|| scene.family().is_empty()), "{backend}: {:?}", scene.family());
        scene.assert_as_before();
        scene.call(&["restore"]).exits(0).says("nothing to do");
    }
}

#[test]
fn what_somebody_unknown_holds_is_named_with_the_command_that_ends_them() {
    for (fault, backend) in &FELT[..2] {
        let Some(scene) = Scene::machine() else { return };
        let running = holding(&scene, fault, backend);
        let journal = running.folder().unwrap().join("journal.jsonl");
        let run = freeze_and_kill(&scene, running);
        let agents = scene.agents();
        // As if another process than the recorded one had put it there.
        let text = std::fs::read_to_string(&journal).unwrap();
        let from = text.find("\"holder\":{").expect("the journal names who holds it");
        let until = from + text[from..].find('}').unwrap() + 1;
        std::fs::write(&journal, [&text[..from], "\"holder\":null", &text[until..]].concat()).unwrap();
        let command = format!("kill -KILL {}", agents[0]);
        scene.call(&["restore", &run]).exits(7).says("not restored").says(&command);
        assert_eq!(scene.agents(), agents, "{backend}: a process that is not on record is not ended");
        assert!(scene.signal_agents(Signal::SIGKILL));
        scene.call(&["restore", &run]).exits(0).says("restored");
        scene.assert_as_before();
    }
}

#[test]
fn a_live_run_is_refused_whatever_it_is_named_by() {
    let Some(scene) = Scene::machine() else { return };
    let mut running = holding(&scene, "loss 100% on box", "tcx");
    let (run, folder) = (running.run(), running.folder().unwrap());
    let journal = folder.join("journal.jsonl");
    let link = scene.path().join("elsewhere");
    std::os::unix::fs::symlink(&journal, &link).unwrap();
    let hard = scene.path().join("copy");
    std::fs::hard_link(&journal, &hard).unwrap();
    let before = std::fs::read(&journal).unwrap();
    for path in [&folder, &journal, &link, &hard] {
        scene.call(&["restore", &path.display().to_string()]).exits(5).says("still running").says(&run);
    }
    scene.call(&["restore", &run]).exits(5).says("still running").says("chaos stop");
    scene.call(&["restore"]).exits(0).says("still running");
    // From a state directory that knows nothing of it, too.
    let other = Chaos::new();
    other.call(&["restore", &folder.display().to_string()]).exits(5).says("still running").says(&run);
    // A copy is locked by nobody, and its run is alive all the same.
    let copy = scene.path().join("a-copy.jsonl");
    std::fs::copy(folder.join("journal.jsonl"), &copy).unwrap();
    for chaos in [&*scene, &other] {
        chaos.call(&["restore", &copy.display().to_string()]).exits(5).says("still running").says(&run);
    }
    assert!(!running.has_ended() && !flows(&scene), "the fault stands, and its run goes on");
    assert_eq!(std::fs::read(&journal).unwrap(), before, "nobody else writes to its journal");
    running.signal(Signal::SIGINT);
    running.end().exits(4).says("everything is as it was");
    scene.assert_as_before();
}

#[test]
fn what_the_kernel_holds_ends_at_its_deadline_although_agent_and_runner_hang() {
    for (fault, backend) in &FELT[..2] {
        let Some(scene) = Scene::machine() else { return };
        let changes = [("delay 20ms on box", *fault), ("hold     3s", "hold     1s"), (LATENCY, "")];
        let file = scene.on_machine(&changes);
        let mut running = scene.start(&["run", &file, "--backend", backend]);
        running.until_stage("hold");
        running.signal(Signal::SIGSTOP);
        assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
        assert!(!flows(&scene), "{backend}: the fault is not felt, so this test shows nothing");
        let begun = std::time::Instant::now();
        while !flows(&scene) {
            assert!(begun.elapsed() < Duration::from_secs(25), "{backend}: it stands after its deadline");
        }
        assert!(begun.elapsed() > Duration::from_secs(5), "{backend}: {:?}", begun.elapsed());
        scene.signal_agents(Signal::SIGKILL);
        running.signal(Signal::SIGKILL);
        running.end();
        scene.call(&["restore"]).exits(0);
        scene.assert_as_before();
    }
}

/// What may become of a journal: how that is called, and what does it.
type Spoilt = (&'static str, fn(&Path));

const SPOILT: [Spoilt; 3] = [
    ("emptied", |journal| std::fs::write(journal, "").expect("the journal is ours")),
    ("deleted", |journal| std::fs::remove_file(journal).expect("the journal is ours")),
    ("cut off behind its first line", |journal| {
        let text = std::fs::read_to_string(journal).expect("the journal is ours");
        std::fs::write(journal, text.split_inclusive('\n').next().unwrap_or_default())
            .expect("the journal is ours");
    }),
];

/// Kills agent and runner at once.
fn kill_both(scene: &Scene, running: Running) {
    running.signal(Signal::SIGSTOP);
    assert!(scene.signal_agents(Signal::SIGSTOP), "there is an agent");
    scene.signal_agents(Signal::SIGKILL);
    running.signal(Signal::SIGKILL);
    running.end();
    assert!(wait_until(|| scene.family().is_empty()), "{:?}", scene.family());
}

#[test]
fn without_a_journal_the_targets_are_looked_at_and_what_is_found_is_said() {
    for (how, spoil) in SPOILT {
        let Some(scene) = Scene::machine() else { return };
        let running = holding(&scene, FELT[2].0, FELT[2].1);
        let (run, folder) = (running.run(), running.folder().unwrap());
        kill_both(&scene, running);
        assert!(
            scene.differences().contains("tbf"),
            "{how}: the queue is not left, so this test shows nothing"
        );
        spoil(&folder.join("journal.jsonl"));
        let file = scene.in_lab(&[]);
        scene.call(&["check", &file]).exits(0).says("may have left faults in place");
        let by_id = scene.call(&["restore", &run]).exits(7).says("still in place");
        assert!(by_id.said("tc qdisc del dev"), "{how}: {by_id}");
        if how != "deleted" {
            let folder = folder.display().to_string();
            scene.call(&["restore", &folder]).exits(7).says("tc qdisc del dev");
        }
        remove(&scene);
        scene.call(&["restore", &run]).exits(0);
        scene.assert_as_before();
        scene.call(&["restore"]).exits(0).says("nothing to do");
    }
}

/// Does by hand what is advised.
fn remove(scene: &Scene) {
    let status = Command::new("ip")
        .args(["netns", "exec", &scene.network().name, "tc", "qdisc", "del", "dev", "eth0", "root"])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the command that is named removes it");
}

#[test]
fn without_a_journal_and_with_nothing_left_it_is_said_once() {
    for (how, spoil) in SPOILT {
        let Some(scene) = Scene::machine() else { return };
        let running = holding(&scene, FELT[0].0, FELT[0].1);
        let folder = running.folder().unwrap();
        kill_both(&scene, running);
        scene.assert_as_before();
        spoil(&folder.join("journal.jsonl"));
        let file = scene.in_lab(&[]);
        let first = scene.call(&["check", &file]).exits(0);
        assert!(first.said("was killed, and nothing of it is left"), "{how}: {first}");
        scene.call(&["check", &file]).exits(0).keeps_quiet_about("was killed");
        scene.call(&["restore"]).exits(0).says("nothing to do");
    }
}

#[test]
fn what_cannot_be_settled_is_forgotten_by_somebody_who_is_on_record() {
    let Some(scene) = Scene::machine() else { return };
    let running = holding(&scene, FELT[2].0, FELT[2].1);
    let (run, folder) = (running.run(), running.folder().unwrap());
    kill_both(&scene, running);
    std::fs::write(folder.join("journal.jsonl"), "").unwrap();
    scene.call(&["restore", "--forget"]).exits(2);
    scene.call(&["restore", "--forget", &run]).exits(0).says("forgotten by root").says("tc qdisc del dev");
    let record = std::fs::read_to_string(scene.path().join("state/forgotten.jsonl")).unwrap();
    let record: serde_json::Value = serde_json::from_str(record.trim_end()).unwrap();
    assert_eq!((&record["run"]["run"], &record["by"]), (&run.as_str().into(), &"root".into()), "{record}");
    assert!(record["left"][0].as_str().unwrap().contains("queues of a fault"), "{record}");
    scene.call(&["restore"]).exits(0).says("nothing to do");
    scene.call(&["restore", "--forget", &run]).exits(2).says("no run");
    remove(&scene);
    scene.assert_as_before();
}

#[test]
fn what_can_be_restored_is_not_forgotten() {
    let Some(scene) = Scene::machine() else { return };
    let running = holding(&scene, FELT[2].0, FELT[2].1);
    let run = running.run();
    scene.call(&["restore", "--forget", &run]).exits(5).says("still running");
    kill_both(&scene, running);
    scene.call(&["restore", "--forget", &run]).exits(0).says("restored").keeps_quiet_about("forgotten");
    scene.assert_as_before();
}

#[test]
fn one_namespace_under_two_names_is_one_target() {
    let Some(scene) = Scene::machine() else { return };
    let name = scene.network().name.clone();
    // A process of its own name, inside the namespace that the first run is on.
    let sitting = scene.path().join("chaos-sits");
    std::fs::copy("/bin/sleep", &sitting).unwrap();
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &name]).arg(&sitting).arg("120");
    let mut inside = inside.spawn().unwrap();
    let first = holding(&scene, FELT[2].0, FELT[2].1);
    let before = scene.differences();
    assert!(before.contains("tbf"), "{before}");
    let netns = format!("netns \"{name}\"");
    // The same queue, which planning finds there already, and something that would fit beside it.
    let seconds = [
        (FELT[2].0, "tbf", "still carries a fault of another run"),
        ("loss 1% on box", "tcx", "is already on process chaos-sits"),
    ];
    let ended = seconds.map(|(fault, backend, said)| {
        let text = chaos_tests::scenario::machine(&name, &[("delay 20ms on box", fault), (LATENCY, "")])
            .replace(&netns, "process \"chaos-sits\"")
            .replace("at most 1 hosts", "at most 1 processes");
        let file = scene.file("second.chaos", text);
        (scene.call(&["run", &file, "--backend", backend]), said)
    });
    let after = scene.differences();
    first.signal(Signal::SIGINT);
    let first = first.end();
    inside.kill().unwrap();
    inside.wait().unwrap();
    for (second, said) in ended {
        assert!(after.contains("tbf"), "the second run took the first one's queue away: {second}");
        let second = second.exits(5).says(said);
        assert!(!second.stderr.contains("in place:"), "{second}");
    }
    first.exits(4).says("everything is as it was");
    scene.assert_as_before();
}
