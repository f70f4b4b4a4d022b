//! One agent's life, as the runner sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chaos_core::trouble::Trouble;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::known::Known;
use crate::{
    host::Settings,
    protocol::{self, Answer, Call, HEARTBEAT, Message, Request, SILENCE, VERSION},
    transport::{Grip, Transport},
};

/// How long an agent may take to start on a busy machine.
const START: Duration = Duration::from_secs(10);

/// A conversation with one agent; over for good once the agent is dead.
pub(super) struct Session {
    next: AtomicU64,
    says: mpsc::UnboundedSender<Call>,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    /// Why it is over, once it is.
    over: watch::Sender<Option<String>>,
    known: Arc<Known>,
}

impl Session {
    /// Starts an agent and greets it.
    pub(super) async fn start(
        transport: &dyn Transport,
        settings: Settings,
        known: Arc<Known>,
    ) -> Result<Arc<Self>, Trouble> {
        let started = transport.start().await?;
        let (says, to_say) = mpsc::unbounded_channel();
        let session = Arc::new(Session {
            next: AtomicU64::new(0),
            says,
            waiting: Mutex::default(),
            over: watch::Sender::new(None),
            known,
        });
        let writing = tokio::spawn(write(started.input, to_say));
        let watching = Arc::downgrade(&session);
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(read(started.output, hears));
        tokio::spawn(watch_over(watching, heard, started.grip, writing.abort_handle()));

        let greeting = session.call(Request::Hello { version: VERSION, settings }, START).await;
        match greeting {
            Ok(Answer::Hello { version: VERSION }) => Ok(session),
            Ok(Answer::Hello { version }) => Err(Trouble::unable(format!(
                "the agent `{}` speaks version {version} of the protocol, and {VERSION} is needed",
                transport.describe()
            ))
            .with_help("use the same build of `chaos` on both sides")),
            Ok(other) => Err(super::unexpected(&other)),
            Err(error) => {
                Err(error.said(|why| format!("the agent `{}` did not start: {why}", transport.describe())))
            }
        }
    }

    /// Returns whether the agent lives, as far as is known.
    pub(super) fn is_alive(&self) -> bool {
        self.over.borrow().is_none()
    }

    /// Waits until the agent is gone for good.
    pub(super) async fn buried(&self) {
        // The sender is our own, so waiting cannot fail.
        let _ = self.over.subscribe().wait_for(Option::is_some).await;
    }

    /// Asks the agent for something.
    pub(super) async fn call(&self, request: Request, longest: Duration) -> Result<Answer, Trouble> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answers, answer) = oneshot::channel();
        self.waiting().insert(number, answers);
        let mut over = self.over.subscribe();
        let gone = async {
            let reason = over.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            let reason = reason.unwrap_or_else(|| "it ended".into());
            Err(Trouble::unable(format!("the agent is gone: {reason}")))
        };
        let asked = async {
            if self.says.send(Call { number, request }).is_err() {
                // Its end is being noticed elsewhere.
                return std::future::pending().await;
            }
            match timeout(longest, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => {
                    Err(Trouble::unable(format!("the agent gave no answer within {} s", longest.as_secs())))
                }
            }
        };
        let answer = tokio::select! { biased; answer = asked => answer, gone = gone => gone };
        self.waiting().remove(&number);
        answer
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the agent said; returns why not to go on, if it says so.
    fn take(&self, message: Message) -> Option<String> {
        match message {
            Message::Answer { number, answer } => {
                if let Some(waits) = self.waiting().remove(&number) {
                    waits.send(answer).ok();
                }
                None
            }
            Message::Ended { id, reason, failure, effect } => {
                self.known.ended(&id, &reason, failure.as_deref(), effect);
                None
            }
            Message::Garbled { reason } => Some(format!("it did not understand the runner: {reason}")),
        }
    }
}

async fn write(output: Box<dyn AsyncWrite + Send + Unpin>, mut to_say: mpsc::UnboundedReceiver<Call>) {
    let mut frames = FramedWrite::new(output, protocol::frames());
    while let Some(call) = to_say.recv().await {
        match protocol::encode(&call) {
            Ok(frame) => {
                if SinkExt::<Bytes>::send(&mut frames, frame).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!(%error, "a request to the agent was not sent"),
        }
    }
}

async fn read(
    input: Box<dyn AsyncRead + Send + Unpin>,
    hears: mpsc::UnboundedSender<Result<Message, String>>,
) {
    let mut frames = FramedRead::new(input, protocol::frames());
    while let Some(frame) = frames.next().await {
        let message = match frame {
            Ok(frame) => protocol::decode(&frame).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let garbled = message.is_err();
        if hears.send(message).is_err() || garbled {
            return;
        }
    }
}

/// How a conversation with an agent ended.
enum End {
    /// The agent closed its side.
    Closed,
    /// The agent said why it ends.
    Said(String),
    /// Nobody asks it anything any more.
    Unneeded,
    /// It wrote what cannot be read.
    Garbled(String),
    /// It gave no sign of life.
    Silent,
}

/// Sends heartbeats and hears the answers until the agent dies or hangs, or nobody needs it any more.
async fn watch_over(
    session: std::sync::Weak<Session>,
    mut heard: mpsc::UnboundedReceiver<Result<Message, String>>,
    grip: Arc<dyn Grip>,
    writing: tokio::task::AbortHandle,
) {
    let mut beat = tokio::time::interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let mut greeted = false;
    let end = loop {
        tokio::select! {
            biased;
            message = heard.recv() => {
                last = Instant::now();
                let Some(session) = session.upgrade() else { break End::Unneeded };
                match message {
                    None => break End::Closed,
                    Some(Err(error)) => break End::Garbled(error),
                    Some(Ok(message)) => {
                        greeted = true;
                        if let Some(end) = session.take(message) {
                            break End::Said(end);
                        }
                    }
                }
            }
            _ = beat.tick() => {
                let Some(session) = session.upgrade() else { break End::Unneeded };
                if last.elapsed() > if greeted { SILENCE } else { START } {
                    break End::Silent;
                }
                if greeted {
                    let number = session.next.fetch_add(1, Ordering::Relaxed);
                    session.says.send(Call { number, request: Request::Ping }).ok();
                }
            }
        }
    };
    if matches!(end, End::Garbled(_) | End::Silent) {
        grip.kill().await;
    }
    // Closes its input, upon which an agent that still lives takes back what it holds.
    writing.abort();
    let words = grip.last_words().await;
    if let Some(session) = session.upgrade() {
        // What it said last counts, above all which faults it ended itself.
        while let Ok(Ok(message)) = heard.try_recv() {
            session.take(message);
        }
        let end = match end {
            End::Closed => format!("it ended: {words}"),
            End::Said(why) => why,
            End::Unneeded => "it is not needed any more".to_owned(),
            End::Garbled(error) => format!("it says something that is not understood: {error}"),
            End::Silent => format!("it gave no sign of life for {} s and was killed", SILENCE.as_secs()),
        };
        // In this order: whoever acts on the loss must get a new agent.
        session.over.send_replace(Some(end.clone()));
        session.known.agent_gone(&end);
        session.waiting().clear();
    }
}
