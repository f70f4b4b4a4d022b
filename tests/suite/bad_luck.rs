//! What can go wrong around a run: a named outcome, everything reverted, nothing lost.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use chaos_tests::{
    Chaos, Running, Scene, root_or_skip,
    scenario::{LAB, changed},
};

#[test]
fn a_port_that_is_taken_keeps_the_lab_from_coming_up() {
    let Some(scene) = Scene::lab() else { return };
    // Where both are known, the checker finds it.
    let twice = changed(LAB, &[("run http port 8080", "run http port 8080\n      run http port 8080")]);
    let file = scene.file("twice.chaos", twice);
    scene.call(&["check", &file]).exits(2).says("8080").says("taken");
    // Where a program takes it on its own, the kernel does: here the second of two, which waits for the first.
    let serve =
        r#"{"host":"api","port":9090,"work":{"secs":0,"nanos":0},"capacity":1,"status":200,"body":null}"#;
    scene.file("server.json", serve);
    let [program, json, late] =
        [scene.program().to_owned(), scene.path().join("server.json"), scene.path().join("late.sh")];
    let [program, json, late] = [&program, &json, &late].map(|path| path.display());
    let wait = "until (echo > /dev/tcp/127.0.0.1/9090) 2> /dev/null; do sleep 0.1; done";
    scene.file("late.sh", format!("{wait}\nexec '{program}' serve http '{json}'\n"));
    let taken = format!(
        "run \"{program} serve http {json}\" ready when tcp 9090 {{ as root }}\n      run \"bash {late}\" ready when tcp 9091 {{ as root }}"
    );
    let file = scene.file("program.chaos", changed(LAB, &[("run http port 8080", &taken)]));
    let ended = scene.call(&["run", "--allow-exec", &file]).exits(5).says("api");
    assert!(ended.said("Address already in use"), "the program's own words are missing: {ended}");
    scene.assert_as_before();
}

#[test]
fn a_program_that_does_not_start_keeps_the_lab_from_coming_up() {
    let Some(scene) = Scene::lab() else { return };
    scene.file("unlucky.sh", "echo out of luck >&2\nexit 3\n");
    let script = format!("sh {}", scene.path().join("unlucky.sh").display());
    for (words, said) in [("no-such-program --port 1", "no-such-program"), (&script, "out of luck")] {
        let program = format!("run \"{words}\" ready when tcp 9090 {{ as root }}\n      run http port 8080");
        let file = scene.file("program.chaos", changed(LAB, &[("run http port 8080", &program)]));
        scene.call(&["run", "--allow-exec", &file]).exits(5).says("api").says(said);
        scene.assert_as_before();
    }
}

#[test]
fn a_program_of_a_lab_that_dies_has_a_named_outcome() {
    let Some(scene) = Scene::lab() else { return };
    scene.file("dies.sh", "sleep 5\necho gave up >&2\nexit 3\n");
    let script = scene.path().join("dies.sh");
    let program =
        format!("run \"sh {}\" ready after 10ms {{ as root }}\n      run http port 8080", script.display());
    let text = changed(LAB, &[("run http port 8080", &program), ("hold     3s", "hold     20s")]);
    let file = scene.file("dies.chaos", text);
    let ended = scene.call(&["run", "--allow-exec", &file]);
    scene.assert_as_before();
    let ended = ended.exits(4).says("ABORTED").says("everything is as it was").says("api").says("gave up");
    assert_eq!(ended.record()["abort"]["kind"], "environment", "{ended}");
    assert!(ended.took.as_secs() < 20, "it was not cut short: {ended}");
}

/// A file system of a megabyte, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(chaos: &Chaos) -> SmallDisk {
        let path = chaos.path().join("disk");
        fs::create_dir(&path).expect("the name is free");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=777", "chaos-e2e"]).arg(&path);
        assert!(mount.status().expect("there is `mount`").success(), "root may mount");
        SmallDisk(path)
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("an empty file takes no room");
        for size in [65536, 4096, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
        let left = fs::write(self.0.join("probe"), b"x");
        assert!(left.is_err(), "the disk is not full");
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was made by `fill`");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing else can be done about it here.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_keeps_a_run_from_beginning() {
    if !root_or_skip() {
        return;
    }
    let Some(mut scene) = Scene::lab() else { return };
    let disk = SmallDisk::new(&scene);
    disk.fill();
    scene.begin_now();
    let file = scene.in_lab(&[]);
    let ended =
        scene.call(&["run", &file, "--out", "disk"]).exits(5).says("No space left on device").says("--out");
    assert!(!ended.stderr.contains("in place:"), "{ended}");
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
    disk.empty();
    scene.call(&["run", &file, "--out", "disk"]).exits(0);
}

/// Starts a run on a namespace with its folder on the small disk, which it fills in a stage.
fn filled_in(stage: &str, scene: &Scene, disk: &SmallDisk) -> Running {
    let file = scene.on_machine(&[]);
    let mut running = scene.start(&["run", &file, "--out", "disk"]);
    let reached = || {
        let folder = folder_in(&disk.0)?;
        let events = fs::read_to_string(folder.join("events.jsonl")).ok()?;
        events.lines().any(|line| line.contains("stage-started") && line.contains(stage)).then_some(())
    };
    while reached().is_none() {
        assert!(!running.has_ended(), "it ended before {stage}: {}", running.end());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    disk.fill();
    running
}

fn folder_in(disk: &Path) -> Option<PathBuf> {
    fs::read_dir(disk).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir())
}

#[test]
fn a_disk_that_becomes_full_before_the_fault_keeps_it_from_being_injected() {
    let Some(mut scene) = Scene::machine() else { return };
    let disk = SmallDisk::new(&scene);
    scene.begin_now();
    let running = filled_in("baseline", &scene, &disk);
    let ended = running.end();
    scene.assert_as_before();
    // What cannot be written down is not touched.
    assert!(matches!(ended.code, Some(4 | 5)), "{ended}");
    assert!(ended.said("No space left on device") && ended.said("journal"), "{ended}");
    assert!(!ended.stderr.contains("in place:"), "{ended}");
}

#[test]
fn a_disk_that_becomes_full_under_the_fault_loses_no_rollback() {
    let Some(mut scene) = Scene::machine() else { return };
    let disk = SmallDisk::new(&scene);
    scene.begin_now();
    let running = filled_in("hold", &scene, &disk);
    let ended = running.end();
    scene.assert_as_before();
    // Without its evidence, nothing has passed.
    assert!(matches!(ended.code, Some(4 | 5)), "{ended}");
    assert!(ended.said("everything is as it was"), "{ended}");
    assert!(
        ended.said("could not be kept whole") && ended.said("No space left on device"),
        "nothing is reported: {ended}"
    );
    disk.empty();
    let _ = scene.call(&["restore"]).exits(0);
    scene.call(&["restore"]).exits(0).says("nothing to do");
    scene.assert_as_before();
}

#[test]
fn a_register_that_cannot_be_written_refuses_the_run() {
    let Some(scene) = Scene::lab() else { return };
    scene.file("state", "a file where a folder is wanted");
    let file = scene.in_lab(&[]);
    let ended = scene.call(&["run", &file]).exits(5).says("state");
    assert!(!ended.stderr.contains("in place:"), "{ended}");
    scene.assert_as_before();
}
