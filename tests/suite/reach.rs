//! What an experiment may touch and start, whatever its file says.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use chaos_tests::{
    Chaos, Ended, Scene, root_or_skip,
    scenario::{MACHINE, changed},
    wait_until,
};

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
