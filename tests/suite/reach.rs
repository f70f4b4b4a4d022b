//! What an experiment may touch and start, whatever its file says.

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use chaos_tests::{
    Chaos, Ended, Scene, World, is_root, root_or_skip,
    scenario::{LAB, MACHINE, changed},
    slot, user_or_skip, wait_until,
};
use nix::sys::signal::Signal;

/// A process of a name of its own, in a network namespace or in this one, until it is dropped.
struct Named(Child);

impl Named {
    fn start(folder: &Path, name: &str, namespace: Option<&str>) -> Named {
        let program = folder.join(name);
        fs::copy("/bin/sleep", &program).expect("there is a `sleep` to copy");
        let mut command = match namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let child = command.arg("60").stdin(Stdio::null()).spawn().expect("it starts");
        let comm = format!("/proc/{}/comm", child.id());
        assert!(wait_until(|| fs::read_to_string(&comm).is_ok_and(|found| found.trim_end() == name)));
        Named(child)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // It may have ended; either way it is ours to wait for.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Calls the command from inside a named network namespace.
fn inside(chaos: &Chaos, namespace: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(chaos.program()).args(arguments);
    chaos.prepare(&mut command);
    chaos.start_prepared(command, format!("{} (inside {namespace})", arguments.join(" "))).end()
}

#[test]
fn what_shares_the_runners_network_is_this_machine_by_any_name() {
    let Some(scene) = Scene::machine() else { return };
    let name = scene.network().name.clone();
    let process = format!("mill-{}", std::process::id());
    let write = |target: &str, limit: &str| {
        let text = changed(MACHINE, &[("netns \"BOX\"", target), ("at most 1 hosts", limit)]);
        scene.file("reach.chaos", text)
    };

    let own = Named::start(scene.path(), &process, None);
    let asked = format!("process \"{process}\"");
    let file = write(&asked, "at most 1 process");
    scene.call(&["plan", &file]).exits(5).says("the faults would touch this machine").says("no limit");
    drop(own);

    let elsewhere = Named::start(scene.path(), &process, Some(&name));
    let file = write(&asked, "at most 1 process");
    scene.call(&["plan", &file]).exits(0).says(&format!("process {process}["));
    // The same process, from inside the namespace that it is in, and that namespace's own name.
    for target in [asked.as_str(), &format!("netns \"{name}\"")] {
        let file = write(target, "at most 1 process");
        inside(&scene, &name, &["plan", &file]).exits(5).says("the faults would touch this machine");
        let file = write(target, "at most 1 host");
        inside(&scene, &name, &["plan", &file]).exits(0).says("1 touched: this machine");
    }
    drop(elsewhere);
}

#[test]
fn a_limit_on_processes_allows_nothing_on_this_machine() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let text = changed(MACHINE, &[("netns \"BOX\"", "here"), ("at most 1 hosts", "at most 1 process")]);
    let file = chaos.file("here.chaos", text);
    chaos.call(&["plan", &file]).exits(5).says("the faults would touch this machine").says("no limit");
}

/// An established connection to port 22 of a namespace, as that of an ssh session.
fn session(namespace: &str) -> (TcpListener, TcpStream, TcpStream) {
    let path = Path::new("/run/netns").join(namespace);
    let namespace = chaos_netns::Namespace::open(path).expect("the namespace was made");
    let session = namespace.run(|| {
        let server = TcpListener::bind("10.88.0.1:22").expect("nobody else listens there");
        let near = TcpStream::connect("10.88.0.1:22").expect("it listens");
        let far = server.accept().expect("somebody connects").0;
        (server, near, far)
    });
    session.expect("root may enter it")
}

#[test]
fn a_fault_on_this_machine_spares_its_ssh_sessions() {
    let Some(scene) = Scene::machine() else { return };
    let name = scene.network().name.clone();
    let write = |fault: &str| {
        let text = changed(MACHINE, &[("netns \"BOX\"", "here"), ("delay 20ms on box", fault)]);
        scene.file("ssh.chaos", text)
    };
    let session = session(&name);
    for fault in [
        "loss 5% on box",
        "loss 5% on box to 10.88.0.0/24",
        "bandwidth 1mbit on box",
        "block box to 10.88.0.1 reject",
    ] {
        let file = write(fault);
        let refused = inside(&scene, &name, &["run", &file]).exits(5);
        refused.says("would be on the ssh session of 10.88.0.1:").says("--allow-ssh");
        inside(&scene, &name, &["plan", &file]).exits(5).says("would be on the ssh session");
        inside(&scene, &name, &["plan", &file, "--allow-ssh"]).exits(0);
    }
    // What is not on it needs no permission, nor does a namespace that is not the runner's own.
    for fault in ["loss 5% on box to 10.88.0.2", "loss 5% on box port 8080", "loss 5% on box to 10.88.0.1:80"]
    {
        inside(&scene, &name, &["plan", &write(fault)]).exits(0);
    }
    let elsewhere = scene.file("else.chaos", changed(MACHINE, &[("BOX", &name), ("delay 20ms", "loss 5%")]));
    scene.call(&["plan", &elsewhere]).exits(0);
    drop(session);
    inside(&scene, &name, &["plan", &write("loss 5% on box")]).exits(0);
    // A session that sshd has told of, and whose connection is not seen from here.
    let file = write("loss 5% on box to 192.0.2.0/24");
    // As behind `sudo`, which takes the variable away.
    for behind in [&[][..], &["sh", "-c", "env -u SSH_CONNECTION \"$@\"; exit $?", "sh"]] {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name, "env", "SSH_CONNECTION=192.0.2.7 51234 10.88.0.1 2222"]);
        command.args(behind).arg(scene.program()).args(["plan", &file]);
        scene.prepare(&mut command);
        let refused = scene.start_prepared(command, "plan, in a session".to_owned()).end().exits(5);
        refused.says("192.0.2.7:51234").says("as `SSH_CONNECTION` says");
    }
}

