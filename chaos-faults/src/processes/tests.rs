use std::process::{Child, Command};

use chaos_core::{
    injector::Work,
    place::{Files, ObjectId, Site},
};

use super::*;
use crate::inventory::started;

/// A process that is ended with this.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let sleeper = Sleeper(Command::new("sleep").arg("60").spawn().unwrap());
        // Between its execution and its first instruction a program has no command line.
        while std::fs::read(format!("/proc/{}/cmdline", sleeper.0.id())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        sleeper
    }

    fn object(&self) -> ObjectId {
        let pid = self.0.id();
        ObjectId::process(format!("sleep[{pid}@{}]", started(pid).unwrap()))
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        crate::living::field(&stat, 0) == Some("T")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pause(object: ObjectId) -> Ask {
    let fault = ProcessFault::named(ProcessEffect::Pause, "sleep");
    Ask { fault: "frozen".into(), object, work: Work::Processes(fault), seed: 0 }
}

async fn prepared(injector: &ProcessInjector, object: ObjectId) -> Undo {
    let offers = injector.offer(&pause(object.clone()), &Surroundings::default()).await.unwrap();
    let place = Place { object, site: Site::Runner, names: std::sync::Arc::new(Files::own().into()) };
    injector.prepare("frozen/x/1", &offers[0], &place, Duration::from_secs(60)).await.unwrap()
}

#[tokio::test]
async fn a_process_is_stopped_and_goes_on() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let undo = prepared(&injector, sleeper.object()).await;
    assert_eq!(undo.line, format!("let process {} (`sleep 60`) go on", sleeper.0.id()));
    injector.inject(&undo).await.unwrap();
    assert!(sleeper.is_stopped());
    let standing = injector.standing(&undo).await.unwrap();
    assert_eq!(standing, [format!("process {} (`sleep 60`) is stopped", sleeper.0.id())]);
    assert_eq!(injector.effect(&undo).await.unwrap().changed, 1);
    injector.revert(&undo).await.unwrap();
    assert!(!sleeper.is_stopped());
    let effect = injector.effect(&undo).await.unwrap();
    assert_eq!((effect.met, effect.changed, effect.unit), (1, 1, Unit::Processes), "{effect:?}");
    // Again, and by another process that knows only the record.
    injector.revert(&undo).await.unwrap();
    injector.inject(&undo).await.unwrap();
    ProcessInjector::new(Holding::Agent).revert(&undo).await.unwrap();
    assert!(!sleeper.is_stopped());
}

#[tokio::test]
async fn who_lets_a_process_go_on_meanwhile_is_noticed() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let undo = prepared(&injector, sleeper.object()).await;
    injector.inject(&undo).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(400), injector.lost()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    Subject::of(crate::inventory::parse_process(&sleeper.object().name).unwrap())
        .send(libc::SIGCONT)
        .unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(2), injector.lost()).await.unwrap();
    assert!(lost.reason.ends_with("(`sleep 60`) was let go on by somebody else"), "{lost:?}");
    assert_eq!(lost.ids, [undo.id]);
}

#[tokio::test]
async fn what_somebody_else_stopped_stays_stopped() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let undo = prepared(&injector, sleeper.object()).await;
    let subject = meant::process(&sleeper.object()).unwrap();
    subject.send(libc::SIGSTOP).unwrap();
    assert_eq!(subject.until(|doing| doing == Doing::Stopped).await, Doing::Stopped);
    let refused = injector.offer(&pause(sleeper.object()), &Surroundings::default()).await.unwrap_err();
    assert!(refused.message.ends_with("is stopped already"), "{refused}");
    let refused = injector.inject(&undo).await.unwrap_err();
    assert!(refused.message.ends_with("is stopped already"), "{refused}");
    injector.revert(&undo).await.unwrap();
    assert!(sleeper.is_stopped());
}

#[tokio::test]
async fn a_record_is_of_its_boot_and_its_numbers() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let undo = prepared(&injector, sleeper.object()).await;
    injector.inject(&undo).await.unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut undo = undo.clone();
        undo.state[key] = value;
        undo
    };
    injector.revert(&with("boot", "another".into())).await.unwrap();
    assert!(sleeper.is_stopped(), "after a boot no process is the one that was meant");
    let elsewhere = injector.revert(&with("numbers", 1.into())).await.unwrap_err();
    assert!(elsewhere.message.contains("another pid namespace"), "{elsewhere}");
    injector.revert(&undo).await.unwrap();
    assert!(!sleeper.is_stopped());
}

