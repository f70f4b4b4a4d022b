//! `chaos stop`

#[cfg(feature = "kube")]
mod cluster;

use std::path::Path;

use chaos_core::journal::Registry;

use crate::{args::Stop, exit_code::Exit, render};

/// Ends a run, or all of them, from another terminal.
pub(crate) fn run(args: &Stop, state: &Path) -> Exit {
    #[cfg(feature = "kube")]
    if let Some(context) = &args.cluster {
        return cluster::run(context, args);
    }
    let stopped = Registry::open(state).and_then(|registry| {
        if args.release {
            let blocked = registry.release()?;
            return Ok(if blocked {
                "new runs may start again\n".to_owned()
            } else {
                "nothing was blocked\n".to_owned()
            });
        }
        if let Some(run) = &args.run {
            registry.stop(run)?;
            return Ok(format!("asked `{run}` to put everything back and end\n"));
        }
        let mut text = String::new();
        let alive = registry.stop_all()?;
        for entry in &alive {
            text.push_str(&format!(
                "asked `{}` (\"{}\") to put everything back and end\n",
                entry.header.run, entry.header.experiment
            ));
        }
        if alive.is_empty() {
            text.push_str("no run is alive\n");
        }
        text.push_str("new runs are blocked until `chaos stop --release`\n");
        Ok(text)
    });
    match stopped {
        Ok(text) => {
            render::print(&text);
            Exit::Passed
        }
        Err(error) => {
            render::error(&error.to_string(), error.help().as_deref());
            Exit::BadInput
        }
    }
}