/// Writes a lab whose server is a program of the file's own.
fn with_program(chaos: &Chaos, program: &str) -> String {
    let program = format!("run {program}\n      run http port 8080");
    chaos.file("program.chaos", changed(LAB, &[("run http port 8080", &program)]))
}

#[test]
fn a_program_of_the_files_own_is_started_only_with_permission() {
    let chaos = Chaos::new();
    let script = chaos.file("touch.sh", format!("touch {}/started\nsleep 100\n", chaos.path().display()));
    let script = chaos.path().join(script);
    let program = format!("\"sh {}\" ready after 10ms", script.display());
    let on_host = with_program(&chaos, &program);
    let change = format!("  change other = run {program} on api\n\n  fault far =");
    let by_change = chaos.file(
        "change.chaos",
        changed(
            LAB,
            &[("  fault far =", &change), ("    inject   far\n", "    make     other\n    inject   far\n")],
        ),
    );
    for (file, by) in [(&on_host, "on the lab's host api"), (&by_change, "on the lab's hosts of other")] {
        chaos.call(&["check", file]).exits(0);
        for command in ["plan", "run"] {
            chaos.call(&[command, file]).exits(2).says(by).says("--allow-exec").says(&program[1..8]);
        }
    }
    chaos.call(&["lab", "up", &on_host]).exits(2).says("on the lab's host api").says("--allow-exec");
    assert!(!chaos.path().join("started").exists(), "it was started all the same");
}

/// What a program saw of itself.
struct Seen {
    environment: Vec<String>,
    status: BTreeMap<String, String>,
}

/// Starts a lab with a program that looks at itself; `settings` stand behind it.
fn seen(chaos: &Chaos, settings: &str) -> Seen {
    let folder = chaos.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
    let out = folder.join("seen");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).expect("the folder can be written to");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
    let script = chaos.file(
        "look.sh",
        format!("cd {}\nenv > environment\ncat /proc/self/status > status\nexec sleep 100\n", out.display()),
    );
    let program = format!(
        "\"sh {}\" ready after 300ms{settings}\n      run \"python3 -m http.server 80\" ready when tcp 80",
        folder.join(script).display()
    );
    let file = with_program(chaos, &program);
    let mut command = chaos.command(&["lab", "up", "--allow-exec", &file]);
    command.env("DEPLOY_TOKEN", "hunter2").env("PGDATA", "/var/lib/pg");
    let mut up = chaos.start_prepared(command, "lab up".into());
    up.until_said("the lab is up");
    chaos.call(&["lab", "shell", "client", "curl", "-sf", "-o", "/dev/null", "http://api/"]).exits(0);
    let read = |name: &str| fs::read_to_string(out.join(name)).expect("the program wrote it");
    let environment = read("environment").lines().map(str::to_owned).collect();
    let field = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
    let status = read("status").lines().filter_map(field).collect();
    up.signal(Signal::SIGINT);
    up.end().exits(0);
    Seen { environment, status }
}

#[test]
fn a_program_is_an_ordinary_user_with_a_clean_environment() {
    if !root_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let Seen { environment, status } = seen(&chaos, "");
    let known = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "PWD", "OLDPWD", "SHLVL", "_"];
    let other = environment.iter().find(|line| !known.contains(&line.split('=').next().unwrap_or_default()));
    assert_eq!(other, None, "{environment:?}");
    assert!(environment.iter().any(|line| line.starts_with("PATH=")), "{environment:?}");
    for (field, value) in [
        ("Uid", "65534\t65534\t65534\t65534"),
        ("Gid", "65534\t65534\t65534\t65534"),
        ("Groups", ""),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    // What is asked for by name is given, and nothing beside it.
    let Seen { environment, status } = seen(&chaos, " { env \"PGDATA\" \"NOT_SET\", as root }");
    assert!(environment.contains(&"PGDATA=/var/lib/pg".to_owned()), "{environment:?}");
    assert!(!environment.iter().any(|line| line.contains("hunter2") || line.starts_with("NOT_SET")));
    assert_eq!(status["Uid"], "0\t0\t0\t0");
    assert_ne!(status["CapEff"], "0000000000000000");
    before.assert_same(&chaos, &[]);
}

#[test]
fn a_program_of_an_ordinary_users_lab_has_no_rights_over_it() {
    if !is_root() || !user_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::of_user();
    let before = World::of(&chaos, &[]);
    let Seen { environment, status } = seen(&chaos, "");
    assert!(!environment.iter().any(|line| line.contains("hunter2")), "{environment:?}");
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[field], "0000000000000000", "{field}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    before.assert_same(&chaos, &[]);
}

#[test]
fn a_program_that_nobody_can_reach_says_so() {
    if !root_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    fs::set_permissions(chaos.path(), fs::Permissions::from_mode(0o700)).expect("the folder is ours");
    let program = chaos.path().join("mine");
    fs::copy("/bin/sleep", &program).expect("there is a `sleep` to copy");
    let words = format!("\"{} 100\" ready after 10ms", program.display());
    let file = with_program(&chaos, &words);
    let ended = chaos.call(&["run", "--allow-exec", &file]).exits(5);
    ended.says("Permission denied").says("the user `nobody`").says("as root");
    let file = with_program(&chaos, &format!("{words} {{ as root }}"));
    let mut up = chaos.start(&["lab", "up", "--allow-exec", &file]);
    up.until_said("the lab is up");
    up.signal(Signal::SIGINT);
    up.end().exits(0);
    before.assert_same(&chaos, &[]);
}
