//! Putting a fault in place and taking it back: by netlink against spawning `tc` twice, and many through one agent.
//!
//! `cargo run --release -p chaos-benches -- netlink [--assert]`

use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Claims, Failure, network, processor,
    statistic::{median, middle, quantile, rounds, short, time, timed},
};
use chaos_core::{
    injector::{Injector, Offer, Surroundings, Undo},
    model::FaultSpec,
    run::Policy,
};
use chaos_faults::netlink::{Connection, Handle, Netem, QdiscOptions, Tbf};
use chaos_netns::Namespace;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often netlink and `tc` take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many namespaces one agent gets; 0 leaves that part out.
    #[arg(long, default_value_t = 1000)]
    namespaces: usize,
}

/// How many faults a round puts in place and reverts, each way.
const SPAWNED: usize = 20;
const KEPT: usize = 400;
const FRESH: usize = 100;

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("inject and revert one fault: netlink against `tc`", assert);
    let measured = processor::open_many_files()
        .and_then(|()| {
            Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
        })
        .and_then(|runtime| runtime.block_on(measure(options, &mut claims)));
    claims.finish(measured)
}

async fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let namespace = network::lone().await?;
    let connection = Connection::open(&namespace).await?;
    let index = connection.link_by_name(network::NEAR).await?.index;
    let tbf = Tbf { rate: 1_250_000, burst: 15_000, limit: 60_000 };
    let netem = Netem { delay: Duration::from_millis(50), ..Netem::default() }.with_sufficient_limit();
    let kinds: [(QdiscOptions, &[&str]); 2] = [
        (tbf.into(), &["tbf", "rate", "10mbit", "burst", "15000", "limit", "60000"]),
        (netem.into(), &["netem", "delay", "50ms"]),
    ];
    for (qdisc, words) in kinds {
        claims.heading(&format!("one {} fault, {} rounds", qdisc.kind(), options.rounds));
        // A kernel without the kind says so at the first attempt.
        if let Err(error) = once(&connection, index, &qdisc).await {
            claims.figure("left out", error);
            continue;
        }
        compare(options, claims, &namespace, index, &qdisc, words).await?;
    }
    if options.namespaces > 0 {
        for (spec, backend) in [
            (FaultSpec::Bandwidth { rate: 10_000_000, burst: 15_000 }, "tbf"),
            (FaultSpec::Loss { ratio: 0.1, burst: None }, "tcx"),
            (FaultSpec::delay(Duration::from_millis(50)), "netem"),
        ] {
            claims.heading(&format!(
                "`{spec}` ({backend}) in {} namespaces through one agent",
                options.namespaces
            ));
            if let Err(error) = many(options.namespaces, claims, spec, backend).await {
                claims.figure("left out", error);
            }
        }
    }
    Ok(())
}

async fn once(connection: &Connection, index: u32, qdisc: &QdiscOptions) -> Result<(), Failure> {
    connection.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, qdisc).await?;
    Ok(connection.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await?)
}

async fn compare(
    options: &Options,
    claims: &mut Claims,
    namespace: &Namespace,
    index: u32,
    qdisc: &QdiscOptions,
    words: &[&str],
) -> Result<(), Failure> {
    let kept_connection = Connection::open(namespace).await?;
    let (mut by_kept, mut by_fresh, mut by_tc) = (Vec::new(), Vec::new(), Vec::new());
    let (mut kept_gain, mut fresh_gain) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (mut kept, mut fresh, mut tc) = (Vec::new(), Vec::new(), Vec::new());
        namespace.run(|| {
            for _ in 0..SPAWNED {
                let (done, took) = timed(|| spawn_tc("add", words).and_then(|()| spawn_tc("del", &[])));
                done?;
                tc.push(took);
            }
            Ok::<_, Failure>(())
        })??;
        for _ in 0..KEPT {
            let start = Instant::now();
            once(&kept_connection, index, qdisc).await?;
            kept.push(start.elapsed());
        }
        for _ in 0..FRESH {
            let start = Instant::now();
            // One for putting in place and one for taking back, as two processes would have.
            let connection = Connection::open(namespace).await?;
            connection.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, qdisc).await?;
            let connection = Connection::open(namespace).await?;
            connection.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await?;
            fresh.push(start.elapsed());
        }
        let gain = |ours: &[Duration]| median(&tc).as_secs_f64() / median(ours).as_secs_f64();
        kept_gain.push(gain(&kept));
        fresh_gain.push(gain(&fresh));
        by_kept.extend(kept);
        by_fresh.extend(fresh);
        by_tc.extend(tc);
    }
    let spread = |all: &[Duration]| format!("{}, p99 {}", time(median(all)), time(quantile(all, 0.99)));
    claims.figure("`tc` spawned twice, median", spread(&by_tc));
    claims.figure("netlink, kept connection, median", spread(&by_kept));
    claims.figure("netlink, two fresh connections, median", spread(&by_fresh));
    let figure = rounds(&kept_gain, "x");
    claims.aim("faster than `tc`, kept connection", figure, ">= 20x", middle(&kept_gain) >= 20.0);
    claims.figure("faster than `tc`, fresh connections", rounds(&fresh_gain, "x"));
    Ok(())
}

