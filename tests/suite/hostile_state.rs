//! A state directory that somebody else planted, and locks that somebody else holds.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chaos_tests::{Chaos, Ended, lab_or_skip, root_or_skip, scenario::LAB, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Who runs the command: the tests' ordinary user.
const VICTIM: u32 = 65534;
/// Another ordinary user.
const OTHER: u32 = 65533;
/// What nobody may wait longer for.
const PROMPT: Duration = Duration::from_secs(8);

/// Sets the mode and the owner of a path.
fn give(path: &Path, mode: u32, user: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the tests may do that");
    chown(path, Some(user), Some(user)).expect("the tests may do that");
}

/// Makes a directory.
fn directory(path: &Path, mode: u32, user: u32) {
    fs::create_dir(path).expect("the tests may do that");
    give(path, mode, user);
}

/// Makes a file of the victim with something precious in it.
fn precious(chaos: &Chaos) -> PathBuf {
    let victim = chaos.path().join("precious");
    fs::write(&victim, "precious").expect("the tests may do that");
    give(&victim, 0o600, VICTIM);
    victim
}

/// Calls the command with its state directory below the temporary one, as for a user without a session.
fn call(chaos: &Chaos, temporary: &Path, words: &[&str]) -> Ended {
    let mut command = chaos.command(words);
    command.env_remove("CHAOS_STATE_DIR").env_remove("XDG_STATE_HOME").env("TMPDIR", temporary);
    chaos.start_prepared(command, words.join(" ")).end()
}

