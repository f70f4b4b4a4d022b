//! `chaos explain`

use chaos_core::{explain::explain, run::Policy};

use crate::{args::Explain, exit_code::Exit, render, scenario};

/// Says each experiment of a file in plain sentences.
pub(crate) fn run(args: &Explain) -> Exit {
    let scenario = match scenario::compile_one(&args.file, &args.settings.given()) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    if let Some(series) = scenario.series() {
        render::print(&series);
    }
    // The cells of an `each` differ in their values only, which the list of the runs shows.
    let mut explained: Vec<&str> = Vec::new();
    for experiment in &scenario.compiled.experiments {
        if !explained.contains(&experiment.name.value.as_str()) {
            explained.push(&experiment.name.value);
            render::print(&explain(experiment, &Policy::default()));
        }
    }
    Exit::Passed
}
