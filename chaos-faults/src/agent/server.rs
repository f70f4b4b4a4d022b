//! The agent's side of the conversation.

use std::{
    future::Future,
    os::fd::AsFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chaos_core::injector::{Effect, InjectError, Undo};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{
    protocol::{self, Answer, Call, Message, Request, SILENCE, VERSION},
    stack::Stack,
};
use crate::{
    backend::Holding,
    injector::{Machine, deadline_of},
    priority,
};

/// How often an agent that is on its own tries to take a fault back, before it tells and gives up on it.
const TRIES: u32 = 8;

/// How long after a failed revert at its deadline a fault is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What made it end.
    pub reason: String,
    /// What it could not take back, a line each; `chaos restore` must.
    pub left: Vec<String>,
}

/// Serves one runner until it says goodbye, falls silent, breaks off or garbles, or until `stop` says why; then takes back
/// everything that is still in place.
pub async fn serve<R, W, S>(input: R, output: W, holding: Holding, stop: S) -> Stop
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
    S: Future<Output = String>,
{
    let (says, to_say) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(output, to_say));
    let heard = Arc::new(Mutex::new(Instant::now()));
    let (hears, mut calls) = mpsc::unbounded_channel();
    let reader = tokio::spawn(read(input, hears, says.clone(), Arc::clone(&heard)));

    let mut agent = Agent { machine: Machine::new(holding), stack: Stack::default(), says, greeted: false };
    let reason = agent.work(&mut calls, &heard, stop).await;
    reader.abort();
    tracing::info!(reason, "the agent ends");
    let left = agent.unwind(&reason).await;
    drop(agent);
    // A runner that no longer reads must not keep a dying agent.
    drop(timeout(FAREWELL, writer).await);
    Stop { reason, left }
}

/// Serves the runner at the other end of the standard streams, in a session of its own, on this thread; returns why it ended.
///
/// For the hidden subcommand of a program that offers agents. The process should end afterwards.
///
/// # Errors
/// The process has no memory or descriptors for a runtime.
pub fn serve_standard_streams() -> std::io::Result<Stop> {
    // Ctrl-C at the terminal is for the runner, which decides. A session leader has its own session already.
    nix::unistd::setsid().ok();
    priority::come_first();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    let ended = runtime.block_on(async {
        let stop = signalled()?;
        Ok(serve(standard_input(), standard_output(), Holding::Agent, stop).await)
    });
    // A thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    ended
}

/// Standard input. A pipe is waited for on the agent's own thread, which is given its turn first; another thread would not.
fn standard_input() -> Box<dyn AsyncRead + Send + Unpin> {
    let pipe = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    match pipe {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdin()),
    }
}

/// Standard output, likewise.
fn standard_output() -> Box<dyn AsyncWrite + Send + Unpin> {
    let pipe = std::io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd);
    match pipe {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdout()),
    }
}

/// Waits for a signal that asks a process to end.
fn signalled() -> std::io::Result<impl Future<Output = String>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = hang_up.recv() => "SIGHUP",
            _ = interrupt.recv() => "SIGINT",
        };
        format!("the agent got {name}")
    })
}

/// What the reading task makes of the input.
enum Heard {
    Call(Box<Call>),
    End(String),
}

async fn read(
    input: impl AsyncRead + Unpin,
    hears: mpsc::UnboundedSender<Heard>,
    says: mpsc::UnboundedSender<Message>,
    heard: Arc<Mutex<Instant>>,
) {
    let mut frames = FramedRead::new(input, protocol::frames());
    let end = loop {
        let frame = match frames.next().await {
            None => break Heard::End("the runner's end of the agent's input was closed".into()),
            Some(Err(error)) => {
                says.send(Message::Garbled { reason: error.to_string() }).ok();
                break Heard::End(format!("the agent's input cannot be read: {error}"));
            }
            Some(Ok(frame)) => frame,
        };
        match protocol::decode::<Call>(&frame) {
            Ok(call) => {
                *heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
                // Answered here, so that a long operation does not look like a hung agent.
                let sent = if call.request == Request::Ping {
                    says.send(Message::Answer { number: call.number, answer: Answer::Pong }).is_ok()
                } else {
                    hears.send(Heard::Call(Box::new(call))).is_ok()
                };
                if !sent {
                    return;
                }
            }
            Err(error) => {
                says.send(Message::Garbled { reason: error.to_string() }).ok();
                break Heard::End(format!("the runner sent something that is no request: {error}"));
            }
        }
    };
    hears.send(end).ok();
}

async fn write(output: impl AsyncWrite + Unpin, mut to_say: mpsc::UnboundedReceiver<Message>) {
    let mut frames = FramedWrite::new(output, protocol::frames());
    while let Some(message) = to_say.recv().await {
        let frame =
            protocol::encode(&message).or_else(|error| protocol::encode(&unsayable(&message, &error)));
        let Ok(frame) = frame else { continue };
        if SinkExt::<Bytes>::send(&mut frames, frame).await.is_err() {
            return;
        }
    }
}

/// What is said instead of a message that does not fit a frame.
fn unsayable(message: &Message, error: &protocol::ProtocolError) -> Message {
    match message {
        Message::Answer { number, .. } => {
            Message::Answer { number: *number, answer: Answer::Failed(InjectError::new(error.to_string())) }
        }
        _ => Message::Garbled { reason: error.to_string() },
    }
}

struct Agent {
    machine: Machine,
    stack: Stack,
    says: mpsc::UnboundedSender<Message>,
    greeted: bool,
}

