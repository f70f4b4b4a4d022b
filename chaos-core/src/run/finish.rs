//! The end of every run, however it came: everything is put back first, then judged, then recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
};

use futures_util::FutureExt as _;

use super::{
    Finished,
    director::{Director, Ending},
    event::{SCHEMA_VERSION, What},
    load::panic_text,
    proof::Exercised,
    record::{
        AbortCause, AbortKind, Completion, EnvironmentFacts, EvidenceWhen, PartState, Record, Refusal,
        Restoration, Role, Stage, SteadyWhen,
    },
    summary,
    wave::each,
};
use crate::judge::view::{Judged, RunView, Samples};
use crate::{
    journal::Entry,
    model::Lab,
    place::ObjectId,
    time::{Nanos, duration},
};

impl Director {
    /// Puts everything back, judges, and makes the record.
    pub(crate) async fn finish(mut self, ending: Option<Ending>) -> Finished {
        let ctx = self.ctx.clone();
        let mut abort = match &ending {
            Some(Ending::Aborted(cause)) => Some(cause.clone()),
            _ => None,
        };
        if let Some(cause) = &abort {
            ctx.emit(What::Abort(cause.clone()));
        }
        self.roll_back(None).await;
        let end = match self.recover(&abort).await {
            Ok(end) => end,
            Err(cause) => {
                // The first cause is the one that matters; a later one only cuts the watching short.
                if abort.is_none() {
                    ctx.emit(What::Abort(cause.clone()));
                    abort = Some(cause);
                }
                ctx.now()
            }
        };
        self.enter(Stage::Draining, None);
        let clocks = match self.fleet.take() {
            Some(fleet) => fleet.drain().await,
            None => Vec::new(),
        };
        self.watchers.shutdown().await;
        self.roll_back_late().await;
        ctx.measure_effects(ctx.parts.touched(|p| p.role != Role::Background)).await;
        if !self.places.is_empty() {
            ctx.gather(EvidenceWhen::After, &self.places).await;
        }
        // What is still in place comes first, and is what the world might wait for.
        if ctx.unwind(|_| true).await {
            ctx.await_recovery(ctx.parts.touched(|p| p.state == PartState::Reverted)).await;
        }
        self.enter(Stage::Judging, None);
        let samples = ctx.monitor.take();
        let exercised = ctx.exercised(end);
        let refused = matches!(ending, Some(Ending::Refused { .. }));
        let expectations = if refused {
            Vec::new()
        } else {
            self.judge(&samples, end, abort.as_ref().map(|a| a.at), &exercised)
        };
        let logs = self.logs().await;
        self.enter(Stage::Teardown, None);
        let mut left = ctx.left();
        left.extend(self.lower_environment().await);
        let restored = left.is_empty();
        ctx.chronicle.leave(ctx.now());
        ctx.scribe.note(Entry::Ended { restored });
        let completion = match (ending, &abort) {
            (Some(Ending::Refused { by, reason, help }), _) => Completion::Refused { by, reason, help },
            (_, Some(cause)) => Completion::Aborted { reason: cause.reason.clone() },
            (_, None) => Completion::Completed,
        };
        let restoration = if restored {
            Restoration::Restored
        } else {
            Restoration::NotRestored { what: left, command: self.restore_command.clone() }
        };
        self.conclude(restored).await;
        let phases = ctx.chronicle.phases(end);
        let taken = |mutex: &std::sync::Mutex<Vec<_>>| {
            std::mem::take(&mut *mutex.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let kernel = std::mem::take(&mut *ctx.kernel.lock().unwrap_or_else(PoisonError::into_inner));
        let record = Record {
            version: SCHEMA_VERSION,
            run: self.header.run.clone(),
            started: self.header.started,
            ended: ctx.now(),
            stages: ctx.chronicle.stages(),
            marks: ctx.chronicle.marks(),
            parts: ctx.parts.records(),
            judged_to: end,
            exercised: exercised.all,
            idle: exercised.idle,
            steady: std::mem::take(&mut self.steady),
            abort,
            expectations,
            completion: completion.clone(),
            restoration: restoration.clone(),
            probes: summary::probes(&samples, &phases),
            phases,
            clocks,
            unkept: None,
            warnings: taken(&ctx.warnings),
            environment: EnvironmentFacts { progress: std::mem::take(&mut self.progress), kernel, logs },
            scenario: Vec::new(),
            plan: ctx.plan.clone(),
        };
        ctx.emit(What::RunEnded { completion, restoration });
        Finished { record, samples }
    }

    /// Watches the recovery after an abort, as a completed run has done by now, and the steady state once more; returns the
    /// end of what expectations look at.
    async fn recover(&mut self, abort: &Option<AbortCause>) -> Result<Nanos, AbortCause> {
        let ctx = self.ctx.clone();
        let (Some(since), None) = (ctx.chronicle.rolled_back(), ctx.leave.cause()) else {
            return Ok(ctx.now());
        };
        self.left = std::time::Duration::ZERO;
        if abort.is_some() {
            let watch = ctx.plan.experiment.timeline.watch();
            self.left = watch;
            self.wait(Stage::Watch, watch).await?;
        }
        let end = ctx.now();
        let over = ctx.plan.experiment.steady_state.over;
        if !ctx.plan.experiment.steady_state.predicates.is_empty() {
            let missing = over.saturating_sub(duration(end - since));
            if !missing.is_zero() {
                self.left = missing;
                self.wait(Stage::SteadyAgain, missing).await?;
            }
            self.judge_steady(SteadyWhen::After, over);
        }
        Ok(end)
    }

    /// Tries once more what the first unwinding could not do, now that nothing else is going on.
    async fn roll_back_late(&mut self) {
        if self.ctx.parts.active().is_empty() {
            return;
        }
        self.roll_back(None).await;
    }

    fn judge(
        &self,
        samples: &Samples,
        end: Nanos,
        aborted: Option<Nanos>,
        exercised: &Exercised,
    ) -> Vec<Judged> {
        let (phases, marks) = (self.ctx.chronicle.phases(end), self.ctx.chronicle.marks());
        let (exercised, idle) = (&exercised.all, &exercised.idle);
        let view = RunView { samples, phases: &phases, marks: &marks, end, aborted, exercised, idle };
        let judge = || self.ctx.judge.judge(&self.ctx.plan.experiment, &view);
        match catch_unwind(AssertUnwindSafe(judge)) {
            Ok(judged) => {
                for one in &judged {
                    self.ctx.emit(What::Judged(Box::new(one.clone())));
                }
                judged
            }
            Err(panic) => {
                self.ctx.warn(format!("judging failed: {}", panic_text(&*panic)));
                Vec::new()
            }
        }
    }

    /// Collects what programs wrote, while they are still there.
    async fn logs(&self) -> BTreeMap<String, Vec<String>> {
        let plan = &self.ctx.plan;
        let mut objects: BTreeSet<ObjectId> = self.places.keys().cloned().collect();
        objects.extend(plan.experiment.lab().into_iter().flat_map(Lab::names).map(ObjectId::host));
        let ctx = &self.ctx;
        let logs = each(ctx.policy.at_once, objects, |object| async move {
            let read = AssertUnwindSafe(ctx.environment.logs(&object)).catch_unwind();
            let lines = tokio::time::timeout(ctx.policy.evidence, read).await.ok()?.ok()?;
            (!lines.is_empty())
                .then(|| (object.to_string(), lines.into_iter().map(|line| ctx.conceal(line)).collect()))
        })
        .await;
        logs.into_iter().flatten().collect()
    }

    /// Unmakes the environment; returns what is left of it.
    async fn lower_environment(&self) -> Option<String> {
        let ctx = &self.ctx;
        let mut error = String::new();
        for _ in 0..ctx.policy.down_attempts.max(1) {
            if ctx.control.stops() >= 3 {
                return Some(if error.is_empty() {
                    "the environment: its end was not waited for".into()
                } else {
                    error
                });
            }
            let down = AssertUnwindSafe(ctx.environment.down()).catch_unwind();
            let limited = tokio::time::timeout(ctx.policy.down, down);
            error = tokio::select! {
                biased;
                result = limited => match result {
                    Ok(Ok(Ok(()))) => {
                        ctx.emit(What::EnvironmentDown);
                        return None;
                    }
                    Ok(Ok(Err(e))) => format!("the environment: {}", e.message),
                    Ok(Err(panic)) => format!("the environment: unmaking it panicked: {}", panic_text(&*panic)),
                    Err(_) => "the environment: unmaking it took too long".to_owned(),
                },
                () = ctx.control.stopped(3) => continue,
            };
            tokio::time::sleep(ctx.policy.retry_first).await;
        }
        Some(error)
    }

    /// Closes the journal and takes the run off the machine's list.
    async fn conclude(&self, restored: bool) {
        let ctx = &self.ctx;
        if let Err(e) = ctx.scribe.finish(ctx.policy.journal).await {
            ctx.warn(format!("the end of the run is not in its journal: {}", e.message));
        }
        if let Some(registration) = ctx.registration.as_ref().filter(|_| restored)
            && let Err(e) = registration.finish()
        {
            ctx.warn(format!("the run stays on the machine's list: {e}"));
        }
    }
}

impl Completion {
    /// Returns whether a right was missing.
    pub fn is_denied(&self) -> bool {
        matches!(self, Completion::Refused { by: Refusal::Permission, .. })
    }
}

impl AbortCause {
    /// Returns whether a right was missing.
    pub fn is_denied(&self) -> bool {
        self.kind == AbortKind::Denied
    }
}
