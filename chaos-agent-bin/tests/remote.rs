//! A probe that an agent measures in another network namespace: what arrives, by which clock, and what when the agent dies.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "remote/two.rs"]
mod two;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chaos_agent::Agents;
use chaos_core::{
    model::Probe,
    probe::{Alignment, Opened, Outcome, Probers, Sample, Stream},
    run::load,
    time::{Clock, nanos},
};
use chaos_probes::StandardProbers;
use nix::sys::signal::{Signal, kill};
use tokio::sync::watch;

use self::two::{Entering, Two};

const RATE: f64 = 100.0;

fn stream(clock: Clock) -> Stream {
    Stream { from: "near".into(), first: clock.now(), rate: RATE, timeout: Duration::from_secs(1), limit: 64 }
}

/// The samples of a stream so far.
type Taken = Arc<Mutex<Vec<Sample>>>;

/// Starts a probe for `far` in `near`, measured by an agent there.
async fn start(
    two: &Two,
    way: Duration,
) -> (watch::Sender<bool>, Taken, Stream, tokio::task::JoinHandle<Alignment>, Entering) {
    let entering = Entering::new(two, way);
    let agents = Agents::new(entering.clone());
    let probe = Probe::tcp("door", two.address());
    let Opened::Feed(feed) = agents.probers().open(&probe, &two.place()).await.unwrap() else {
        panic!("it is not measured by an agent")
    };
    let (stop, stopping) = watch::channel(false);
    let taken = Taken::default();
    let clock = Clock::start();
    let stream = stream(clock);
    let (sink, schedule) = (Arc::clone(&taken), stream.clone());
    let running = tokio::spawn(async move {
        let known =
            feed.run(&schedule, clock, stopping, &mut |sample| sink.lock().unwrap().push(sample)).await;
        drop((feed, agents));
        known
    });
    (stop, taken, stream, running, entering)
}

fn median(samples: &[Sample]) -> Duration {
    let mut latencies: Vec<_> = samples.iter().map(|sample| sample.latency).collect();
    latencies.sort();
    latencies[latencies.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_of_an_agent_arrive_in_order_and_without_the_way_to_it() {
    let Some(two) = Two::new() else { return };
    // 60 ms each way between runner and agent, which does not count in any latency.
    let way = Duration::from_millis(60);
    let (stop, taken, stream, running, _) = start(&two, way).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.send_replace(true);
    let known = running.await.unwrap();
    let samples = std::mem::take(&mut *taken.lock().unwrap());
    println!("{} samples, clock known to {:?}", samples.len(), known.uncertainty);

    assert!(samples.len() > 200, "{}", samples.len());
    assert!(samples.iter().all(|sample| &*sample.from == "near"));
    let ok = samples.iter().filter(|sample| sample.observation.outcome == Outcome::Ok).count();
    assert!(ok * 10 >= samples.len() * 9, "{ok} of {} succeeded: {:?}", samples.len(), samples[0]);
    // In the order in which they ended, and every start of the schedule once.
    assert!(samples.is_sorted_by_key(|sample| sample.intended));
    let uncertainty = known.uncertainty.expect("the clocks were compared");
    assert!((way / 2..way * 3).contains(&uncertainty), "{uncertainty:?}");
    for (number, sample) in samples.iter().enumerate() {
        let wrong = (sample.intended - stream.intended(number as u64)).unsigned_abs();
        assert!(wrong <= 2 * uncertainty.as_nanos() as u64, "sample {number} is {wrong} ns off");
    }

    // The same probe, driven from here.
    let door = Probe::tcp("door", two.address());
    let local = StandardProbers::new().open(&door, &two.place_from_here()).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let clock = Clock::start();
    let (stream, prober, mut here) = (self::stream(clock), local.each().unwrap(), Vec::new());
    let stopper = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.send_replace(true);
    };
    tokio::join!(load::drive(&*prober, &stream, clock, stopping, |sample| here.push(sample)), stopper);
    let (there, here) = (median(&samples), median(&here));
    println!("median latency measured by the agent {there:?}, from here {here:?}");
    assert!(
        here < way && there < here + way / 2,
        "{there:?} against {here:?}: the way to the agent is in it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_makes_its_probe_blind_and_not_silent() {
    let Some(two) = Two::new() else { return };
    let (stop, taken, stream, running, entering) = start(&two, Duration::ZERO).await;
    let begun = Instant::now();
    while taken.lock().unwrap().len() < 50 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no samples arrive");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill(entering.agent(), Signal::SIGKILL).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.send_replace(true);
    let ended = Instant::now();
    running.await.unwrap();
    assert!(ended.elapsed() < Duration::from_secs(1));
    let mut samples = std::mem::take(&mut *taken.lock().unwrap());
    let blind = samples.iter().filter(|sample| sample.observation.outcome == Outcome::NotRun);
    println!("{} samples, {} of them not taken", samples.len(), blind.clone().count());
    assert!(blind.clone().count() >= 150, "{}", blind.count());
    for sample in blind {
        let reason = sample.observation.error.as_deref().unwrap();
        assert!(reason.starts_with("the agent that measures is gone: it ended: signal: 9"), "{reason}");
    }
    // Each start of the schedule once, none absent.
    samples.sort_by_key(|sample| sample.intended);
    for (number, sample) in samples.iter().enumerate() {
        let wrong = (sample.intended - stream.intended(number as u64)).unsigned_abs();
        assert!(wrong < nanos(Duration::from_millis(5)) as u64, "sample {number} is {wrong} ns off");
    }
}
