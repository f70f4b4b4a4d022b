//! Faults on processes, from end to end.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chaos_tests::{
    Chaos, Network, Scene, is_stage, other_user,
    scenario::{MACHINE, changed, machine, shipped},
    slot, user_or_skip, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A program of a name that no other has, in a network namespace; ended with this.
struct Program {
    child: Child,
    name: String,
}

impl Program {
    fn start(chaos: &Chaos, network: Option<&Network>, as_user: bool) -> Program {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        // The kernel keeps 15 bytes of it.
        let name = format!("froz{}-{}", STARTED.fetch_add(1, Ordering::Relaxed), std::process::id());
        let path = chaos.path().join(&name);
        fs::copy("/bin/sleep", &path).expect("there is `sleep`");
        let mut command = match network {
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &network.name]).arg(&path);
                command
            }
            None => Command::new(&path),
        };
        if as_user {
            other_user(&mut command);
        }
        let child = command.arg("600").process_group(0).spawn().expect("it can be started");
        let program = Program { child, name };
        assert!(wait_until(|| program.comm() == program.name), "it does not start: {}", program.comm());
        program
    }

    fn comm(&self) -> String {
        let comm = fs::read_to_string(format!("/proc/{}/comm", self.child.id())).unwrap_or_default();
        comm.trim_end().to_owned()
    }

    fn is_stopped(&self) -> bool {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it is not waited for");
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The experiment on a namespace, in which a process is paused.
fn pausing(network: &Network, fault: &str) -> String {
    let claims = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
    machine(
        &network.name,
        &[
            ("delay 20ms on box", fault),
            ("at most 1 hosts", "at most 1 process"),
            ("baseline 2s", "baseline 1s"),
            (claims, ""),
        ],
    )
}

#[test]
fn a_frozen_server_answers_late() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.file("pause.chaos", shipped("pause.chaos", &[]));
    scene.call(&["explain", &file]).exits(0).says("is stopped, with all of its threads");
    scene.call(&["plan", &file]).exits(0).says("stop every process of host api (SIGSTOP)").says("agent-held");
    let ended = scene.call(&["run", &file]).exits(0).says("PASSED");
    let effect = &ended.record()["parts"][0]["effect"];
    assert_eq!((&effect["unit"], &effect["changed"]), (&"processes".into(), &1.into()), "{effect}");
    scene.assert_as_before();
}

#[test]
fn a_program_that_a_lab_host_does_not_run_is_not_paused() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.in_lab(&[("delay 20ms on api to client", "pause process \"nginx\" on api")]);
    let ended = scene.call(&["run", &file]).exits(4);
    assert!(ended.said("no process called `nginx` runs on host api"), "{ended}");
    scene.assert_as_before();
}

#[test]
fn whoever_survives_lets_a_process_go_on() {
    let Some(network) = Scene::network_or_skip() else { return };
    for killed in ["nobody", "the runner", "the agent", "both"] {
        let mut scene = Scene::on(&network);
        let program = Program::start(&scene, Some(&network), false);
        scene.begin_now();
        let text = pausing(&network, &format!("pause process \"{}\"", program.name));
        let file = scene.file("machine.chaos", text);
        scene.call(&["plan", &file]).exits(0).says(&format!("process {} (`", program.child.id()));
        assert!(!program.is_stopped(), "planning touches nothing");
        let mut running = scene.start(&["run", &file]);
        running.until(|what: &Value| is_stage(what, "hold"));
        assert!(program.is_stopped(), "{killed}");
        match killed {
            "the runner" => running.signal(Signal::SIGKILL),
            "the agent" => assert!(scene.signal_agents(Signal::SIGKILL)),
            "both" => {
                running.signal(Signal::SIGSTOP);
                scene.signal_agents(Signal::SIGSTOP);
                scene.signal_agents(Signal::SIGKILL);
                running.signal(Signal::SIGKILL);
            }
            _ => {}
        }
        let ended = running.end();
        if killed == "both" {
            std::thread::sleep(Duration::from_millis(500));
            assert!(program.is_stopped(), "nobody is left to let it go on");
            scene.call(&["check", &file]).exits(0).says("chaos restore");
        } else {
            assert!(wait_until(|| !program.is_stopped()), "{killed}: {ended}");
        }
        scene.call(&["restore"]).exits(0);
        assert!(!program.is_stopped(), "{killed}: {ended}");
        match killed {
            "nobody" => assert_eq!(ended.exits(0).record()["exercised"]["far"], true),
            "the agent" => assert_eq!(ended.exits(4).record()["abort"]["kind"], "lost"),
            _ => assert_eq!(ended.signal, Some(9)),
        }
        scene.assert_as_before();
    }
}

