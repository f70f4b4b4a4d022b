//! The probe engine against `oha` (fixed rate, latency correction) and `wrk`, on the same built-in server.
//!
//! ```text
//! cargo install oha; apt-get install wrk
//! cargo run --release -p chaos-benches -- probes [--oha PATH] [--assert]
//! ```
//!
//! The server has one core and the clients, one after another, the other one. Every client is a process of its own, and
//! what counts is its requests per second of processor time: that says the same on a machine with other work to do.

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Output, Stdio},
    time::Duration,
};

use crate::{
    Claims, Failure,
    http_server::HttpServer,
    processor,
    statistic::{middle, quantile, rounds, short, timed},
};
use chaos_core::{
    model::Probe,
    place::Place,
    probe::{Outcome, Probers, Stream},
    run::load,
    time::Clock,
};
use chaos_probes::StandardProbers;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `oha` executable.
    #[arg(long, default_value = "oha")]
    oha: PathBuf,
    /// How often the clients take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each goes at full speed, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

const CONNECTIONS: u32 = 50;
/// Requests per second where all do the same work.
const RATE: f64 = 5_000.0;
/// Requests per second, length and outage of the stalled runs.
const STALLED_RATE: f64 = 1_000.0;
const STALLED: Duration = Duration::from_secs(10);
const BEFORE: Duration = Duration::from_secs(4);
const STALL: Duration = Duration::from_millis(500);

/// The role of the probe engine's client.
pub(crate) const CLIENT: &str = "client";

#[derive(Clone, Copy)]
enum Tool {
    Chaos,
    Oha,
    Wrk,
}

/// What one client did.
struct Told {
    requests: f64,
    failed: f64,
    /// Seconds from start to end, and of processor time.
    took: f64,
    used: f64,
    /// Reported latencies at p50, p99 and p99.9, in milliseconds.
    latency: [f64; 3],
}

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("the probe engine against oha and wrk", assert);
    let measured = measure(options, &mut claims);
    claims.finish(measured)
}

/// Plays the client: the probe engine as a run uses it, its samples reduced to what oha reports too.
pub(crate) fn client(url: &str, rate: &str, seconds: &str) -> Result<(), Failure> {
    let (rate, seconds): (f64, u64) = (rate.parse()?, seconds.parse()?);
    // At full speed the schedule is far ahead of what can be done, and the limit decides, as in an overloaded run.
    let full = rate == 0.0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let probe = Probe::http_get("get", url).reusing_connections(CONNECTIONS);
        let prober = StandardProbers::new().open(&probe, &Place::runner()).await?.each()?;
        let stream = Stream {
            from: "here".into(),
            first: 0,
            rate: if full { 1e6 } else { rate },
            timeout: Duration::from_secs(60),
            limit: if full { CONNECTIONS as usize } else { 4096 },
        };
        let (stop, stopping) = tokio::sync::watch::channel(false);
        // A task of its own, as in a run.
        let driving = tokio::spawn(async move {
            let (mut latencies, mut failed) = (Vec::new(), 0_u64);
            let sink = |sample: chaos_core::probe::Sample| {
                failed += u64::from(sample.observation.outcome != Outcome::Ok);
                latencies.push(sample.latency);
            };
            load::drive(&*prober, &stream, Clock::start(), stopping, sink).await;
            (latencies, failed)
        });
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.send_replace(true);
        let (latencies, failed) = driving.await?;
        let at = |q| quantile(&latencies, q).as_secs_f64();
        let reported = json!({
            "requests": latencies.len(), "failed": failed,
            "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999),
        });
        println!("{reported}");
        Ok(())
    })
}

fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let two = std::thread::available_parallelism()?.get() >= 2;
    if two {
        processor::pin(0, 0)?;
    }
    let server = HttpServer::start()?;
    if two {
        // Everything started from here on.
        processor::pin(0, 1)?;
    }
    let mut tools = vec![Tool::Chaos];
    for (tool, program) in [(Tool::Oha, options.oha.as_path()), (Tool::Wrk, "wrk".as_ref())] {
        match Command::new(program).arg("--version").output() {
            Ok(_) => tools.push(tool),
            Err(error) => claims.figure(&format!("left out: {}", program.display()), error),
        }
    }
    full_speed(options, claims, &server, &tools)?;
    fixed_rate(options, claims, &server, &tools)?;
    stalled(options, claims, &server, &tools)
}

