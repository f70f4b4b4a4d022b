//! The probes that an agent measures: the load engine, on a thread of its own, and what carries its samples away.
//!
//! The thread is not the agent's own: putting a fault in place may wait for the kernel for tens of milliseconds, which no
//! latency may contain.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chaos_core::{
    probe::{Opened, Prober, Probers, Sample, Stream},
    run::load,
    time::Clock,
    trouble::Trouble,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Semaphore, mpsc, watch},
};

use crate::protocol::{BATCH, Message, Probing, WINDOW};

/// How many samples may wait for the runner before more are left out.
const WAITING: usize = 2 * WINDOW;

/// For how long samples are collected before they are sent.
const COLLECT: Duration = Duration::from_millis(20);

/// About how many bytes of samples go into one message.
const BYTES: usize = 256 << 10;

/// All feeds of one agent.
#[derive(Default)]
pub(crate) struct Measuring {
    thread: Option<Thread>,
    feeds: BTreeMap<u64, Feed>,
}

/// One probe, opened; measured from [`Measuring::start`] on.
struct Feed {
    prober: Arc<dyn Prober>,
    /// How many samples may be sent before the runner has taken in others.
    credit: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

/// The runtime that measures.
struct Thread(Option<Runtime>);

impl Thread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4)
            .thread_name("chaos-measure")
            .enable_all()
            .build()?;
        Ok(Thread(Some(runtime)))
    }

    fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // What is under way is of no use to anybody, and a runtime may not be waited for in another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Measuring {
    fn handle(&mut self) -> Result<Handle, Trouble> {
        if self.thread.is_none() {
            let started = Thread::start();
            let failed =
                |error| Trouble::unable(format!("the agent's measuring thread did not start: {error}"));
            self.thread = Some(started.map_err(failed)?);
        }
        let handle = self.thread.as_ref().and_then(Thread::handle).cloned();
        handle.ok_or_else(|| Trouble::unable("the agent's measuring thread has ended"))
    }

    /// Returns what opens a probe, which may take a while.
    pub(crate) fn opening(
        &mut self,
        probing: Probing,
        probers: Arc<dyn Probers>,
    ) -> Result<impl Future<Output = Result<Arc<dyn Prober>, Trouble>> + use<>, Trouble> {
        let Probing { probe, place } = probing;
        // On the measuring runtime, to which sockets are bound.
        let opening = self.handle()?.spawn(async move { probers.open(&probe, &place).await });
        Ok(async move {
            let opened = opening.await;
            let opened =
                opened.map_err(|error| Trouble::internal(format!("opening the probe failed: {error}")))?;
            match opened? {
                Opened::Each(prober) => Ok(prober),
                Opened::Feed(_) => Err(Trouble::unable("an agent does not measure through another agent")),
            }
        })
    }

    /// Keeps a probe that was opened, under a number.
    pub(crate) fn keep(&mut self, number: u64, prober: Arc<dyn Prober>) {
        let feed = Feed { prober, credit: Arc::new(Semaphore::new(WINDOW)), stop: watch::Sender::new(false) };
        self.feeds.insert(number, feed);
    }

    /// Starts to measure; times are on this clock.
    pub(crate) fn start(
        &mut self,
        number: u64,
        stream: Stream,
        clock: Clock,
        says: mpsc::UnboundedSender<Message>,
    ) -> Result<(), Trouble> {
        let handle = self.handle()?;
        let feed = self.feeds.get(&number).ok_or_else(|| unknown(number))?;
        let (samples, collected) = mpsc::channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let (prober, stopping) = (Arc::clone(&feed.prober), feed.stop.subscribe());
        let (credit, missing) = (Arc::clone(&feed.credit), Arc::clone(&left_out));
        handle.spawn(async move {
            let sink = |sample: Sample| {
                // A runner that does not keep up must not make the agent grow; it knows from the schedule what is missing.
                if samples.try_send(sample).is_err() {
                    missing.fetch_add(1, Ordering::Relaxed);
                }
            };
            load::drive(&*prober, &stream, clock, stopping, sink).await;
        });
        handle.spawn(carry(number, collected, credit, left_out, says));
        Ok(())
    }

    /// Notes how many samples the runner has received.
    pub(crate) fn taken(&self, number: u64, count: u32) {
        if let Some(feed) = self.feeds.get(&number) {
            // More than was ever sent is a mistake of the runner's, which must not panic the agent.
            let most = WINDOW.saturating_sub(feed.credit.available_permits());
            feed.credit.add_permits(usize::try_from(count).unwrap_or(usize::MAX).min(most));
        }
    }

    /// Ends a stream; what is under way still arrives, and the message that it is over.
    pub(crate) fn stop(&mut self, number: u64) -> Result<(), Trouble> {
        let feed = self.feeds.get(&number).ok_or_else(|| unknown(number))?;
        feed.stop.send_replace(true);
        Ok(())
    }

    /// Forgets a probe.
    pub(crate) fn close(&mut self, number: u64) {
        self.feeds.remove(&number);
    }
}

fn unknown(number: u64) -> Trouble {
    Trouble::unable(format!("no probe is open under the number {number}"))
}

/// Sends samples as they come, many at once, as long as the runner takes them in.
async fn carry(
    feed: u64,
    mut collected: mpsc::Receiver<Sample>,
    credit: Arc<Semaphore>,
    left_out: Arc<AtomicU64>,
    says: mpsc::UnboundedSender<Message>,
) {
    while let Some(first) = collected.recv().await {
        if collected.len() < BATCH {
            tokio::time::sleep(COLLECT).await;
        }
        let mut bytes = weight(&first);
        let mut samples = vec![first];
        while samples.len() < BATCH && bytes < BYTES {
            let Ok(sample) = collected.try_recv() else { break };
            bytes += weight(&sample);
            samples.push(sample);
        }
        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        match credit.acquire_many(count).await {
            Ok(permits) => permits.forget(),
            Err(_) => return,
        }
        if says.send(Message::Samples { feed, samples }).is_err() {
            return;
        }
    }
    says.send(Message::FeedOver { feed, left_out: left_out.load(Ordering::Relaxed) }).ok();
}

/// About how many bytes a sample takes as JSON.
fn weight(sample: &Sample) -> usize {
    const NUMBERS: usize = 400;
    let seen = &sample.observation;
    let labels = seen.labels.iter().map(|(label, value)| label.len() + value.len() + 8);
    let error = seen.error.as_ref().map_or(0, |error| error.len());
    NUMBERS + sample.from.len() + error + labels.sum::<usize>()
}