#[test]
fn who_lets_a_process_go_on_meanwhile_ends_the_run() {
    let Some(scene) = Scene::machine() else { return };
    let program = Program::start(&scene, Some(scene.network()), false);
    let fault = format!("pause process \"{}\" on box", program.name);
    let file = scene.file("machine.chaos", pausing(scene.network(), &fault));
    let mut running = scene.start(&["run", &file]);
    running.until_stage("hold");
    let pid = nix::unistd::Pid::from_raw(program.child.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    let ended = running.end().exits(4).says("was let go on by somebody else");
    assert_eq!(ended.record()["abort"]["kind"], "lost", "{ended}");
}

#[test]
fn what_may_not_be_paused_is_refused_by_the_plan() {
    let Some(scene) = Scene::machine() else { return };
    let network = scene.network();
    // The runner is called so, and so may other runs be.
    let text = pausing(network, "pause process \"chaos\" on here");
    let refused = scene.call(&["plan", &scene.file("own.chaos", text)]).exits(5);
    let reasons = ["is what runs this experiment", "is of a run of this program"];
    assert!(reasons.iter().any(|reason| refused.said(reason)), "{refused}");
    let program = Program::start(&scene, Some(network), false);
    let text = pausing(network, &format!("pause process \"{}\"", program.name));
    let file = scene.file("none.chaos", changed(&text, &[("at most 1 process", "at most 0 processes")]));
    let refused = scene.call(&["plan", &file]);
    assert!(refused.code == Some(5) && refused.said("blast radius allows at most 0 processes"), "{refused}");
    let text = pausing(network, "pause process \"no-such-program\"");
    let refused = scene.call(&["plan", &scene.file("absent.chaos", text)]);
    assert!(refused.said("no process is called `no-such-program`"), "{refused}");
}

#[test]
fn an_ordinary_user_pauses_what_is_theirs() {
    if !user_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::of_user();
    let plan = |program: &Program| {
        let fault = format!("pause process \"{}\"", program.name);
        let changes = [
            ("target box = netns \"BOX\"", "target box = here"),
            ("delay 20ms on box", fault.as_str()),
            ("at most 1 hosts", "at most 1 process"),
        ];
        chaos.call(&["plan", &chaos.file("pause.chaos", changed(MACHINE, &changes))])
    };
    let own = Program::start(&chaos, None, true);
    plan(&own).exits(0).says(&format!("stop process {} (`", own.child.id()));
    drop(own);
    // It is root's, as this test is.
    let roots = Program::start(&chaos, None, false);
    plan(&roots).exits(6).says("run as root, or as the user it runs as");
    assert!(!roots.is_stopped());
}

#[test]
fn a_supervisor_heals_what_was_killed() {
    let Some(scene) = Scene::machine() else { return };
    let name = format!("mended-{}", std::process::id());
    let path = scene.path().join(&name);
    fs::copy("/bin/sleep", &path).unwrap();
    let script = format!("while true; do {} 600; sleep 0.5; done", path.display());
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &scene.network().name, "sh", "-c", &script]).process_group(0);
    let supervisor = command.spawn().unwrap();
    let group = nix::unistd::Pid::from_raw(supervisor.id().cast_signed());
    let _program = Program { child: supervisor, name: name.clone() };
    let text = pausing(scene.network(), &format!("kill process \"{name}\" with SIGTERM"));
    let file = scene.file("machine.chaos", text);
    assert!(wait_until(|| scene.call(&["plan", &file]).code == Some(0)));
    scene.call(&["plan", &file]).says("to end (SIGTERM)").says("nothing is put back").says("not put back");
    scene.call(&["explain", &file]).exits(0).says("is sent SIGTERM");
    let ended = scene.call(&["run", &file]).exits(0).says("1 of 1 ended; healed after 0.");
    nix::sys::signal::killpg(group, Signal::SIGKILL).unwrap();
    assert_eq!(ended.record()["exercised"]["far"], true, "{ended}");
}

