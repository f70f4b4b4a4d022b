//! How many experiments run at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// More than two labs measure each other on a small machine.
const SLOTS: usize = 2;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run an experiment, until it is dropped.
#[derive(Debug)]
pub struct Slot(());

/// Waits until fewer than two experiments run.
pub fn slot() -> Slot {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    while *taken >= SLOTS {
        taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
    }
    *taken += 1;
    Slot(())
}

impl Drop for Slot {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}
