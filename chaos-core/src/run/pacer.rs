//! Waking at the microsecond: tokio's timers round up to the next millisecond, which every latency would bear.

use std::{
    os::fd::{AsFd, AsRawFd, RawFd},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// A timer of the kernel that the runtime waits for together with its sockets.
///
/// It costs one system call for each wake-up and no thread: a thread that sleeps and wakes the task takes two switches and
/// several calls, more than the measurement itself.
pub(crate) struct Pacer {
    timer: AsyncFd<Timer>,
    /// What the timer is set to; none once it has gone off.
    set: Option<Instant>,
}

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Pacer {
    /// Makes a timer; `None` where the process may open no more files, or where tokio's clock is paused and so no time
    /// passes.
    ///
    /// # Panics
    /// Panics in a runtime without I/O.
    pub(crate) fn start() -> Option<Pacer> {
        if is_paused() {
            return None;
        }
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
        Some(Pacer { timer: register(Timer(timer))?, set: None })
    }

    /// Is ready from then on, within some tens of microseconds where the machine is not busy.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            if self.set != Some(at) {
                let once = Expiration::OneShot(left.into());
                if self.timer.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                    // Cannot be with a timer of our own and a time that is not zero; trying again beats never waking.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.set = Some(at);
            }
            match ready!(self.timer.poll_read_ready(cx)) {
                // The count of expirations is never read: setting the timer anew forgets it.
                Ok(mut gone_off) => gone_off.clear_ready(),
                Err(_) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            self.set = None;
        }
    }
}

#[expect(unsafe_code, reason = "tokio cannot know whether a descriptor stays open")]
fn register(timer: Timer) -> Option<AsyncFd<Timer>> {
    // SAFETY: the timer owns its descriptor and never closes or exchanges it before it is dropped.
    unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.ok()
}

/// Two readings of a clock that goes on differ after a microsecond; those of a paused one never do.
fn is_paused() -> bool {
    let (real, before) = (Instant::now(), tokio::time::Instant::now());
    while real.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == before
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_needs_no_pacer() {
        assert!(Pacer::start().is_none());
    }

    #[tokio::test]
    async fn wakes_at_each_time_and_never_before() {
        let mut pacer = Pacer::start().unwrap();
        let start = Instant::now();
        for micros in [300, 700, 700, 20_000, 20_050] {
            let at = start + Duration::from_micros(micros);
            poll_fn(|cx| pacer.poll(at, cx)).await;
            assert!(Instant::now() >= at);
        }
    }

    #[tokio::test]
    async fn an_earlier_time_takes_the_place_of_a_later_one() {
        let mut pacer = Pacer::start().unwrap();
        let hour = Instant::now() + Duration::from_secs(3600);
        poll_fn(|cx| {
            assert!(pacer.poll(hour, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let soon = Instant::now() + Duration::from_millis(5);
        let woken = poll_fn(|cx| pacer.poll(soon, cx));
        tokio::time::timeout(Duration::from_secs(60), woken).await.expect("the timer was set anew");
    }
}
