//! An agent as an ephemeral container of a pod.
//!
//! What the stream says of the end is not believed: it calls a killed agent a success. What became of the container is in the
//! pod's status. A stream that broke never ends for its reader, so the end of the connection is waited for as well.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_agent::transport::{Grip, Started, Transport};
use chaos_core::{
    place::{ObjectId, Site},
    trouble::Trouble,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, AttachedProcess, Patch, PatchParams},
    runtime::wait::await_condition,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, copy, duplex},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    Link,
    container::{self, State},
    environment,
};

/// How long the container may take to run, its image included.
const START: Duration = Duration::from_secs(25);

/// After which silence either side acts on its own: an API server that is busy for a moment takes no fault away.
const SILENCE: Duration = Duration::from_secs(4);

/// How long an agent that is ending may take to put things back, until its state is known.
const FAREWELL: Duration = Duration::from_secs(8);

/// How often its state is looked at then.
const LOOK: Duration = Duration::from_millis(200);

/// How many bytes are on the way at most, each way, before the other side waits.
const BUFFER: usize = 64 << 10;

/// How long what the agent said last may still arrive after its connection ended.
const REST: Duration = Duration::from_millis(200);

/// Starts agents in pods.
pub struct PodTransport {
    link: Arc<Link>,
    image: String,
}

impl PodTransport {
    /// Starts them from this image, whose entry point is the agent.
    pub fn new(link: Arc<Link>, image: impl Into<String>) -> Self {
        PodTransport { link, image: image.into() }
    }

    /// Adds the container and waits until it runs.
    async fn add(&self, pods: &Api<Pod>, of: &ObjectId, name: &str) -> Result<(), Trouble> {
        let patch = Patch::Strategic(container::patch(name, &self.image));
        let parameters = PatchParams::default();
        let added = pods.patch_ephemeral_containers(&of.name, &parameters, &patch);
        self.link.ask(&format!("add an agent to {of}"), added).await?;
        let settled =
            |pod: Option<&Pod>| pod.is_none_or(|pod| container::state(pod, name) != State::Starting);
        let waited = timeout(START, await_condition(pods.clone(), &of.name, settled)).await;
        let pod = match waited {
            Ok(Ok(pod)) => pod,
            Ok(Err(error)) => {
                let why = crate::link::chain(&error);
                return Err(Trouble::unable(format!("cannot watch the agent start in {of}: {why}")));
            }
            Err(_) => {
                let message = format!("the agent in {of} does not run after {} s", START.as_secs());
                return Err(
                    Trouble::unable(message).with_help("`kubectl describe pod` has the events of the pod")
                );
            }
        };
        let Some(pod) = pod else {
            return Err(Trouble::absent(format!("{of} went while its agent started")));
        };
        match container::state(&pod, name) {
            State::Running => Ok(()),
            State::Stuck { reason, message } => {
                Err(Trouble::unable(format!("the agent cannot start in {of}: {reason}: {message}"))
                    .with_help(container::remedy(&reason, &self.image)))
            }
            State::Ended { code, message } => {
                Err(Trouble::unable(format!("the agent in {of} ended at once with code {code}: {message}"))
                    .with_help(format!(
                        "look whether `{}` is an image of the agent for the node's architecture",
                        self.image
                    )))
            }
            State::Starting => Err(Trouble::internal(format!("the agent in {of} is waited for no longer"))),
        }
    }
}

