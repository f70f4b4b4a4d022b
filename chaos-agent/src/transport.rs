//! Ways to start an agent and to reach it.

mod child;
mod thread;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::{
    place::{OutOfReach, Site},
    trouble::Trouble,
};
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::{child::ChildProcess, thread::OwnThread};
use crate::protocol::SILENCE;

/// A way to start an agent.
///
/// # Guarantees
/// Closing [`Started::input`] reaches the agent as the end of its input, or the agent notices the silence. After
/// [`Grip::kill`] the agent is gone, unless the implementation says otherwise.
///
/// # Assumptions
/// What connects the two is not what faults are put on: a child process is reached over pipes, so nothing done to a
/// network comes between them. A transport over the network (ssh) must say which traffic is its own, for the faults to
/// leave alone.
///
/// # Errors
/// `start` fails when no agent can be started there, and never starts one elsewhere instead. What an agent that was started does afterwards is seen on its
/// streams.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Starts one at a site: the runner's own, where one agent serves every namespace, or a place that only an agent reaches.
    async fn start(&self, site: &Site) -> Result<Started, Trouble>;

    /// Returns after which silence either side should act on its own; the agent answers within bounds of its own.
    ///
    /// Longer where the connection itself may stand still for a while, such as through an API server that an experiment
    /// restarts.
    fn silence(&self) -> Duration {
        SILENCE
    }

    /// Returns what it starts, for people.
    fn describe(&self) -> String;
}

/// Refuses what is not this machine, for transports that start agents here alone.
fn here(site: &Site) -> Result<(), Trouble> {
    let out_of_reach = |error: OutOfReach| Trouble::unable(error.to_string());
    let help = "give the runner a transport that starts agents there";
    site.entry().map(drop).map_err(|error| out_of_reach(error).with_help(help))
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
///
/// # Guarantees
/// Both methods return, whatever state the agent is in.
///
/// # Assumptions
/// They are called once the streams of the agent are no longer used, or to make that so.
///
/// # Errors
/// None: an agent that cannot be killed ends its faults at its own silence or deadline.
#[async_trait]
pub trait Grip: Send + Sync {
    /// Ends it, whatever state it is in, and waits until it is gone.
    async fn kill(&self);

    /// Waits until it has ended, killing it if that takes long, and returns what is known of its end: its status, its last
    /// words.
    async fn last_words(&self) -> String;
}
