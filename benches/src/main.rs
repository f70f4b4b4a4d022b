//! How fast it is: one benchmark per claim, each of which compares two things in one run on one machine.
//!
//! 1. Every benchmark makes what it measures (namespaces, servers, files) and removes it again; nothing else is touched.
//! 2. It takes turns between the two things it compares, so that whatever else the machine does hits both.
//! 3. [`statistic`] reduces measurements, [`processor`] reads what processes used, and [`Claims`] prints one line for each
//!    figure, with the aim beside it where there is one. Only with `--assert` is a missed aim a failure.
//!
//! `docs/performance.md` has the commands, the figures and what they mean. It is one program because linking each with
//! optimisation across crates takes minutes.

mod abort;
mod claim;
mod forwarder;
mod http_server;
mod idle;
mod judge;
mod language;
mod monitor;
mod netlink;
mod network;
mod probes;
mod processor;
mod statistic;
mod verdicts;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::claim::Claims;

/// What a benchmark fails with: shown to people, never handled.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The role of an agent that a benchmark starts.
const AGENT: &str = "agent";

/// Measures how fast chaos is.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// Fail if an aim is missed.
    #[arg(long, global = true)]
    assert: bool,
}

#[derive(Subcommand)]
enum Benchmark {
    /// One fault by netlink against spawning `tc`, and 1,000 namespaces through one agent.
    Netlink(netlink::Options),
    /// Throughput and accuracy of delay in user space.
    Forwarder(forwarder::Options),
    /// From a breached abort condition to the fault being gone.
    Abort(abort::Options),
    /// The probe engine against oha and wrk.
    Probes(probes::Options),
    /// Parsing and checking scenarios.
    Language(language::Options),
    /// Judging a run of an hour.
    Judge(judge::Options),
    /// Judging while signals come, against rtamt, and quantiles of large windows.
    Monitor(monitor::Options),
    /// How often claims pass at their limits, also of requests that depend on each other.
    Verdicts(verdicts::Options),
    /// Memory and size of an agent that waits.
    Idle(idle::Options),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Parts that this program plays for a benchmark.
    let played = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [AGENT] => Some(network::agent()),
        [http_server::ROLE, words @ ..] => {
            Some(chaos_lab::serve::main(words.iter().map(Into::into)).map_err(Failure::from))
        }
        [probes::CLIENT, url, rate, seconds] => Some(probes::client(url, rate, seconds)),
        _ => None,
    };
    match played {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
        None => {}
    }
    let Arguments { benchmark, assert } = Arguments::parse();
    match benchmark {
        Benchmark::Netlink(options) => netlink::run(&options, assert),
        Benchmark::Forwarder(options) => forwarder::run(&options, assert),
        Benchmark::Abort(options) => abort::run(&options, assert),
        Benchmark::Probes(options) => probes::run(&options, assert),
        Benchmark::Language(options) => language::run(&options, assert),
        Benchmark::Judge(options) => judge::run(&options, assert),
        Benchmark::Monitor(options) => monitor::run(&options, assert),
        Benchmark::Verdicts(options) => verdicts::run(&options, assert),
        Benchmark::Idle(options) => idle::run(&options, assert),
    }
}