#[tokio::test]
async fn without_an_agent_nothing_is_stopped() {
    let sleeper = Sleeper::start();
    let injector = ProcessInjector::new(Holding::KernelOnly);
    let refused = injector.offer(&pause(sleeper.object()), &Surroundings::default()).await.unwrap_err();
    assert!(refused.message.contains("stays stopped if this program ends"), "{refused}");
}

/// What ends a process.
fn ending(effect: ProcessEffect, sleeper: &Sleeper) -> Ask {
    let fault = ProcessFault::named(effect, "sleep");
    Ask { work: Work::Processes(fault), ..pause(sleeper.object()) }
}

/// Ends a process, and waits until it is gone.
async fn ended(injector: &ProcessInjector, effect: ProcessEffect, sleeper: &Sleeper) -> Undo {
    let offers = injector.offer(&ending(effect, sleeper), &Surroundings::default()).await.unwrap();
    assert_eq!(offers[0].hold, Hold::Over);
    let names = std::sync::Arc::new(Files::own().into());
    let place = Place { object: sleeper.object(), site: Site::Runner, names };
    let undo = injector.prepare("gone/x/1", &offers[0], &place, Duration::from_secs(60)).await.unwrap();
    injector.inject(&undo).await.unwrap();
    let subject = meant::process(&sleeper.object());
    if let Ok(subject) = subject {
        assert_eq!(subject.until(|_| false).await, Doing::Gone);
    }
    undo
}

#[tokio::test]
async fn a_process_that_is_killed_is_gone_and_nothing_is_put_back() {
    // Without an agent as well: nothing is held.
    for effect in [ProcessEffect::Kill, ProcessEffect::Terminate] {
        let (mut sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::KernelOnly));
        let undo = ended(&injector, effect, &sleeper).await;
        use std::os::unix::process::ExitStatusExt;
        let signal = sleeper.0.wait().unwrap().signal();
        let sent = if effect == ProcessEffect::Kill { libc::SIGKILL } else { libc::SIGTERM };
        assert_eq!(signal, Some(sent));
        injector.revert(&undo).await.unwrap();
        let effect = injector.effect(&undo).await.unwrap();
        assert_eq!((effect.met, effect.changed), (1, 1));
        assert!(effect.line.starts_with("1 of 1 ended; "), "{effect:?}");
    }
}

#[tokio::test]
async fn what_comes_in_the_place_of_a_process_is_measured() {
    // A command line that no other test has.
    let start = || {
        let child = Command::new("sleep").args(["61.5", "0.25"]).spawn().unwrap();
        while std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        Sleeper(child)
    };
    let (first, injector) = (start(), ProcessInjector::new(Holding::Agent));
    let undo = ended(&injector, ProcessEffect::Kill, &first).await;
    let alone = injector.effect(&undo).await.unwrap().line;
    assert!(alone.starts_with("1 of 1 ended; nothing came in their place within "), "{alone}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = start();
    let healed = injector.effect(&undo).await.unwrap().line;
    let after = healed.split_once("healed after ").and_then(|(_, rest)| rest.split_once("s within"));
    let after: f64 = after.unwrap_or_else(|| panic!("{healed}")).0.parse().unwrap();
    assert!((0.28..5.0).contains(&after), "{healed}");
    drop(second);
    let again = injector.effect(&undo).await.unwrap().line;
    assert!(again.contains("nothing came in their place"), "what ended, too, healed nothing: {again}");
    let _third = start();
    injector.revert(&undo).await.unwrap();
    assert!(injector.effect(&undo).await.unwrap().line.contains("healed after"), "it stays known");
}

#[tokio::test]
async fn what_can_be_done_to_processes_is_tried() {
    let found = ProcessInjector::new(Holding::Agent).capabilities().await.unwrap();
    let whose = if is_roots() { "every user" } else { "this user alone" };
    assert_eq!(found, [Capability::found("signals", format!("to processes of {whose}"))]);
}

#[tokio::test]
async fn what_was_only_prepared_is_left_to_others() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let undo = prepared(&injector, sleeper.object()).await;
    let subject = meant::process(&sleeper.object()).unwrap();
    subject.send(libc::SIGSTOP).unwrap();
    assert_eq!(subject.until(|doing| doing == Doing::Stopped).await, Doing::Stopped);
    assert_eq!(injector.standing(&undo).await, Ok(Vec::new()));
    injector.revert(&undo).await.unwrap();
    assert!(sleeper.is_stopped(), "somebody else stopped it");
    let left = injector.leftovers(&sleeper.object()).await.unwrap();
    assert!(left[0].ends_with(&format!("`kill -CONT {}` lets it go on", sleeper.0.id())), "{left:?}");
}

