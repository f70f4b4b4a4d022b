//! The programs of a host: started in its namespaces, watched until ready, heard until their end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chaos_core::model::{Program, Ready};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use crate::address::{describe, port_of};
use crate::listener::Listener;
use crate::protocol::BringUpError;
use crate::traffic::Traffic;

/// How much of a program's output is kept, the newest part.
const KEPT_OUTPUT: usize = 64 * 1024;

/// The pause between two looks at a program that is not ready yet.
const READY_POLL: Duration = Duration::from_millis(3);

/// What a program wrote, the newest part; shared with the task that listens.
#[derive(Clone, Default)]
pub(crate) struct Output(Rc<RefCell<VecDeque<u8>>>);

impl Output {
    fn append(&self, chunk: &[u8]) {
        let mut kept = self.0.borrow_mut();
        kept.extend(chunk);
        let surplus = kept.len().saturating_sub(KEPT_OUTPUT);
        kept.drain(..surplus);
    }

    /// Returns all that is kept.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.0.borrow_mut().make_contiguous()).into_owned()
    }

    /// Returns the last few lines, for a message.
    pub(crate) fn last_lines(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

/// A program that was started.
pub(crate) struct Running {
    pub(crate) pid: Pid,
    pub(crate) ended: Option<String>,
    pub(crate) requested: bool,
    pub(crate) output: Output,
    pub(crate) started: Instant,
    listener: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a program in the namespaces of the calling thread, in a session of its own.
    pub(crate) fn start(mut command: Command, directory: &Path) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        if directory.is_dir() {
            command.current_dir(directory);
        }
        own_session(&mut command);
        let child = command.spawn()?;
        // The command holds the writing ends, and with them the listener would never see the end.
        drop(command);

        let output = Output::default();
        let reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok(Running {
            pid: Pid::from_raw(child.id() as i32),
            ended: None,
            requested: false,
            started: Instant::now(),
            listener: Some(tokio::task::spawn_local(listen(reader, output.clone()))),
            output,
        })
    }

    /// Gives the task that listens to the program, once.
    pub(crate) fn take_listener(&mut self) -> Option<JoinHandle<()>> {
        self.listener.take()
    }

    /// Sends a signal to the program and to the children that stayed in its process group.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.requested = true;
        Ok(killpg(self.pid, signal)?)
    }
}

/// Waits for output that was still on its way when its program ended; a child that keeps the pipe open is not waited for.
pub(crate) async fn hear_out(listener: Option<JoinHandle<()>>) {
    if let Some(listener) = listener {
        let _ = tokio::time::timeout(Duration::from_millis(200), listener).await;
    }
}

async fn listen(mut reader: pipe::Receiver, output: Output) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = reader.read(&mut chunk).await {
        output.append(&chunk[..read]);
    }
}

#[expect(unsafe_code, reason = "std offers a process group of its own but no session of its own")]
fn own_session(command: &mut Command) {
    // SAFETY: the closure only makes the `setsid` system call, which is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into));
    }
}

/// A program with the host it belongs to.
pub(crate) struct Slot {
    pub(crate) host: String,
    pub(crate) index: usize,
    pub(crate) program: Program,
    pub(crate) running: Running,
    /// What those wrote that ran here before.
    pub(crate) earlier: String,
    /// What its host had been asked when it was started.
    pub(crate) before: Traffic,
}

impl Slot {
    /// Waits until the program is ready; `listener` says who listens on a TCP port of its host.
    pub(crate) async fn ready(
        slot: &RefCell<Slot>,
        within: Duration,
        listener: impl Fn(u16) -> io::Result<Listener>,
    ) -> Result<(), BringUpError> {
        loop {
            Self::alive(slot).await?;
            let since = slot.borrow().running.started.elapsed();
            let Some(missing) = slot.borrow().missing(since, &listener) else { return Ok(()) };
            let patience = slot.borrow().patience(within);
            if since >= patience {
                let slot = slot.borrow();
                return Err(BringUpError::NotReady {
                    host: slot.host.clone(),
                    program: describe(&slot.program),
                    missing,
                    within: patience,
                    output: slot.running.output.last_lines(),
                });
            }
            tokio::time::sleep(READY_POLL.max(since / 20)).await;
        }
    }

    /// Fails when the program has ended, with what it said.
    pub(crate) async fn alive(slot: &RefCell<Slot>) -> Result<(), BringUpError> {
        let Some(status) = slot.borrow().running.ended.clone() else { return Ok(()) };
        let listener = slot.borrow_mut().running.take_listener();
        hear_out(listener).await;
        let slot = slot.borrow();
        Err(BringUpError::Died {
            host: slot.host.clone(),
            program: describe(&slot.program),
            status,
            output: slot.running.output.last_lines(),
        })
    }

    /// Returns how long the program may take until it is ready.
    pub(crate) fn patience(&self, within: Duration) -> Duration {
        within + settle_time(&self.program)
    }

    /// Returns all that is kept of what was written here, the newest part.
    pub(crate) fn text(&self) -> String {
        let mut text = self.earlier.clone() + &self.running.output.text();
        if text.len() > KEPT_OUTPUT {
            let cut = (text.len() - KEPT_OUTPUT..text.len()).find(|at| text.is_char_boundary(*at));
            text.drain(..cut.unwrap_or(0));
        }
        text
    }

    /// Says what the program still lacks `since` it was started; nothing when it is ready.
    pub(crate) fn missing(
        &self,
        since: Duration,
        listener: impl Fn(u16) -> io::Result<Listener>,
    ) -> Option<String> {
        if let Some(port) = port_of(&self.program) {
            return match listener(port) {
                Ok(Listener::Own) => None,
                Ok(Listener::Other(other)) => Some(format!("tcp port {port} is taken by {other}")),
                Ok(Listener::Nobody) => Some(format!("nothing listens on tcp port {port}")),
                Err(e) => Some(format!("cannot read which ports are listened on: {e}")),
            };
        }
        let settle = settle_time(&self.program);
        (since < settle).then(|| format!("it has not been alive for {settle:?} yet"))
    }
}

/// Returns how long a program must have been alive to be ready.
pub(crate) fn settle_time(program: &Program) -> Duration {
    match program {
        Program::Command { ready: Ready::After(settle), .. } => *settle,
        Program::Http { .. } | Program::Gateway { .. } | Program::Dns | Program::Command { .. } => {
            Duration::ZERO
        }
    }
}

/// Puts how a process ended into words; none while it goes on.
pub(crate) fn ending(status: WaitStatus) -> Option<(Pid, String)> {
    let (pid, raw) = match status {
        WaitStatus::Exited(pid, code) => (pid, code << 8),
        WaitStatus::Signaled(pid, signal, _) => (pid, signal as i32),
        _ => return None,
    };
    Some((pid, ExitStatus::from_raw(raw).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_read_like_a_shell_would_say() {
        let pid = Pid::from_raw(7);
        assert_eq!(ending(WaitStatus::Exited(pid, 3)), Some((pid, "exit status: 3".to_owned())));
        let killed = ending(WaitStatus::Signaled(pid, Signal::SIGKILL, false)).unwrap().1;
        assert_eq!(killed, "signal: 9 (SIGKILL)");
        assert_eq!(ending(WaitStatus::StillAlive), None);
    }
}
