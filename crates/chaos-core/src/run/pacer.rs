//! Waking at the microsecond: tokio's timers round up to the next millisecond, which every latency would bear.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::mpsc::{self, RecvTimeoutError},
    task::Waker,
    time::{Duration, Instant},
};

/// The least time between two wake-ups of one stream; what falls due in between is started together.
pub(crate) const STEP: Duration = Duration::from_micros(200);

/// A thread that sleeps and wakes tasks; it ends with its last handle.
#[derive(Clone, Debug)]
pub struct Pacer {
    orders: mpsc::Sender<(Instant, Waker)>,
}

impl Pacer {
    /// Starts the thread; `None` where none can be started, or where tokio's clock is paused and so no time passes.
    pub fn start() -> Option<Pacer> {
        if is_paused() {
            return None;
        }
        let (orders, incoming) = mpsc::channel();
        std::thread::Builder::new().name("chaos-pacer".into()).spawn(move || serve(&incoming)).ok()?;
        Some(Pacer { orders })
    }

    /// Wakes a task so long from now, within some tens of microseconds where the machine is not busy.
    pub(crate) fn wake_after(&self, time: Duration, waker: Waker) {
        // Without its thread the tasks' own timers wake them, only later.
        let _ = self.orders.send((Instant::now() + time, waker));
    }
}

/// Two readings of a clock that goes on differ after a microsecond; those of a paused one never do.
fn is_paused() -> bool {
    let (real, before) = (Instant::now(), tokio::time::Instant::now());
    while real.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == before
}

fn serve(incoming: &mpsc::Receiver<(Instant, Waker)>) {
    // The number keeps apart what falls due in the same instant.
    let (mut waiting, mut number) = (BTreeMap::<(Reverse<Instant>, u64), Waker>::new(), 0);
    loop {
        let now = Instant::now();
        while let Some(next) = waiting.last_entry().filter(|e| e.key().0.0 <= now) {
            next.remove().wake();
        }
        let next = waiting.last_key_value().map(|((due, _), _)| due.0);
        let order = match next {
            Some(due) => incoming.recv_timeout(due.saturating_duration_since(now)),
            None => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match order {
            Ok((due, waker)) => {
                number += 1;
                waiting.insert((Reverse(due), number), waker);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_needs_no_pacer() {
        assert!(Pacer::start().is_none());
    }

    #[test]
    fn wakes_in_the_order_of_their_times() {
        struct Note(u32, mpsc::Sender<u32>);
        impl std::task::Wake for Note {
            fn wake(self: std::sync::Arc<Self>) {
                self.1.send(self.0).unwrap();
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let pacer = runtime.block_on(async { Pacer::start().unwrap() });
        let (note, notes) = mpsc::channel();
        for (n, millis) in [(2, 40), (1, 20), (3, 60)] {
            let waker = std::sync::Arc::new(Note(n, note.clone())).into();
            pacer.wake_after(Duration::from_millis(millis), waker);
        }
        let order: Vec<u32> = (0..3).map(|_| notes.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