#[test]
fn a_program_of_a_lab_is_killed_and_the_lab_goes_on() {
    let Some(scene) = Scene::lab() else { return };
    let file = scene.in_lab(&[
        ("delay 20ms on api to client", "kill api"),
        (
            "\"nothing is lost\": success(get) >= 90% during far",
            "\"it is away\": success(get) <= 10% during far",
        ),
        ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
    ]);
    // Nothing starts it again, so the steady state does not come back.
    let ended = scene.call(&["run", &file]).exits(1);
    let record = ended.record();
    assert_eq!(record["exercised"]["far"], true, "{ended}");
    assert!(ended.said("1 of 1 ended; nothing came in their place"), "{ended}");
    assert_eq!(record["expectations"][0]["verdict"]["verdict"], "passed", "{record}");
    scene.assert_as_before();
}

#[test]
fn the_first_process_of_a_container_is_paused_from_outside() {
    let Some(scene) = Scene::machine() else { return };
    let name = format!("inner-{}", std::process::id());
    let path = scene.path().join(&name);
    fs::copy("/bin/sleep", &path).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &scene.network().name, "unshare", "--pid", "--fork", "--kill-child"]);
    let outer = command.arg(&path).arg("600").process_group(0).spawn().unwrap();
    let _outer = Program { child: outer, name: name.clone() };
    let named =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    let found = || {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(named)
    };
    assert!(wait_until(|| found().is_some()));
    let pid = found().unwrap();
    let does = |letter: char| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with(letter)
    };
    let text = pausing(scene.network(), &format!("pause process \"{name}\" on box"));
    let file = scene.file("machine.chaos", text);
    let mut running = scene.start(&["run", &file]);
    running.until_stage("hold");
    assert!(does('T'));
    running.end().exits(0);
    assert!(!does('T'));
}

#[test]
fn an_ordinary_user_pauses_a_program_of_a_lab() {
    if !user_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::of_user();
    let file = chaos.file("pause.chaos", shipped("pause.chaos", &[]));
    let ended = chaos.call(&["run", &file]).exits(0).says("PASSED").says("everything is as it was");
    assert_eq!(ended.record()["exercised"]["frozen"], true, "{ended}");
}

/// Copies `sleep` under a name, and runs it in a network namespace behind other words.
fn called(scene: &Scene, name: &str, behind: &[&str]) -> Program {
    let path = scene.path().join(name);
    fs::copy("/bin/sleep", &path).expect("there is `sleep`");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &scene.network().name]).args(behind).arg(&path).arg("600");
    let program = Program {
        child: command.process_group(0).spawn().expect("it can be started"),
        name: name.to_owned(),
    };
    let runs = || {
        let numbers = fs::read_dir("/proc").expect("there is `/proc`").flatten();
        numbers.into_iter().any(|entry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == path))
    };
    assert!(wait_until(runs), "{name} does not start");
    program
}

#[test]
fn a_service_of_the_machine_is_touched_only_where_that_is_allowed() {
    let Some(scene) = Scene::machine() else { return };
    let _service = called(&scene, "sshd", &[]);
    for fault in ["pause process \"sshd\" on box", "kill process \"sshd\" on box with SIGTERM"] {
        let text = pausing(scene.network(), fault);
        let refused = scene.call(&["plan", &scene.file("service.chaos", text.clone())]);
        assert_eq!(refused.code, Some(2), "{fault}: {refused}");
        assert!(refused.said("keeps its machine going") && refused.said("`allow system`"), "{refused}");
        let text = changed(&text, &[("at most 1 process", "at most 1 process\n    allow system")]);
        scene.call(&["plan", &scene.file("allowed.chaos", text)]).exits(0).says("1 touched, at most 1");
    }
    // Where nothing is of the system, the line is a danger for nothing.
    let _plain = called(&scene, "plain-program", &[]);
    let text = pausing(scene.network(), "pause process \"plain-program\" on box");
    let text = changed(&text, &[("at most 1 process", "at most 1 process\n    allow system")]);
    scene.call(&["plan", &scene.file("plain.chaos", text)]).exits(0).says("`allow system` allows nothing");
}

