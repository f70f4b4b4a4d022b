//! The course of one run, from nothing touched to nothing owed.
//!
//! [`Director::run`] is the whole of it: [`Director::drive`] goes forward and may be ended at any point, by an error, a
//! cause or a panic; the [finish](super::finish) puts everything back whatever that was.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::{
    Finished,
    context::Context,
    event::What,
    fleet::{Berth, Fleet},
    inject::Batch,
    load::panic_text,
    record::{AbortCause, AbortKind, EvidenceWhen, Refusal, Role, Stage, SteadyResult, SteadyWhen},
    wave::each,
};
use crate::{
    journal::{Entry, Header},
    model::{Event, Step},
    place::{ObjectId, Place},
    plan::Origin,
    time::nanos,
};

/// Leads one run.
pub(crate) struct Director {
    pub(crate) ctx: Arc<Context>,
    pub(crate) header: Header,
    pub(crate) restore_command: String,
    pub(crate) places: BTreeMap<ObjectId, Place>,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) steady: Vec<SteadyResult>,
    pub(crate) progress: Vec<String>,
    /// Tasks that look on; they end with the run.
    pub(crate) watchers: JoinSet<()>,
    /// Tasks that listen for stop requests, to the very end.
    pub(crate) listeners: JoinSet<()>,
    /// What is planned to be waited for from here on.
    pub(crate) left: Duration,
}

/// Why a run did not get to its end.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Refused { by: Refusal, reason: String, help: Option<String> },
    Aborted(AbortCause),
}

impl From<AbortCause> for Ending {
    fn from(cause: AbortCause) -> Self {
        Ending::Aborted(cause)
    }
}

impl Director {
    /// Runs to the end, whatever happens on the way.
    pub(crate) async fn run(mut self) -> Finished {
        let ending = match AssertUnwindSafe(self.drive()).catch_unwind().await {
            Ok(result) => result.err(),
            Err(panic) => {
                let reason = format!("the runner itself failed: {}", panic_text(&*panic));
                Some(Ending::Aborted(self.ctx.cause(AbortKind::Internal, reason)))
            }
        };
        self.finish(ending).await
    }

    async fn drive(&mut self) -> Result<(), Ending> {
        let steady = &self.ctx.plan.experiment.steady_state;
        self.left = steady.over + self.ctx.plan.experiment.timeline.planned();
        self.ctx.emit(What::RunStarted {
            run: self.header.run.clone(),
            experiment: self.header.experiment.clone(),
            started: self.header.started,
            planned: self.left,
        });
        self.watch_control();
        self.open_journal().await?;
        self.set_up().await.map_err(|ending| self.refused(ending))?;
        self.steady_before().await.map_err(|ending| self.refused(ending))?;
        self.ctx.monitor.arm(true);
        for step in self.ctx.plan.experiment.timeline.steps.clone() {
            self.step(&step.value).await?;
        }
        Ok(())
    }

    /// Writes the header; a journal that cannot be written refuses the run.
    async fn open_journal(&self) -> Result<(), Ending> {
        let written = self.ctx.write(vec![Entry::Run(self.header.clone())]).await;
        written.into_iter().collect::<Result<(), _>>().map_err(|e| Ending::Refused {
            by: Refusal::Journal,
            reason: e.message,
            help: e.help,
        })
    }

    /// Makes the environment, puts the background in place, opens the probes and starts the load.
    async fn set_up(&mut self) -> Result<(), Ending> {
        self.enter(Stage::Setup, None);
        self.raise_environment().await?;
        self.ctx.emit(What::EnvironmentUp);
        self.watch_environment();
        for injector in self.ctx.injectors.values() {
            let (ctx, injector) = (self.ctx.clone(), injector.clone());
            self.watchers.spawn(async move {
                let why = injector.lost().await.reason;
                ctx.interrupt.trip(&ctx.cause(AbortKind::Lost, why));
            });
        }
        let deadline = self.left * 2 + self.ctx.policy.background_margin;
        let ctx = self.ctx.clone();
        let parts = &ctx.plan.background;
        ctx.inject(Batch { role: Role::Background, name: "", parts, deadline }).await?;
        // What goes along with something is not acted on itself.
        self.find_places(&ctx.plan.acted_on()).await?;
        self.ctx.gather(EvidenceWhen::Before, &self.places).await;
        let opened = self.open_probes().await?;
        let now = self.ctx.now();
        self.ctx.monitor.begin(now);
        self.fleet = Some(Fleet::start(&self.ctx, opened, now));
        self.watch_pulse();
        Ok(())
    }

