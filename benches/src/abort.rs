//! From the observation that breaches an abort condition to the fault being gone from the kernel.
//!
//! Each repetition is a whole run: the real runner, judge, journal on disk and agent, with a fault that drops every packet.
//! A stream of datagrams, one each 100 us, shows when packets pass again; the time to the first that arrives counts.
//!
//! `cargo run --release -p chaos-benches -- abort [--assert] [--busy]`

use std::{
    net::UdpSocket,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Claims, Failure,
    network::{self, OneHost, Pair},
    statistic::{median, quantile, time},
};
use async_trait::async_trait;
use chaos_core::{
    injector::Injector,
    journal::FileJournal,
    model::{self, Experiment, Fault, FaultSpec, Metric, Quantity, Selector, Step, packets},
    place::Place,
    plan::{Plan, plan},
    probe::{Observation, Opened, Prober, Probers},
    run::{Control, Restoration, RunEvent, Runner, What},
    trouble::Trouble,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many runs are aborted.
    #[arg(long, default_value_t = 100)]
    repetitions: usize,
    /// Keep every core busy with as many other threads.
    #[arg(long)]
    busy: bool,
}

const PORT: u16 = 9;
/// How far apart the datagrams are meant to be.
const STEP: Duration = Duration::from_micros(100);
const AIM: Duration = Duration::from_millis(20);
/// How long a packet is waited for once the fault is gone.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("from a breached abort condition to the fault being gone", assert);
    let measured = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(options, &mut claims)));
    claims.finish(measured)
}

async fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let pair = Pair::make().await?;
    let packets = Packets::start(&pair)?;
    let stop = Arc::new(AtomicBool::new(false));
    let cores = if options.busy { std::thread::available_parallelism()?.get() } else { 0 };
    let load: Vec<_> = (0..cores)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let outcome = repeat(options, claims, &pair, &packets).await;
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| drop(thread.join()));
    packets.running.store(false, Ordering::Relaxed);
    outcome
}

async fn repeat(
    options: &Options,
    claims: &mut Claims,
    pair: &Pair,
    packets: &Packets,
) -> Result<(), Failure> {
    let world = Arc::new(OneHost(pair.near.clone()));
    let injector: Arc<dyn Injector> = Arc::new(network::injector(None)?);
    let plan = plan(&experiment(), &*world, std::slice::from_ref(&injector), 7).await?;
    let folder = tempfile::tempdir()?;
    let (mut gone, mut tripped, mut reverted) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..options.repetitions {
        let journal = folder.path().join(format!("{number}.journal"));
        let run = abort_one(&plan, &world, &injector, packets, &journal).await?;
        gone.push(run.gone);
        tripped.push(run.tripped);
        reverted.push(run.reverted);
    }
    let backend = &plan.faults[0].parts[0].offer.backend;
    let spread = |all: &[Duration]| {
        let (p99, most) = (quantile(all, 0.99), quantile(all, 1.0));
        format!("p50 {}, p99 {}, most {}", time(median(all)), time(p99), time(most))
    };
    let busy = if options.busy { ", every core kept busy" } else { "" };
    claims.heading(&format!(
        "{} runs, fault held by {backend}{busy}; since the observation that breaches",
        gone.len()
    ));
    claims.figure("until the runner reports that it aborts", spread(&tripped));
    let met = quantile(&gone, 0.99) < AIM;
    claims.aim("until the first packet passes", spread(&gone), "p99 < 20 ms", met);
    claims.figure("until the revert is confirmed by reading back", spread(&reverted));
    Ok(())
}

/// How long after the breaching observation what happened.
struct Aborted {
    tripped: Duration,
    gone: Duration,
    reverted: Duration,
}

/// What is noted during one run.
#[derive(Default)]
struct Notes {
    /// When the fault was in place.
    injected: Option<Instant>,
    /// When the prober handed in the observation that breaches.
    breached: Option<Instant>,
    tripped: Option<Instant>,
    reverted: Option<Instant>,
}

type Shared = Arc<Mutex<Notes>>;

