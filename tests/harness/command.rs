//! Calling the command.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{binary::program, privilege::other_user, world};

/// What no call takes: a program that hangs is an error of its own.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often a file or a process is looked at.
const TICK: Duration = Duration::from_millis(2);

/// A folder of its own with scenario files, run folders and a register of runs, in which the command is called.
#[derive(Debug)]
pub struct Chaos {
    folder: tempfile::TempDir,
    program: PathBuf,
    ordinary: bool,
    calls: AtomicUsize,
}

impl Chaos {
    /// Makes a place to call the command from as whoever runs the tests.
    pub fn new() -> Chaos {
        Chaos {
            folder: tempfile::Builder::new().prefix("chaos-e2e.").tempdir().expect("a folder can be made"),
            program: program().to_owned(),
            ordinary: false,
            calls: AtomicUsize::new(0),
        }
    }

    /// Makes a place to call the command from as an ordinary user.
    pub fn of_user() -> Chaos {
        let mut chaos = Chaos::new();
        fs::set_permissions(chaos.path(), fs::Permissions::from_mode(0o777)).expect("the folder is ours");
        // The build's folder may be closed to others.
        let copy = chaos.path().join("chaos");
        fs::copy(program(), &copy).expect("there is room for the program");
        chaos.program = copy;
        chaos.ordinary = true;
        chaos
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns where the folders of runs are made.
    pub fn out(&self) -> PathBuf {
        self.path().join(".chaos/runs")
    }

    /// Writes a file into the folder, or into one below it, and returns its name.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(path, text)).expect("the folder can be written to");
        name.to_owned()
    }

    /// Returns the processes that live of all that was started from here, as process id and command line.
    pub fn family(&self) -> Vec<(i32, String)> {
        world::family(&self.marker())
    }

    /// Returns the agents that live.
    pub fn agents(&self) -> Vec<i32> {
        let family = self.family().into_iter();
        family.filter(|(_, words)| words.ends_with(" agent")).map(|(pid, _)| pid).collect()
    }

    /// Sends a signal to the agents that live; returns whether there was one.
    pub fn signal_agents(&self, signal: Signal) -> bool {
        let agents = self.agents();
        for agent in &agents {
            // It may have ended a moment ago.
            let _ = kill(Pid::from_raw(*agent), signal);
        }
        !agents.is_empty()
    }

    /// Returns what marks everything that is started from here: a line of its environment.
    pub fn marker(&self) -> String {
        format!("CHAOS_STATE_DIR={}", self.state().display())
    }

    fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Prepares a call.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.prepare(&mut command);
        if self.ordinary {
            other_user(&mut command);
        }
        command
    }

    /// Makes a command run here, such as one that ends up calling `chaos`.
    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(self.path()).stdin(Stdio::null());
        command.env("CHAOS_STATE_DIR", self.state()).env("NO_COLOR", "1").env("HOME", self.path());
        command.env_remove("XDG_RUNTIME_DIR").env_remove("CHAOS_LOG");
    }

    /// Returns the executable that is called.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Calls the command and waits for its end.
    pub fn call(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Calls the command with a text on its standard input, and waits for its end.
    pub fn call_with_input(&self, arguments: &[&str], text: &str) -> Ended {
        let name = self.file("input", text);
        let mut command = self.command(arguments);
        command.stdin(File::open(self.path().join(name)).expect("the file was just written"));
        self.start_prepared(command, arguments.join(" ")).end()
    }

    /// Starts the command.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_prepared(self.command(arguments), arguments.join(" "))
    }

    /// Starts a prepared command, with its output kept in files.
    pub fn start_prepared(&self, mut command: Command, words: String) -> Running {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|kind| self.path().join(format!("call-{number}.{kind}")));
        let make = |path: &Path| File::create(path).expect("the folder can be written to");
        command.stdout(make(&out)).stderr(make(&err));
        let before = runs(&self.out());
        let child = command.spawn().expect("the command starts");
        Running { child, words, out, err, runs: self.out(), before, started: Instant::now(), done: false }
    }
}

