//! The parts that an executable plays as another process: the agent, and the processes of a lab.

use std::{
    fmt::Display,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use chaos_agent::{Host, Stop};
use chaos_faults::{NetworkInjector, ProcessInjector, backend::Holding};

/// The argument with which an executable is an agent.
pub(crate) const AGENT: &str = "agent";

/// Whether this process could be started again to play a part.
static PLAYS: AtomicBool = AtomicBool::new(false);

/// Plays the part that this process was started for, if any.
///
/// Call it first in `main`, before any runtime or thread: the first process of a lab needs a process with a single thread.
/// Where it returns `None`, this is the harness itself, and a [`World`](crate::World) may start this executable again.
pub fn play() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|argument| argument.to_str()) {
        Some(AGENT) => Some(agent()),
        #[cfg(feature = "lab")]
        Some("lab-init") => chaos_lab::init::main(),
        #[cfg(feature = "lab-servers")]
        Some("serve") => Some(ended(chaos_lab::serve::main(arguments))),
        _ => {
            PLAYS.store(true, Ordering::Relaxed);
            None
        }
    }
}

/// Has an injector look names up as probes do, where this build has probes.
pub(crate) fn with_names(network: NetworkInjector) -> NetworkInjector {
    #[cfg(feature = "probes")]
    let network = network.looking_up(std::sync::Arc::new(chaos_probes::PlaceNames::new()));
    network
}

/// Is an agent: holds faults on behalf of a runner at the other end of the standard streams, and reverts them when the runner
/// is gone. For a `main` that reads its arguments itself; the process should end afterwards.
///
/// # Errors
/// The process has no memory or descriptors for a runtime.
pub fn serve_agent() -> std::io::Result<Stop> {
    chaos_agent::serve_standard_streams(|settings| {
        let host = Host::new()
            .injector(with_names(NetworkInjector::of(settings, Holding::Agent)?))
            .injector(ProcessInjector::new(Holding::Agent));
        #[cfg(feature = "probes")]
        let host = host.probers(chaos_probes::StandardProbers::new());
        Ok(host)
    })
}

fn agent() -> ExitCode {
    match serve_agent() {
        Ok(stop) if stop.left.is_empty() => ExitCode::SUCCESS,
        Ok(stop) => failed(format!("not restored: {}", stop.left.join("; "))),
        Err(error) => failed(format!("the agent cannot start: {error}")),
    }
}

#[cfg(feature = "lab-servers")]
fn ended(result: Result<(), impl Display>) -> ExitCode {
    result.map_or_else(failed, |()| ExitCode::SUCCESS)
}

/// Says on standard error why a part ended: that is where the process that started it reads its last words.
fn failed(error: impl Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// Returns this executable, if its `main` calls [`play`]; the path also opens it after it was replaced.
pub(crate) fn own_executable() -> Option<PathBuf> {
    PLAYS.load(Ordering::Relaxed).then(std::env::current_exe)?.ok()
}

/// Makes this process able to make labs: root is, an ordinary user enters a user namespace. Call it before any runtime.
///
/// # Errors
/// The machine does not allow that to this user; the error says what would help.
#[cfg(feature = "lab")]
pub fn become_able() -> Result<(), chaos_lab::UserNamespaceError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { chaos_lab::enter_user_namespace() }
}
