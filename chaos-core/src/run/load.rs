//! The open-loop load engine: intended starts stand on a fixed schedule that no answer ever moves.
//!
//! A latency counts from the intended start, so a stalled server is seen by every measurement that should have been sent
//! during the stall ("coordinated omission", Tene 2013; `wrk2`). A measurement that cannot start in time starts late and
//! says so; one whose whole timeout passed before it could start is recorded without being sent.

use std::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

use super::pacer::Pacer;
use crate::{
    probe::{Observation, Outcome, Prober, Progress, Sample, Stream},
    time::{Clock, Nanos, duration, nanos},
};

/// How many starts and ends are handled before other tasks of the thread get their turn, the one that stops it among them.
const TURN: usize = 512;

/// Sends one stream until `stop` turns true, then waits for what is under way; each sample goes to `sink` when it is over.
///
/// Whatever the prober does, that takes no longer than the timeout after the last intended start. A prober that panics
/// makes a measurement that could not be taken; the stream goes on.
///
/// # Panics
/// Panics outside of a tokio runtime with time and I/O.
pub async fn drive<P: Prober + ?Sized>(
    prober: &P,
    stream: &Stream,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
    mut sink: impl FnMut(Sample),
) {
    let mut under_way = FuturesUnordered::new();
    let mut number = 0;
    // Whether the limit kept a measurement from starting since the schedule was last met.
    let mut held_back = false;
    let mut alarm = Alarm::new();
    let mut stopping = pin!(async move {
        // A runner that went away stops its load too.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut stopped = false;
    poll_fn(|cx: &mut Context<'_>| {
        let mut handled = 0;
        while handled < TURN {
            while handled < TURN
                && let Poll::Ready(Some(sample)) = under_way.poll_next_unpin(cx)
            {
                sink(sample);
                handled += 1;
            }
            stopped = stopped || stopping.as_mut().poll(cx).is_ready();
            if stopped {
                match under_way.is_empty() {
                    true => return Poll::Ready(()),
                    false if handled < TURN => return Poll::Pending,
                    false => break,
                }
            }
            let now = clock.now();
            let before = handled;
            let mut intended = stream.intended(number);
            while intended <= now && handled < TURN {
                let late = duration(now - intended);
                if late >= stream.timeout {
                    sink(unsent(stream, intended, late, held_back));
                } else if under_way.len() < stream.limit {
                    under_way.push(measure(prober, stream, clock, intended));
                } else {
                    held_back = true;
                    break;
                }
                handled += 1;
                number += 1;
                intended = stream.intended(number);
            }
            if handled > before {
                continue;
            }
            if intended > now {
                held_back = false;
            }
            // At the limit the alarm stands for the moment at which the oldest one waiting is past its timeout.
            let due = if intended > now { intended } else { intended + nanos(stream.timeout) };
            if alarm.poll(clock, due, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Wakes at intended starts; by tokio's own timers, a millisecond or two late, where there is no pacer.
struct Alarm {
    pacer: Option<Pacer>,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    fn new() -> Self {
        Alarm { pacer: Pacer::start(), timer: Box::pin(sleep_until(Instant::now())) }
    }

    /// Is ready at this time, which takes the place of what it was set to before.
    fn poll(&mut self, clock: Clock, at: Nanos, cx: &mut Context<'_>) -> Poll<()> {
        let at = clock.instant(at);
        match &mut self.pacer {
            Some(pacer) => pacer.poll(at.into_std(), cx),
            None => {
                if self.timer.deadline() != at {
                    self.timer.as_mut().reset(at);
                }
                self.timer.as_mut().poll(cx)
            }
        }
    }
}

async fn measure<P: Prober + ?Sized>(prober: &P, stream: &Stream, clock: Clock, intended: Nanos) -> Sample {
    let started = clock.now();
    let end = clock.instant(intended + nanos(stream.timeout));
    let progress = Progress::default();
    let attempt = AssertUnwindSafe(prober.attempt(&progress)).catch_unwind();
    let observation = match timeout_at(end, attempt).await {
        Ok(Ok(observation)) => Some(observation),
        Ok(Err(panic)) => Some(Observation {
            outcome: Outcome::NotRun,
            error: Some(format!("the prober panicked: {}", panic_text(&*panic)).into()),
            ..Observation::ok()
        }),
        Err(_) => None,
    };
    let latency = duration(clock.now() - intended);
    // Also an answer that the runner itself was late to see: its slot was over at the timeout, for online and offline alike.
    let (latency, observation) = match observation {
        Some(observation) if latency < stream.timeout || observation.outcome == Outcome::NotRun => {
            (latency, observation)
        }
        // Who was asked is known of one that got no answer, too: else a share of one server's requests would leave out those.
        _ => {
            let labels = progress.labels();
            (stream.timeout, Observation { labels, ..timed_out(stream, progress.waited_for()) })
        }
    };
    Sample { intended, late: duration(started - intended), latency, from: stream.from.clone(), observation }
}

fn timed_out(stream: &Stream, waited_for: &str) -> Observation {
    let error = format!("no {waited_for} within {}", humantime::format_duration(stream.timeout));
    Observation { outcome: Outcome::TimedOut, error: Some(error.into()), ..Observation::ok() }
}

/// A measurement whose timeout passed before it could start: the target's doing where earlier ones took up every place,
/// else the runner's own, which says nothing of the target.
fn unsent(stream: &Stream, intended: Nanos, late: Duration, held_back: bool) -> Sample {
    let (latency, observation) = if held_back {
        (stream.timeout, timed_out(stream, "place among the measurements under way"))
    } else {
        let error = Some("the runner itself was stalled".into());
        (late, Observation { outcome: Outcome::NotRun, error, ..Observation::ok() })
    };
    Sample { intended, late, latency, from: stream.from.clone(), observation }
}

/// Returns what a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
