//! `chaos plan`

use chaos_core::{model::Experiment, plan::PlanError, remark::Remark, report, trouble::Trouble};
use chaos_dsl::SourceMap;

use crate::{
    args::{Plan, Planning, Shape},
    exit_code::Exit,
    render, scenario, world,
};

/// Shows what a run would do.
pub(crate) fn run(args: &Plan) -> Exit {
    let scenario = match scenario::compile_one(&args.file, &args.planning.settings.set) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    let experiments = &scenario.compiled.experiments;
    // What is possible in a lab shows only where labs are.
    if let Err(exit) = scenario::make_room_for_labs(experiments) {
        return exit;
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let seed = world::seed(args.planning.seed);
    let mut exit = Exit::Passed;
    let mut plans = Vec::new();
    for experiment in experiments {
        match runtime.block_on(one(experiment, &args.planning, seed)) {
            Ok(plan) => plans.push(plan),
            Err(error) => exit = exit.max(failed(&error, &scenario.compiled.sources)),
        }
    }
    match args.format {
        Shape::Text => {
            if let Some(series) = scenario.series() {
                render::print(&series);
            }
            for plan in &plans {
                render::print(&report::plan::render(plan));
            }
        }
        Shape::Json => render::json(&plans),
    }
    exit
}

async fn one(
    experiment: &Experiment,
    planning: &Planning,
    seed: u64,
) -> Result<chaos_core::plan::Plan, PlanError> {
    let world = world::of(experiment, planning).map_err(|error| unsound(experiment, error))?;
    let plan = world.plan(experiment, seed).await;
    // Nothing is in place, so there is nothing that closing could fail to take back.
    let _ = world.close().await;
    plan
}

/// Makes an error of an experiment that cannot be wired up.
pub(crate) fn unsound(experiment: &Experiment, error: Trouble) -> PlanError {
    PlanError::unsound(Remark { help: error.help, ..Remark::error(experiment.name.span, error.message) })
}

/// Prints why there is no plan.
pub(crate) fn failed(error: &PlanError, sources: &SourceMap) -> Exit {
    render::at(sources, &error.remark());
    match error {
        PlanError::Denied { denied, .. } if denied.is_denied() => Exit::NotPermitted,
        PlanError::Denied { .. } | PlanError::Radius { .. } | PlanError::Inventory { .. } => Exit::Refused,
        PlanError::Unsound(_) => Exit::BadInput,
    }
}
