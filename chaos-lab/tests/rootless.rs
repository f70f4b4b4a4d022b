//! A lab whose runner is killed, as root and as an ordinary user in a user namespace.
//!
//! The runner is this program again, in a process of its own: a user namespace takes a process with a single thread, which
//! the usual test harness is not, and one that is to be killed cannot do the checking.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chaos_core::model::{Host, Lab as Declaration, Program, Ready};
use chaos_lab::{Lab, Programs, enter_user_namespace};

const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, exe, stage] = arguments.as_slice()
        && mode == "runner"
    {
        return runner(Path::new(exe), stage);
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skip: becoming another user takes root");
        return ExitCode::SUCCESS;
    }
    let place = tempfile::tempdir().expect("a folder for what another user runs");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).expect("the folder is ours");
    let copy = |from: &Path, name: &str| {
        let to = place.path().join(name);
        std::fs::copy(from, &to).expect("the executable can be copied");
        to
    };
    let exe = copy(Path::new(env!("CARGO_BIN_EXE_chaos-lab")), "chaos-lab");
    let own = copy(&std::env::current_exe().expect("this program has a path"), "runner");

    for (who, uid) in [("root", 0), ("an ordinary user", NOBODY)] {
        for stage in ["up", "coming-up"] {
            killed_runner_leaves_nothing(&own, &exe, uid, stage);
            println!("test the lab of {who} is gone when its runner is killed while {stage} ... ok");
        }
        going_down(&own, &exe, uid);
        println!("test the lab of {who} answers and goes down ... ok");
    }
    ExitCode::SUCCESS
}

/// Starts this program as the runner of a lab.
fn start(own: &Path, exe: &Path, uid: u32, stage: &str) -> Child {
    let mut command = Command::new(own);
    command.args(["runner".as_ref(), exe.as_os_str(), stage.as_ref()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).uid(uid).gid(uid).current_dir("/");
    command.spawn().expect("the runner starts")
}

fn killed_runner_leaves_nothing(own: &Path, exe: &Path, uid: u32, stage: &str) {
    let mut runner = start(own, exe, uid, stage);
    if stage == "up" {
        let mut said = String::new();
        BufReader::new(runner.stdout.take().expect("piped")).read_line(&mut said).expect("the runner speaks");
        assert_eq!(said, "up\n");
    } else {
        // Its lab has a program that never becomes ready; its hosts are there once that runs.
        assert!(eventually(|| family(runner.id()).len() >= 4), "the lab does not come up");
    }
    let family = family(runner.id());
    let namespaces: Vec<PathBuf> = family.iter().filter_map(|p| network_of(*p)).collect();
    assert!(family.len() >= 4, "the runner, the lab's first process, and two programs: {family:?}");
    runner.kill().expect("it is our child");
    runner.wait().expect("it is our child");
    let started = Instant::now();
    assert!(
        eventually(|| family.iter().all(|p| network_of(*p).is_none_or(|n| !namespaces.contains(&n)))),
        "processes left: {family:?}"
    );
    println!("{} processes gone {:?} after SIGKILL of the runner", family.len(), started.elapsed());
}

fn going_down(own: &Path, exe: &Path, uid: u32) {
    let mut runner = start(own, exe, uid, "down");
    let mut said = String::new();
    runner.stdout.take().expect("piped").read_to_string(&mut said).expect("the runner speaks");
    assert_eq!(said, "api-2\ndown\n");
    assert!(runner.wait().expect("it is our child").success());
}

/// Is the runner: brings up a lab in a user namespace where it is not root, and waits for the end, or makes it.
fn runner(exe: &Path, stage: &str) -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        enter_user_namespace().expect("this machine allows user namespaces");
    }
    let http = Program::Http { port: 80, work: Duration::ZERO, capacity: None, status: 200 };
    let mut hosts = vec![Host { name: "api".into(), copies: Some(2), programs: vec![http.into()] }];
    if stage == "coming-up" {
        let argv = ["sleep", "1000"].map(str::to_owned).into();
        let never = Program::Command { argv, ready: Ready::Tcp(9), env: Vec::new(), as_root: false };
        hosts.push(Host { name: "stuck".into(), copies: None, programs: vec![never.into()] });
    }
    let declaration = Declaration { hosts, ..Declaration::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lab = Lab::up(&declaration, &Programs::of(exe)).await.expect("the lab comes up");
        if stage == "up" {
            println!("up");
            // Bounded, should the test that is to kill this die itself.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let server = lab.resolve("api-2")[1];
        let client = &lab.host("api-1").expect("declared").namespace;
        let stream = client.run(|| std::net::TcpStream::connect((server, 80)));
        let mut stream = stream.expect("a thread may enter").expect("the server listens");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        println!("{}", answer.lines().last().unwrap_or_default());
        lab.down().await.expect("nothing is left");
        println!("down");
    });
    ExitCode::SUCCESS
}

/// Waits for something that must happen within two seconds, or ten for a lab to come up on a slow machine.
fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    done()
}

/// The network namespace of a process that still runs.
fn network_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// A process with all that descend from it.
fn family(first: u32) -> Vec<u32> {
    let parent_of = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|l| l.strip_prefix("PPid:\t"))?.parse().ok()
    };
    let all: Vec<(u32, Option<u32>)> = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .map(|pid| (pid, parent_of(pid)))
        .collect();
    let mut family = vec![first];
    let mut next = 0;
    while next < family.len() {
        let parent = Some(family[next]);
        family.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
