//! Judging while signals come: the online evaluator against that of rtamt, and quantiles of large windows.
//!
//! ```text
//! cargo run --release -p chaos-benches -- monitor --python "$(tests/oracle/python)" [--assert]
//! ```

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use crate::{
    Claims, Failure, processor,
    statistic::{rounds, short},
};
use chaos_core::verdict::{
    Comparison, Interval,
    monitor::{Atom, Formula, Online, Reading, Scale, SignalId},
    window::{Answer, LiveWindow, Observation, Statistic, Windowed},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A Python that has rtamt, such as `tests/oracle/python` prints; without it nothing is compared.
    #[arg(long)]
    python: Option<PathBuf>,
    /// How often each measurement is made.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Segments in each round.
    #[arg(long, default_value_t = 2_000_000)]
    segments: usize,
    /// Segments for rtamt in each round.
    #[arg(long, default_value_t = 2_000)]
    rtamt_segments: usize,
}

const SECOND: i64 = 1_000_000_000;
/// Segments come so often, so that 6,000 of them lie in a window.
const EVERY: i64 = SECOND / 100;
const WINDOW: i64 = 60 * SECOND;

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("judging while signals come", assert);
    let measured = measure(options, &mut claims);
    claims.finish(measured)
}

fn at_most(limit: f64) -> Formula {
    Formula::Atom(Atom::compares(0, SignalId(0), Comparison::AtMost, limit, Scale::FROM_ZERO))
}

/// Values that differ from their neighbours and never repeat in a pattern that a window could exploit.
fn value(index: usize) -> f64 {
    ((index.wrapping_mul(2_654_435_761) >> 7) % 10_007) as f64 / 1_000.0
}

fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let ahead = at_most(5.0).eventually(WINDOW).always(WINDOW);
    let until = Formula::Until {
        within: WINDOW,
        left: Box::new(at_most(9.9)),
        right: Box::new(at_most(5.0).lasting(WINDOW)),
    };
    claims.heading("segments for each second of processor time, windows of 60 s with 6,000 segments each");
    let mut best = 0.0_f64;
    for (name, formula, chunk) in [
        ("always[0s,1m] eventually[0s,1m] (x <= 5), 1,000 at once", &ahead, 1_000),
        ("the same, each by itself", &ahead, 1),
        ("(x <= 9.9) until[0s,1m] historically[0s,1m] (x <= 5), 1,000 at once", &until, 1_000),
        ("the same, each by itself", &until, 1),
    ] {
        let mut rates = Vec::new();
        for _ in 0..options.rounds {
            rates.push(
                options.segments as f64 / online(formula, options.segments, chunk)?.as_secs_f64() / 1e6,
            );
        }
        let middle = crate::statistic::middle(&rates);
        if best == 0.0 {
            best = middle;
        }
        claims.aim(name, rounds(&rates, " million"), ">= 5 million", middle >= 5.0);
    }
    match &options.python {
        None => claims.figure("rtamt", "left out: no --python"),
        Some(python) => {
            let mut rates = Vec::new();
            for _ in 0..options.rounds {
                rates.push(rtamt(python, options.rtamt_segments)?);
            }
            claims.figure("the first formula by rtamt's online monitor", rounds(&rates, ""));
            let ratio = best * 1e6 / crate::statistic::middle(&rates);
            claims.figure("as many times faster", short(ratio));
        }
    }
    claims.heading("one sample enters a window, one leaves, the p99 is read: microseconds of processor time");
    for size in [10_000, 100_000, 1_000_000] {
        let (mut ours, mut sorted) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let updates = 20_000;
            ours.push(micros(window(size, updates)?, updates));
            let updates = (200_000_000 / size / 10).clamp(20, 2_000);
            sorted.push(micros(sorted_list(size, updates)?, updates));
        }
        claims.figure(&format!("{size} samples"), rounds(&ours, ""));
        claims.figure(&format!("{size} samples in a sorted list"), rounds(&sorted, ""));
    }
    Ok(())
}

fn micros(spent: Duration, updates: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / updates as f64
}

/// Returns the processor time of evaluating online this many segments.
fn online(formula: &Formula, segments: usize, chunk: usize) -> Result<Duration, Failure> {
    let mut online: Online<Reading> = Online::new(formula, &[Interval { lo: 0.0, hi: 100.0 }]);
    let values: Vec<Interval> = (0..segments).map(|index| Interval::exactly(value(index))).collect();
    let mut steps = 0;
    let before = processor::used_by_this_thread()?;
    let mut at = 0;
    for values in values.chunks(chunk) {
        for value in values {
            online.set(SignalId(0), at, Some(*value));
            at += EVERY;
        }
        online.hear(at - 1);
        steps += online.take().count();
    }
    let spent = processor::used_by_this_thread()? - before;
    if steps == 0 {
        return Err("nothing became final".into());
    }
    Ok(spent)
}

/// Asks rtamt for segments for each second of processor time.
fn rtamt(python: &Path, segments: usize) -> Result<f64, Failure> {
    let window = (WINDOW / EVERY).to_string();
    let done = Command::new(python)
        .args(["-c", include_str!("monitor.py"), &window, &segments.to_string()])
        .output()
        .map_err(|error| format!("cannot run {}: {error}", python.display()))?;
    if !done.status.success() {
        return Err(format!("rtamt failed: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().parse()?)
}

/// Returns the processor time of this many updates of a window of this many samples.
fn window(size: usize, updates: usize) -> Result<Duration, Failure> {
    let mut window = LiveWindow::new(Windowed::new(Statistic::Quantile(0.99), size as i64 * EVERY));
    let observation = |index: usize| {
        let at = index as i64 * EVERY;
        Observation { intended: at, completed: at, answer: Answer::Ok(value(index)) }
    };
    for index in 0..size {
        window.observe(observation(index));
    }
    let before = processor::used_by_this_thread()?;
    let mut total = 0.0;
    for index in size..size + updates {
        window.observe(observation(index));
        total += window.evaluate(index as i64 * EVERY).map_or(0.0, |p99| p99.hi);
    }
    let spent = processor::used_by_this_thread()? - before;
    if total == 0.0 { Err("no p99 was read".into()) } else { Ok(spent) }
}

/// Returns the processor time of the same with a sorted list, whose every change moves what lies behind it.
fn sorted_list(size: usize, updates: usize) -> Result<Duration, Failure> {
    let mut held: VecDeque<f64> = (0..size).map(value).collect();
    let mut sorted: Vec<f64> = held.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let before = processor::used_by_this_thread()?;
    let mut total = 0.0;
    for index in size..size + updates {
        let (enters, leaves) = (value(index), held.pop_front().unwrap_or_default());
        held.push_back(enters);
        sorted.remove(sorted.partition_point(|kept| *kept < leaves));
        sorted.insert(sorted.partition_point(|kept| *kept < enters), enters);
        total += sorted[(size as f64 * 0.99).ceil() as usize - 1];
    }
    let spent = processor::used_by_this_thread()? - before;
    if total == 0.0 { Err("no p99 was read".into()) } else { Ok(spent) }
}
