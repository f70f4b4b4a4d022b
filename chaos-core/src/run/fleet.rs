//! All streams of all probes at once.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet};

use super::{
    context::Context,
    load::{self, panic_text},
    record::{AbortKind, ClockRecord},
};
use crate::{
    probe::{Opened, Stream},
    time::{Nanos, nanos},
};

/// The streams of a run, each on a task of its own.
pub(crate) struct Fleet {
    stop: watch::Sender<bool>,
    /// What each says at its end of the clock it measured by, where that is not the runner's.
    workers: JoinSet<Option<ClockRecord>>,
    longest: Duration,
}

/// A probe at a place.
pub(crate) struct Berth {
    /// The probe's place in the experiment.
    pub(crate) probe: usize,
    pub(crate) from: Arc<str>,
    pub(crate) opened: Opened,
}

impl Fleet {
    /// Starts to send. The places of one probe take turns, so that they never send at the same instant.
    pub(crate) fn start(ctx: &Arc<Context>, berths: Vec<Berth>, now: Nanos) -> Fleet {
        let (stop, stopping) = watch::channel(false);
        let mut workers = JoinSet::new();
        let mut longest = Duration::ZERO;
        let count = |probe: usize| berths.iter().filter(|b| b.probe == probe).count();
        let counts: Vec<usize> = berths.iter().map(|b| count(b.probe)).collect();
        let mut turn = std::collections::BTreeMap::<usize, usize>::new();
        for (Berth { probe, from, opened }, places) in berths.into_iter().zip(counts) {
            let model = &ctx.plan.experiment.probes[probe];
            let nth = turn.entry(probe).or_default();
            let offset = (1e9 / model.rate * *nth as f64 / places as f64) as Nanos;
            *nth += 1;
            longest = longest.max(model.timeout);
            let stream = Stream {
                from,
                first: now + offset,
                rate: model.rate,
                timeout: model.timeout,
                limit: ctx.policy.limit,
            };
            let (ctx, stopping) = (ctx.clone(), stopping.clone());
            workers.spawn(async move {
                let mut sink = |sample| ctx.monitor.observe(probe, ctx.concealed(sample));
                let drive = async {
                    match &opened {
                        Opened::Each(prober) => {
                            load::drive(&**prober, &stream, ctx.clock, stopping, sink).await;
                            None
                        }
                        Opened::Feed(feed) => {
                            let known = feed.run(&stream, ctx.clock, stopping, &mut sink).await;
                            Some(ClockRecord {
                                probe: ctx.plan.experiment.probes[probe].name.value.clone(),
                                from: stream.from.to_string(),
                                uncertainty: known.uncertainty.map(nanos),
                            })
                        }
                    }
                };
                // Probers' own panics end in their samples; what comes here is an abort condition's or the engine's.
                AssertUnwindSafe(drive).catch_unwind().await.unwrap_or_else(|panic| {
                    let reason = format!("measuring failed: {}", panic_text(&*panic));
                    ctx.leave_for(&ctx.cause(AbortKind::Internal, reason));
                    None
                })
            });
        }
        Fleet { stop, workers, longest }
    }

    /// Stops to send and waits for what is under way, which its timeout bounds; returns the clocks of other places that were
    /// measured by.
    pub(crate) async fn drain(mut self) -> Vec<ClockRecord> {
        self.stop.send_replace(true);
        let mut clocks = Vec::new();
        let all = async {
            while let Some(ended) = self.workers.join_next().await {
                clocks.extend(ended.ok().flatten());
            }
        };
        // The margin is for a machine too busy to see a timeout in time; what is left then is dropped.
        let _ = tokio::time::timeout(self.longest + Duration::from_secs(1), all).await;
        clocks.sort();
        clocks
    }
}