fn full_speed(
    options: &Options,
    claims: &mut Claims,
    server: &HttpServer,
    tools: &[Tool],
) -> Result<(), Failure> {
    claims.heading(&format!(
        "full speed, {CONNECTIONS} connections, {} rounds of {} s",
        options.rounds, options.seconds
    ));
    let all = take_turns(options, tools, |tool| go(options, tool, &server.url(), 0.0, options.seconds))?;
    for (tool, results) in tools.iter().zip(&all) {
        let rate: Vec<_> = results.iter().map(|r| r.requests / r.took).collect();
        claims.figure(&format!("{}: requests per second", tool.name()), rounds(&rate, ""));
    }
    per_core(claims, tools, &all)
}

fn fixed_rate(
    options: &Options,
    claims: &mut Claims,
    server: &HttpServer,
    tools: &[Tool],
) -> Result<(), Failure> {
    let tools: Vec<_> = tools.iter().copied().filter(|tool| !matches!(tool, Tool::Wrk)).collect();
    claims
        .heading(&format!("{RATE} requests per second, {} rounds of {} s", options.rounds, options.seconds));
    let all = take_turns(options, &tools, |tool| go(options, tool, &server.url(), RATE, options.seconds))?;
    for (tool, results) in tools.iter().zip(&all) {
        let rate: Vec<_> = results.iter().map(|r| r.requests / options.seconds as f64).collect();
        let p50: Vec<_> = results.iter().map(|r| r.latency[0]).collect();
        let p99: Vec<_> = results.iter().map(|r| r.latency[1]).collect();
        claims.figure(&format!("{}: requests sent per second", tool.name()), rounds(&rate, ""));
        let reported = format!("{}, p99 {}", rounds(&p50, " ms"), rounds(&p99, " ms"));
        claims.figure(&format!("{}: latency reported, median", tool.name()), reported);
    }
    per_core(claims, &tools, &all)
}

/// Compares requests per second of processor time, round by round.
fn per_core(claims: &mut Claims, tools: &[Tool], all: &[Vec<Told>]) -> Result<(), Failure> {
    let speed = |r: &Told| r.requests / r.used;
    for (tool, results) in tools.iter().zip(all) {
        let failed = results.iter().map(|r| r.failed).fold(0.0, |sum, one| sum + one);
        let figure =
            format!("{}, {failed} failed", rounds(&results.iter().map(speed).collect::<Vec<_>>(), ""));
        claims.figure(&format!("{}: requests per second of processor time", tool.name()), figure);
    }
    for (tool, results) in tools.iter().zip(all).skip(1) {
        let gain: Vec<_> =
            all[0].iter().zip(results).map(|(ours, theirs)| speed(ours) / speed(theirs)).collect();
        let what = format!("chaos against {}, for the same processor time", tool.name());
        match tool {
            Tool::Oha => claims.aim(&what, rounds(&gain, "x"), ">= 1x", middle(&gain) >= 1.0),
            _ => claims.figure(&what, rounds(&gain, "x")),
        }
    }
    Ok(())
}

/// The truth of an open loop at a fixed rate over a time `T` of which the server stands still for `S`: a share `S/T` of all
/// requests is meant to start during the stall and waits for what is left of it, so the latency at `q` is `S - (1 - q) T`.
fn stalled(
    options: &Options,
    claims: &mut Claims,
    server: &HttpServer,
    tools: &[Tool],
) -> Result<(), Failure> {
    let runs = options.rounds.min(3);
    claims.heading(&format!(
        "{STALLED_RATE} requests per second for {} s, the server stopped for {} ms, {runs} rounds",
        STALLED.as_secs(),
        STALL.as_millis()
    ));
    let turns = Options { rounds: runs, oha: options.oha.clone(), ..*options };
    let all = take_turns(&turns, tools, |tool| {
        let process = server.process();
        let stall = std::thread::spawn(move || {
            std::thread::sleep(BEFORE);
            HttpServer::stall(process, STALL)
        });
        let result = go(options, tool, &server.url(), STALLED_RATE, STALLED.as_secs());
        let stood = stall.join().map_err(|_| "the stalling thread panicked")??;
        Ok((result?, stood))
    })?;
    let mut errors = Vec::new();
    for (tool, results) in tools.iter().zip(&all) {
        let mut worst = Vec::new();
        for (index, (name, q)) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].into_iter().enumerate() {
            let truth =
                |stood: &Duration| ((stood.as_secs_f64() - (1.0 - q) * STALLED.as_secs_f64()) * 1e3).max(0.0);
            let reported: Vec<_> = results.iter().map(|(result, _)| result.latency[index]).collect();
            let off: Vec<_> =
                results.iter().map(|(result, stood)| result.latency[index] - truth(stood)).collect();
            let true_one = middle(&results.iter().map(|(_, stood)| truth(stood)).collect::<Vec<_>>());
            if reported.iter().all(|reported| reported.is_nan()) {
                continue;
            }
            let figure = format!(
                "{}, truth {} ms, error {} ms",
                rounds(&reported, " ms"),
                short(true_one),
                short(middle(&off))
            );
            claims.figure(&format!("{}: {name}", tool.name()), figure);
            worst.push(middle(&off).abs());
        }
        errors.push(worst.into_iter().fold(0.0, f64::max));
    }
    // What both are late to see, and the machine's own noise.
    const TOLERANCE: f64 = 5.0;
    let oha = tools.iter().position(|tool| matches!(tool, Tool::Oha)).map(|at| errors[at]);
    let limit = oha.unwrap_or(0.0).max(TOLERANCE);
    let aim = format!("<= {} ms, the larger of oha's and {TOLERANCE} ms", short(limit));
    claims.aim(
        "chaos: largest error of p50, p99, p99.9",
        format!("{} ms", short(errors[0])),
        &aim,
        errors[0] <= limit,
    );
    Ok(())
}