#[test]
fn what_ends_with_the_first_process_of_a_container_is_counted() {
    let Some(scene) = Scene::machine() else { return };
    let path = scene.path().join("inside");
    fs::copy("/bin/sleep", &path).expect("there is `sleep`");
    let container =
        called(&scene, "outermost", &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let network = scene.network().name.clone();
    // As `docker exec` would: it is in the container, and no child of its first process.
    let first = || {
        let children = format!("/proc/{0}/task/{0}/children", container.child.id());
        fs::read_to_string(children).ok()?.split_ascii_whitespace().next().map(str::to_owned)
    };
    assert!(wait_until(|| first().is_some()));
    let mut command = Command::new("nsenter");
    command.args(["--target", &first().expect("it runs"), "--pid", "--net"]).arg(&path).arg("600");
    let inside = Program {
        child: command.process_group(0).spawn().expect("it can be started"),
        name: "inside".to_owned(),
    };
    let text = machine(
        &network,
        &[
            ("delay 20ms on box", "kill process \"outermost\" on box"),
            ("at most 1 hosts", "at most 1 process"),
            ("baseline 2s", "baseline 1s"),
            ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
        ],
    );
    let file = scene.file("one.chaos", text.clone());
    assert!(
        wait_until(|| scene.call(&["plan", &file]).said("would touch 2")),
        "{}",
        scene.call(&["plan", &file])
    );
    assert_eq!(scene.call(&["plan", &file]).code, Some(5));
    let file = scene.file("two.chaos", changed(&text, &[("at most 1 process", "at most 2 processes")]));
    scene
        .call(&["plan", &file])
        .exits(0)
        .says("1 more end with it: it is the first process of their container");
    drop(inside);
}

#[test]
fn what_a_host_starts_while_it_is_being_stopped_is_stopped_as_well() {
    let Some(scene) = Scene::lab() else { return };
    // An argument that no other process of this machine has.
    let mark = format!("61.{}", std::process::id());
    let script = format!("run \"sh -c 'while :; do sleep {mark} & sleep 0.01; done'\" ready after 300ms");
    let file = scene.in_lab(&[
        (
            "host api { run http port 8080 }",
            &format!("host api {{ run http port 8080 }}\n    host busy {{ {script} }}"),
        ),
        ("delay 20ms on api to client", "pause busy"),
        ("baseline 2s", "baseline 500ms"),
        ("hold     3s", "hold     1s"),
        ("watch    2s", "watch    500ms"),
        ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
    ]);
    let states = || {
        let numbers = fs::read_dir("/proc").expect("there is `/proc`").flatten();
        let of = |entry: fs::DirEntry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let ours = line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
            let stat = fs::read_to_string(entry.path().join("stat")).ok().filter(|_| ours)?;
            stat.rsplit_once(") ")?.1.chars().next()
        };
        numbers.filter_map(of).collect::<Vec<char>>()
    };
    let mut running = scene.start(&["run", "--allow-exec", &file]);
    running.until_stage("hold");
    let held = states();
    assert!(held.len() > 20 && held.iter().all(|state| *state == 'T'), "{held:?}");
    running.until_stage("watch");
    let after = states();
    assert!(!after.is_empty() && after.iter().all(|state| *state != 'T'), "{after:?}");
    let ended = running.end();
    let effect = &ended.record()["parts"][0]["effect"];
    assert_eq!(effect["changed"], effect["met"], "{ended}");
    scene.assert_as_before();
}
