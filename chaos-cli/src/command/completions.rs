//! `chaos completions` and `chaos man`

use std::path::Path;

use clap::CommandFactory as _;

use crate::{args::Cli, exit_code::Exit, render};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut for_people(), "chaos", &mut script);
    render::raw(&String::from_utf8_lossy(&script));
    Exit::Passed
}

/// Returns the command without the parts that only runners call: a generated script would offer them although they are
/// hidden.
fn for_people() -> clap::Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let bare = clap::Command::new("chaos").version(env!("CARGO_PKG_VERSION")).propagate_version(true);
    bare.args(all.get_arguments().cloned()).subcommands(shown.collect::<Vec<_>>())
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