/// Lets every tool go once a round, and sorts the results by tool.
fn take_turns<T>(
    options: &Options,
    tools: &[Tool],
    mut turn: impl FnMut(Tool) -> Result<T, Failure>,
) -> Result<Vec<Vec<T>>, Failure> {
    let mut all: Vec<Vec<T>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for (tool, results) in tools.iter().zip(&mut all) {
            results.push(turn(*tool)?);
        }
    }
    Ok(all)
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Chaos => "chaos",
            Tool::Oha => "oha",
            Tool::Wrk => "wrk (closed loop)",
        }
    }
}

/// Runs one client to its end; a rate of 0 is full speed.
fn go(options: &Options, tool: Tool, url: &str, rate: f64, seconds: u64) -> Result<Told, Failure> {
    let mut command = match tool {
        Tool::Chaos => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([CLIENT, url, &rate.to_string(), &seconds.to_string()]);
            command
        }
        Tool::Oha => {
            let mut command = Command::new(&options.oha);
            command.args(["--no-tui", "--output-format", "json", "--no-color"]);
            command.args(["-c", &CONNECTIONS.to_string(), "-z", &format!("{seconds}s")]);
            if rate > 0.0 {
                command.args(["-q", &rate.to_string(), "--latency-correction"]);
            }
            command.arg(url);
            command
        }
        Tool::Wrk => {
            let mut command = Command::new("wrk");
            command.args([
                "-t1",
                "-c",
                &CONNECTIONS.to_string(),
                "-d",
                &format!("{seconds}s"),
                "--latency",
                url,
            ]);
            command
        }
    };
    let before = processor::used_by_children()?;
    let (output, took) = timed(|| command.stdin(Stdio::null()).output());
    let used = (processor::used_by_children()? - before).as_secs_f64();
    let output = output?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let result = Told { requests: 0.0, failed: 0.0, took: took.as_secs_f64(), used, latency: [f64::NAN; 3] };
    match tool {
        Tool::Chaos => read_own(result, &output),
        Tool::Oha => read_oha(result, &output),
        Tool::Wrk => read_wrk(result, &output),
    }
}

fn read_own(result: Told, output: &Output) -> Result<Told, Failure> {
    let reported: Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| {
        reported[name].as_f64().ok_or_else(|| format!("the client reported no `{name}`: {reported}"))
    };
    let latency = [number("p50")? * 1e3, number("p99")? * 1e3, number("p99.9")? * 1e3];
    Ok(Told { requests: number("requests")?, failed: number("failed")?, latency, ..result })
}

fn read_oha(result: Told, output: &Output) -> Result<Told, Failure> {
    let reported: Value = serde_json::from_slice(&output.stdout)?;
    let sum = |name: &str| {
        reported[name].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_f64()).sum::<f64>()
    };
    let at = |name: &str| reported["latencyPercentiles"][name].as_f64().unwrap_or(f64::NAN) * 1e3;
    let requests = sum("statusCodeDistribution");
    // Those under way when time is up are cut off by design and do not count as failures.
    let failed = reported["errorDistribution"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(reason, _)| !reason.contains("deadline"))
        .filter_map(|(_, n)| n.as_f64())
        .sum();
    Ok(Told { requests, failed, latency: [at("p50"), at("p99"), at("p99.9")], ..result })
}

fn read_wrk(result: Told, output: &Output) -> Result<Told, Failure> {
    let text = String::from_utf8_lossy(&output.stdout);
    let field = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let at = |label: &str| field(label).and_then(milliseconds).unwrap_or(f64::NAN);
    let line = text.lines().find(|line| line.contains(" requests in ")).ok_or("wrk reported no requests")?;
    let requests = line.split_whitespace().next().ok_or("wrk reported no requests")?.parse()?;
    Ok(Told { requests, latency: [at("50%"), at("99%"), f64::NAN], ..result })
}

/// Reads a time as wrk writes it.
fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}
