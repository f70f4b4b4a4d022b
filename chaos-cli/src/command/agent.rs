//! The hidden commands: parts that this executable plays for a runner.

use std::ffi::OsString;

use crate::{exit_code::Exit, render};

/// Holds faults on behalf of a runner.
pub(crate) fn agent() -> Exit {
    match chaos::serve_agent() {
        Ok(stop) if stop.left.is_empty() => Exit::Passed,
        Ok(stop) => {
            for line in &stop.left {
                render::error(&format!("not restored: {line}"), None);
            }
            Exit::NotRestored
        }
        Err(error) => {
            render::error(&format!("the agent cannot start: {error}"), None);
            Exit::Refused
        }
    }
}

/// Runs a built-in server of a lab.
pub(crate) fn serve(args: Vec<String>) -> Exit {
    match chaos_lab::serve::main(args.into_iter().map(OsString::from)) {
        Ok(()) => Exit::Passed,
        Err(error) => {
            render::error(&error.to_string(), None);
            Exit::Failed
        }
    }
}
