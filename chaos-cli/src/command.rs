//! The commands, one file each.

mod agent;
mod check;
mod completions;
mod doctor;
mod eval;
mod explain;
mod fmt;
#[cfg(feature = "kube")]
mod image;
mod judge;
mod lab;
mod plan;
#[cfg(feature = "kube")]
mod rbac;
mod restore;
mod run;
mod stop;

pub(crate) use self::agent::agent;
use crate::{
    args::{Cli, Command},
    exit_code::Exit,
    render, state,
};

/// Does what the command line says.
pub(crate) fn dispatch(cli: Cli) -> Exit {
    let state = state::directory(cli.state_dir);
    let holds = matches!(cli.command, Command::Agent | Command::LabInit { .. } | Command::Serve { .. });
    if !holds {
        trace();
        if !matches!(cli.command, Command::Restore(_) | Command::Completions { .. } | Command::Man { .. }) {
            state::warn_of_leftovers(&state);
        }
    }
    render::printed(match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Explain(args) => explain::run(&args),
        #[cfg(feature = "kube")]
        Command::Rbac(args) => rbac::run(&args),
        #[cfg(feature = "kube")]
        Command::Image(args) => image::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Run(args) => run::run(&args, &state),
        Command::Judge(args) => judge::run(&args),
        Command::Restore(args) => restore::run(&args, &state),
        Command::Stop(args) => stop::run(&args, &state),
        Command::Doctor(args) => doctor::run(&args),
        Command::Lab(args) => lab::run(&args, &state),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { dir } => completions::man(&dir),
        Command::Agent => agent::agent(),
        Command::LabInit { .. } => chaos_lab::init::main(),
        Command::Serve { args } => agent::serve(args),
    })
}

/// Sends traces to standard error where `CHAOS_LOG` asks for them.
fn trace() {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("CHAOS_LOG") else { return };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Starts the runtime that a command needs.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        render::error(&format!("cannot start: {error}"), None);
        Exit::Refused
    })
}
