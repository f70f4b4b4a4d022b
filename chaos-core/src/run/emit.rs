//! Telling the outside what happens.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::event::{RunEvent, SCHEMA_VERSION, What};
use crate::time::Clock;

/// Takes events; must return quickly, since the run waits for it.
pub type EventSink = Arc<dyn Fn(&RunEvent) + Send + Sync>;

/// Stamps events and hands them on.
#[derive(Clone)]
pub(crate) struct Emitter {
    clock: Clock,
    sinks: Vec<EventSink>,
}

impl Emitter {
    pub(crate) fn new(clock: Clock, sinks: Vec<EventSink>) -> Self {
        Emitter { clock, sinks }
    }

    /// Hands an event to every sink. A sink that panics loses the event, and never keeps a fault in place.
    pub(crate) fn emit(&self, what: What) {
        let event = RunEvent { version: SCHEMA_VERSION, at: self.clock.now(), what };
        for sink in &self.sinks {
            if catch_unwind(AssertUnwindSafe(|| sink(&event))).is_err() {
                tracing::error!("an event sink panicked");
            }
        }
    }
}
