//! `chaos plan`

use chaos::Scenario;
use chaos_core::{
    model::Experiment,
    plan::{Plan, PlanError},
    remark::Remark,
    report,
    trouble::Trouble,
};
use chaos_dsl::SourceMap;

use crate::{
    args::{self, Planning, Shape},
    exit_code::Exit,
    render, scenario, world,
};

/// Shows what a run would do.
pub(crate) fn run(args: &args::Plan) -> Exit {
    let scenario = match scenario::compile_one(&args.file, &args.planning.settings.given()) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    // What is possible in a lab shows only where labs are.
    if let Err(exit) = scenario::make_room_for_labs(&scenario.compiled.experiments) {
        return exit;
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let (exit, plans) = runtime.block_on(all(&scenario, &args.planning, world::seed(args.planning.seed)));
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

/// Plans every experiment of a file; one agent finds out for all of them what is possible here.
async fn all(scenario: &Scenario, planning: &Planning, seed: u64) -> (Exit, Vec<Plan>) {
    let (mut exit, mut plans, mut first) = (Exit::Passed, Vec::new(), None);
    for experiment in &scenario.compiled.experiments {
        let planned = match world::of(experiment, planning, first.as_ref()) {
            Ok(world) => {
                let planned = world.plan(experiment, seed).await;
                first.get_or_insert(world);
                planned
            }
            Err(error) => Err(unsound(experiment, error)),
        };
        match planned {
            Ok(plan) => plans.push(plan),
            Err(error) => exit = exit.max(failed(&error, &scenario.compiled.sources)),
        }
    }
    if let Some(world) = first {
        // Nothing is in place, so there is nothing that closing could fail to take back.
        let _ = world.close().await;
    }
    (exit, plans)
}

/// Makes an error of an experiment that cannot be wired up.
pub(crate) fn unsound(experiment: &Experiment, error: Trouble) -> PlanError {
    PlanError::unsound(Remark { help: error.help, ..Remark::error(experiment.name.span, error.message) })
}

/// Prints why there is no plan.
pub(crate) fn failed(error: &PlanError, sources: &SourceMap) -> Exit {
    render::at(sources, &error.remark());
    match error {
        PlanError::Inventory { trouble, .. } if trouble.is_denied() => Exit::NotPermitted,
        PlanError::Denied { denied, .. } if denied.is_denied() => Exit::NotPermitted,
        PlanError::Denied { .. } | PlanError::Radius { .. } | PlanError::Inventory { .. } => Exit::Refused,
        PlanError::Unsound(_) => Exit::BadInput,
    }
}
