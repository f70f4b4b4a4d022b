//! Whether faults did anything: a fault that did nothing is not a passed test.

use std::collections::BTreeMap;

use super::{
    context::Context,
    event::What,
    exercised::{self, Part},
    parts::Owed,
    proven::Proof,
    record::{AbortKind, PartRecord, PartState, Role},
    wave::each,
};
use crate::judge::view::RunView;
use crate::{
    injector::Unit,
    model::Phase,
    time::{Nanos, duration, nanos},
};

impl Context {
    /// Measures, about once a second, what faults in place do; ends the run when one stays unproven for too long.
    pub(crate) async fn watch_effects(&self) {
        let mut ticks = tokio::time::interval(self.policy.effect_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.measure_effects(self.parts.touched(|p| p.state == PartState::Active)).await;
            let now = self.now();
            for fault in self.parts.active() {
                self.check_proof(&fault, now);
            }
        }
    }

    /// Measures what parts did; what cannot be measured keeps its last value.
    pub(crate) async fn measure_effects(&self, parts: Vec<Owed>) {
        each(self.policy.at_once, parts, |Owed { index, undo, injector, .. }| async move {
            let measure = async move { injector.effect(&undo).await };
            match self.call("measuring the effect", self.policy.effect, measure).await {
                Ok(effect) => self.parts.effect(index, effect),
                Err(e) => tracing::warn!("the effect of a fault cannot be measured: {e}"),
            }
        })
        .await;
    }

    /// Looks whether a fault is proven by now.
    pub(crate) fn check_proof(&self, fault: &str, now: Nanos) {
        let Some(condition) = self.plan.experiment.fault(fault).and_then(|f| f.proven_by.as_ref()) else {
            return;
        };
        let Some(proof) = self.proofs.lock().get(fault).copied() else { return };
        if proof.proven {
            return;
        }
        let (samples, phases, marks) =
            (self.monitor.samples(0, now), self.chronicle.phases(now), self.chronicle.marks());
        let Exercised { all: exercised, idle } = Exercised::default();
        let view = RunView {
            samples: &samples,
            phases: &phases,
            marks: &marks,
            end: now,
            aborted: None,
            exercised: &exercised,
            idle: &idle,
        };
        if self.judge.proven(condition, fault, &view) == Some(true) {
            self.proofs.lock().insert(fault.to_owned(), Proof { proven: true, ..proof });
            return;
        }
        if now - proof.since < nanos(self.policy.proven_within) {
            return;
        }
        let after = duration(now - proof.since);
        let mut cause = self.cause(
            AbortKind::Unproven,
            format!(
                "`{fault}` has been in place for {} and `{condition}` does not show it",
                humantime::format_duration(std::time::Duration::from_secs(after.as_secs()))
            ),
        );
        (cause.condition, cause.span) = (Some(condition.to_string()), Some(condition.span));
        if self.interrupt.trip(&cause) {
            self.emit(What::Unproven { fault: fault.to_owned(), condition: condition.to_string(), after });
        }
    }

    /// Returns whether each fault and change that was in place did what was asked for, and was proven where the experiment
    /// says by what; with the reason where not.
    pub(crate) fn exercised(&self, end: Nanos) -> Exercised {
        let parts = self.parts.records();
        let mut exercised = Exercised::default();
        for span in self.chronicle.phases(end) {
            let Phase::Fault(Some(fault)) = span.phase else { continue };
            let of_fault = || parts.iter().filter(|p| p.role == Role::Fault && p.fault == fault);
            let met = |p: &PartRecord| p.effect.as_ref().is_some_and(|e| e.met > 0);
            let any = of_fault().any(met);
            for idle in of_fault().filter(|p| any && !met(p)) {
                self.warn(format!(
                    "`{}` {}, while other parts of `{fault}` did",
                    idle.id,
                    self.unit(idle).met_none()
                ));
            }
            let asked = self.plan.experiment.fault(&fault).is_some_and(|f| f.proven_by.is_some());
            let proven = !asked || self.proofs.lock().get(&fault).is_some_and(|p| p.proven);
            let idle = self.idle(of_fault()).or_else(|| (!proven).then(|| "was not proven".to_owned()));
            if let Some(idle) = &idle {
                self.warn(format!("`{fault}` {idle}: expectations about it are undecided"));
            }
            exercised.add(fault, idle);
        }
        for change in &self.plan.changes {
            let of_change = || parts.iter().filter(|p| p.role == Role::Change && p.fault == change.name);
            if of_change().all(|p| p.injected.is_none()) {
                continue;
            }
            let idle = self.idle(of_change());
            if let Some(idle) = &idle {
                self.warn(format!(
                    "the change `{}` {idle}: expectations about what follows it are undecided",
                    change.name
                ));
            }
            exercised.add(change.name.clone(), idle);
        }
        exercised
    }

    /// Says why the parts of one fault or change do not count as exercised; `None` where they do.
    fn idle<'a>(&self, parts: impl Iterator<Item = &'a PartRecord>) -> Option<String> {
        let (now, parts): (Nanos, Vec<&PartRecord>) = (self.now(), parts.collect());
        let unit = parts.first().map_or(Unit::Times, |part| self.unit(part));
        let measured: Vec<Part<'_>> = parts.iter().filter_map(|part| Part::of(part, now)).collect();
        exercised::idle(&measured, unit)
    }

    /// Returns the unit that a part's injector counts in.
    fn unit(&self, part: &PartRecord) -> Unit {
        let planned = || self.plan.part(&part.id).map(|planned| planned.offer.ask.work.unit());
        part.effect.as_ref().map(|effect| effect.unit).or_else(planned).unwrap_or(Unit::Times)
    }
}

/// Which faults and changes that were in place did what was asked for.
#[derive(Default)]
pub(crate) struct Exercised {
    pub(crate) all: BTreeMap<String, bool>,
    /// Why those that did not, by their names.
    pub(crate) idle: BTreeMap<String, String>,
}

impl Exercised {
    fn add(&mut self, name: String, idle: Option<String>) {
        self.all.insert(name.clone(), idle.is_none());
        self.idle.extend(idle.map(|idle| (name, idle)));
    }
}
