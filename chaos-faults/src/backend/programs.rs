//! The programs on interfaces of one namespace: one per device and direction, shared by all faults on it.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chaos_core::{
    injector::{Direction, PacketMatch},
    trouble::Trouble,
};

use super::ground::bpf_failed;
use crate::bpf::{BpfError, Counters, Device, Hold, Rule, RuleId};

/// Interface and direction.
pub(crate) type Key = (u32, Direction);

/// All programs that this process has in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    attached: BTreeMap<Key, Arc<Mutex<Hold>>>,
    /// Those whose faults were released and are still to be reverted, one after another.
    waiting: BTreeSet<Key>,
}

fn lock(hold: &Mutex<Hold>) -> MutexGuard<'_, Hold> {
    hold.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Programs {
    /// Returns the program of a device and direction, attaching one if none is there yet.
    ///
    /// The kernel takes 10 to 15 ms to attach or to detach one, in which other work goes on.
    pub(crate) async fn open(&mut self, device: Device, direction: Direction) -> Result<Key, Trouble> {
        let key = (device.index(), direction);
        if let Entry::Vacant(vacant) = self.attached.entry(key) {
            let opened = tokio::task::spawn_blocking(move || Hold::open(device, direction)).await;
            let opened =
                opened.map_err(|error| Trouble::internal(format!("no program was attached: {error}")));
            vacant.insert(Arc::new(Mutex::new(opened?.map_err(bpf_failed)?)));
        }
        Ok(key)
    }

    /// Returns a program that was opened.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Mutex<Hold>>> {
        self.attached.get(&key).cloned()
    }

    /// Adds a rule to a program that was opened.
    pub(crate) fn add(&self, key: Key, rule: Rule) -> Result<RuleId, BpfError> {
        lock(self.attached.get(&key).ok_or(BpfError::NoSuchRule(0))?).add(rule)
    }

    /// Has a rule apply to other packets.
    pub(crate) fn change(&self, key: Key, rule: RuleId, matches: &PacketMatch) -> Result<(), BpfError> {
        lock(self.attached.get(&key).ok_or(BpfError::NoSuchRule(0))?).change(rule, matches.clone())
    }

    /// Takes a rule off and returns what it matched; nothing if it is off already.
    pub(crate) fn remove(&self, key: Key, rule: RuleId) -> Result<Counters, BpfError> {
        let Some(hold) = self.attached.get(&key) else { return Ok(Counters::default()) };
        match lock(hold).remove(rule) {
            Err(BpfError::NoSuchRule(_)) => Ok(Counters::default()),
            removed => removed,
        }
    }

    /// Returns what a rule matched.
    pub(crate) fn counters(&self, key: Key, rule: RuleId) -> Result<Counters, BpfError> {
        lock(self.attached.get(&key).ok_or(BpfError::NoSuchRule(0))?).counters(rule)
    }

    /// Returns whether a program that was opened is still on its interface.
    pub(crate) fn is_attached(&self, key: Key) -> Result<bool, BpfError> {
        self.attached.get(&key).map_or(Ok(false), |hold| lock(hold).is_attached())
    }

    /// Keeps a program until its fault is reverted, also without a rule: taking it off takes time.
    pub(crate) fn keep(&mut self, key: Key) {
        self.waiting.insert(key);
    }

    /// Has a program go with the next [tidying](Programs::tidy) if it has no rule left.
    pub(crate) fn let_go(&mut self, key: Key) {
        self.waiting.remove(&key);
    }

    /// Takes every program off that has no rule left and is not kept.
    pub(crate) async fn tidy(&mut self) {
        let Programs { attached, waiting } = self;
        let unused: Vec<_> =
            attached.extract_if(.., |key, hold| !waiting.contains(key) && lock(hold).is_empty()).collect();
        if !unused.is_empty() {
            // Also where nobody waits for it any more.
            let _ = tokio::task::spawn_blocking(move || drop(unused)).await;
        }
    }
}
