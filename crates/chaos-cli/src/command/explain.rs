//! `chaos explain`

use crate::{args::Explain, exit_code::Exit, render, scenario};

/// Says each experiment of a file in plain sentences.
pub(crate) fn run(args: &Explain) -> Exit {
    let scenario = match scenario::compile_one(&args.file, &args.settings.set) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    for experiment in &scenario.compiled.experiments {
        render::print(&chaos_dsl::explain(experiment));
    }
    Exit::Passed
}
