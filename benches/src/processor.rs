//! What the machine is, and what processes use of it.

use std::time::Duration;

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
        time::TimeVal,
    },
    unistd::Pid,
};

use crate::Failure;

/// Describes the machine in a line: cores, kernel, what it is busy with.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let build = if cfg!(debug_assertions) { ", UNOPTIMISED BUILD" } else { "" };
    format!("{cores} cores, Linux {}, load {load}{build}", read("/proc/sys/kernel/osrelease").trim())
}

/// Returns the user and system time of all children that ended so far.
///
/// # Errors
/// Never on Linux.
pub(crate) fn used_by_children() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(spent(usage.user_time()) + spent(usage.system_time()))
}

/// Returns the user and system time of this thread so far.
///
/// # Errors
/// Never on Linux.
pub(crate) fn used_by_this_thread() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    Ok(spent(usage.user_time()) + spent(usage.system_time()))
}

fn spent(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
}

/// Keeps a process, or this thread and those it will start for 0, on one core.
///
/// # Errors
/// There is no such core or process.
pub(crate) fn pin(process: i32, core: usize) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(process), &cores)?)
}

/// Lets this process and its children open as many files as the machine lets it.
///
/// # Errors
/// Never where the limit can be read.
pub(crate) fn open_many_files() -> Result<(), Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
