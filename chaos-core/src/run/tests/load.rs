use std::{
    future::pending,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::{
    probe::{Observation, Prober, Progress, Stream},
    run::load::drive,
    time::{Clock, nanos},
};

fn stream(rate: f64, timeout: Duration, limit: usize) -> Stream {
    Stream { from: "here".into(), first: 0, rate, timeout, limit }
}

/// Sends for a time, then drains; returns the samples in the order of their intended starts.
async fn send(prober: &dyn Prober, stream: Stream, time: Duration) -> Vec<Sample> {
    let (stop, stopping) = watch::channel(false);
    let mut samples = Vec::new();
    let driving = drive(prober, &stream, Clock::start(), stopping, |s| samples.push(s));
    let stopping = async {
        tokio::time::sleep(time).await;
        stop.send_replace(true);
    };
    tokio::join!(driving, stopping);
    samples.sort_by_key(|s| s.intended);
    samples
}

/// Serves one request at a time, each in 1 ms, and stands still from second 10 to second 20.
struct Stalling {
    clock: Clock,
    free_at: AtomicU64,
}

#[async_trait]
impl Prober for Stalling {
    async fn once(&self) -> Observation {
        let now = self.clock.now() as u64;
        let from = self.free_at.load(Ordering::Relaxed).max(now);
        let stall = 10_000_000_000..20_000_000_000;
        let from = if stall.contains(&from) { stall.end } else { from };
        self.free_at.store(from + 1_000_000, Ordering::Relaxed);
        tokio::time::sleep_until(self.clock.instant(from as i64 + 1_000_000)).await;
        Observation::ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_seen_by_every_measurement_that_falls_into_it() {
    let server = Stalling { clock: Clock::start(), free_at: AtomicU64::new(0) };
    let samples = send(&server, stream(100.0, seconds(60), 4096), seconds(30)).await;
    assert_eq!(samples.len(), 3001);
    // Sent at 10 s + k/100, answered when the stall is over and the k before it are: from 10 s down.
    for (k, sample) in
        samples.iter().filter(|s| (10_000_000_000..20_000_000_000).contains(&s.intended)).enumerate()
    {
        let expected = 10.0 - k as f64 * 0.01 + (k + 1) as f64 * 0.001;
        assert!(
            (sample.latency.as_secs_f64() - expected).abs() < 0.003,
            "{k}: {:?} {expected}",
            sample.latency
        );
    }
    // One measurement at a time would have seen a single slow one; a third of all are slow.
    let slow = samples.iter().filter(|s| s.latency > Duration::from_millis(100)).count();
    assert!((1000..1150).contains(&slow), "{slow}");
    assert!(samples.iter().all(|s| s.late <= Duration::from_millis(2)));
}

/// Never answers, and counts what is under way.
#[derive(Default)]
struct Mute {
    under_way: AtomicUsize,
    most: AtomicUsize,
    sent: AtomicUsize,
}

#[async_trait]
impl Prober for Mute {
    async fn once(&self) -> Observation {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let _leave = Leave(&self.under_way);
        self.most.fetch_max(now, Ordering::Relaxed);
        self.sent.fetch_add(1, Ordering::Relaxed);
        pending().await
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        progress.label(vec![("peer".into(), "api-1".into())]);
        self.once().await
    }
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_measurements_and_what_was_sent_is_dropped() {
    let mute = Mute::default();
    let samples = send(&mute, stream(50.0, seconds(2), 4096), seconds(10)).await;
    assert!((500..=501).contains(&samples.len()));
    assert!(samples.iter().all(|s| s.observation.outcome == Outcome::TimedOut && s.latency == seconds(2)));
    // They are among the errors, by what was waited for.
    assert!(samples.iter().all(|s| s.observation.error.as_deref() == Some("no answer within 2s")));
    // Who was asked is known of each all the same.
    let asked = [("peer".into(), "api-1".into())];
    assert!(samples.iter().all(|s| s.observation.labels == asked));
    assert_eq!(mute.under_way.load(Ordering::Relaxed), 0);
    // 2 s at 50 a second; the first ends in the instant in which the last one starts.
    assert!((100..=101).contains(&mute.most.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_measurements_are_late_but_never_missing() {
    let mute = Mute::default();
    let samples = send(&mute, stream(50.0, seconds(2), 10), seconds(10)).await;
    // Those that still waited for a place when it stopped were never due an answer.
    assert!((400..=501).contains(&samples.len()), "{}", samples.len());
    assert!(samples.iter().all(|s| s.observation.outcome == Outcome::TimedOut));
    assert_eq!(mute.most.load(Ordering::Relaxed), 10);
    assert!(samples.iter().filter(|s| s.late >= Duration::from_millis(1700)).count() > 300);
    let numbers: Vec<i64> = samples.iter().map(|s| s.intended / 20_000_000).collect();
    assert_eq!(numbers, (0..samples.len() as i64).collect::<Vec<_>>());
}

/// Answers at once.
struct Instant;

#[async_trait]
impl Prober for Instant {
    async fn once(&self) -> Observation {
        Observation::ok()
    }
}

#[tokio::test(start_paused = true)]
async fn fast_schedules_catch_up_without_dropping() {
    let samples = send(&Instant, stream(50_000.0, seconds(1), 4096), seconds(2)).await;
    assert!((99_999..=100_060).contains(&samples.len()), "{}", samples.len());
    for (k, sample) in samples.iter().enumerate() {
        assert_eq!(sample.intended, k as i64 / 50 * 1_000_000);
        assert!(sample.late <= Duration::from_millis(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_runner_blames_itself() {
    let (stop, stopping) = watch::channel(false);
    let clock = Clock::start();
    let stream = stream(100.0, seconds(1), 4096);
    let mut samples = Vec::new();
    let driving = drive(&Instant, &stream, clock, stopping, |s| samples.push(s));
    let stalling = async {
        tokio::time::sleep(seconds(5)).await;
        // Time goes on, and nothing of the runner does.
        tokio::time::advance(seconds(10)).await;
        tokio::time::sleep(seconds(5)).await;
        stop.send_replace(true);
    };
    tokio::join!(driving, stalling);
    assert!((1999..=2002).contains(&samples.len()), "{}", samples.len());
    let blamed = samples.iter().filter(|s| s.observation.outcome == Outcome::NotRun).count();
    assert!((895..=905).contains(&blamed), "{blamed}");
    let late = samples
        .iter()
        .filter(|s| s.observation.outcome == Outcome::Ok && s.late > Duration::from_millis(5))
        .count();
    assert!((95..=105).contains(&late), "{late}");
    assert!(samples.iter().all(|s| s.observation.outcome != Outcome::TimedOut));
}

#[test]
fn schedules_do_not_drift() {
    let stream = stream(3.0, seconds(1), 1);
    assert_eq!(stream.intended(3 * 86_400), nanos(seconds(86_400)));
    assert_eq!(stream.intended(1), 333_333_333);
}

#[test]
fn dense_schedules_stand_in_groups() {
    let even = stream(1_000.0, seconds(1), 1);
    assert_eq!((even.intended(1), even.intended(2)), (1_000_000, 2_000_000));
    let dense = stream(2_500.0, seconds(1), 1);
    let starts: Vec<_> = (0..8).map(|number| dense.intended(number)).collect();
    assert_eq!(starts, [0, 0, 0, 1_000_000, 1_000_000, 2_000_000, 2_000_000, 2_000_000]);
    assert_eq!(dense.intended(2_500 * 86_400), nanos(seconds(86_400)));
}

/// On the real clock; what the machine allows differs, so only the order of magnitude is held to.
#[tokio::test]
async fn starts_are_punctual_on_a_real_clock() {
    let samples = send(&Instant, stream(100.0, seconds(1), 4096), seconds(2)).await;
    let mut late: Vec<Duration> = samples.iter().map(|s| s.late).collect();
    late.sort();
    println!("median lateness {:?}, most {:?}", late[late.len() / 2], late[late.len() - 1]);
    assert!(late[late.len() / 2] < Duration::from_millis(50));
}

/// A figure for `docs/performance.md`: how many starts a second one thread manages beside its prober.
#[tokio::test]
#[ignore = "a measurement, meaningful with optimisation only"]
async fn starts_per_second() {
    for rate in [10_000.0, 50_000.0, 100_000.0, 200_000.0, 500_000.0] {
        let before = std::time::Instant::now();
        let samples = send(&Instant, stream(rate, seconds(1), 4096), seconds(3)).await;
        let mut late: Vec<Duration> = samples.iter().map(|s| s.late).collect();
        late.sort();
        let not_run = samples.iter().filter(|s| s.observation.outcome == Outcome::NotRun).count();
        println!(
            "{rate}/s: {:.0}/s done, {not_run} not run, lateness p50 {:?} p99 {:?}",
            samples.len() as f64 / before.elapsed().as_secs_f64(),
            late[late.len() / 2],
            late[late.len() * 99 / 100]
        );
    }
}