fn lock(notes: &Shared) -> std::sync::MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn abort_one(
    plan: &Plan,
    world: &Arc<OneHost>,
    injector: &Arc<dyn Injector>,
    packets: &Packets,
    journal: &std::path::Path,
) -> Result<Aborted, Failure> {
    let notes = Shared::default();
    let sink = notes.clone();
    let runner = Runner::builder()
        .inventory(world.clone())
        .environment(world.clone())
        .injector(injector.clone())
        .probers(Arc::new(Watch(notes.clone())))
        .journal(Arc::new(FileJournal::create(journal)?))
        .on_event(Arc::new(move |event: &RunEvent| note(&sink, event)))
        .build()?;
    let finished = runner.run(plan, Control::new()).await;
    if !matches!(finished.record.restoration, Restoration::Restored) {
        return Err(format!("a run was not restored: {:?}", finished.record.restoration).into());
    }
    let notes = lock(&notes);
    let missing = || Failure::from(format!("a run was not aborted: {:?}", finished.record.completion));
    let breached = notes.breached.ok_or_else(missing)?;
    let after = |then: Option<Instant>| Ok::<_, Failure>(then.ok_or_else(missing)?.duration_since(breached));
    // The fault drops everything, so the first to arrive after the breach is the first that passed.
    let first = packets.first_after(breached)?;
    if packets.arrived_between(breached - Duration::from_millis(20), breached) {
        return Err("packets passed while the fault was in place".into());
    }
    Ok(Aborted {
        tripped: after(notes.tripped)?,
        gone: first.duration_since(breached),
        reverted: after(notes.reverted)?,
    })
}

fn note(notes: &Shared, event: &RunEvent) {
    use chaos_core::run::record::PartState;
    let now = Instant::now();
    let mut notes = lock(notes);
    match &event.what {
        What::Part { state: PartState::Active, .. } => notes.injected = Some(now),
        What::Part { state: PartState::Reverted, .. } => notes.reverted = Some(now),
        What::Abort(_) => notes.tripped = Some(now),
        _ => {}
    }
}

/// A probe that fails once the fault has been in place for a while: the second failure in a row breaches.
struct Watch(Shared);

#[async_trait]
impl Probers for Watch {
    async fn open(&self, _: &model::Probe, _: &Place) -> Result<Opened, Trouble> {
        Ok(Opened::Each(Arc::new(Watch(self.0.clone()))))
    }
}

#[async_trait]
impl Prober for Watch {
    async fn once(&self) -> Observation {
        let mut notes = lock(&self.0);
        match notes.injected {
            Some(injected) if injected.elapsed() > Duration::from_millis(100) => {
                // The first failure makes the share in the window fall below the limit.
                notes.breached.get_or_insert_with(Instant::now);
                Observation::failed("scripted")
            }
            _ => Observation::ok(),
        }
    }
}

/// A baseline is short and the fault would stay for long, had it not been aborted.
fn experiment() -> Experiment {
    let cut = FaultSpec::Block { connections: packets::Blocked::All, answer: packets::Refusal::Drop };
    Experiment::new("abort", "an abort is quick")
        .with_probe(
            model::Probe::custom("watch", "watch").at_rate(100.0).with_timeout(Duration::from_secs(1)),
        )
        .with_fault(Fault::new("cut", cut, Selector::netns("near")))
        .with_timeline([
            Step::Baseline(Duration::from_millis(100)),
            Step::inject("cut"),
            Step::Hold(Duration::from_secs(5)),
            Step::Rollback(None),
        ])
        .abort_when(Metric::success("watch").over(Duration::from_secs(2)).below(Quantity::ratio(0.999)))
}

/// Datagrams that show when the way is open.
struct Packets {
    arrivals: Arc<Mutex<Vec<Instant>>>,
    running: Arc<AtomicBool>,
}

impl Packets {
    fn start(pair: &Pair) -> Result<Self, Failure> {
        let receiver = pair.far.run(|| UdpSocket::bind((network::FAR_ADDRESS, PORT)))??;
        let sender = pair.near.run(|| UdpSocket::bind((network::NEAR_ADDRESS, 0)))??;
        sender.connect((network::FAR_ADDRESS, PORT))?;
        receiver.set_read_timeout(Some(Duration::from_millis(100)))?;
        let packets = Packets { arrivals: Arc::default(), running: Arc::new(AtomicBool::new(true)) };
        let running = packets.running.clone();
        std::thread::spawn(move || {
            let mut next = Instant::now();
            while running.load(Ordering::Relaxed) {
                // A refusal is the fault at work, or nobody listening any more.
                sender.send(b"open?").ok();
                next = (next + STEP).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let (arrivals, running) = (packets.arrivals.clone(), packets.running.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while running.load(Ordering::Relaxed) {
                if receiver.recv(&mut buffer).is_ok() {
                    arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                }
            }
        });
        Ok(packets)
    }

    fn arrived_between(&self, from: Instant, to: Instant) -> bool {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.iter().rev().take_while(|at| **at >= from).any(|at| *at < to)
    }

    /// Waits for the first arrival after an instant: on a busy machine those who send may get their turn later than the run ends.
    fn first_after(&self, instant: Instant) -> Result<Instant, Failure> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let after = arrivals.partition_point(|at| *at <= instant);
            if let Some(first) = arrivals.get(after) {
                return Ok(*first);
            }
            drop(arrivals);
            std::thread::sleep(STEP);
        }
        Err("no packet passed after the fault was gone".into())
    }
}
