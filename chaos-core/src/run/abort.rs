//! What ends a run early: a switch that the first cause trips and that wakes the director at once.

use tokio::sync::watch;

use super::record::{AbortCause, AbortKind};
use crate::time::Nanos;

/// Is tripped once, by the first of many causes.
#[derive(Debug)]
pub(crate) struct Switch {
    cause: watch::Sender<Option<AbortCause>>,
}

impl Switch {
    pub(crate) fn new() -> Self {
        Switch { cause: watch::Sender::new(None) }
    }

    /// Trips the switch; only the first cause counts.
    pub(crate) fn trip(&self, cause: &AbortCause) -> bool {
        self.cause.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert_with(|| cause.clone());
            first
        })
    }

    /// Returns the cause, if there is one.
    pub(crate) fn cause(&self) -> Option<AbortCause> {
        self.cause.borrow().clone()
    }

    /// Waits for a cause.
    pub(crate) async fn tripped(&self) -> AbortCause {
        let mut cause = self.cause.subscribe();
        match cause.wait_for(Option::is_some).await.map(|c| c.clone()) {
            Ok(Some(cause)) => cause,
            // The sender lives in `self`, and `wait_for` was asked for some cause.
            _ => std::future::pending().await,
        }
    }
}

impl AbortCause {
    /// Makes a cause that is not a condition of the experiment.
    pub fn new(kind: AbortKind, at: Nanos, reason: impl Into<String>) -> Self {
        AbortCause { kind, at, reason: reason.into(), condition: None, span: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_counts_and_wakes() {
        let switch = std::sync::Arc::new(Switch::new());
        assert_eq!(switch.cause(), None);
        let waiting = tokio::spawn({
            let switch = switch.clone();
            async move { switch.tripped().await }
        });
        tokio::task::yield_now().await;
        assert!(switch.trip(&AbortCause::new(AbortKind::Lost, 5, "first")));
        assert!(!switch.trip(&AbortCause::new(AbortKind::Stopped, 6, "second")));
        assert_eq!(waiting.await.unwrap().reason, "first");
        assert_eq!(switch.tripped().await.kind, AbortKind::Lost);
    }
}
