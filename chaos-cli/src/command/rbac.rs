//! `chaos rbac`

use chaos::kube::Access;

use crate::{args::Rbac, exit_code::Exit, render, scenario};

/// Prints the least rights that the experiments of some files take in a cluster.
pub(crate) fn run(args: &Rbac) -> Exit {
    let scenarios = match scenario::compile(&args.files, &args.settings.given()) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let mut access = Access::default();
    for experiment in scenarios.iter().flat_map(|scenario| &scenario.compiled.experiments) {
        access.add(experiment);
    }
    if access.is_empty() {
        render::error(
            "no experiment of these files takes place in a cluster",
            Some("only those take rights there"),
        );
        return Exit::BadInput;
    }
    render::print(&access.manifests(&args.account, &args.namespace));
    Exit::Passed
}
