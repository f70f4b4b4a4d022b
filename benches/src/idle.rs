//! What an agent costs while it waits: memory and the size of the executable.
//!
//! ```text
//! cargo rustc --release -p chaos-cli -- -C target-feature=+crt-static
//! cargo build --profile small -p chaos-agent-bin --target x86_64-unknown-linux-musl
//! cargo run --release -p chaos-benches -- idle [--chaos PATH] [--agent PATH] [--assert]
//! ```

use std::{path::PathBuf, process::ExitCode, time::Duration};

use crate::{
    Claims, Failure, network,
    statistic::{middle, rounds, short},
};
use chaos_agent::{Agents, ChildProcess};
use chaos_core::{
    injector::{Injector, Surroundings},
    model::FaultSpec,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `chaos` executable; the one beside this program unless named.
    #[arg(long)]
    chaos: Option<PathBuf>,
    /// The small agent; the one of the profile `small`, built for musl, beside this program's unless named.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// How many agents are started, one after another.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const MEGABYTE: f64 = 1e6;
const KIBIBYTES_IN_MEBIBYTE: f64 = 1024.0;

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("an agent that waits", assert);
    let measured = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(options, &mut claims)));
    claims.finish(measured)
}

async fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let chaos = match &options.chaos {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("chaos"),
    };
    one(options, claims, "`chaos agent`", &chaos, &["agent"], Aims { size: 25.0, resident: 8.0 }).await?;
    let small = match &options.agent {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("../x86_64-unknown-linux-musl/small/chaos-agent"),
    };
    one(options, claims, "`chaos-agent`", &small, &[], Aims { size: 4.0, resident: 3.0 }).await
}

/// What an executable aims at: megabytes on the disk, and mebibytes in memory.
struct Aims {
    size: f64,
    resident: f64,
}

/// Measures one executable as an agent.
async fn one(
    options: &Options,
    claims: &mut Claims,
    name: &str,
    executable: &std::path::Path,
    arguments: &[&str],
    aims: Aims,
) -> Result<(), Failure> {
    let size = std::fs::metadata(executable)
        .map_err(|error| format!("cannot find `{}`: {error}; build it, or name it", executable.display()))?
        .len() as f64
        / MEGABYTE;
    let linked = if is_static(executable)? { "static" } else { "dynamic" };
    claims.aim(
        &format!("{name}: size of the {linked} executable"),
        format!("{} MB", short(size)),
        &format!("< {} MB", aims.size),
        size < aims.size,
    );
    let (mut greeted, mut held, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let injector = Agents::new(ChildProcess::new(executable, arguments.iter().copied()))
            .injector(chaos_faults::NAME, chaos_faults::handles);
        // The first question starts it, and makes it find out what the kernel can do.
        let pair = network::Pair::make().await?;
        let place = network::place(&pair.near);
        injector.evidence(&place).await;
        let agent = child()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        greeted.push(memory(agent, "VmRSS")?);
        let loss = FaultSpec::Loss { ratio: 0.01, burst: None };
        let offers = injector
            .offer(&network::ask(loss), &Surroundings::default())
            .await
            .map_err(|denied| denied.to_string())?;
        let undo = injector.prepare("fault/near/1", &offers[0], &place, Duration::from_secs(60)).await?;
        injector.inject(&undo).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        held.push(memory(agent, "VmRSS")?);
        own.push(memory(agent, "RssAnon")?);
        injector.revert(&undo).await?;
        injector.close().await?;
    }
    let met = middle(&greeted) < aims.resident;
    let aim = format!("< {} MiB", aims.resident);
    claims.aim(&format!("{name}: resident memory while it waits"), rounds(&greeted, " MiB"), &aim, met);
    claims.figure(&format!("{name}: resident memory with a fault in place"), rounds(&held, " MiB"));
    claims.figure(&format!("{name}: of which it has written to"), rounds(&own, " MiB"));
    Ok(())
}

/// Returns whether an executable needs no dynamic linker, which a program header of type `PT_INTERP` would name.
fn is_static(path: &std::path::Path) -> Result<bool, Failure> {
    const PT_INTERP: u32 = 3;
    const HEADER: usize = 56;
    let bytes = std::fs::read(path)?;
    let word = |at: usize, length: usize| -> Result<u64, Failure> {
        let field = bytes.get(at..at + length).ok_or("the executable is cut off")?;
        Ok(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (first, count) = (word(32, 8)? as usize, word(56, 2)? as usize);
    for number in 0..count {
        if word(first + number * HEADER, 4)? == u64::from(PT_INTERP) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the only child of this process.
fn child() -> Result<i32, Failure> {
    let listed = std::fs::read_to_string("/proc/thread-self/children")?;
    let all: Vec<i32> = listed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match all[..] {
        [one] => Ok(one),
        _ => Err(format!("expected one child process, found `{listed}`").into()),
    }
}

/// Reads a line of a process's status, in MiB.
fn memory(process: i32, line: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"))
        .ok_or_else(|| format!("/proc/{process}/status has no `{line}`"))?;
    Ok(value.trim().parse::<f64>()? / KIBIBYTES_IN_MEBIBYTE)
}
