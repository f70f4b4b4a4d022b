//! The parts of all faults, each with its state, and what is owed for it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    emit::Emitter,
    event::What,
    record::{PartRecord, PartState, Role},
};
use crate::{
    injector::{Injector, Measured, Recovered, Undo},
    journal::Step,
    place::ObjectId,
    plan::{Part, Plan},
    time::Nanos,
};

/// Every part of a plan, shared between the director and those who only look.
///
/// A part is known by its index: those of the background come first, then those of each fault, then those of each change,
/// as in the plan.
pub(crate) struct Parts {
    inner: Mutex<Inner>,
    groups: Vec<Group>,
    emitter: Emitter,
}

struct Inner {
    slots: Vec<Slot>,
    /// The number of the wave that was begun last.
    wave: u64,
}

/// The parts of one fault, of one change or of the background.
struct Group {
    name: String,
    role: Role,
    parts: Range<usize>,
}

/// One part.
struct Slot {
    record: PartRecord,
    owed: Option<Owed>,
}

/// A part that a revert is owed for.
#[derive(Clone)]
pub(crate) struct Owed {
    pub(crate) index: usize,
    /// The wave that it was prepared in; waves are reverted in reverse.
    pub(crate) wave: u64,
    pub(crate) undo: Arc<Undo>,
    pub(crate) injector: Arc<dyn Injector>,
}

impl Parts {
    pub(crate) fn new(plan: &Plan, emitter: Emitter) -> Self {
        let (mut slots, mut groups) = (Vec::new(), Vec::new());
        let mut add = |name: &str, role: Role, parts: &[Part]| {
            let first = slots.len();
            slots.extend(parts.iter().map(|part| Slot { record: record(part, name, role), owed: None }));
            groups.push(Group { name: name.to_owned(), role, parts: first..slots.len() });
        };
        add("", Role::Background, &plan.background);
        plan.faults.iter().for_each(|f| add(&f.name, Role::Fault, &f.parts));
        plan.changes.iter().for_each(|c| add(&c.name, Role::Change, &c.parts));
        // Parts of the background are named after their own links.
        for (slot, part) in slots.iter_mut().zip(&plan.background) {
            slot.record.fault = part.offer.ask.fault.clone();
        }
        Parts { inner: Mutex::new(Inner { slots, wave: 0 }), groups, emitter }
    }

    /// Returns the index of the first part of the background, or of the fault or change of this name.
    pub(crate) fn first(&self, role: Role, name: &str) -> Option<usize> {
        self.groups.iter().find(|g| g.role == role && g.name == name).map(|g| g.parts.start)
    }

    /// Begins the next wave; returns its number.
    pub(crate) fn begin_wave(&self) -> u64 {
        let mut inner = self.lock();
        inner.wave += 1;
        inner.wave
    }

    /// Starts a part anew: a timeline may inject a fault again after its rollback.
    pub(crate) fn renew(&self, index: usize) {
        let state = &mut self.lock().slots[index].record.state;
        if *state == PartState::Reverted {
            *state = PartState::Planned;
        }
    }

    /// A part is prepared: from now on it is owed a revert.
    pub(crate) fn prepared(&self, owed: Owed, at: Nanos) {
        let (index, line) = (owed.index, owed.undo.line.clone());
        let mut inner = self.lock();
        let slot = &mut inner.slots[index];
        // What was chosen counts, where the plan could only say who chooses.
        slot.record.backend.clone_from(&owed.undo.offer.backend);
        slot.record.hold = owed.undo.offer.hold;
        slot.owed = Some(owed);
        drop(inner);
        self.step(index, Step::Prepared, at, &line);
    }

