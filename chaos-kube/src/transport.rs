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
    Api, ResourceExt as _,
    api::{AttachParams, AttachedProcess, ListParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, copy, duplex},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    Link,
    container::{self, State},
    environment, pod, query,
};

/// How long the container may take to run, its image included.
const START: Duration = Duration::from_secs(25);

/// After which silence either side acts on its own: an API server that is busy for a moment takes no fault away.
const SILENCE: Duration = Duration::from_secs(4);

/// How much later than after its silence an agent without a runner has put things back, has ended, and is seen to have.
const MARGIN: Duration = Duration::from_secs(3);

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

    /// Waits until no agent of another run is ahead of this one in the pod: one whose runner was killed is about to end. Returns the pod
    /// as it was last seen.
    async fn alone(&self, of: &ObjectId, name: &str, mut pod: Pod) -> Result<Pod, Trouble> {
        let started = Instant::now();
        while let Some(other) = container::ahead(&pod, name) {
            if started.elapsed() > SILENCE + MARGIN {
                let message =
                    format!("another run is on {of}: its agent runs there in the container `{other}`");
                return Err(Trouble::unable(message).with_help(
                    "wait until it has ended, or end it with `chaos stop` on the machine that it was started from",
                ));
            }
            sleep(LOOK).await;
            pod = environment::running(&self.link, of).await?;
        }
        Ok(pod)
    }

    /// Adds the container and waits until it runs; returns the pod with it.
    async fn add(&self, pods: &Api<Pod>, of: &ObjectId, name: &str) -> Result<Pod, Trouble> {
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
            State::Running => Ok(pod),
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
        let name = format!("{}{:08x}", container::NAME, number());
        // Before the pod is touched, and again for who came at the same time.
        let pod = environment::running(&self.link, of).await?;
        self.alone(of, &name, pod).await?;
        let client = self.link.client().await?;
        let pods = environment::api(&client, of)?;
        let pod = self.add(&pods, of, &name).await?;
        let pod = self.alone(of, &name, pod).await?;
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
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        let grip = Arc::new(PodGrip { pods, of: of.clone(), name, node, cut });
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
    /// The node that the pod runs on.
    node: String,
    /// Ends the connection.
    cut: watch::Sender<bool>,
}

impl PodGrip {
    /// Waits until the container has ended; nothing where that is not seen in time.
    async fn ended(&self) -> Option<String> {
        let looked = async {
            // As it was while it was being deleted.
            let mut leaving = None;
            loop {
                match self.pods.get_opt(&self.of.name).await {
                    Ok(None) => return self.deleted(leaving.as_ref()).await,
                    Ok(Some(pod)) if pod.metadata.uid != self.of.uid => {
                        return format!("{} was deleted, and another pod has its name now", self.of);
                    }
                    Ok(Some(pod)) => {
                        let state = container::state(&pod, &self.name);
                        let is_leaving = pod.metadata.deletion_timestamp.is_some();
                        match state {
                            State::Ended { .. } if is_leaving => return self.deleted(Some(&pod)).await,
                            State::Ended { code, message } => return ended_with(code, &message),
                            State::Starting | State::Running | State::Stuck { .. } if is_leaving => {
                                leaving = Some(pod);
                            }
                            State::Starting | State::Running | State::Stuck { .. } => {}
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

    /// Says that the pod was deleted, and which one its owner made in its place, where that can be seen.
    async fn deleted(&self, leaving: Option<&Pod>) -> String {
        let successor = match leaving {
            Some(pod) => self.successor(pod).await,
            None => None,
        };
        match successor {
            Some(name) => format!("{} was deleted, and pod `{name}` replaces it", self.of),
            None => format!("{} was deleted", self.of),
        }
    }

    /// Returns the name of a pod with the same owner and labels that was made since this one was deleted.
    async fn successor(&self, pod: &Pod) -> Option<String> {
        let meta = &pod.metadata;
        let owner = pod::owner(meta)?;
        // What is written there is when its time is over.
        let grace =
            Duration::from_secs(meta.deletion_grace_period_seconds.unwrap_or_default().try_into().ok()?);
        let deleted = meta.deletion_timestamp.as_ref()?.0.checked_sub(grace).ok()?;
        let labels: Vec<String> =
            pod.labels().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let params = ListParams::default().labels(&labels.join(",")).limit(query::PAGE);
        let alike = self.pods.list(&params).await.ok()?;
        let is_new = |other: &&Pod| {
            let made = other.metadata.creation_timestamp.as_ref();
            pod::owner(&other.metadata) == Some(owner) && made.is_some_and(|made| made.0 >= deleted)
        };
        alike.items.iter().find(is_new).map(|pod| pod.name_any())
    }
}

fn ended_with(code: i32, message: &str) -> String {
    let words = if message.is_empty() { String::new() } else { format!(", saying `{message}`") };
    format!("its container ended with code {code}{words}")
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
            format!(
                "nothing was heard of its container `{}` for {} s: look whether the API server answers and the node `{}` is ready",
                self.name,
                FAREWELL.as_secs(),
                self.node
            )
        })
    }
}
