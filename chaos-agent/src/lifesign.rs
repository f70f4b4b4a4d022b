//! When the runner was last alive, by when it sent what arrives.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chaos_core::time::{Clock, Nanos, duration};
use tokio::time::Instant;

/// For how long a shortest way is remembered, twice; so long clocks that drift apart agree well enough.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The signs of life of one runner.
///
/// After an outage old ones may arrive in a burst, long after their sender died. So each counts from when it was sent:
/// from when it arrived, less what it was slower than the fastest of the last minute.
#[derive(Debug)]
pub(crate) struct Lifesign {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last: Instant,
    silence: Duration,
    /// The shortest way of the current minute and of the one before, each with an unknown constant: the two clocks start
    /// at different times.
    shortest: [Option<i128>; 2],
    since: Instant,
}

impl Lifesign {
    /// Starts to wait for the runner: it must be heard within this time.
    pub(crate) fn new(silence: Duration) -> Self {
        let now = Instant::now();
        let inner = Inner { last: now, silence, shortest: [None, None], since: now };
        Lifesign { clock: Clock::start(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the agent's own clock, which its answers and its samples bear the times of.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes in that something arrived now which the runner sent at that time on its own clock.
    pub(crate) fn heard(&self, sent: Nanos) {
        let now = Instant::now();
        let mut inner = self.inner();
        if now.duration_since(inner.since) >= REMEMBERED {
            inner.shortest = [None, inner.shortest[0]];
            inner.since = now;
        }
        let way = i128::from(self.clock.now()) - i128::from(sent);
        let shortest = inner.shortest[0].map_or(way, |shortest| shortest.min(way));
        inner.shortest[0] = Some(shortest);
        let shortest = inner.shortest[1].map_or(shortest, |before| shortest.min(before));
        let late = duration(Nanos::try_from(way - shortest).unwrap_or(Nanos::MAX));
        if let Some(alive) = now.checked_sub(late) {
            inner.last = inner.last.max(alive);
        }
    }

    /// Sets after which silence the runner is taken for dead.
    pub(crate) fn agree(&self, silence: Duration) {
        self.inner().silence = silence;
    }

    /// Returns when the runner is taken for dead if nothing more is heard of it.
    pub(crate) fn dead_at(&self) -> Instant {
        let inner = self.inner();
        inner.last + inner.silence
    }

    /// Returns after which silence the runner is taken for dead.
    pub(crate) fn silence(&self) -> Duration {
        self.inner().silence
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);
    const SECOND: Nanos = 1_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn every_sign_puts_the_end_off() {
        let life = Lifesign::new(SILENCE);
        let start = Instant::now();
        assert_eq!(life.dead_at(), start + SILENCE);
        for second in 1..200 {
            advance(Duration::from_secs(1)).await;
            life.heard(77 * SECOND + second * SECOND);
            assert_eq!(life.dead_at(), Instant::now() + SILENCE);
        }
        life.agree(Duration::from_secs(5));
        assert_eq!(life.dead_at(), Instant::now() + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_old_signs_is_no_life() {
        let life = Lifesign::new(SILENCE);
        advance(Duration::from_secs(1)).await;
        life.heard(SECOND);
        let end = life.dead_at();
        advance(Duration::from_secs(30)).await;
        // Sent in the second after the last one, stuck on the way for half a minute.
        for tenth in 1..=10 {
            life.heard(SECOND + tenth * SECOND / 10);
        }
        assert_eq!(life.dead_at(), end + Duration::from_secs(1));
        assert!(life.dead_at() < Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slower_clock_of_the_runner_does_not_look_like_death() {
        let life = Lifesign::new(SILENCE);
        // 500 parts in a million, the most that a kernel slews; for six hours, which makes 10.8 s.
        for step in 0..2_160 {
            advance(Duration::from_secs(10)).await;
            let lost = step * 5_000_000;
            life.heard(step * 10 * SECOND - lost);
            assert!(life.dead_at() > Instant::now() + SILENCE * 9 / 10, "{step}");
        }
    }
}