#[async_trait]
impl Transport for PodTransport {
    async fn start(&self, site: &Site) -> Result<Started, Trouble> {
        let Site::Agent { of } = site else {
            return Err(Trouble::unable("an agent in a pod acts nowhere else"));
        };
        environment::running(&self.link, of).await?;
        let client = self.link.client().await?;
        let pods = environment::api(&client, of)?;
        let name = format!("{}{:08x}", container::NAME, number());
        self.add(&pods, of, &name).await?;
        let parameters = AttachParams::default()
            .container(&name)
            .stdin(true)
            .stdout(true)
            .stderr(false)
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER);
        let attached = pods.attach(&of.name, &parameters);
        let process = self.link.ask(&format!("attach to the agent in {of}"), attached).await;
        let process = process.map_err(|trouble| match trouble.is_denied() {
            // The server does not say which right is missing where that is the second of them.
            true => trouble
                .said(|why| format!("{} (it takes the right to get and create pods/attach)", why.trim_end())),
            false => trouble,
        })?;
        let (input, to_send) = duplex(BUFFER);
        let (arrived, output) = duplex(BUFFER);
        let cut = watch::Sender::new(false);
        tokio::spawn(carry(process, to_send, arrived, cut.subscribe()));
        let grip = Arc::new(PodGrip { pods, of: of.clone(), name, cut });
        Ok(Started { input: Box::new(input), output: Box::new(output), grip })
    }

    fn silence(&self) -> Duration {
        SILENCE
    }

    fn describe(&self) -> String {
        format!("{} in a pod", self.image)
    }
}

/// Draws what tells the container from other agents of the same pod.
fn number() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library keys each of its hashers from the operating system's random numbers.
    std::hash::RandomState::new().build_hasher().finish() as u32
}

/// Carries bytes both ways until either side ends or the connection is cut; then the agent's input ends.
async fn carry(
    mut process: AttachedProcess,
    mut to_send: DuplexStream,
    mut arrived: DuplexStream,
    mut cut: watch::Receiver<bool>,
) {
    let (Some(mut stdin), Some(mut stdout), Some(status)) =
        (process.stdin(), process.stdout(), process.take_status())
    else {
        return;
    };
    let sending = async {
        let sent = copy(&mut to_send, &mut stdin).await;
        // Dropping it would send nothing.
        let _ = stdin.shutdown().await;
        // The agent says its last words and ends; that is seen below.
        if sent.is_ok() {
            std::future::pending().await
        }
    };
    let severed = async move {
        let _ = cut.wait_for(|cut| *cut).await;
    };
    {
        let receiving = copy(&mut stdout, &mut arrived);
        tokio::pin!(receiving);
        tokio::select! {
            _ = &mut receiving => {}
            () = sending => {}
            _ = status => {
                let _ = timeout(REST, receiving).await;
            }
            // Dropping the process below ends the connection, and with it the agent's input.
            () = severed => {}
        }
    }
    let _ = arrived.shutdown().await;
}

struct PodGrip {
    pods: Api<Pod>,
    of: ObjectId,
    name: String,
    /// Ends the connection.
    cut: watch::Sender<bool>,
}

impl PodGrip {
    /// Waits until the container has ended; nothing where that is not seen in time.
    async fn ended(&self) -> Option<String> {
        let looked = async {
            loop {
                match self.pods.get_opt(&self.of.name).await {
                    Ok(None) => return format!("{} is gone", self.of),
                    Ok(Some(pod)) if pod.metadata.uid != self.of.uid => {
                        return format!("{} was replaced", self.of);
                    }
                    Ok(Some(pod)) => {
                        if let State::Ended { code, message } = container::state(&pod, &self.name) {
                            let words = if message.is_empty() {
                                String::new()
                            } else {
                                format!(", saying `{message}`")
                            };
                            return format!("its container ended with code {code}{words}");
                        }
                    }
                    // The agent goes by its own silence, whether or not the API server answers.
                    Err(error) => tracing::debug!(%error, "the state of an agent is not known"),
                }
                sleep(LOOK).await;
            }
        };
        timeout(FAREWELL, looked).await.ok()
    }
}

#[async_trait]
impl Grip for PodGrip {
    /// Cuts its connection: no API kills a container of a pod. The end of its input, or else its own silence, makes the agent put
    /// everything back and end.
    async fn kill(&self) {
        self.cut.send_replace(true);
        let _ = self.ended().await;
    }

    async fn last_words(&self) -> String {
        // An agent that still lives shall not wait for the runner any longer.
        let ended = self.ended().await;
        self.cut.send_replace(true);
        ended.unwrap_or_else(|| {
            format!("its container `{}` was not seen to end within {} s", self.name, FAREWELL.as_secs())
        })
    }
}
