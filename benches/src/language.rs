//! How fast scenarios are read: parsing, parsing and checking, and `chaos check` as a whole process.
//!
//! ```text
//! cargo build --release -p chaos-cli
//! cargo run --release -p chaos-benches -- language [--chaos PATH] [--assert]
//! ```

use std::{
    fmt::Write as _,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::{
    Claims, Failure,
    statistic::{median, middle, quantile, rounds, short, time, timed},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `chaos` executable; the one beside this program unless named.
    #[arg(long)]
    chaos: Option<PathBuf>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// The lines of the long scenario, and how many short ones there are.
const LINES: usize = 10_000;
const FILES: usize = 1_000;
/// How often one file is checked by a process of its own.
const PROCESSES: usize = 100;

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("reading scenarios", assert);
    let measured = measure(options, &mut claims);
    claims.finish(measured)
}

fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let mut long = String::new();
    let mut number = 0;
    while long.lines().count() < LINES {
        long += &scenario(number);
        number += 1;
    }
    let folder = tempfile::tempdir()?;
    let mut short_ones = Vec::new();
    for number in 0..FILES {
        let path = folder.path().join(format!("{number}.chaos"));
        let text = scenario(number);
        std::fs::write(&path, &text)?;
        short_ones.push((path, text));
    }
    sound(&long)?;

    claims.heading(&format!(
        "one file of {} lines, {number} experiments, {}",
        long.lines().count(),
        size(long.len())
    ));
    let parsed = speed(options.rounds, long.len(), || consume(parse(&long)));
    let both = speed(options.rounds, long.len(), || consume(compile(&long)));
    claims.aim("parse", rounds(&parsed, " MB/s"), ">= 20 MB/s", middle(&parsed) >= 20.0);
    claims.figure("parse and check", rounds(&both, " MB/s"));

    let bytes = short_ones.iter().map(|(_, text)| text.len()).sum();
    claims.heading(&format!("{FILES} files of one experiment, {}", size(bytes)));
    let parsed = speed(options.rounds, bytes, || {
        short_ones.iter().for_each(|(_, text)| consume(parse(text)));
    });
    let both = speed(options.rounds, bytes, || {
        short_ones.iter().for_each(|(_, text)| consume(compile(text)));
    });
    let from_disk = speed(options.rounds, bytes, || {
        short_ones.iter().for_each(|(path, _)| {
            consume(chaos_dsl::compile_file(path, &chaos_dsl::Given::default()).experiments.len())
        });
    });
    claims.aim("parse", rounds(&parsed, " MB/s"), ">= 20 MB/s", middle(&parsed) >= 20.0);
    claims.figure("parse and check", rounds(&both, " MB/s"));
    let each = bytes as f64 / FILES as f64 / (middle(&from_disk) * 1e6);
    claims.figure(
        "read, parse and check",
        format!("{}, {} us a file", rounds(&from_disk, " MB/s"), short(each * 1e6)),
    );

    processes(options, claims, &short_ones, folder.path())
}

/// Measures the whole `chaos check`, against a program that does nothing: what any process costs here.
fn processes(
    options: &Options,
    claims: &mut Claims,
    files: &[(PathBuf, String)],
    folder: &Path,
) -> Result<(), Failure> {
    let chaos = match &options.chaos {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("chaos"),
    };
    if !chaos.exists() {
        claims.figure(
            "left out: `chaos check`",
            format!("no `{}`; build it, or name it with --chaos", chaos.display()),
        );
        return Ok(());
    }
    claims.heading("`chaos check` as a process");
    let (mut one, mut nothing, mut middles) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let mut round = Vec::new();
        for (file, _) in files.iter().take(PROCESSES) {
            let mut check = Command::new(&chaos);
            check.arg("check").arg(file).env("XDG_RUNTIME_DIR", folder);
            round.push(finish(&mut check)?);
            nothing.push(finish(&mut Command::new("true"))?);
        }
        middles.push(median(&round).as_secs_f64() * 1e3);
        one.extend(round);
    }
    claims.aim("one file, median", rounds(&middles, " ms"), "< 10 ms", middle(&middles) < 10.0);
    claims.figure("one file, p99", time(quantile(&one, 0.99)));
    claims.figure("a process that does nothing (`true`), median", time(median(&nothing)));
    let mut all = Vec::new();
    for _ in 0..options.rounds {
        let mut check = Command::new(&chaos);
        check.arg("check").args(files.iter().map(|(path, _)| path)).env("XDG_RUNTIME_DIR", folder);
        all.push(finish(&mut check)?.as_secs_f64() * 1e3);
    }
    claims.figure(&format!("{FILES} files in one process"), rounds(&all, " ms"));
    Ok(())
}

