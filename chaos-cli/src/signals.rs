//! Ctrl-C and its like.

use chaos_core::run::Control;
use tokio::signal::unix::{SignalKind, signal};

use crate::render;

/// Passes interrupts on to a run until the returned guard is dropped.
pub(crate) fn pass_on(control: &Control, restore: String) -> Guard {
    let control = control.clone();
    let task = tokio::spawn(async move {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
        let [interrupt, terminate, hangup] = signals.as_mut_slice() else { return };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            control.stop();
            match control.stops() {
                1 => render::say("\nstopping: putting everything back (again to hurry)\n"),
                2 => render::say("\nhurrying: each revert gets two seconds (again to give up)\n"),
                _ => render::say(&format!("\ngiving up: finish with `{restore}`\n")),
            }
        }
    });
    Guard(task)
}

/// Ends the passing on when dropped.
pub(crate) struct Guard(tokio::task::JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
