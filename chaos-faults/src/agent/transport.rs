//! Ways to start an agent and to reach it.

use std::{ffi::OsString, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::injector::InjectError;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader},
    process::{Child, Command},
    sync::Mutex,
};

use super::server;
use crate::backend::Holding;

/// How long an agent that is ending may take to put things back.
const FAREWELL: Duration = Duration::from_secs(5);

/// A way to start an agent.
///
/// What connects the two must not be what faults are put on: a child process is reached over pipes, so nothing done to a
/// network comes between them. A transport over the network (ssh) must say which traffic is its own, for the faults to
/// leave alone.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Starts one.
    async fn start(&self) -> Result<Started, InjectError>;

    /// Returns what it starts, for people.
    fn describe(&self) -> String;
}

/// An agent that was started.
pub struct Started {
    /// What it reads; closing it makes the agent undo everything and end.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// The means to end it when it does not answer.
    pub grip: Arc<dyn Grip>,
}

/// Means to end an agent that does not answer.
#[async_trait]
pub trait Grip: Send + Sync {
    /// Ends it, whatever state it is in, and waits until it is gone.
    async fn kill(&self);

    /// Waits until it has ended, killing it if that takes long, and returns what is known of its end: its status, its last
    /// words.
    async fn last_words(&self) -> String;
}

/// An agent as a child process of this one: the usual way.
#[derive(Clone, Debug)]
pub struct ChildProcess {
    executable: PathBuf,
    arguments: Vec<OsString>,
}

impl ChildProcess {
    /// Takes an executable and the arguments that make it an agent, for `chaos` itself its own path and `agent`.
    pub fn new<A: Into<OsString>>(
        executable: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        ChildProcess { executable: executable.into(), arguments }
    }
}

#[async_trait]
impl Transport for ChildProcess {
    async fn start(&self) -> Result<Started, InjectError> {
        let mut child = Command::new(&self.executable)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| InjectError {
                message: format!("cannot start the agent `{}`: {error}", self.describe()),
                help: Some("hand in the path of an executable that offers agents".into()),
                permission: error.kind() == std::io::ErrorKind::PermissionDenied,
            })?;
        let missing = || InjectError::new("the agent was started without standard streams");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let words = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            let words = Arc::clone(&words);
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    tracing::debug!(target: "chaos_agent", "{line}");
                    *words.lock().await = line;
                }
            });
        }
        let grip = Arc::new(ChildGrip { child: Mutex::new(child), words });
        Ok(Started { input: Box::new(input), output: Box::new(output), grip })
    }

    fn describe(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| format!(" {}", argument.to_string_lossy()));
        format!("{}{}", self.executable.display(), arguments.collect::<String>())
    }
}

struct ChildGrip {
    child: Mutex<Child>,
    words: Arc<Mutex<String>>,
}

#[async_trait]
impl Grip for ChildGrip {
    async fn kill(&self) {
        // It may have ended by itself; then there is nothing to kill, and its number may be another process's already,
        // which `Child` knows.
        drop(self.child.lock().await.kill().await);
    }

    async fn last_words(&self) -> String {
        let mut child = self.child.lock().await;
        let waited = tokio::time::timeout(FAREWELL, child.wait()).await;
        let status = match waited {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => format!("its end is unknown: {error}"),
            Err(_) => {
                child.kill().await.ok();
                "it did not end by itself and was killed".into()
            }
        };
        let words = self.words.lock().await;
        if words.is_empty() { status } else { format!("{status}, saying `{words}`") }
    }
}

/// An agent as a thread of this process, for programs that have no executable to start: it offers only what the kernel
/// ends by itself when the process dies.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnThread;

#[async_trait]
impl Transport for OwnThread {
    async fn start(&self) -> Result<Started, InjectError> {
        const BUFFER: usize = 64 * 1024;
        let (input, agent_input) = tokio::io::duplex(BUFFER);
        let (agent_output, output) = tokio::io::duplex(BUFFER);
        std::thread::Builder::new()
            .name("chaos-agent".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => {
                        let serving = server::serve(
                            agent_input,
                            agent_output,
                            Holding::KernelOnly,
                            std::future::pending(),
                        );
                        drop(runtime.block_on(serving));
                    }
                    Err(error) => tracing::error!(%error, "the agent's thread has no runtime"),
                }
            })
            .map_err(|error| InjectError::new(format!("cannot start the agent's thread: {error}")))?;
        Ok(Started { input: Box::new(input), output: Box::new(output), grip: Arc::new(ThreadGrip) })
    }

    fn describe(&self) -> String {
        "a thread of this process".into()
    }
}

struct ThreadGrip;

#[async_trait]
impl Grip for ThreadGrip {
    /// Does nothing: a thread cannot be killed. Its streams are closed, and what it holds ends at its deadline at the latest.
    async fn kill(&self) {}

    async fn last_words(&self) -> String {
        "its thread ended".into()
    }
}