    async fn raise_environment(&mut self) -> Result<(), Ending> {
        let ctx = self.ctx.clone();
        let lines = std::sync::Mutex::new(Vec::new());
        let progress = |line: &str| {
            lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line.to_owned());
            ctx.emit(What::EnvironmentProgress { line: line.to_owned() });
        };
        let up = AssertUnwindSafe(ctx.environment.up(&progress)).catch_unwind();
        let result = tokio::select! {
            biased;
            cause = ctx.leave.tripped() => Err(Ending::Aborted(cause)),
            result = tokio::time::timeout(ctx.policy.up, up) => match result {
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(Ok(Err(e))) => {
                    let by = if e.is_denied() { Refusal::Permission } else { Refusal::Environment };
                    Err(Ending::Refused { by, reason: e.message, help: e.help })
                }
                Ok(Err(panic)) => Err(environment(format!("making the environment panicked: {}", panic_text(&*panic)))),
                Err(_) => Err(environment(format!(
                    "the environment was not ready within {}", humantime::format_duration(ctx.policy.up)))),
            },
        };
        self.progress = lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        result
    }

    /// Finds out where objects are, all at once; those that are known already stay where they were found.
    async fn find_places(&mut self, objects: &[ObjectId]) -> Result<(), Ending> {
        let ctx = &self.ctx;
        let unknown = objects.iter().filter(|object| !self.places.contains_key(object));
        let found = each(ctx.policy.at_once, unknown, |object| async move {
            let find = ctx.find_place(object.clone());
            let what = "finding the place of a target";
            (object.clone(), ctx.call(what, ctx.policy.prepare, find).await)
        })
        .await;
        for (object, place) in found {
            let place = place.map_err(|e| Ending::Refused {
                by: if e.is_denied() { Refusal::Permission } else { Refusal::Environment },
                reason: e.message,
                help: e.help,
            })?;
            self.places.insert(object, place);
        }
        Ok(())
    }

    async fn open_probes(&mut self) -> Result<Vec<Berth>, Ending> {
        let ctx = self.ctx.clone();
        let mut opened = Vec::new();
        for (index, probe) in ctx.plan.experiment.probes.iter().enumerate() {
            let Some(planned) = ctx.plan.probes.iter().find(|p| p.probe == probe.name.value) else {
                let reason = format!("the plan does not say where the probe `{}` is sent from", probe.name);
                return Err(Ending::Refused { by: Refusal::Probe, reason, help: None });
            };
            let places = match &planned.from {
                Origin::Runner => vec![Place::runner()],
                Origin::Places(objects) => {
                    self.find_places(objects).await?;
                    objects.iter().filter_map(|object| self.places.get(object).cloned()).collect()
                }
            };
            for place in places {
                let open = AssertUnwindSafe(self.ctx.probers.open(probe, &place)).catch_unwind();
                let (reason, help) = match tokio::time::timeout(self.ctx.policy.open, open).await {
                    Ok(Ok(Ok(ready))) => {
                        let from = place.object.name.as_str().into();
                        opened.push(Berth { probe: index, from, opened: ready });
                        continue;
                    }
                    Ok(Ok(Err(e))) => (self.ctx.conceal(e.message), e.help),
                    Ok(Err(panic)) => (format!("opening it panicked: {}", panic_text(&*panic)), None),
                    Err(_) => ("opening it took too long".to_owned(), None),
                };
                let reason = format!("probe `{}` cannot be sent from {}: {reason}", probe.name, place.object);
                return Err(Ending::Refused { by: Refusal::Probe, reason, help });
            }
        }
        Ok(opened)
    }

    /// Watches the healthy system; unless all of its steady state holds, nothing is injected.
    async fn steady_before(&mut self) -> Result<(), Ending> {
        let over = self.ctx.plan.experiment.steady_state.over;
        self.wait(Stage::SteadyState, over).await?;
        let result = self.judge_steady(SteadyWhen::Before, over);
        if result.held {
            return Ok(());
        }
        let failed = result.predicates.iter().filter(|p| p.held != Some(true));
        let reasons: Vec<String> = failed.map(|p| format!("`{}`: {}", p.text, p.measured)).collect();
        Err(Ending::Refused {
            by: Refusal::SteadyState,
            reason: format!(
                "the steady state does not hold before anything is injected: {}",
                reasons.join("; ")
            ),
            help: Some(
                "find out what is wrong with the system, or with the steady state, before breaking more"
                    .into(),
            ),
        })
    }

    pub(crate) fn judge_steady(&mut self, when: SteadyWhen, over: Duration) -> SteadyResult {
        let to = self.ctx.now();
        let from = to - nanos(over);
        let samples = self.ctx.monitor.samples(from, to);
        let predicates = self.ctx.judge.steady(&self.ctx.plan.experiment, &samples, from, to);
        let held = predicates.iter().all(|p| p.held == Some(true));
        let result = SteadyResult { when, held, from, to, predicates };
        self.ctx.emit(What::SteadyState(result.clone()));
        self.steady.push(result.clone());
        result
    }

    async fn step(&mut self, step: &Step) -> Result<(), AbortCause> {
        match step {
            Step::Baseline(time) => self.wait(Stage::Baseline, *time).await,
            Step::Hold(time) => self.wait(Stage::Hold, *time).await,
            Step::Watch(time) => self.wait(Stage::Watch, *time).await,
            Step::Make(name) => self.make(name).await,
            Step::Inject(name) => self.inject(name).await,
            Step::Rollback(name) => {
                if self.roll_back(name.as_deref().map(String::as_str)).await {
                    // What was lost while the last moments of the hold passed was not in place to their end.
                    return match self.ctx.interrupt.cause() {
                        Some(cause) if matches!(cause.kind, AbortKind::Lost | AbortKind::Stalled) => {
                            Err(cause)
                        }
                        _ => Ok(()),
                    };
                }
                let what = self.ctx.left().join("; ");
                Err(self.ctx.cause(AbortKind::Revert, format!("a fault could not be removed: {what}")))
            }
        }
    }

    async fn inject(&mut self, name: &str) -> Result<(), AbortCause> {
        let ctx = self.ctx.clone();
        self.enter(Stage::Injecting(name.to_owned()), None);
        self.end_baseline();
        ctx.monitor.arm(true);
        let Some(fault) = ctx.plan.faults.iter().find(|f| f.name == name) else {
            return Err(ctx.cause(AbortKind::Inject, format!("fault `{name}` is not in the plan")));
        };
        let (parts, deadline) = (&fault.parts[..], fault.deadline);
        ctx.inject(Batch { role: Role::Fault, name, parts, deadline }).await?;
        let now = ctx.now();
        ctx.chronicle.fault_starts(name, now);
        ctx.proofs.begin(name, now);
        // Beside the run: what the kernel says is worth having, and never worth holding up an abort.
        let (looking, places) = (ctx.clone(), self.places.clone());
        self.watchers.spawn(async move { looking.gather(EvidenceWhen::During, &places).await });
        Ok(())
    }

    /// Makes a change, which stays until the end of the run.
    async fn make(&mut self, name: &str) -> Result<(), AbortCause> {
        let ctx = self.ctx.clone();
        self.enter(Stage::Making(name.to_owned()), None);
        // What comes after it is another system than the one before.
        self.end_baseline();
        let Some(change) = ctx.plan.changes.iter().find(|c| c.name == name) else {
            return Err(ctx.cause(AbortKind::Inject, format!("change `{name}` is not in the plan")));
        };
        let (parts, deadline) = (&change.parts[..], change.deadline);
        ctx.inject(Batch { role: Role::Change, name, parts, deadline }).await?;
        ctx.chronicle.mark(Event::Made(name.to_owned()), ctx.now());
        Ok(())
    }

    fn end_baseline(&self) {
        let ctx = &self.ctx;
        if let Some((from, to)) = ctx.chronicle.end_baseline(ctx.now()) {
            let samples = ctx.monitor.freeze_baseline(from, to);
            ctx.emit(What::BaselineFrozen { from, to, samples });
        }
    }

    /// Takes away one fault, or all that are in place; returns whether nothing of it is owed any more.
    pub(crate) async fn roll_back(&mut self, name: Option<&str>) -> bool {
        let ctx = self.ctx.clone();
        let active = ctx.parts.active();
        let chosen: Vec<String> = active.iter().filter(|f| name.is_none_or(|n| n == *f)).cloned().collect();
        if chosen.is_empty() {
            return true;
        }
        let now = ctx.now();
        ctx.chronicle.rollback_starts(&chosen, chosen.len() == active.len(), now);
        self.enter(Stage::RollingBack, None);
        let done = ctx.unwind(|p| p.role == Role::Fault && chosen.contains(&p.fault)).await;
        let now = ctx.now();
        let active = ctx.parts.active();
        for fault in chosen.iter().filter(|f| !active.contains(f)) {
            ctx.chronicle.mark(Event::Ends(fault.clone()), now);
            ctx.check_proof(fault, now);
        }
        if active.is_empty() {
            // Abort conditions have done their work: the restore is proven, and what follows is only watched.
            ctx.monitor.arm(false);
            ctx.chronicle.mark(Event::Rollback, now);
        }
        done
    }

    /// Begins a stage.
    pub(crate) fn enter(&self, stage: Stage, planned: Option<Duration>) {
        self.ctx.chronicle.enter(stage, self.ctx.now(), planned, nanos(self.left));
    }

    /// Waits as the timeline says, until something ends that.
    pub(crate) async fn wait(&mut self, stage: Stage, time: Duration) -> Result<(), AbortCause> {
        let safe =
            stage == Stage::SteadyAgain || (stage == Stage::Watch && self.ctx.parts.active().is_empty());
        let switch = if safe { self.ctx.leave.clone() } else { self.ctx.interrupt.clone() };
        self.enter(stage, Some(time));
        self.left = self.left.saturating_sub(time);
        tokio::select! {
            biased;
            cause = switch.tripped() => Err(cause),
            () = tokio::time::sleep(time) => {
                // A runner that stood still past the end wakes here first.
                self.ctx.pay_attention();
                switch.cause().map_or(Ok(()), Err)
            }
        }
    }

    /// Before anything was injected, nothing can be aborted: it is refused.
    fn refused(&self, ending: Ending) -> Ending {
        let Ending::Aborted(cause) = ending else { return ending };
        let by = match cause.kind {
            AbortKind::Stopped => Refusal::Stopped,
            AbortKind::Environment => Refusal::Environment,
            AbortKind::Denied => Refusal::Permission,
            AbortKind::Condition
            | AbortKind::Blind
            | AbortKind::Lost
            | AbortKind::Stalled
            | AbortKind::Inject
            | AbortKind::Revert
            | AbortKind::Unproven
            | AbortKind::Internal => Refusal::Background,
        };
        Ending::Refused { by, reason: cause.reason, help: None }
    }

    fn watch_control(&mut self) {
        let ctx = self.ctx.clone();
        self.listeners.spawn(async move {
            ctx.control.stopped(1).await;
            ctx.leave_for(&ctx.cause(AbortKind::Stopped, "it was asked to stop"));
        });
        let ctx = self.ctx.clone();
        self.listeners.spawn(async move {
            let Some(registration) = &ctx.registration else { return };
            let mut ticks = tokio::time::interval(ctx.policy.tick);
            loop {
                ticks.tick().await;
                ctx.control.stop_at_least(registration.stops_asked());
            }
        });
    }

    fn watch_environment(&mut self) {
        let ctx = self.ctx.clone();
        self.watchers.spawn(async move {
            let why = loop {
                let broken = ctx.environment.broken().await;
                if !broken.program_on.is_some_and(|object| ctx.parts.has_ended_processes_on(&object)) {
                    break ctx.conceal(broken.why);
                }
            };
            ctx.leave_for(&ctx.cause(AbortKind::Environment, why));
        });
    }

    /// Judges abort conditions between measurements, and reports progress.
    fn watch_pulse(&mut self) {
        let ctx = self.ctx.clone();
        self.watchers.spawn(async move {
            let mut ticks = tokio::time::interval(ctx.policy.tick);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut reported = 0;
            loop {
                ticks.tick().await;
                ctx.pay_attention();
                let now = ctx.now();
                ctx.monitor.tick(now);
                if now - reported >= nanos(ctx.policy.progress) {
                    reported = now;
                    let probes = ctx.monitor.progress(now);
                    ctx.emit(What::Progress {
                        probes,
                        active: ctx.parts.active(),
                        left: ctx.chronicle.left(now),
                    });
                }
            }
        });
        let ctx = self.ctx.clone();
        self.watchers.spawn(async move { ctx.watch_effects().await });
    }
}

fn environment(reason: String) -> Ending {
    Ending::Refused { by: Refusal::Environment, reason, help: None }
}
