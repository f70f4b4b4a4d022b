//! The process that holds the lab, seen from the runner: started, spoken with, ended, and proven gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use super::{Dead, LabError, LabEvent, Programs};
use crate::protocol::{Answer, Ask, BringUpError, Frame, Request};

/// How long the lab gets to end on its own before it is killed; both take it down completely.
const GRACE: Duration = Duration::from_secs(2);

type Waiting = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Answer, BringUpError>>>>>;

/// The process that holds a lab.
#[derive(Debug)]
pub(super) struct Holder {
    child: Option<Child>,
    pid: u32,
    input: tokio::sync::Mutex<Option<pipe::Sender>>,
    first: Option<oneshot::Receiver<Result<Frame, LabError>>>,
    reader: JoinHandle<()>,
    waiting: Waiting,
    dead: Dead,
    next: AtomicU64,
}

impl Holder {
    /// Starts the process as the first of a new pid namespace.
    pub(super) fn start(programs: &Programs, events: broadcast::Sender<LabEvent>) -> Result<Self, LabError> {
        let fail = |source| LabError::Spawn { exe: programs.exe.clone(), source };
        let mut child = spawn(programs).map_err(fail)?;
        let pid = child.id();
        let pipes = (|| {
            let input = child.stdin.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe)?;
            let output = child.stdout.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe)?;
            let errors = child.stderr.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((
                pipe::Sender::from_owned_fd(input)?,
                pipe::Receiver::from_owned_fd(output)?,
                pipe::Receiver::from_owned_fd(errors)?,
            ))
        })();
        let (input, output, errors) = match pipes {
            Ok(pipes) => pipes,
            Err(source) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(fail(source));
            }
        };
        let (sender, first) = oneshot::channel();
        let (waiting, dead) = (Waiting::default(), Dead::default());
        let ears =
            Ears { sender: Some(sender), waiting: Arc::clone(&waiting), dead: Arc::clone(&dead), events };
        Ok(Holder {
            child: Some(child),
            pid,
            input: tokio::sync::Mutex::new(Some(input)),
            first: Some(first),
            reader: tokio::spawn(ears.listen(output, errors)),
            waiting,
            dead,
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the programs whose death was reported.
    pub(super) fn dead(&self) -> Vec<(String, usize)> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn alive_again(&self, host: &str, program: usize) {
        self.dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(h, p)| (h.as_str(), *p) != (host, program));
    }

    pub(super) async fn send(&self, message: &impl Serialize) -> Result<(), LabError> {
        let mut line = serde_json::to_vec(message).expect("messages hold nothing that JSON cannot");
        line.push(b'\n');
        let mut input = self.input.lock().await;
        let gone = || LabError::Ended(String::new());
        // A failure to write means that the process is gone; why is what the reading side learns.
        match input.as_mut().ok_or_else(gone)?.write_all(&line).await {
            Err(_) if self.first.is_none() => Err(gone()),
            _ => Ok(()),
        }
    }

    /// Waits for the news of the lab's beginning.
    pub(super) async fn first(&mut self) -> Result<Frame, LabError> {
        let first = self.first.take().expect("asked for once");
        first.await.unwrap_or_else(|_| Err(LabError::Ended(String::new())))
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, LabError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        self.send(&Request { id, ask }).await?;
        answer.await.map_err(|_| LabError::Ended(String::new()))?.map_err(Into::into)
    }

    /// Maps the numbers that processes have inside the lab to those that the runner's `/proc` gives.
    pub(super) fn outer_pids(&self) -> io::Result<BTreeMap<i32, u32>> {
        let mut pids = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(outer) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
                continue;
            };
            // One that ends while we read is simply not there.
            let Ok(status) = fs::read_to_string(format!("/proc/{outer}/status")) else { continue };
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            if field("PPid:").and_then(|p| p.parse().ok()) != Some(self.pid) {
                continue;
            }
            let inner =
                field("NSpid:").and_then(|p| p.split_ascii_whitespace().last()).and_then(|p| p.parse().ok());
            pids.extend(inner.map(|inner| (inner, outer)));
        }
        Ok(pids)
    }

    /// Ends the lab and waits until its last process is gone.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // What happens now is not news.
        self.reader.abort();
        self.input.lock().await.take();
        // The kernel reports the end of a pid namespace's first process only when all others are gone.
        let wait = tokio::task::spawn_blocking(move || wait(&mut child));
        wait.await.map_err(io::Error::other)?.map(drop)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.reader.abort();
        if let Some(mut child) = self.child.take() {
            // Waiting is short, and without it the caller could see remains.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let started = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > GRACE {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts the process on a thread that is thrown away: the pid namespace for children is a property of the thread.
fn spawn(programs: &Programs) -> io::Result<Child> {
    let mut command = Command::new(&programs.exe);
    command.args(&programs.init).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    inherit_nothing(&mut command);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("lab-birth".to_owned()).spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_NEWPID)?;
            command.spawn()
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Keeps descriptors that others in this process forgot to mark from living on in the lab.
#[expect(unsafe_code, reason = "there is no safe way to mark all descriptors at once")]
fn inherit_nothing(command: &mut Command) {
    // SAFETY: the closure only makes the `close_range` system call, which is async-signal-safe and touches no memory;
    // it marks descriptors to be closed on exec and closes none, so nobody in this process loses one.
    unsafe {
        command.pre_exec(|| {
            // A kernel before 5.11 refuses, and the lab then inherits what was left unmarked, as every child does.
            libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
            Ok(())
        });
    }
}

/// The side that listens to the lab.
struct Ears {
    sender: Option<oneshot::Sender<Result<Frame, LabError>>>,
    waiting: Waiting,
    dead: Dead,
    events: broadcast::Sender<LabEvent>,
}

impl Ears {
    async fn listen(mut self, output: pipe::Receiver, mut errors: pipe::Receiver) {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(frame) => self.hear(frame),
                Err(e) => tracing::warn!("the lab said something unintelligible: {e}"),
            }
        }
        if let Some(sender) = self.sender.take() {
            // A wrong executable, mostly, and what it says helps to see that.
            let mut said = String::new();
            let _ = tokio::time::timeout(
                Duration::from_millis(200),
                (&mut errors).take(2000).read_to_string(&mut said),
            )
            .await;
            let said = said.trim();
            let reason = if said.is_empty() { String::new() } else { format!(", saying `{said}`") };
            let _ = sender.send(Err(LabError::Ended(reason)));
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let _ = self.events.send(LabEvent::Ended);
    }

    fn hear(&mut self, frame: Frame) {
        match frame {
            Frame::Up(_) | Frame::Failed(_) => {
                if let Some(sender) = self.sender.take() {
                    let _ = sender.send(Ok(frame));
                }
            }
            Frame::Died(death) => {
                if self.sender.is_none() {
                    let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
                    dead.push((death.host.clone(), death.program));
                    let _ = self.events.send(LabEvent::ProgramDied(death));
                }
            }
            Frame::Answer { id, outcome } => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(sender) = waiting {
                    let _ = sender.send(outcome);
                }
            }
        }
    }
}

/// Finds who still holds one of the network namespaces: processes in it, and descriptors of this process.
pub(super) fn held(inodes: &[u64]) -> Vec<String> {
    let is_held = |path: &std::path::Path| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("net:["))
            && fs::metadata(path).is_ok_and(|m| inodes.contains(&m.ino()))
    };
    let names = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut held: Vec<String> = names("/proc")
        .filter(|p| is_held(&p.join("ns/net")))
        .map(|p| format!("process {}", p.file_name().unwrap_or_default().to_string_lossy()))
        .collect();
    let own = names("/proc/self/fd").filter(|p| is_held(p)).count();
    if own > 0 {
        held.push(format!("this process, with {own} descriptors"));
    }
    held
}