fn finish(command: &mut Command) -> Result<std::time::Duration, Failure> {
    let (output, took) = timed(|| command.stdin(Stdio::null()).output());
    let output = output?;
    if output.status.success() {
        return Ok(took);
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Measures how many megabytes per second something reads, in each round as the median of some repetitions.
fn speed(rounds: usize, bytes: usize, mut read: impl FnMut()) -> Vec<f64> {
    const REPETITIONS: usize = 11;
    read();
    let round = |_| {
        let times: Vec<_> = (0..REPETITIONS).map(|_| timed(&mut read).1).collect();
        bytes as f64 / 1e6 / median(&times).as_secs_f64()
    };
    (0..rounds).map(round).collect()
}

/// Keeps the compiler from leaving out what nobody looks at.
fn consume(found: usize) {
    black_box(found);
}

fn parse(text: &str) -> usize {
    let parsed = chaos_dsl::parse(Default::default(), text);
    parsed.tree.statements.len() + parsed.diagnostics.len()
}

fn compile(text: &str) -> usize {
    let compiled = chaos_dsl::compile("long.chaos", text, &[]);
    compiled.experiments.len() + compiled.diagnostics.len()
}

/// Makes sure that it is a right scenario that is read fast, not a wrong one that is given up early.
fn sound(text: &str) -> Result<(), Failure> {
    let compiled = chaos_dsl::compile("long.chaos", text, &[]);
    match compiled.diagnostics.first() {
        Some(diagnostic) if !compiled.is_ok() => {
            Err(format!("the scenario is wrong: {}", diagnostic.message).into())
        }
        _ => Ok(()),
    }
}

fn size(bytes: usize) -> String {
    format!("{} kB", short(bytes as f64 / 1e3))
}

/// Writes an experiment as people do: a lab, probes, faults, a timeline and claims, with comments.
fn scenario(number: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r#"# Does the shop notice when host {number} is slow? Retries hide an outage, and hide what they cost.
experiment "the shop rides out a slow host {number}" {{
  owner      "team-shop"
  hypothesis "when host {number} is 100ms late, users get their answer from another one"
  tags       delay, gateway

  lab {{
    host client
    host gateway {{ run gateway port 80 to api:8080 {{ timeout 250ms, retries 1 }} }}
    host api 3   {{ run http port 8080 {{ work {work}ms, capacity 50 }} }}
  }}

  blast radius {{
    at most 1 hosts
  }}

  # An honest error counts as an answer here.
  probe shop = http GET "http://gateway/?host={number}" from client {{
    connections reuse 60
    rate        50/s
    timeout     700ms
    ok when status in [200, 504]
  }}
  probe ping = tcp "gateway:80" from client {{ rate 10/s, timeout 1s }}

  steady state over 3s {{
    success(shop) >= 99%
    p95(shop.latency) <= 100ms
  }}

  fault slow = delay 100ms jitter 10ms and loss 1% on api-1 to gateway
  fault cut  = block on api-2 to gateway port 8080

  timeline {{
    baseline 5s
    inject   slow
    hold     10s
    inject   cut
    hold     5s
    rollback
    watch    6s
  }}

  abort when success(shop, over 3s) < 80% for 2s

  expect {{
    "always an answer in time": success(shop) >= 98% during slow
    "two tries and no more":    p95(shop.latency) <= baseline + 600ms during slow
    "answers are quick again":  p95(shop.latency, over 2s) settles to <= baseline + 50ms within 4s after rollback
  }}
}}

"#,
        work = number % 20,
    );
    text
}
