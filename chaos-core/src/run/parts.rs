//! The parts of all faults, each with its state, and what is owed for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    emit::Emitter,
    event::What,
    record::{PartRecord, PartState},
};
use crate::{
    injector::{Effect, Injector, Undo},
    journal::Step,
    plan::{Part, Plan},
    time::Nanos,
};

/// Every part of a plan, shared between the director and those who only look.
pub(crate) struct Parts {
    slots: Mutex<Vec<Slot>>,
    emitter: Emitter,
}

/// One part.
#[derive(Clone)]
struct Slot {
    record: PartRecord,
    owed: Option<Owed>,
    /// Its place in the order of preparation.
    order: u64,
}

/// A part that a revert is owed for.
#[derive(Clone)]
pub(crate) struct Owed {
    pub(crate) index: usize,
    pub(crate) undo: Undo,
    pub(crate) injector: Arc<dyn Injector>,
}

impl Parts {
    pub(crate) fn new(plan: &Plan, emitter: Emitter) -> Self {
        let record = |part: &Part, fault: &str, background, change| PartRecord {
            id: part.id.clone(),
            fault: fault.to_owned(),
            object: part.offer.ask.object.clone(),
            backend: part.offer.backend.clone(),
            hold: part.offer.hold,
            background,
            change,
            state: PartState::Planned,
            injected: None,
            reverting: None,
            reverted: None,
            attempts: 0,
            effect: None,
            error: None,
        };
        let background = plan.background.iter().map(|p| record(p, &p.offer.ask.fault, true, false));
        let faults =
            plan.faults.iter().flat_map(|f| f.parts.iter().map(|p| record(p, &f.name, false, false)));
        // Like the background, a change is no fault: it stays until everything is taken back.
        let changes =
            plan.changes.iter().flat_map(|c| c.parts.iter().map(|p| record(p, &c.name, true, true)));
        let slots = background
            .chain(faults)
            .chain(changes)
            .map(|record| Slot { record, owed: None, order: 0 })
            .collect();
        Parts { slots: Mutex::new(slots), emitter }
    }

    /// Starts a part anew: a timeline may inject a fault again after its rollback.
    pub(crate) fn renew(&self, id: &str) -> Option<usize> {
        let mut slots = self.lock();
        let index = slots.iter().position(|s| s.record.id == id)?;
        if slots[index].record.state == PartState::Reverted {
            slots[index].record.state = PartState::Planned;
        }
        Some(index)
    }

    /// Moves a part to its next state and tells so. `Prepared` hands in what is owed from now on.
    pub(crate) fn step(&self, index: usize, step: Step, at: Nanos, owed: Option<Owed>, line: &str) {
        let mut slots = self.lock();
        let order = slots.iter().map(|s| s.order).max().unwrap_or(0) + 1;
        let slot = &mut slots[index];
        match slot.record.state.next(step) {
            Ok(state) => slot.record.state = state,
            // The steps are this crate's own; should one be out of place, the debt is what counts, and it is kept.
            Err(e) => tracing::error!("part `{}`: {e}", slot.record.id),
        }
        match step {
            Step::Prepared => (slot.owed, slot.order) = (owed, order),
            Step::Injected => slot.record.injected = Some(at),
            Step::Reverting => {
                slot.record.attempts += 1;
                slot.record.reverting.get_or_insert(at);
            }
            Step::Reverted => slot.record.reverted = Some(at),
            Step::RevertFailed => slot.record.error = Some(line.to_owned()),
            Step::Injecting => {}
        }
        let what = What::Part {
            id: slot.record.id.clone(),
            fault: slot.record.fault.clone(),
            object: slot.record.object.clone(),
            background: slot.record.background && !slot.record.change,
            state: slot.record.state,
            line: line.to_owned(),
        };
        drop(slots);
        self.emitter.emit(what);
    }

    /// Keeps what went wrong with a part.
    pub(crate) fn fail(&self, index: usize, error: &str) {
        self.lock()[index].record.error = Some(error.to_owned());
    }

    /// Keeps what a part did so far, and tells so.
    pub(crate) fn effect(&self, index: usize, effect: Effect) {
        let mut slots = self.lock();
        let record = &mut slots[index].record;
        record.effect = Some(effect.clone());
        let what = What::Effect { id: record.id.clone(), fault: record.fault.clone(), effect };
        let background = record.background && !record.change;
        drop(slots);
        if !background {
            self.emitter.emit(what);
        }
    }

    /// Returns what is owed among the parts that `which` picks, the last prepared first.
    pub(crate) fn owed(&self, which: impl Fn(&PartRecord) -> bool) -> Vec<Owed> {
        let slots = self.lock();
        let mut owed: Vec<(u64, Owed)> = slots
            .iter()
            .filter(|s| s.record.state.is_owed() && which(&s.record))
            .filter_map(|s| s.owed.clone().map(|owed| (s.order, owed)))
            .collect();
        owed.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        owed.into_iter().map(|(_, owed)| owed).collect()
    }

    /// Returns every part that was ever prepared and that `which` picks.
    pub(crate) fn touched(&self, which: impl Fn(&PartRecord) -> bool) -> Vec<Owed> {
        self.lock().iter().filter(|s| which(&s.record)).filter_map(|s| s.owed.clone()).collect()
    }

    /// Returns a copy of every part's record.
    pub(crate) fn records(&self) -> Vec<PartRecord> {
        self.lock().iter().map(|s| s.record.clone()).collect()
    }

    /// Returns the faults of the experiment that have a part in place, in the order of the plan.
    pub(crate) fn active(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .lock()
            .iter()
            .filter(|s| s.record.state.is_owed() && !s.record.background)
            .map(|s| s.record.fault.clone())
            .collect();
        names.dedup();
        names
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
