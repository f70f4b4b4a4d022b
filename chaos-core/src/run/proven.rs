//! Which faults in place were proven by measurement.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::time::Nanos;

/// Which faults were proven by measurement.
#[derive(Default)]
pub(crate) struct Proofs {
    inner: Mutex<BTreeMap<String, Proof>>,
}

#[derive(Clone, Copy)]
pub(crate) struct Proof {
    pub(crate) since: Nanos,
    pub(crate) proven: bool,
}

impl Proofs {
    /// A fault is in place: from now on it is to be proven.
    pub(crate) fn begin(&self, fault: &str, now: Nanos) {
        self.lock().entry(fault.to_owned()).or_insert(Proof { since: now, proven: false });
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Proof>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
