//! A probe that an agent measures, and whose samples it sends.

mod schedule;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chaos_core::{
    model::Probe,
    place::Place,
    probe::{Alignment, Feed, Observation, Opened, Probers, Sample, Stream},
    time::{Clock, Nanos, duration},
    trouble::Trouble,
};
use tokio::sync::{Mutex, mpsc, watch};

use self::schedule::Schedule;
use super::{
    Agents, LONGEST_CALL,
    session::{News, Session},
    unexpected,
};
use crate::protocol::{Answer, Probing, Request};

/// Opens probes that agents measure.
///
/// A probe is opened in the agent when it is opened here, so what can never work is refused before anything is touched.
pub struct AgentProbers {
    agents: Arc<Agents>,
}

impl AgentProbers {
    pub(super) fn new(agents: Arc<Agents>) -> Self {
        AgentProbers { agents }
    }
}

#[async_trait]
impl Probers for AgentProbers {
    async fn open(&self, probe: &Probe, place: &Place) -> Result<Opened, Trouble> {
        let session = self.agents.session(&place.site).await?;
        let number = session.number();
        let news = Mutex::new(session.listen(number));
        // From here on it is closed when it is dropped.
        let feed = AgentFeed { session, number, news };
        let probing = Probing { probe: probe.clone(), place: place.clone() };
        feed.call(Request::Open { feed: number, probing: Box::new(probing) }).await?;
        Ok(Opened::Feed(Arc::new(feed)))
    }
}

/// One probe in one agent.
struct AgentFeed {
    session: Arc<Session>,
    number: u64,
    news: Mutex<mpsc::UnboundedReceiver<News>>,
}

impl Drop for AgentFeed {
    fn drop(&mut self) {
        self.session.close(self.number);
    }
}

impl AgentFeed {
    async fn call(&self, request: Request) -> Result<(), Trouble> {
        match self.session.call(request, LONGEST_CALL).await? {
            Answer::Done => Ok(()),
            Answer::Failed(error) => Err(error),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl Feed for AgentFeed {
    async fn run(
        &self,
        stream: &Stream,
        clock: Clock,
        mut stop: watch::Receiver<bool>,
        sink: &mut (dyn FnMut(Sample) + Send),
    ) -> Alignment {
        self.session.align().await;
        let mut axis = Axis::new(&self.session, clock);
        let theirs = Stream { first: axis.theirs(stream.first), ..stream.clone() };
        let mut schedule = Schedule::new(theirs.clone());
        let mut news = self.news.lock().await;
        let mut lost = self.call(Request::Measure { feed: self.number, stream: theirs }).await.err();
        let mut halted = false;
        while lost.is_none() {
            tokio::select! {
                biased;
                said = news.recv() => match said {
                    Some(News::Samples(samples)) => {
                        axis.update(&self.session);
                        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
                        for sample in samples {
                            schedule.arrived(sample.intended);
                            sink(Sample { intended: axis.ours(sample.intended), from: stream.from.clone(), ..sample });
                        }
                        self.session.send(Request::Taken { feed: self.number, count });
                    }
                    // Nothing more comes, also after the agent's end.
                    Some(News::Over) | None => break,
                },
                reason = self.session.ended() => {
                    lost = Some(Trouble::unable(format!("the agent that measures is gone: {reason}")));
                }
                () = ending(&mut stop), if !halted => {
                    halted = true;
                    self.session.send(Request::Halt { feed: self.number });
                }
            }
        }
        let not_run = |intended: Nanos, reason: &str| {
            let late = duration(clock.now() - intended);
            let observation = Observation::not_run(reason);
            Sample { intended, late, latency: late, from: stream.from.clone(), observation }
        };
        let Some(lost) = lost else {
            // What was left out on the way; the agent has started none after the last one that arrived, as far as is known.
            for intended in schedule.missing() {
                sink(not_run(
                    axis.ours(intended),
                    "the agent measured faster than the runner took its samples in",
                ));
            }
            return axis.alignment();
        };
        // Blind, not silent: every measurement that should have been taken is there, and says why it was not.
        loop {
            let now = axis.theirs(clock.now());
            for intended in schedule.due(now) {
                sink(not_run(axis.ours(intended), &lost.message));
            }
            let next = clock.instant(axis.ours(schedule.next()));
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = ending(&mut stop) => break,
            }
        }
        axis.alignment()
    }
}

/// Waits for the end of a stream; a runner that went away ends it too.
async fn ending(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// How the agent's clock, the session's and the run's stand to each other.
struct Axis {
    /// By how much the agent's clock is ahead of the run's.
    ahead: i128,
    /// By how much the run's clock is ahead of the session's.
    run: i128,
    /// The worst so far.
    uncertainty: Option<Duration>,
}

impl Axis {
    fn new(session: &Session, clock: Clock) -> Self {
        let run = i128::from(clock.ahead_of(&session.clock()));
        let mut axis = Axis { ahead: 0, run, uncertainty: None };
        axis.update(session);
        axis
    }

    /// Takes in what pings have shown meanwhile.
    fn update(&mut self, session: &Session) {
        if let Some(offset) = session.offset() {
            self.ahead = offset.ahead - self.run;
            self.uncertainty = Some(self.uncertainty.unwrap_or_default().max(offset.uncertainty));
        }
    }

    fn ours(&self, theirs: Nanos) -> Nanos {
        saturated(i128::from(theirs) - self.ahead)
    }

    fn theirs(&self, ours: Nanos) -> Nanos {
        saturated(i128::from(ours) + self.ahead)
    }

    fn alignment(&self) -> Alignment {
        Alignment { uncertainty: self.uncertainty }
    }
}

fn saturated(nanos: i128) -> Nanos {
    Nanos::try_from(nanos).unwrap_or(if nanos < 0 { Nanos::MIN } else { Nanos::MAX })
}
