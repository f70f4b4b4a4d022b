//! `chaos completions` and `chaos man`

use std::path::Path;

use clap::CommandFactory as _;

use crate::{args::Cli, exit_code::Exit, render};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chaos", &mut script);
    render::print(&String::from_utf8_lossy(&script));
    Exit::Passed
}

/// Writes a man page for the command and for each of its commands.
pub(crate) fn man(directory: &Path) -> Exit {
    let made =
        std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    match made {
        Ok(()) => Exit::Passed,
        Err(error) => {
            render::error(&format!("cannot write the man pages to `{}`: {error}", directory.display()), None);
            Exit::Refused
        }
    }
}
