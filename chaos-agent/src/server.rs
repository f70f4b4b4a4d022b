//! The agent's side of the conversation.

mod frames;
mod seat;
mod turns;
mod work;

use std::{future::Future, os::fd::AsFd, sync::Arc, time::Duration};

use chaos_core::{injector::Lost, place::Site, trouble::Trouble};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use self::{
    frames::{Heard, read, write},
    seat::Seat,
    work::Work,
};
use crate::{
    descriptors,
    host::{Host, Settings},
    lifesign::Lifesign,
    priority,
    protocol::{Answer, Call, Request, SILENCE, SILENCE_BOUNDS, VERSION},
};

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the end waits for what other threads are still making.
const UNWANTED: Duration = Duration::from_secs(2);

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What made it end.
    pub reason: String,
    /// What it could not take back, a line each; `chaos restore` must.
    pub left: Vec<String>,
}

/// Serves one runner until it says goodbye, falls silent, breaks off or garbles, or until `stop` says why; then reverts
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
        loses,
        watchers: JoinSet::new(),
        under_way: JoinSet::new(),
        work: Arc::new(Work::new(Arc::clone(&life), says)),
        life,
    };
    let reason = agent.serve(&mut calls, &mut losses, stop).await;
    reader.abort();
    tracing::info!(reason, "the agent ends");
    let left = agent.work.unwind(&reason).await;
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
    // What was being made on another thread is taken away when it is ready and nobody wants it any more: an end of the process before
    // that would leave it. A thread that reads standard input may wait for ever.
    runtime.shutdown_timeout(UNWANTED);
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

struct Agent<F> {
    /// Makes the host; none once the runner has greeted.
    furnish: Option<F>,
    loses: mpsc::UnboundedSender<Lost>,
    /// One for each injector, until the agent ends.
    watchers: JoinSet<()>,
    /// What is being done right now.
    under_way: JoinSet<()>,
    work: Arc<Work>,
    life: Arc<Lifesign>,
}

impl<F: FnOnce(&Settings) -> Result<Host, Trouble>> Agent<F> {
    /// Serves until there is a reason to end, which it returns.
    async fn serve(
        &mut self,
        calls: &mut mpsc::UnboundedReceiver<Heard>,
        losses: &mut mpsc::UnboundedReceiver<Lost>,
        stop: impl Future<Output = String>,
    ) -> String {
        tokio::pin!(stop);
        loop {
            // Before the next call: while a run keeps the agent busy, there is always one waiting.
            if self.work.next_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                self.under_way.spawn(self.work.expire());
            }
            let dead_at = self.life.dead_at();
            let wake = self.work.next_deadline().map_or(dead_at, |deadline| deadline.min(dead_at));
            tokio::select! {
                biased;
                reason = &mut stop => return reason,
                Some(done) = self.under_way.join_next() => {
                    if let Some(reason) = panicked(done) {
                        return reason;
                    }
                }
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
                }
                // Never none: a sender is our own.
                Some(lost) = losses.recv() => {
                    self.under_way.spawn(self.work.lose(lost));
                }
            }
        }
    }

    /// Answers a call, or sees to it that it is answered; returns why to end, if it says so.
    async fn answer(&mut self, call: Call) -> Option<String> {
        let number = call.number;
        match call.request {
            Request::Hello { version, at, silence, settings } => {
                let silence = silence.clamp(SILENCE_BOUNDS.0, SILENCE_BOUNDS.1);
                let hello = Answer::Hello { version: VERSION, silence };
                let (answer, end) = match self.greet(version, at, &settings) {
                    Ok(()) => {
                        self.life.agree(silence);
                        (hello, None)
                    }
                    Err(error) if version != VERSION => (hello, Some(error.message)),
                    Err(error) => (Answer::Failed(error.clone()), Some(error.message)),
                };
                self.work.say(number, answer);
                end
            }
            _ if self.furnish.is_some() => {
                let error = Trouble::unable("the first request to an agent must be a hello");
                self.work.say(number, Answer::Failed(error));
                Some("the runner did not begin with a hello".into())
            }
            Request::Bye => {
                let left = self.work.unwind("the runner said goodbye").await;
                self.work.say(
                    number,
                    match left.first() {
                        None => Answer::Bye,
                        Some(line) => Answer::Failed(Trouble::unable(line)),
                    },
                );
                Some("the runner said goodbye".into())
            }
            request => {
                self.under_way.spawn(self.work.answer(number, request));
                None
            }
        }
    }

    /// Takes in the runner's greeting and makes the host.
    fn greet(&mut self, version: u32, at: Site, settings: &Settings) -> Result<(), Trouble> {
        if version != VERSION {
            let message = format!("the runner speaks version {version} of the protocol, the agent {VERSION}");
            return Err(Trouble::unable(message));
        }
        let seat = Seat::at(at)?;
        let Some(furnish) = self.furnish.take() else { return Ok(()) };
        for injector in self.work.furnish(furnish(settings)?, seat).injectors() {
            let (injector, loses) = (Arc::clone(injector), self.loses.clone());
            self.watchers.spawn(async move { while loses.send(injector.lost().await).is_ok() {} });
        }
        Ok(())
    }
}

/// Says why to end where something failed that must not: what it leaves half done is reverted with all the rest.
fn panicked(done: Result<(), JoinError>) -> Option<String> {
    done.err().filter(JoinError::is_panic).map(|error| format!("a request failed within the agent: {error}"))
}

#[cfg(test)]
mod tests;
