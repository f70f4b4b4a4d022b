//! The programs on interfaces: one per device and direction, shared by all faults on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use chaos_core::injector::Direction;

use crate::bpf::{BpfError, Counters, Device, Hold, Rule, RuleId};

/// Namespace, interface and direction.
pub(crate) type Key = (u64, u32, Direction);

/// All programs that this process holds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    programs: BTreeMap<Key, Arc<Mutex<Hold>>>,
    /// Those whose faults were released and are still to be reverted, one after another.
    waiting: BTreeSet<Key>,
}

impl Holds {
    /// Returns the program of a device and direction, attaching one if none is there yet.
    pub(crate) fn open(
        &mut self,
        namespace: u64,
        device: Device,
        direction: Direction,
    ) -> Result<Key, BpfError> {
        let key = (namespace, device.index(), direction);
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.programs.entry(key) {
            vacant.insert(Arc::new(Mutex::new(Hold::open(device, direction)?)));
        }
        Ok(key)
    }

    /// Returns a program that was opened.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Mutex<Hold>>> {
        self.programs.get(&key).cloned()
    }

    /// Adds a rule to a program that was opened.
    pub(crate) fn add(&self, key: Key, rule: Rule) -> Result<RuleId, BpfError> {
        let hold = self.programs.get(&key).ok_or(BpfError::NoSuchRule(0))?;
        hold.lock().unwrap_or_else(PoisonError::into_inner).add(rule)
    }

    /// Takes a rule off and returns what it met; nothing if it is off already.
    pub(crate) fn remove(&self, key: Key, rule: RuleId) -> Result<Counters, BpfError> {
        let Some(hold) = self.programs.get(&key) else { return Ok(Counters::default()) };
        match hold.lock().unwrap_or_else(PoisonError::into_inner).remove(rule) {
            Err(BpfError::NoSuchRule(_)) => Ok(Counters::default()),
            removed => removed,
        }
    }

    /// Returns what a rule met.
    pub(crate) fn counters(&self, key: Key, rule: RuleId) -> Result<Counters, BpfError> {
        let hold = self.programs.get(&key).ok_or(BpfError::NoSuchRule(0))?;
        hold.lock().unwrap_or_else(PoisonError::into_inner).counters(rule)
    }

    /// Keeps a program until its fault is reverted, also without a rule: taking it off takes time.
    pub(crate) fn keep(&mut self, key: Key) {
        self.waiting.insert(key);
    }

    /// Has a program go with the next [tidying](Holds::tidy) if it has no rule left.
    pub(crate) fn let_go(&mut self, key: Key) {
        self.waiting.remove(&key);
    }

    /// Takes every program off that has no rule left and is not kept.
    pub(crate) fn tidy(&mut self) {
        let Holds { programs, waiting } = self;
        programs.retain(|key, hold| {
            waiting.contains(key) || !hold.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
        });
    }
}
