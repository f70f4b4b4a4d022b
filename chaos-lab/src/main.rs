//! The executable that a lab needs, on its own: what a harness without the `chaos` binary puts beside its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|a| a.to_str()) {
        Some("lab-init") => chaos_lab::init::main(),
        Some("serve") => match chaos_lab::serve::main(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("expected `lab-init` or `serve`");
            ExitCode::FAILURE
        }
    }
}
