//! The `chaos` command: the only place that prints, reads the command line and installs signal handlers.
//!
//! Commands are in [`command`], one file each; what they share is beside it: [`scenario`] compiles files, [`world`] wires
//! the libraries together for one experiment, [`render`] and [`progress`] show things to people, [`folder`] keeps a run's
//! files, [`state`] knows the register of runs, [`exit_code`] how a command ends.

mod args;
mod command;
mod exit_code;
mod files;
mod person;
mod progress;
mod render;
mod scenario;
mod signals;
mod state;
mod world;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    // An agent is there for as long as a fault is, perhaps on a small machine: it goes without all that reads a command line.
    if std::env::args_os().skip(1).eq(["agent"]) {
        return command::agent().into();
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { exit_code::Exit::BadInput } else { exit_code::Exit::Passed };
            // Nothing can be reported where standard error is gone.
            let _ = error.print();
            return exit.into();
        }
    };
    command::dispatch(cli).into()
}
