//! All streams of all probes at once.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet};

use super::{
    context::Context,
    load::{self, Stream, panic_text},
    record::AbortKind,
};
use crate::{probe::Prober, time::Nanos};

/// The streams of a run, each on a task of its own.
pub(crate) struct Fleet {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    longest: Duration,
}

/// A probe opened at a place.
pub(crate) struct Opened {
    /// The probe's place in the experiment.
    pub(crate) probe: usize,
    pub(crate) from: Arc<str>,
    pub(crate) prober: Arc<dyn Prober>,
}

impl Fleet {
    /// Starts to send. The places of one probe take turns, so that they never send at the same instant.
    pub(crate) fn start(ctx: &Arc<Context>, opened: Vec<Opened>, now: Nanos) -> Fleet {
        let (stop, stopping) = watch::channel(false);
        let mut workers = JoinSet::new();
        let mut longest = Duration::ZERO;
        let count = |probe: usize| opened.iter().filter(|o| o.probe == probe).count();
        let counts: Vec<usize> = opened.iter().map(|o| count(o.probe)).collect();
        let mut turn = std::collections::BTreeMap::<usize, usize>::new();
        for (Opened { probe, from, prober }, places) in opened.into_iter().zip(counts) {
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
                let sink = |sample| ctx.monitor.observe(probe, sample);
                let drive = load::drive(&*prober, &stream, ctx.clock, stopping, sink);
                // Probers' own panics end in their samples; what comes here is an abort condition's or the engine's.
                if let Err(panic) = AssertUnwindSafe(drive).catch_unwind().await {
                    let reason = format!("measuring failed: {}", panic_text(&*panic));
                    ctx.leave_for(&ctx.cause(AbortKind::Internal, reason));
                }
            });
        }
        Fleet { stop, workers, longest }
    }

    /// Stops to send and waits for what is under way, which its timeout bounds.
    pub(crate) async fn drain(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.workers.join_next().await.is_some() {} };
        // The margin is for a machine too busy to see a timeout in time; what is left then is dropped.
        let _ = tokio::time::timeout(self.longest + Duration::from_secs(1), all).await;
    }
}