fn spawn_tc(action: &str, words: &[&str]) -> Result<(), Failure> {
    let output = Command::new("tc")
        .args(["qdisc", action, "dev", network::NEAR, "root"])
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`tc qdisc {action}` failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Puts one fault on each of many namespaces and takes all back, the whole way of a run: with prior state read, undo
/// records, reading back and proof.
async fn many(count: usize, claims: &Claims, spec: FaultSpec, backend: &str) -> Result<(), Failure> {
    let injector = network::injector(Some(backend))?;
    let denied = |denied| Failure::from(format!("{denied}"));
    let offers = injector.offer(&network::ask(spec), &Surroundings::default()).await.map_err(denied)?;
    let [offer] = &offers[..] else { return Err("more than one offer for one effect".into()) };
    let start = Instant::now();
    let mut namespaces = Vec::with_capacity(count);
    for _ in 0..count {
        namespaces.push(network::lone().await?);
    }
    claims.figure("making the namespaces (not part of it)", time(start.elapsed()));
    let mut outcome = all(&injector, offer, &namespaces, claims).await;
    if outcome.is_ok() {
        outcome = waves(&injector, offer, &namespaces, claims).await;
    }
    let closed = injector.close().await;
    outcome?;
    Ok(closed?)
}

/// The same as a run does it: a wave is prepared as a whole, then injected, then reverted, a bounded number at a time.
async fn waves(
    injector: &impl Injector,
    offer: &Offer,
    namespaces: &[Namespace],
    claims: &Claims,
) -> Result<(), Failure> {
    let at_once = Policy::default().at_once;
    let start = Instant::now();
    let prepare = |(number, namespace): (usize, &Namespace)| {
        let (id, place) = (format!("wave/{number}/1"), network::place(namespace));
        async move { injector.prepare(&id, offer, &place, Duration::from_secs(600)).await }
    };
    let preparing: Vec<_> = namespaces.iter().enumerate().map(prepare).collect();
    let undos: Vec<Undo> = stream::iter(preparing).buffered(at_once).try_collect().await?;
    let prepared = start.elapsed();
    let injecting = undos.iter().map(|undo| injector.inject(undo)).collect::<Vec<_>>();
    stream::iter(injecting).buffer_unordered(at_once).try_collect::<Vec<()>>().await?;
    let injected = start.elapsed();
    let start = Instant::now();
    injector.release(&undos).await;
    let released = start.elapsed();
    let reverting: Vec<_> = undos.iter().rev().map(|undo| injector.revert(undo)).collect();
    stream::iter(reverting).buffer_unordered(at_once).try_collect::<Vec<()>>().await?;
    let reverted = start.elapsed();
    let count = u32::try_from(namespaces.len().max(1))?;
    let each = |took: Duration| format!("{}, {} each", time(took), time(took / count));
    claims.figure(&format!("as a wave, {at_once} at once: prepared"), each(prepared));
    claims.figure("as a wave: in place", each(injected));
    claims.figure("as a wave: traffic passes again", each(released));
    claims.figure("as a wave: reverted and proven", each(reverted));
    Ok(())
}

async fn all(
    injector: &impl Injector,
    offer: &Offer,
    namespaces: &[Namespace],
    claims: &Claims,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut undos = Vec::with_capacity(namespaces.len());
    let (mut prepare, mut inject, mut revert) = (Vec::new(), Vec::new(), Vec::new());
    for (number, namespace) in namespaces.iter().enumerate() {
        let begun = Instant::now();
        let id = format!("fault/{number}/1");
        let place = network::place(namespace);
        let undo = injector.prepare(&id, offer, &place, Duration::from_secs(600)).await?;
        prepare.push(begun.elapsed());
        let begun = Instant::now();
        injector.inject(&undo).await?;
        inject.push(begun.elapsed());
        undos.push(undo);
    }
    let injected = start.elapsed();
    let start = Instant::now();
    for undo in undos.iter().rev() {
        let begun = Instant::now();
        injector.revert(undo).await?;
        revert.push(begun.elapsed());
    }
    let reverted = start.elapsed();
    let count = namespaces.len() as f64;
    let rate = |took: Duration| format!("{}, {} per second", time(took), short(count / took.as_secs_f64()));
    claims.figure("all in place", rate(injected));
    claims.figure("all reverted and proven", rate(reverted));
    // The agent's work for each must not grow with how many it holds.
    let growth = |all: &[Duration]| {
        let part = (all.len() / 10).max(1);
        let (first, last) = (&all[..part], &all[all.len() - part..]);
        format!(
            "median {}, p99 {}, last tenth {}x the first",
            time(median(all)),
            time(quantile(all, 0.99)),
            short(median(last).as_secs_f64() / median(first).as_secs_f64())
        )
    };
    claims.figure("prepare, each", growth(&prepare));
    claims.figure("inject, each", growth(&inject));
    claims.figure("revert, each", growth(&revert));
    Ok(())
}
