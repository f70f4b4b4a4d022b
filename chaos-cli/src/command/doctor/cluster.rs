//! `chaos doctor --cluster`

use std::collections::BTreeSet;

use chaos::kube::{Diagnosis, diagnose};
use chaos_core::capability::Capability;
use serde::Serialize;

use super::{Finding, section};
use crate::{
    args::{Doctor, Shape},
    command::runtime,
    exit_code::Exit,
    render,
};

/// What `--format json` prints.
#[derive(Serialize)]
struct Findings {
    context: String,
    cluster: Vec<Finding>,
    rights: Vec<Finding>,
    nodes: Vec<Finding>,
}

/// Says what the cluster of a context lacks for experiments.
pub(super) fn run(context: &str, args: &Doctor) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let diagnosis = match runtime.block_on(diagnose(context, &args.namespace, &args.agent_image)) {
        Ok(diagnosis) => diagnosis,
        Err(trouble) => {
            render::error(&trouble.message, trouble.help.as_deref());
            return if trouble.is_denied() { Exit::NotPermitted } else { Exit::Refused };
        }
    };
    let Diagnosis { cluster, rights, nodes } = diagnosis;
    let works = cluster.iter().chain(&rights).chain(&nodes).all(|check| check.available);
    let [cluster, rights, nodes] = [
        found(cluster, "no experiment"),
        found(rights, "no fault and no probe in pods"),
        found(nodes, "no fault and no probe in the pods of this node"),
    ];
    let findings = Findings { context: context.to_owned(), cluster, rights, nodes };
    match args.format {
        Shape::Json => render::json(&findings),
        Shape::Text => render::print(&text(&findings)),
    }
    if works { Exit::Passed } else { Exit::Refused }
}

fn found(checks: Vec<Capability>, costs: &str) -> Vec<Finding> {
    checks.into_iter().map(|check| Finding::of(check.costing(costs))).collect()
}

fn text(findings: &Findings) -> String {
    let mut out = format!("context {}\n", findings.context);
    let mut said = BTreeSet::new();
    section(&mut out, &mut said, "cluster", &findings.cluster);
    section(&mut out, &mut said, "rights", &findings.rights);
    section(&mut out, &mut said, "nodes", &findings.nodes);
    out
}