    /// Moves a part to its next state, and emits that.
    pub(crate) fn step(&self, index: usize, step: Step, at: Nanos, line: &str) {
        let mut inner = self.lock();
        let record = &mut inner.slots[index].record;
        match record.state.next(step) {
            Ok(state) => record.state = state,
            // The steps are this crate's own; should one be out of place, the debt is what counts, and it is kept.
            Err(e) => tracing::error!("part `{}`: {e}", record.id),
        }
        match step {
            Step::Injected => record.injected = Some(at),
            Step::Reverting => {
                record.attempts += 1;
                record.reverting.get_or_insert(at);
            }
            Step::Reverted => record.reverted = Some(at),
            Step::RevertFailed => record.error = Some(line.to_owned()),
            Step::Prepared | Step::Injecting => {}
        }
        let what = What::Part {
            id: record.id.clone(),
            fault: record.fault.clone(),
            object: record.object.clone(),
            role: record.role,
            state: record.state,
            line: line.to_owned(),
        };
        drop(inner);
        self.emitter.emit(what);
    }

    /// Keeps what went wrong with a part.
    pub(crate) fn fail(&self, index: usize, error: &str) {
        self.lock().slots[index].record.error = Some(error.to_owned());
    }

    /// Keeps what a part did so far, and emits that.
    pub(crate) fn effect(&self, index: usize, effect: Measured) {
        let mut inner = self.lock();
        let record = &mut inner.slots[index].record;
        record.effect = Some(effect.clone());
        let what = What::Effect { id: record.id.clone(), fault: record.fault.clone(), effect };
        let role = record.role;
        drop(inner);
        if role != Role::Background {
            self.emitter.emit(what);
        }
    }

    /// Keeps when what a part was on was whole again.
    pub(crate) fn recovered(&self, index: usize, recovered: Recovered) {
        self.lock().slots[index].record.recovered = Some(recovered);
    }

    /// Returns what is owed among the parts that `which` picks, wave by wave, the last first.
    pub(crate) fn owed(&self, which: impl Fn(&PartRecord) -> bool) -> Vec<Vec<Owed>> {
        let mut waves = BTreeMap::<u64, Vec<Owed>>::new();
        for slot in self.lock().slots.iter().rev() {
            if slot.record.state.is_owed()
                && which(&slot.record)
                && let Some(owed) = &slot.owed
            {
                waves.entry(owed.wave).or_default().push(owed.clone());
            }
        }
        waves.into_values().rev().collect()
    }

    /// Returns every part that was ever prepared and that `which` picks.
    pub(crate) fn touched(&self, which: impl Fn(&PartRecord) -> bool) -> Vec<Owed> {
        self.lock().slots.iter().filter(|s| which(&s.record)).filter_map(|s| s.owed.clone()).collect()
    }

    /// Returns a copy of every part's record.
    /// Returns whether a fault or a change that ends processes has begun on an object, whatever came of it since.
    pub(crate) fn has_ended_processes_on(&self, object: &ObjectId) -> bool {
        let ends =
            |owed: &Owed| owed.undo.offer.ask.work.processes().is_some_and(|fault| fault.effect.ends());
        self.touched(|_| true).iter().any(|owed| owed.undo.offer.ask.object == *object && ends(owed))
    }

    pub(crate) fn records(&self) -> Vec<PartRecord> {
        self.lock().slots.iter().map(|s| s.record.clone()).collect()
    }

    /// Returns the faults of the experiment that have a part in place, in the order of the plan.
    pub(crate) fn active(&self) -> Vec<String> {
        let inner = self.lock();
        let in_place = |group: &&Group| {
            group.role == Role::Fault
                && inner.slots[group.parts.clone()].iter().any(|s| s.record.state.is_owed())
        };
        self.groups.iter().filter(in_place).map(|group| group.name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(part: &Part, fault: &str, role: Role) -> PartRecord {
    PartRecord {
        id: part.id.clone(),
        fault: fault.to_owned(),
        object: part.offer.ask.object.clone(),
        backend: part.offer.backend.clone(),
        hold: part.offer.hold,
        role,
        state: PartState::Planned,
        injected: None,
        reverting: None,
        reverted: None,
        attempts: 0,
        effect: None,
        recovered: None,
        error: None,
    }
}
