//! What the runner and the lab's first process say to each other: one JSON object per line.

use std::path::PathBuf;
use std::time::Duration;

use chaos_core::{model::Program, trouble::Kind};
use serde::{Deserialize, Serialize};

use crate::address::Layout;
use crate::traffic::Traffic;

/// A program of a lab that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The host it ran on.
    pub host: String,
    /// Its place among the programs of the host, counted from 0.
    pub program: usize,
    /// What it was, as declared.
    pub what: String,
    /// How it ended, as in `exit status: 1` or `signal: 9 (SIGKILL)`.
    pub status: String,
    /// The last lines it wrote.
    pub output: String,
    /// Whether the runner had asked the lab to signal or restart it.
    pub requested: bool,
}

/// The first line to the lab: all it needs to come up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) layout: Layout,
    /// The lab's process as the runner sees it, for a `/proc` that belongs to the runner's pid namespace.
    pub(crate) outer_pid: u32,
    /// The executable that holds the built-in servers, and the arguments that select them.
    pub(crate) serve: (PathBuf, Vec<String>),
    /// Where programs start, as the runner does.
    pub(crate) directory: PathBuf,
    pub(crate) ready_within: Duration,
}

/// A question to a lab that is up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) ask: Ask,
}

/// What can be asked; `program` counts the programs of the host in declared order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Send a signal to a program and its children.
    Signal { host: String, program: usize, signal: i32 },
    /// Kill a program where it still runs, start it again, and wait until it is ready.
    Restart { host: String, program: usize },
    /// End what runs in a program's place and start another one there, without waiting until it is ready.
    Replace { host: String, program: usize, by: Box<Program>, back: Option<Back> },
    /// Say how a program is doing.
    Look { host: String, program: usize },
    /// Give the last output of a program.
    Output { host: String, program: usize },
}

/// What comes back to a program's place on its own, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Back {
    /// What ran there before.
    pub(crate) program: Box<Program>,
    /// How long it stays away at most.
    pub(crate) after: Duration,
}

/// What the lab reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// Everything runs.
    Up(Up),
    /// The lab did not come up and ends now.
    Failed(BringUpError),
    /// A program ended.
    Died(Death),
    /// The answer to a request.
    Answer { id: u64, outcome: Result<Answer, BringUpError> },
}

/// The answer to a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Started { pid: i32 },
    Look(Box<Look>),
    Output(String),
}

/// How a program is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Look {
    /// What runs in its place.
    pub(crate) program: Program,
    /// How it ended, where it did.
    pub(crate) ended: Option<String>,
    /// What it lacks until it is ready.
    pub(crate) missing: Option<String>,
    /// How long ago it was started.
    pub(crate) since: Duration,
    /// How long it may take until it is ready.
    pub(crate) patience: Duration,
    /// The last lines that it wrote.
    pub(crate) output: String,
    /// What its host was asked since it was started.
    pub(crate) traffic: Traffic,
}

/// A lab that is up, as its first process sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Up {
    pub(crate) switch: i32,
    pub(crate) hosts: Vec<UpHost>,
}

/// Descriptors in the lab's first process, which the runner opens through `/proc/PID/fd`, and pids inside the lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UpHost {
    pub(crate) network: i32,
    pub(crate) mounts: i32,
    pub(crate) uts: i32,
    pub(crate) pids: Vec<i32>,
}

/// Why a lab does not come up, or a program does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BringUpError {
    /// The lab's own namespaces or mounts could not be made.
    #[error("cannot {what}: {reason}")]
    Place {
        /// What was tried.
        what: String,
        /// What the kernel said.
        reason: String,
        /// What stood in the way.
        kind: Kind,
    },
    /// A host's namespaces, interface or files could not be made.
    #[error("cannot make host `{host}`: {what}: {reason}")]
    Host {
        /// The host.
        host: String,
        /// What was tried.
        what: String,
        /// What the kernel said.
        reason: String,
        /// What stood in the way.
        kind: Kind,
    },
    /// A program could not be started at all.
    #[error("host `{host}` cannot start {program}: {reason}; is it installed and spelt right?")]
    Start {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// A program ended before the lab was up.
    #[error("{program} on host `{host}` ended before the lab was up, with {status}{}", quoted(.output))]
    Died {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A program ended that was to take another one's place.
    #[error("{program} on host `{host}` ended before it was ready, with {status}{}", quoted(.output))]
    NeverReady {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A program did not become ready in time.
    #[error("{program} on host `{host}` was not ready within {within:?}: {missing}{}", quoted(.output))]
    NotReady {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// What was still missing.
        missing: String,
        /// The time it was given.
        within: Duration,
        /// The last lines it wrote.
        output: String,
    },
    /// A request for a host or a program that is not there.
    #[error("the lab has no program {program} on a host `{host}`")]
    Unknown {
        /// The host asked for.
        host: String,
        /// The program asked for, counted from 0.
        program: usize,
    },
    /// A signal that reached nothing.
    #[error("{program} on host `{host}` got no signal: {reason}")]
    Signal {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// What the kernel said.
        reason: String,
    },
}

fn quoted(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|l| !l.trim().is_empty()).collect();
    match lines.len() {
        0 => "; it wrote nothing".to_owned(),
        n => format!("; it wrote last: `{}`", lines[n.saturating_sub(3)..].join(" / ")),
    }
}
