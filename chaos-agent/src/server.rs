//! The agent's side of the conversation.

use std::{future::Future, os::fd::AsFd, sync::Arc, time::Duration};

use bytes::Bytes;
use chaos_core::{
    injector::{Lost, Measured, Undo},
    trouble::Trouble,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::{
    descriptors,
    host::{Host, Settings},
    lifesign::Lifesign,
    measuring::Measuring,
    priority,
    protocol::{self, Answer, Call, Message, Request, SILENCE, SILENCE_BOUNDS, VERSION},
    stack::Stack,
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
///
/// `furnish` makes the host once the runner has greeted and said what it wants the injectors to be set to.
pub async fn serve<R, W, F, S>(input: R, output: W, furnish: F, stop: S) -> Stop
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
    F: FnOnce(&Settings) -> Result<Host, Trouble>,
    S: Future<Output = String>,
{
    let (says, to_say) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(output, to_say));
    let life = Arc::new(Lifesign::new(SILENCE));
    let (hears, mut calls) = mpsc::unbounded_channel();
    let reader = tokio::spawn(read(input, hears, says.clone(), Arc::clone(&life)));
    let (loses, mut losses) = mpsc::unbounded_channel();

    let mut agent = Agent {
        furnish: Some(furnish),
        host: Host::new(),
        loses,
        watchers: JoinSet::new(),
        stack: Stack::default(),
        measuring: Measuring::default(),
        life,
        says,
    };
    let reason = agent.work(&mut calls, &mut losses, stop).await;
    reader.abort();
    tracing::info!(reason, "the agent ends");
    let left = agent.unwind(&reason).await;
    drop(agent);
    // A runner that no longer reads must not keep a dying agent.
    let _ = timeout(FAREWELL, writer).await;
    Stop { reason, left }
}

/// Serves the runner at the other end of the standard streams, in a session of its own, on this thread; returns why it ended.
///
/// For the hidden subcommand of a program that offers agents, which brings the host. The process should end afterwards.
///
/// # Errors
/// The process has no memory or descriptors for a runtime.
pub fn serve_standard_streams(
    furnish: impl FnOnce(&Settings) -> Result<Host, Trouble>,
) -> std::io::Result<Stop> {
    // Ctrl-C at the terminal is for the runner, which decides. A session leader has its own session already.
    nix::unistd::setsid().ok();
    priority::come_first();
    descriptors::allow_many();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    let ended = runtime.block_on(async {
        let stop = signalled()?;
        Ok(serve(standard_input(), standard_output(), furnish, stop).await)
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
    life: Arc<Lifesign>,
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
                life.heard(call.sent);
                // Answered here, so that a long operation does not look like a hung agent.
                let sent = if call.request == Request::Ping {
                    let answer = Answer::Pong { at: life.clock().now() };
                    says.send(Message::Answer { number: call.number, answer }).is_ok()
                } else {
                    hears.send(Heard::Call(Box::new(call))).is_ok()
                };
                if !sent {
                    return;
                }
            }
            Err(error) => {
                says.send(Message::Garbled { reason: error.to_string() }).ok();
                break Heard::End(format!("the runner sent something that is not a request: {error}"));
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
            Message::Answer { number: *number, answer: Answer::Failed(Trouble::unable(error.to_string())) }
        }
        _ => Message::Garbled { reason: error.to_string() },
    }
}

struct Agent<F> {
    /// Makes the host; none once the runner has greeted.
    furnish: Option<F>,
    host: Host,
    loses: mpsc::UnboundedSender<Lost>,
    /// One for each injector, until the agent ends.
    watchers: JoinSet<()>,
    stack: Stack,
    measuring: Measuring,
    life: Arc<Lifesign>,
    says: mpsc::UnboundedSender<Message>,
}

impl<F: FnOnce(&Settings) -> Result<Host, Trouble>> Agent<F> {
    /// Works until there is a reason to end, which it returns.
    async fn work(
        &mut self,
        calls: &mut mpsc::UnboundedReceiver<Heard>,
        losses: &mut mpsc::UnboundedReceiver<Lost>,
        stop: impl Future<Output = String>,
    ) -> String {
        tokio::pin!(stop);
        loop {
            // Before the next call: while a run keeps the agent busy, there is always one waiting.
            if self.stack.next_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                self.expire().await;
            }
            let dead_at = self.life.dead_at();
            let wake = self.stack.next_deadline().map_or(dead_at, |deadline| deadline.min(dead_at));
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
                    if self.life.dead_at() <= Instant::now() {
                        let silence = self.life.silence().as_secs_f64();
                        return format!("the runner gave no sign of life for {silence} s");
                    }
                    self.expire().await;
                }
                // Never none: a sender is our own.
                Some(lost) = losses.recv() => self.lose(&lost).await,
            }
        }
    }

    /// Answers a call; returns why to end, if it says so.
    async fn answer(&mut self, call: Call) -> Option<String> {
        let number = call.number;
        match call.request {
            Request::Hello { version, silence, settings } => {
                let silence = silence.clamp(SILENCE_BOUNDS.0, SILENCE_BOUNDS.1);
                let hello = Answer::Hello { version: VERSION, silence };
                let (answer, end) = match self.greet(version, &settings) {
                    Ok(()) => {
                        self.life.agree(silence);
                        (hello, None)
                    }
                    Err(error) if version != VERSION => (hello, Some(error.message)),
                    Err(error) => (Answer::Failed(error.clone()), Some(error.message)),
                };
                self.say(number, answer);
                end
            }
            _ if self.furnish.is_some() => {
                let error = Trouble::unable("the first request to an agent must be a hello");
                self.say(number, Answer::Failed(error));
                Some("the runner did not begin with a hello".into())
            }
            Request::Bye => {
                let left = self.unwind("the runner said goodbye").await;
                self.say(
                    number,
                    match left.first() {
                        None => Answer::Bye,
                        Some(line) => Answer::Failed(Trouble::unable(line)),
                    },
                );
                Some("the runner said goodbye".into())
            }
            request => {
                let answer = self.carry_out(request).await.unwrap_or_else(Answer::Failed);
                self.say(number, answer);
                None
            }
        }
    }

    /// Takes in the runner's greeting and makes the host.
    fn greet(&mut self, version: u32, settings: &Settings) -> Result<(), Trouble> {
        if version != VERSION {
            let message = format!("the runner speaks version {version} of the protocol, the agent {VERSION}");
            return Err(Trouble::unable(message));
        }
        let Some(furnish) = self.furnish.take() else { return Ok(()) };
        self.host = furnish(settings)?;
        for injector in self.host.injectors() {
            let (injector, loses) = (Arc::clone(injector), self.loses.clone());
            self.watchers.spawn(async move { while loses.send(injector.lost().await).is_ok() {} });
        }
        Ok(())
    }

    /// Has an injector do what is asked for.
    async fn carry_out(&mut self, request: Request) -> Result<Answer, Trouble> {
        Ok(match request {
            // Answered before.
            Request::Ping | Request::Hello { .. } | Request::Bye => Answer::Done,
            Request::Offer { injector, ask } => {
                Answer::Offers(self.host.named(&injector)?.offer(&ask).await?)
            }
            Request::Prepare { injector, id, offer, place, deadline } => {
                let undo = self.host.named(&injector)?.prepare(&id, &offer, &place, deadline).await?;
                Answer::Prepared(Box::new(undo))
            }
            Request::Inject { undo } => {
                let injector = Arc::clone(self.host.named(&undo.injector)?);
                // On the stack first: also a half-done injection is owed a revert.
                self.stack.push(undo.clone());
                injector.inject(&undo).await?;
                Answer::Injected
            }
            Request::Release { ids } => {
                self.release(&self.stack.among(&ids)).await;
                Answer::Done
            }
            Request::Revert { undo } => Answer::Reverted(self.revert(&undo).await?),
            Request::Effect { undo } => Answer::Effect(self.host.named(&undo.injector)?.effect(&undo).await?),
            Request::Evidence { injector, place } => {
                Answer::Evidence(self.host.named(&injector)?.evidence(&place).await)
            }
            Request::Open { feed, probing } => {
                self.measuring.open(feed, *probing, self.host.opens()?).await?;
                Answer::Done
            }
            Request::Measure { feed, stream } => {
                self.measuring.start(feed, stream, self.life.clock(), self.says.clone())?;
                Answer::Done
            }
            Request::Taken { feed, count } => {
                self.measuring.taken(feed, count);
                Answer::Done
            }
            Request::Halt { feed } => {
                self.measuring.stop(feed)?;
                Answer::Done
            }
            Request::Close { feed } => {
                self.measuring.close(feed);
                Answer::Done
            }
        })
    }

    fn say(&self, number: u64, answer: Answer) {
        self.says.send(Message::Answer { number, answer }).ok();
    }

    /// Lets the traffic of these faults pass at once, where that takes no time.
    async fn release(&self, undos: &[Undo]) {
        for injector in self.host.injectors() {
            let own = undos.iter().filter(|undo| undo.injector == injector.name());
            let own: Vec<Undo> = own.cloned().collect();
            if !own.is_empty() {
                injector.release(&own).await;
            }
        }
    }

    async fn revert(&mut self, undo: &Undo) -> Result<Option<Measured>, Trouble> {
        let injector = self.host.named(&undo.injector)?;
        injector.revert(undo).await?;
        let effect = injector.effect(undo).await.ok();
        self.stack.remove(&undo.id);
        Ok(effect)
    }

    /// Takes back what outlived its deadline.
    async fn expire(&mut self) {
        let all = self.stack.expired();
        self.release(&all).await;
        for undo in all {
            let reason = format!("its deadline of {:?} passed", undo.deadline);
            let reverted = self.revert(&undo).await;
            if reverted.is_err() {
                self.stack.postpone(&undo.id, AGAIN);
            }
            self.tell(&undo.id, &reason, reverted);
        }
    }

    /// Takes back what broke without anybody's doing.
    async fn lose(&mut self, lost: &Lost) {
        for undo in self.stack.among(&lost.ids) {
            let reverted = self.revert(&undo).await;
            self.tell(&undo.id, &lost.reason, reverted);
        }
    }

    /// Takes back everything, newest first, and returns what could not be.
    async fn unwind(&mut self, reason: &str) -> Vec<String> {
        let mut left = Vec::new();
        let all = self.stack.newest_first();
        self.release(&all).await;
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

    fn tell(&self, id: &str, reason: &str, reverted: Result<Option<Measured>, Trouble>) {
        let (failure, effect) = match reverted {
            Ok(effect) => (None, effect),
            Err(error) => (Some(error.to_string()), None),
        };
        let ended = Message::Ended { id: id.into(), reason: reason.into(), failure, effect };
        self.says.send(ended).ok();
    }
}

#[cfg(test)]
mod tests;
