//! An agent as a child process.

use std::{ffi::OsString, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::{
    place::Site,
    trouble::{Kind, Trouble},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::Mutex,
};

use super::{Grip, Started, Transport};

/// How long an agent that is ending may take to put things back.
const FAREWELL: Duration = Duration::from_secs(5);

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
    async fn start(&self, site: &Site) -> Result<Started, Trouble> {
        super::here(site)?;
        let mut child = Command::new(&self.executable)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Trouble::unable(format!("cannot start the agent `{}`: {error}", self.describe()))
                    .with_help("hand in the path of an executable that offers agents")
                    .of_kind(Kind::from(&error))
            })?;
        let missing = || Trouble::unable("the agent was started without standard streams");
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
        // It may have ended on its own; then there is nothing to kill, and its number may be another process's already,
        // which `Child` knows.
        let _ = self.child.lock().await.kill().await;
    }

    async fn last_words(&self) -> String {
        let mut child = self.child.lock().await;
        let waited = tokio::time::timeout(FAREWELL, child.wait()).await;
        let status = match waited {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => format!("its end is unknown: {error}"),
            Err(_) => {
                child.kill().await.ok();
                "it did not end on its own and was killed".into()
            }
        };
        let words = self.words.lock().await;
        if words.is_empty() { status } else { format!("{status}, saying `{words}`") }
    }
}