/// Returns what stands below a path: names, owners, modes, sizes.
fn listing(path: &Path) -> Vec<(PathBuf, u32, u32, u64)> {
    let Ok(found) = fs::symlink_metadata(path) else { return Vec::new() };
    let mut all = vec![(path.to_owned(), found.uid(), found.mode(), found.len())];
    if found.is_dir() {
        for entry in fs::read_dir(path).expect("the tests may do that") {
            all.extend(listing(&entry.expect("the tests may do that").path()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_state_directory_that_somebody_else_planted_is_refused_and_left_alone() {
    if !root_or_skip() {
        return;
    }
    type Plant = fn(&Path, &Path);
    let plants: [(&str, &str, Plant); 6] = [
        (
            "an open directory with links",
            "it belongs to user 65533, and this is user 65534",
            |state, victim| {
                directory(state, 0o777, OTHER);
                for name in ["lock", "blocked", "x.stop", "forgotten.jsonl"] {
                    symlink(victim, state.join(name)).unwrap();
                }
            },
        ),
        ("a closed directory", "it belongs to user 65533, and this is user 65534", |state, _| {
            directory(state, 0o700, OTHER);
        }),
        ("a directory with pipes", "it belongs to user 65533, and this is user 65534", |state, _| {
            directory(state, 0o755, OTHER);
            for name in ["lock", "x.run"] {
                nix::unistd::mkfifo(&state.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
                give(&state.join(name), 0o666, OTHER);
            }
        }),
        ("a link to a directory of the victim", "it is a symbolic link", |state, victim| {
            directory(&victim.with_extension("home"), 0o700, VICTIM);
            symlink(victim.with_extension("home"), state).unwrap();
        }),
        ("a pipe", "it is not a folder", |state, _| {
            nix::unistd::mkfifo(state, nix::sys::stat::Mode::S_IRWXU).unwrap();
            give(state, 0o666, OTHER);
        }),
        ("a directory that others may write to", "others may write to it (mode 0777)", |state, victim| {
            directory(state, 0o777, VICTIM);
            symlink(victim, state.join("blocked")).unwrap();
        }),
    ];
    for (what, said, plant) in plants {
        let chaos = Chaos::of_user();
        let victim = precious(&chaos);
        let temporary = chaos.path().join("tmp");
        directory(&temporary, 0o1777, 0);
        let state = temporary.join(format!("chaos-{VICTIM}"));
        plant(&state, &victim);
        let before = [listing(&temporary), listing(&victim), listing(&victim.with_extension("home"))];
        let file = chaos.file("lab.chaos", LAB);
        let place = format!("`{}`: {said}", state.display());
        for (words, code) in [
            (&["check", &file] as &[&str], 0),
            (&["restore"], 2),
            (&["stop", "--all"], 2),
            (&["stop", "x"], 2),
            (&["lab", "shell", "api"], 2),
            (&["run", &file], 5),
        ] {
            let ended = call(&chaos, &temporary, words).exits(code).says(said);
            assert!(ended.said(&place), "{what}: {ended}");
            assert!(ended.took < PROMPT, "{what}: {ended}");
            if code != 0 {
                assert!(ended.said("--state-dir"), "{what}: no remedy: {ended}");
            }
            let after = [listing(&temporary), listing(&victim), listing(&victim.with_extension("home"))];
            assert_eq!(after, before, "{what}: {ended}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{what}");
    }
}

#[test]
fn what_stands_in_place_of_a_file_of_the_state_is_refused() {
    if !root_or_skip() {
        return;
    }
    type Plant = fn(&Path, &Path);
    let plants: [(&str, Plant); 4] = [
        ("it is not an ordinary file", |at, _| {
            nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
            give(at, 0o600, VICTIM);
        }),
        ("it is a symbolic link", |at, victim| symlink(victim, at).unwrap()),
        ("it has 2 names (hard links)", |at, victim| fs::hard_link(victim, at).unwrap()),
        ("it belongs to user 65533", |at, _| {
            fs::write(at, "").unwrap();
            give(at, 0o666, OTHER);
        }),
    ];
    for (said, plant) in plants {
        for name in ["lock", "x.run", "blocked"] {
            let chaos = Chaos::of_user();
            let victim = precious(&chaos);
            let state = chaos.path().join("state");
            directory(&state, 0o700, VICTIM);
            plant(&state.join(name), &victim);
            let words = if name == "blocked" { vec!["stop", "--all"] } else { vec!["restore"] };
            let ended = chaos.call(&words).exits(2);
            assert!(ended.said(said) && ended.said(name), "{name}: {ended}");
            assert!(ended.took < PROMPT, "{name}: {ended}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}: {ended}");
        }
    }
}

#[test]
fn what_stands_in_place_of_a_journal_is_refused_and_left_alone() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::of_user();
    let victim = precious(&chaos);
    let folder = chaos.path().join("folder");
    directory(&folder, 0o777, OTHER);
    let journal = folder.join("journal.jsonl");
    let restore = |path: &Path| chaos.call(&["restore", &path.display().to_string()]).exits(2);
    for (said, plant) in [
        ("it is a symbolic link", (|at, victim| symlink(victim, at).unwrap()) as fn(&Path, &Path)),
        ("it has 2 names (hard links)", |at, victim| fs::hard_link(victim, at).unwrap()),
        ("it belongs to user 65533, and this is user 65534", |at, _| {
            fs::write(at, "").unwrap();
            give(at, 0o666, OTHER);
        }),
        ("others may write to it (mode 0666)", |at, _| {
            fs::write(at, "").unwrap();
            give(at, 0o666, VICTIM);
        }),
    ] {
        plant(&journal, &victim);
        restore(&folder).says(said).says("the journal");
        restore(&journal).says(said);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{said}");
        fs::remove_file(&journal).unwrap();
    }
    // An ordinary file of one's own that is no journal: all of it looks like a line that a crash tore.
    restore(&victim).says("does not say what was done");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

/// A process that holds a lock until it is dropped.
struct Holding(Child);

impl Holding {
    fn of(lock: &Path) -> Holding {
        let mut command = Command::new("flock");
        command.args(["--exclusive", "--no-fork"]).arg(lock).args(["sleep", "120"]);
        let held =
            Holding(command.stdin(Stdio::null()).process_group(0).spawn().expect("the tests may do that"));
        let inode = fs::metadata(lock).expect("the tests may do that").ino();
        let held_by_now = wait_until(|| {
            let locks = fs::read_to_string("/proc/locks").expect("the tests may do that");
            locks.lines().any(|line| line.contains("FLOCK") && line.contains(&format!(":{inode} ")))
        });
        assert!(held_by_now, "`flock` does not hold the lock");
        held
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).expect("the tests may do that");
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // It is ours; where it has ended already, that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lock_that_nobody_gives_back_is_waited_for_with_a_limit() {
    let chaos = Chaos::new();
    let file = chaos.file("lab.chaos", LAB);
    chaos.call(&["stop", "--all"]).exits(0);
    chaos.call(&["stop", "--release"]).exits(0);
    let holding = Holding::of(&chaos.path().join("state/lock"));
    let pid = holding.0.id();
    let begun = Instant::now();
    chaos
        .call(&["check", &file])
        .exits(0)
        .says("cannot see whether a run was killed")
        .says(&format!("was held for 1 s by process {pid} (`sleep`)"));
    assert!(begun.elapsed() < PROMPT, "a command that only looks waits for {:?}", begun.elapsed());
    holding.signal(Signal::SIGSTOP);
    for words in [&["restore"] as &[&str], &["stop", "--all"]] {
        let ended = chaos.call(words).exits(2);
        assert!(ended.said(&format!("by process {pid} (`sleep`), which is stopped")), "{ended}");
        assert!(ended.said(&format!("kill -CONT {pid}")), "{ended}");
        assert!(ended.took < Duration::from_secs(20), "{ended}");
    }
    drop(holding);
    chaos.call(&["restore"]).exits(0).says("nothing to do").keeps_quiet_about("cannot see");
}

#[test]
fn the_state_of_a_user_stands_where_nobody_else_writes() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::of_user();
    let [runtime, foreign, kept, temporary] =
        ["runtime", "foreign", "kept", "temporary"].map(|name| chaos.path().join(name));
    directory(&runtime, 0o700, VICTIM);
    // What `su` leaves: the runtime directory of somebody else, here one that all may write to.
    directory(&foreign, 0o777, OTHER);
    directory(&kept, 0o700, VICTIM);
    directory(&temporary, 0o1777, 0);
    let stop = |runtime: Option<&Path>, kept: Option<&Path>| {
        let mut command = chaos.command(&["stop", "--all"]);
        command.env_remove("CHAOS_STATE_DIR").env_remove("XDG_STATE_HOME").env("TMPDIR", &temporary);
        runtime.map(|runtime| command.env("XDG_RUNTIME_DIR", runtime));
        kept.map(|kept| command.env("XDG_STATE_HOME", kept));
        chaos.start_prepared(command, "stop --all".into()).end().exits(0);
    };
    stop(Some(&runtime), Some(&kept));
    assert!(runtime.join("chaos/blocked").exists() && !kept.join("chaos").exists());
    stop(Some(&foreign), Some(&kept));
    assert!(kept.join("chaos/blocked").exists() && !foreign.join("chaos").exists());
    stop(Some(&foreign), None);
    let last = temporary.join(format!("chaos-{VICTIM}"));
    assert!(last.join("blocked").exists() && !foreign.join("chaos").exists());
    for (path, mode) in [(last.clone(), 0o700), (last.join("lock"), 0o600), (last.join("blocked"), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn what_a_run_keeps_is_read_by_its_user_alone_whatever_the_umask() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    // Something of everything: logs of programs, samples, a search with its trials, a matrix with its cells.
    let lab = LAB
        .replace("baseline 2s", "baseline 1s")
        .replace("hold     3s", "hold 1s")
        .replace("watch    2s", "watch 1s");
    let plain = chaos.file("lab.chaos", &lab);
    let varied = lab.replace("delay 20ms on", "delay extra on");
    assert_ne!(varied, lab);
    let each = chaos.file("each.chaos", format!("each extra in [20ms, 30ms] {{\n{varied}\n}}\n"));
    for (file, mask) in [(&plain, "0000"), (&plain, "0002"), (&each, "0002")] {
        let mut command = Command::new("sh");
        let line = format!("umask {mask} && exec {} run {file} --quiet", chaos.program().display());
        command.args(["-c", &line]);
        chaos.prepare(&mut command);
        let ended = chaos.start_prepared(command, line).end();
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended}");
        let all = listing(ended.kept());
        for name in [
            "record.json",
            "verdict.txt",
            "junit.xml",
            "report.md",
            "journal.jsonl",
            "events.jsonl",
            "get.csv",
        ] {
            assert!(all.iter().any(|(path, ..)| path.ends_with(name)), "there is no {name}: {ended}");
        }
        for (path, _, mode, _) in all {
            let allowed = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode & 0o777, allowed, "umask {mask}: {}", path.display());
        }
    }
}
