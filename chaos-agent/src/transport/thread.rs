//! An agent as a thread of this process.

use std::sync::Arc;

use async_trait::async_trait;
use chaos_core::{place::Site, trouble::Trouble};

use super::{Grip, Started, Transport};
use crate::{
    host::{Host, Settings},
    server,
};

/// An agent as a thread of this process, for programs that have no executable to start.
///
/// It dies with this process, so its host should offer only what the kernel ends on its own then.
#[derive(Clone)]
pub struct OwnThread {
    furnish: Arc<Furnish>,
}

type Furnish = dyn Fn(&Settings) -> Result<Host, Trouble> + Send + Sync;

impl OwnThread {
    /// Takes what makes the host of each agent that is started.
    pub fn new(furnish: impl Fn(&Settings) -> Result<Host, Trouble> + Send + Sync + 'static) -> Self {
        OwnThread { furnish: Arc::new(furnish) }
    }
}

#[async_trait]
impl Transport for OwnThread {
    async fn start(&self, site: &Site) -> Result<Started, Trouble> {
        super::here(site)?;
        const BUFFER: usize = 64 * 1024;
        let (input, agent_input) = tokio::io::duplex(BUFFER);
        let (agent_output, output) = tokio::io::duplex(BUFFER);
        let furnish = Arc::clone(&self.furnish);
        std::thread::Builder::new()
            .name("chaos-agent".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => {
                        let furnish = |settings: &Settings| furnish(settings);
                        let serving =
                            server::serve(agent_input, agent_output, furnish, std::future::pending());
                        drop(runtime.block_on(serving));
                    }
                    Err(error) => tracing::error!(%error, "the agent's thread has no runtime"),
                }
            })
            .map_err(|error| Trouble::unable(format!("cannot start the agent's thread: {error}")))?;
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
