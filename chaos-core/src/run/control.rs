//! Asking a run to stop.

use std::sync::Arc;

use tokio::sync::watch;

/// Stops a run from outside: the first request reverts and ends it, the second makes reverting hurry, the third gives up
/// reverting and leaves the rest to `restore`.
///
/// Clones speak of the same run.
#[derive(Clone, Debug)]
pub struct Control {
    stops: Arc<watch::Sender<u32>>,
}

impl Default for Control {
    fn default() -> Self {
        Control { stops: Arc::new(watch::Sender::new(0)) }
    }
}

impl Control {
    /// Makes a control for one run.
    pub fn new() -> Self {
        Control::default()
    }

    /// Asks to stop once more.
    pub fn stop(&self) {
        self.stops.send_modify(|n| *n = n.saturating_add(1));
    }

    /// Makes the count of requests at least `n`: for a source that counts on its own.
    pub fn stop_at_least(&self, n: u32) {
        self.stops.send_if_modified(|count| {
            let more = n > *count;
            *count = n.max(*count);
            more
        });
    }

    /// Returns how often it was asked to stop.
    pub fn stops(&self) -> u32 {
        *self.stops.borrow()
    }

    /// Waits until it was asked to stop `n` times.
    pub async fn stopped(&self, n: u32) {
        // The sender lives in `self`, so waiting cannot end for want of one.
        let _ = self.stops.subscribe().wait_for(|count| *count >= n).await;
    }
}
