//! The parts that an executable plays for a lab and for the agent: it is started again, as another process.

use std::{env, error::Error, fmt::Display, io, path::PathBuf, process::ExitCode};

use chaos_agent::{AgentInjector, Agents, ChildProcess, Host, OwnThread};
use chaos_faults::{NetworkInjector, backend::Holding};
use chaos_lab::Programs;

/// Plays the part that this process was started for, if any. The first thing in `main`, before any runtime or thread.
pub fn play() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    match arguments.next()?.to_str()? {
        // The first process of a lab, which holds its hosts; it never returns.
        "lab-init" => chaos_lab::init::main(),
        // A built-in server on a host.
        "serve" => Some(ended(chaos_lab::serve::main(arguments))),
        // What puts faults in place, and reverts them when this program dies.
        "agent" => Some(ended(chaos_agent::serve_standard_streams(|settings| {
            Ok(Host::new().injector(NetworkInjector::of(settings, Holding::Agent)?))
        }))),
        _ => None,
    }
}

fn ended<T, E: Display>(result: Result<T, E>) -> ExitCode {
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes this process able to make labs: root is, an ordinary user is in a user namespace of its own. Before any runtime.
///
/// # Errors
/// The machine does not allow it to this user; the error says what would help.
pub fn become_able() -> Result<(), Box<dyn Error>> {
    if !nix::unistd::geteuid().is_root() {
        chaos_lab::enter_user_namespace()?;
    }
    Ok(())
}

/// Returns the lab's programs: this executable with `lab-init` and `serve`.
///
/// # Errors
/// The executable cannot be found.
pub fn programs() -> io::Result<Programs> {
    Ok(Programs::of(executable()?))
}

/// Returns an injector whose agent is this executable with `agent`.
///
/// # Errors
/// The executable cannot be found.
pub fn injector() -> io::Result<AgentInjector> {
    Ok(Agents::new(ChildProcess::new(executable()?, ["agent"]))
        .injector(chaos_faults::NAME, chaos_faults::does))
}

/// Returns an injector whose agent is a thread of this process: it offers only faults that the kernel ends with the process.
pub fn injector_in_this_process() -> AgentInjector {
    let thread = OwnThread::new(|settings| {
        Ok(Host::new().injector(NetworkInjector::of(settings, Holding::KernelOnly)?))
    });
    Agents::new(thread).injector(chaos_faults::NAME, chaos_faults::does)
}

fn executable() -> io::Result<PathBuf> {
    env::current_exe()
}
