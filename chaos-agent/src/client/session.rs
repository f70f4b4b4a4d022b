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
use chaos_core::{
    probe::Sample,
    time::{Clock, Nanos},
    trouble::Trouble,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{
    Seat,
    alignment::{Alignment, Offset},
    known::Known,
};
use crate::{
    host::Settings,
    protocol::{self, Answer, Call, HEARTBEATS, Message, Request, VERSION},
    transport::{Grip, Transport},
};

/// How long an agent may take to start on a busy machine.
const START: Duration = Duration::from_secs(10);

/// A conversation with one agent; over for good once the agent is dead.
pub(super) struct Session {
    /// Where the agent runs.
    seat: Seat,
    next: AtomicU64,
    says: mpsc::UnboundedSender<Call>,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    /// Why it is over, once it is.
    over: watch::Sender<Option<String>>,
    known: Arc<Known>,
    /// What calls bear the times of.
    clock: Clock,
    /// When each ping that is not answered yet was sent, by its number.
    pings: Mutex<BTreeMap<u64, Nanos>>,
    alignment: Alignment,
    /// Who takes in what a probe measures, by the probe's number.
    feeds: Mutex<BTreeMap<u64, mpsc::UnboundedSender<News>>>,
}

/// What an agent says of a probe that it measures.
#[derive(Debug)]
pub(super) enum News {
    /// What was measured; times are on the agent's clock.
    Samples(Vec<Sample>),
    /// There is no more to come.
    Over,
}

impl Session {
    /// Starts an agent and greets it.
    pub(super) async fn start(
        transport: &dyn Transport,
        seat: Seat,
        settings: Settings,
        known: Arc<Known>,
    ) -> Result<Arc<Self>, Trouble> {
        let at = seat.site();
        let started = transport.start(&at).await?;
        let (says, to_say) = mpsc::unbounded_channel();
        let session = Arc::new(Session {
            seat,
            next: AtomicU64::new(0),
            says,
            waiting: Mutex::default(),
            over: watch::Sender::new(None),
            known,
            clock: Clock::start(),
            pings: Mutex::default(),
            alignment: Alignment::default(),
            feeds: Mutex::default(),
        });
        let wanted = transport.silence();
        let agreed = watch::Sender::new(None);
        let writing = tokio::spawn(write(started.input, to_say));
        let watching = Arc::downgrade(&session);
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(read(started.output, hears));
        tokio::spawn(watch_over(watching, heard, started.grip, writing.abort_handle(), agreed.subscribe()));

        let hello = Request::Hello { version: VERSION, at, silence: wanted, settings };
        match session.call(hello, START).await {
            Ok(Answer::Hello { version: VERSION, silence }) => {
                agreed.send_replace(Some(silence));
                Ok(session)
            }
            Ok(Answer::Hello { version, .. }) => Err(Trouble::unable(format!(
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
        let number = self.number();
        let (answers, answer) = oneshot::channel();
        self.waiting().insert(number, answers);
        let gone = async { Err(Trouble::unable(format!("the agent is gone: {}", self.ended().await))) };
        let asked = async {
            if !self.say(number, request) {
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

    /// Sends a request; returns whether the agent may still hear it.
    fn say(&self, number: u64, request: Request) -> bool {
        self.says.send(Call { number, sent: self.clock.now(), request }).is_ok()
    }

    /// Says something to the agent whose answer nobody waits for.
    pub(super) fn send(&self, request: Request) {
        // An agent that is gone is noticed elsewhere.
        self.say(self.number(), request);
    }

    /// Returns a number that was not used before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a sign of life, and asks for the agent's time.
    fn ping(&self) {
        let number = self.number();
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        pings.insert(number, self.clock.now());
        drop(pings);
        self.say(number, Request::Ping);
    }

    /// Returns the clock that calls bear the times of.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns how far the agent's clock is ahead of the session's, as far as is known.
    pub(super) fn offset(&self) -> Option<Offset> {
        self.alignment.offset()
    }

    /// Compares the clocks some times in a row, so that the comparison does not hang on one busy moment.
    pub(super) async fn align(&self) {
        const TIMES: usize = 8;
        for _ in 0..TIMES {
            let number = self.number();
            let (answers, answer) = oneshot::channel();
            self.waiting().insert(number, answers);
            let sent = self.clock.now();
            self.pings.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sent);
            self.say(number, Request::Ping);
            // What does not answer in time is not a good comparison either.
            drop(timeout(Duration::from_millis(250), answer).await);
            self.waiting().remove(&number);
        }
    }

    /// Returns why the conversation is over, once it is.
    pub(super) async fn ended(&self) -> String {
        let mut over = self.over.subscribe();
        let reason = over.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "it ended".into())
    }

    /// Returns where what a probe measures arrives from now on.
    pub(super) fn listen(&self, feed: u64) -> mpsc::UnboundedReceiver<News> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.feeds().insert(feed, sender);
        receiver
    }

    /// Forgets a probe, here and there.
    pub(super) fn close(&self, feed: u64) {
        self.feeds().remove(&feed);
        self.send(Request::Close { feed });
    }

    fn feeds(&self) -> MutexGuard<'_, BTreeMap<u64, mpsc::UnboundedSender<News>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the agent said; returns why not to go on, if it says so.
    fn take(&self, message: Message) -> Option<String> {
        match message {
            Message::Answer { number, answer } => {
                let sent = self.pings.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                if let (Some(sent), Answer::Pong { at }) = (sent, &answer) {
                    self.alignment.add(sent, self.clock.now(), *at);
                }
                if let Some(waits) = self.waiting().remove(&number) {
                    waits.send(answer).ok();
                }
                None
            }
            Message::Ended { id, reason, failure, effect } => {
                self.known.ended(&id, &reason, failure.as_deref(), effect);
                None
            }
            Message::Samples { feed, samples } => {
                if let Some(listener) = self.feeds().get(&feed) {
                    listener.send(News::Samples(samples)).ok();
                }
                None
            }
            Message::FeedOver { feed, left_out } => {
                if left_out > 0 {
                    tracing::warn!(left_out, "the agent measured faster than its samples could be taken in");
                }
                if let Some(listener) = self.feeds().remove(&feed) {
                    listener.send(News::Over).ok();
                }
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
    /// It gave no sign of life for this long.
    Silent(Duration),
}

/// Sends heartbeats and hears the answers until the agent dies or hangs, or nobody needs it any more.
async fn watch_over(
    session: std::sync::Weak<Session>,
    mut heard: mpsc::UnboundedReceiver<Result<Message, String>>,
    grip: Arc<dyn Grip>,
    writing: tokio::task::AbortHandle,
    mut agreed: watch::Receiver<Option<Duration>>,
) {
    // Until both have agreed on a silence there is nothing to beat for.
    let mut beat = tokio::time::interval_at(Instant::now() + START, START);
    let mut last = Instant::now();
    let mut silence = START;
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
                        if let Some(end) = session.take(message) {
                            break End::Said(end);
                        }
                    }
                }
            }
            Ok(()) = agreed.changed() => {
                silence = agreed.borrow_and_update().unwrap_or(START);
                beat = tokio::time::interval(silence / HEARTBEATS);
                beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            _ = beat.tick() => {
                let Some(session) = session.upgrade() else { break End::Unneeded };
                if last.elapsed() > silence {
                    break End::Silent(silence);
                }
                session.ping();
            }
        }
    };
    if matches!(end, End::Garbled(_) | End::Silent(_)) {
        grip.kill().await;
    }
    // Closes its input, upon which an agent that still lives reverts what it holds.
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
            End::Silent(silence) => {
                format!("it gave no sign of life for {} s and was killed", silence.as_secs_f64())
            }
        };
        // In this order: whoever acts on the loss must get a new agent.
        session.over.send_replace(Some(end.clone()));
        session.known.agent_gone(&session.seat, &end);
        session.waiting().clear();
    }
}