#[tokio::test]
async fn what_goes_along_with_a_sibling_has_ended() {
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let offers = injector.offer(&ending(ProcessEffect::Kill, &sleeper), &Surroundings::default()).await;
    let names = std::sync::Arc::new(Files::own().into());
    let place = Place { object: sleeper.object(), site: Site::Runner, names };
    let undo =
        injector.prepare("gone/x/1", &offers.unwrap()[0], &place, Duration::from_secs(60)).await.unwrap();
    drop(sleeper);
    injector.inject(&undo).await.unwrap();
    let effect = injector.effect(&undo).await.unwrap();
    assert_eq!((effect.met, effect.changed), (1, 1));
    // Nothing is owed, wherever it is reverted.
    let mut elsewhere = undo;
    elsewhere.state["numbers"] = 1.into();
    injector.revert(&elsewhere).await.unwrap();
}

#[tokio::test]
async fn one_that_ended_and_was_not_waited_for_hides_no_other() {
    use chaos_core::{inventory::Inventory, which::Which};
    let folder = tempfile::tempdir().unwrap();
    let name = format!("ended-{}", std::process::id());
    let path = folder.path().join(&name);
    std::fs::copy("/bin/sleep", &path).unwrap();
    let zombie = Sleeper(Command::new(&path).arg("0").spawn().unwrap());
    let lives = Sleeper(Command::new(&path).arg("60").spawn().unwrap());
    let ended = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", zombie.0.id())).unwrap();
        crate::living::field(&stat, 0) == Some("Z")
    };
    while !ended() {
        std::thread::yield_now();
    }
    let found =
        crate::MachineInventory.processes(&ObjectId::here(), &Which::one(name.clone())).await.unwrap();
    let found: Vec<ObjectId> = found.unwrap().into_iter().map(|object| object.id).collect();
    let started = started(lives.0.id()).unwrap();
    assert_eq!(found, [ObjectId::process(format!("{name}[{}@{started}]", lives.0.id()))]);
}

/// A cgroup of its own whose processes can be frozen; gone with this.
struct Freezer(std::path::PathBuf);

impl Freezer {
    /// None, with the reason printed, where it may not be made.
    fn or_skip() -> Option<Self> {
        let path = format!("/sys/fs/cgroup/freezer/chaos-faults-{}", std::process::id());
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Freezer(path.into())),
            Err(error) => {
                println!("skipped: no cgroup can be frozen: {path}: {error}");
                None
            }
        }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }

    fn freeze(&self) {
        self.write("freezer.state", "FROZEN");
        while std::fs::read_to_string(self.0.join("freezer.state")).unwrap().trim_end() != "FROZEN" {
            std::thread::yield_now();
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        // A process that was killed leaves it a moment later.
        let begun = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && begun.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[tokio::test]
async fn a_stop_that_waits_for_a_frozen_process_is_taken_back() {
    let Some(freezer) = Freezer::or_skip() else { return };
    let (sleeper, injector) = (Sleeper::start(), ProcessInjector::new(Holding::Agent));
    let subject = meant::process(&sleeper.object()).unwrap();
    let undo = prepared(&injector, sleeper.object()).await;
    freezer.write("cgroup.procs", &sleeper.0.id().to_string());
    freezer.freeze();
    let refused = injector.inject(&undo).await.unwrap_err();
    assert!(refused.message.ends_with("does not stop"), "{refused}");
    assert_eq!(subject.doing(), Doing::Stopping);
    let standing = injector.standing(&undo).await.unwrap();
    assert!(standing[0].ends_with("stops as soon as it can"), "{standing:?}");
    let another = injector.offer(&pause(sleeper.object()), &Surroundings::default()).await.unwrap_err();
    assert!(another.message.ends_with("is stopped already"), "{another}");
    // By whoever has only the record.
    ProcessInjector::new(Holding::Agent).revert(&undo).await.unwrap();
    freezer.write("freezer.state", "THAWED");
    assert_eq!(subject.until(|doing| doing == Doing::Runs).await, Doing::Runs);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sleeper.is_stopped(), "it would stop when it is thawed");
    // It leaves the cgroup before that goes.
    drop(sleeper);
}
