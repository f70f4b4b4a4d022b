//! Names mean what they mean at the place that a probe is sent from.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use chaos_tests::{
    Scene,
    scenario::{LAB, MACHINE, changed},
};

/// A process in the network of a scene with an `/etc` of its own; it ends with the test.
struct Tenant {
    process: Child,
    name: String,
}

impl Tenant {
    fn start(scene: &Scene, files: &[(&str, &str)]) -> Tenant {
        let folder = scene.path().join("tenant");
        fs::create_dir_all(&folder).expect("the folder can be made");
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenant{number}-{}", std::process::id());
        fs::copy("/bin/sleep", folder.join(&name)).expect("there is a program to copy");
        let mut script = String::from("set -e\n");
        for (file, text) in files {
            fs::write(folder.join(file), text).expect("the folder is there");
            let real = fs::canonicalize(Path::new("/etc").join(file)).expect("the machine has this file");
            script += &format!("mount --bind {}/{file} {}\n", folder.display(), real.display());
        }
        script += &format!("echo up; exec {}/{name} 600", folder.display());
        let network = format!("--net=/run/netns/{}", scene.network().name);
        let mut process = Command::new("nsenter")
            .args([&network, "unshare", "--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("there are `nsenter` and `unshare`");
        let mut up = [0; 2];
        process.stdout.as_mut().expect("it is piped").read_exact(&mut up).expect("the mounts are made");
        Tenant { process, name }
    }

    fn experiment(&self, scene: &Scene) -> String {
        let process = format!("process \"{}\"", self.name);
        let changes =
            [("netns \"BOX\"", process.as_str()), ("10.88.0.2:8080", "web:8080"), ("reuse 20", "fresh")];
        scene.file("tenant.chaos", changed(MACHINE, &changes))
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SWITCH: (&str, &str) = ("nsswitch.conf", "hosts: files dns\n");

#[test]
fn a_process_has_the_names_of_its_own_files() {
    let Some(scene) = Scene::machine() else { return };
    // The machine itself knows no `web`, and nobody serves at the address that comes first.
    let tenant = Tenant::start(&scene, &[("hosts", "127.0.0.1 web\n10.88.0.2 web\n"), SWITCH]);
    let ended = scene.call(&["run", &tenant.experiment(&scene)]);
    let ended = ended.exits(0).says("connection refused (127.0.0.1); another address answered");
    let phases = &ended.record()["probes"][0]["phases"];
    let failed: u64 =
        phases.as_array().expect("it has phases").iter().filter_map(|p| p["failed"].as_u64()).sum();
    assert_eq!(failed, 0, "{ended}");
}

#[test]
fn a_plan_says_what_cannot_be_found() {
    let Some(scene) = Scene::machine() else { return };
    let hosts = ("hosts", "10.88.0.2 other\n");
    let tenant = Tenant::start(&scene, &[hosts, ("nsswitch.conf", "hosts: files\n")]);
    let ended = scene.call(&["plan", &tenant.experiment(&scene)]);
    ended.exits(2).says("`web` has no address at process").says("and there is no DNS server to ask");
    drop(tenant);
    // A server may be there by the time of the run.
    let tenant =
        Tenant::start(&scene, &[hosts, SWITCH, ("resolv.conf", "nameserver 127.0.0.1\nsearch shop\n")]);
    let ended = scene.call(&["plan", &tenant.experiment(&scene)]);
    ended.exits(0).says("`web` does not resolve: asked for `web.shop.`, `web.`: connection refused");
}

#[test]
fn a_server_of_one_family_answers_every_request_in_a_lab() {
    let Some(scene) = Scene::lab() else { return };
    let server = "run \"python3 -m http.server 8080 --bind 0.0.0.0\" ready when tcp 8080";
    let file = scene.file(
        "one.chaos",
        changed(
            LAB,
            &[
                ("run http port 8080", server),
                ("reuse 20", "fresh"),
                ("rate 100/s", "rate 20/s"),
                ("success(get) >= 90% during far", "success(get) >= 99% during far observed"),
            ],
        ),
    );
    let ended = scene.call(&["run", &file, "--allow-exec"]);
    ended.exits(0).keeps_quiet_about("connection refused");
}

#[test]
fn a_fault_takes_ranges_of_ports_and_addresses_of_both_families() {
    let Some(scene) = Scene::lab() else { return };
    // The client's own port is one of these, whichever it is; its addresses are those of the lab's networks.
    let far = "delay 20ms on api to [10.0.0.0/8, fd00::/8]:1024-32767, 32768-65535";
    let ended = scene.call(&["run", &scene.in_lab(&[("delay 20ms on api to client", far)])]);
    ended.exits(0).says("far on host api: delay 20ms");
    // None of these are the server's.
    let near = "delay 20ms on api to client port 1-79, 8081-9000";
    let file =
        scene.in_lab(&[("delay 20ms on api to client", near), ("p50(get.latency) >=", "p50(get.latency) <")]);
    scene.call(&["run", &file]).exits(3).says("matched no traffic");
    let refused = "block client to [10.77.0.9, fd71::2]:8000-8100, 443 new reject";
    let ended = scene.call(&["plan", &scene.in_lab(&[("delay 20ms on api to client", refused)])]);
    ended.exits(0).says("other end 10.77.0.9 port 443, 10.77.0.9 port 8000-8100, fd71::2 port 443");
}