impl Default for Chaos {
    fn default() -> Self {
        Chaos::new()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing; these are ours alone, by the name of the folder.
        for (pid, _) in self.family() {
            // It may have ended on its own.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn runs(out: &Path) -> Vec<PathBuf> {
    fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A call that is under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    words: String,
    out: PathBuf,
    err: PathBuf,
    runs: PathBuf,
    before: Vec<PathBuf>,
    started: Instant,
    done: bool,
}

impl Running {
    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Returns the folder of the run that it has begun: the first one since, for others may have begun beside it.
    pub fn folder(&self) -> Option<PathBuf> {
        runs(&self.runs).into_iter().filter(|run| !self.before.contains(run)).min()
    }

    /// Returns the id of the run that it has begun.
    pub fn run(&self) -> String {
        let folder = self.folder().unwrap_or_else(|| panic!("`chaos {}` has no folder yet", self.words));
        folder.file_name().and_then(|name| name.to_str()).expect("ids are ASCII").to_owned()
    }

    /// Returns what has happened so far.
    pub fn events(&self) -> Vec<Value> {
        let Some(folder) = self.folder() else { return Vec::new() };
        let text = fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event; returns false where the command ends without it.
    pub fn reaches(&mut self, what: impl Fn(&Value) -> bool) -> bool {
        loop {
            // First the process, then the file: what it wrote last is still seen.
            let ended = self.has_ended();
            if self.events().iter().any(|event| what(&event["what"])) {
                return true;
            }
            if ended {
                return false;
            }
            self.be_patient("something to happen");
        }
    }

    /// Waits for an event, and panics where the command ends without it.
    pub fn until(&mut self, what: impl Fn(&Value) -> bool) {
        if !self.reaches(what) {
            let status = self.child.wait().expect("it is our child");
            panic!("it ended too early: {}", self.ended(status));
        }
    }

    /// Waits until a stage has begun.
    pub fn until_stage(&mut self, stage: &str) {
        self.until(|what| is_stage(what, stage));
    }

    /// Waits until standard output or standard error has a text.
    pub fn until_said(&mut self, text: &str) {
        let said = |path: &Path| fs::read_to_string(path).unwrap_or_default().contains(text);
        while !said(&self.out) && !said(&self.err) {
            assert!(!self.has_ended(), "it ended without `{text}`: {}", self.shown());
            self.be_patient(text);
        }
    }

    /// Sends a signal to the process and to no other.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is our child");
    }

    /// Returns whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return self.ended(status);
            }
            self.be_patient("its end");
        }
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        self.done = true;
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: read(&self.out),
            stderr: read(&self.err),
            took: self.started.elapsed(),
            folder: self.folder(),
            words: self.words.clone(),
        }
    }

    fn shown(&self) -> String {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        format!("chaos {}\n{}{}", self.words, read(&self.out), read(&self.err))
    }

    fn be_patient(&mut self, what: &str) {
        if self.started.elapsed() > PATIENCE {
            // It is ours; where it has just ended, that is as good.
            let _ = self.child.kill();
            panic!("waited {PATIENCE:?} for {what}: {}", self.shown());
        }
        sleep(TICK);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            // A test that failed half-way; without this its child would outlive it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns whether an event is the beginning of a stage: `hold`, `baseline`, `injecting`, `rolling-back`, …
pub fn is_stage(what: &Value, stage: &str) -> bool {
    let begun = &what["stage"];
    what["type"] == "stage-started" && (begun == stage || begun.get(stage).is_some())
}

/// A call that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code, where it was not killed.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// The folder of the run that it made.
    pub folder: Option<PathBuf>,
    words: String,
}

impl Ended {
    /// Panics with everything that was said, unless the exit code is this.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Panics unless a text is in standard output or standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.said(text), "`{text}` is missing: {self}");
        self
    }

    /// Panics if a text is in standard output or standard error.
    #[track_caller]
    pub fn keeps_quiet_about(self, text: &str) -> Self {
        assert!(!self.said(text), "`{text}` is there: {self}");
        self
    }

    /// Returns whether a text is in standard output or standard error; white space counts the same, however it is folded.
    pub fn said(&self, text: &str) -> bool {
        let fold = |text: &str| {
            let words = text.split(|c: char| c.is_whitespace() || c == '│').filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        };
        let wanted = fold(text);
        fold(&self.stdout).contains(&wanted) || fold(&self.stderr).contains(&wanted)
    }

    /// Returns the folder of the run.
    #[track_caller]
    pub fn kept(&self) -> &Path {
        self.folder.as_deref().unwrap_or_else(|| panic!("there is no run folder: {self}"))
    }

    /// Returns the record of the run, from its folder.
    #[track_caller]
    pub fn record(&self) -> Value {
        let text = fs::read_to_string(self.kept().join("record.json")).expect("a run keeps its record");
        serde_json::from_str(&text).expect("a record is JSON")
    }

    /// Returns the entries of the run's journal.
    #[track_caller]
    pub fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.kept().join("journal.jsonl")).expect("a run keeps its journal");
        text.lines().map(|line| serde_json::from_str(line).expect("an entry is JSON")).collect()
    }

    /// Panics if the journal says that anything was about to be injected.
    #[track_caller]
    pub fn injected_nothing(self) -> Self {
        let injected = self.journal().iter().any(|entry| entry["entry"] == "injecting");
        assert!(!injected, "something was injected: {self}");
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".into(),
        };
        let Ended { words, stdout, stderr, took, .. } = self;
        write!(f, "chaos {words}: {how} after {took:.1?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}