impl Agent {
    /// Works until there is a reason to end, which it returns.
    async fn work(
        &mut self,
        calls: &mut mpsc::UnboundedReceiver<Heard>,
        heard: &Mutex<Instant>,
        stop: impl Future<Output = String>,
    ) -> String {
        tokio::pin!(stop);
        loop {
            let silent_at = *heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) + SILENCE;
            let wake = self.stack.next_deadline().map_or(silent_at, |deadline| deadline.min(silent_at));
            tokio::select! {
                biased;
                reason = &mut stop => return reason,
                call = calls.recv() => match call {
                    None => return "the agent's input ended".into(),
                    Some(Heard::End(reason)) => return reason,
                    Some(Heard::Call(call)) => {
                        if let Some(reason) = self.answer(*call).await {
                            return reason;
                        }
                    }
                },
                () = sleep_until(wake) => {
                    let last = *heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if last.elapsed() >= SILENCE {
                        return format!("the runner gave no sign of life for {} s", SILENCE.as_secs());
                    }
                    self.expire().await;
                }
                lost = self.machine.lost() => self.lose(lost).await,
            }
        }
    }

    /// Answers a call; returns why to end, if it says so.
    async fn answer(&mut self, call: Call) -> Option<String> {
        let number = call.number;
        if !self.greeted && !matches!(call.request, Request::Hello { .. }) {
            self.say(
                number,
                Answer::Failed(InjectError::new("the first request to an agent must be a hello")),
            );
            return Some("the runner did not begin with a hello".into());
        }
        let failed = Answer::Failed;
        let answer = match call.request {
            Request::Hello { version } => {
                self.say(number, Answer::Hello { version: VERSION });
                self.greeted = version == VERSION;
                return (!self.greeted).then(|| {
                    format!("the runner speaks version {version} of the protocol, the agent {VERSION}")
                });
            }
            Request::Bye => {
                let left = self.unwind("the runner said goodbye").await;
                self.say(
                    number,
                    match left.first() {
                        None => Answer::Bye,
                        Some(line) => Answer::Failed(InjectError::new(line)),
                    },
                );
                return Some("the runner said goodbye".into());
            }
            Request::Ping => Answer::Pong,
            Request::Offer { ask, only } => match self.machine.offer(&ask, &only).await {
                Ok(offers) => Answer::Offers(offers),
                Err(denied) => Answer::Denied(denied),
            },
            Request::Prepare { id, offer, site, deadline } => {
                let prepared = self.machine.prepare(&id, &offer, &site, deadline).await;
                prepared.map_or_else(failed, |undo| Answer::Prepared(Box::new(undo)))
            }
            Request::Inject { undo } => self.inject(undo).await.map_or_else(failed, |()| Answer::Injected),
            Request::Release { ids } => {
                self.machine.release(ids.iter().map(String::as_str));
                Answer::Released
            }
            Request::Revert { undo } => self.revert(&undo).await.map_or_else(failed, Answer::Reverted),
            Request::Effect { undo } => match self.stack.done(&undo.id) {
                Some(effect) => Answer::Effect(effect.clone()),
                None => self.machine.effect(&undo).await.map_or_else(failed, Answer::Effect),
            },
            Request::Evidence { site } => {
                Machine::evidence(&site).await.map_or_else(failed, Answer::Evidence)
            }
        };
        self.say(number, answer);
        None
    }

    fn say(&self, number: u64, answer: Answer) {
        self.says.send(Message::Answer { number, answer }).ok();
    }

    async fn inject(&mut self, undo: Undo) -> Result<(), InjectError> {
        // On the stack first: also a half-done injection is owed a revert.
        self.stack.push(undo.clone(), deadline_of(&undo)?);
        self.machine.inject(&undo).await
    }

    async fn revert(&mut self, undo: &Undo) -> Result<Effect, InjectError> {
        let effect = self.machine.revert(undo).await?;
        let effect = match self.stack.done(&undo.id) {
            // A second revert measures nothing; the first one's answer stands.
            Some(done) if !self.stack.holds(&undo.id) => done.clone(),
            _ => effect,
        };
        self.stack.remove(&undo.id, effect.clone());
        Ok(effect)
    }

    /// Takes back what outlived its deadline.
    async fn expire(&mut self) {
        let all = self.stack.expired();
        self.machine.release(all.iter().map(|undo| undo.id.as_str()));
        for undo in all {
            let reason = format!("its deadline of {:?} passed", deadline_of(&undo).unwrap_or_default());
            let reverted = self.revert(&undo).await;
            if reverted.is_err() {
                self.stack.postpone(&undo.id, AGAIN);
            }
            self.tell(&undo.id, &reason, reverted);
        }
    }

    /// Takes back what broke by itself.
    async fn lose(&mut self, (id, reason): (String, String)) {
        for undo in self.stack.newest_first().into_iter().filter(|undo| undo.id == id) {
            let reverted = self.revert(&undo).await;
            self.tell(&id, &reason, reverted);
        }
    }

    /// Takes back everything, newest first, and returns what could not be.
    async fn unwind(&mut self, reason: &str) -> Vec<String> {
        let mut left = Vec::new();
        let all = self.stack.newest_first();
        self.machine.release(all.iter().map(|undo| undo.id.as_str()));
        for undo in all {
            let mut reverted = self.revert(&undo).await;
            for attempt in 1..TRIES {
                if reverted.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50) * attempt).await;
                reverted = self.revert(&undo).await;
            }
            if let Err(error) = &reverted {
                left.push(format!("{}: {error}", undo.id));
            }
            self.tell(&undo.id, reason, reverted);
        }
        left
    }

    fn tell(&self, id: &str, reason: &str, reverted: Result<Effect, InjectError>) {
        let (failure, effect) = match reverted {
            Ok(effect) => (None, Some(effect)),
            Err(error) => (Some(error.to_string()), None),
        };
        let ended = Message::Ended { id: id.into(), reason: reason.into(), failure, effect };
        self.says.send(ended).ok();
    }
}
