//! What is protected is touched only where the blast radius allows it by name.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanError, PlannedFault, resolve::Resolver};
use crate::{
    model::{Experiment, Selector, Step, Vantage},
    place::{Object, Protection},
    remark::Remark,
};

/// Refuses what is protected and not allowed; returns which protections are met.
///
/// A place that a probe is sent from counts as well: an agent is put into it.
pub(super) async fn check(
    experiment: &Experiment,
    objects: &Resolver<'_>,
) -> Result<BTreeSet<Protection>, PlanError> {
    let allowed: BTreeSet<Protection> = experiment.allowed.iter().map(|line| line.what).collect();
    let mut met = BTreeSet::new();
    for (name, on) in touched(experiment) {
        let found = objects.find(on).await?;
        // What protects some of them, each with the first that it protects: a line for each is missing.
        let mut forbidden: BTreeMap<Protection, &Object> = BTreeMap::new();
        for object in &found {
            let protections = object.protections();
            for missing in protections.difference(&allowed) {
                forbidden.entry(*missing).or_insert(object);
            }
            met.extend(protections);
        }
        if !forbidden.is_empty() {
            return Err(refusal(name, on, &forbidden));
        }
    }
    // How much of a budget is left only the cluster knows.
    met.insert(Protection::DisruptionBudget);
    Ok(met)
}

/// Refuses what is protected, not allowed, and would go along with what faults and changes are on; returns by which protections.
pub(super) fn along<'a>(
    experiment: &Experiment,
    planned: impl Iterator<Item = &'a PlannedFault>,
) -> Result<BTreeSet<Protection>, PlanError> {
    let allowed: BTreeSet<Protection> = experiment.allowed.iter().map(|line| line.what).collect();
    let mut met = BTreeSet::new();
    for planned in planned {
        let fault = experiment.fault(&planned.name).map(|fault| &fault.on);
        let Some(on) = fault.or_else(|| experiment.change(&planned.name).map(|change| &change.on)) else {
            continue;
        };
        let mut forbidden: BTreeMap<Protection, &Object> = BTreeMap::new();
        for object in planned.parts.iter().flat_map(|part| &part.offer.takes) {
            let protections = object.protections();
            for missing in protections.difference(&allowed) {
                forbidden.entry(*missing).or_insert(object);
            }
            met.extend(protections);
        }
        if !forbidden.is_empty() {
            return Err(refusal(&planned.name, on, &forbidden));
        }
    }
    Ok(met)
}

/// Says which lines allow nothing, where these protections are met.
pub(super) fn unused(experiment: &Experiment, met: &BTreeSet<Protection>) -> Vec<Remark> {
    let unused = experiment.allowed.iter().filter(|line| !met.contains(&line.what));
    unused
        .map(|line| {
            let message =
                format!("`allow {}` allows nothing: no target is among {}", line.what, line.what.what());
            Remark::warning(line.span, message)
                .with_help("remove it: whoever reviews the file has to take it for a danger")
        })
        .collect()
}

/// What a run acts on, under the name of the fault, change or probe.
fn touched(experiment: &Experiment) -> impl Iterator<Item = (&str, &Selector)> {
    let faults = experiment.timeline.injected().filter_map(|name| experiment.fault(name));
    let faults = faults.map(|fault| (fault.name.value.as_str(), &fault.on));
    let made = |name| {
        experiment.timeline.steps.iter().any(|step| matches!(&step.value, Step::Make(made) if made == name))
    };
    let changes = experiment.changes.iter().filter(move |change| made(&change.name));
    let changes = changes.map(|change| (change.name.value.as_str(), &change.on));
    let probes = experiment.probes.iter().filter_map(|probe| match &probe.from {
        Vantage::Each(from) => Some((probe.name.value.as_str(), from)),
        Vantage::Runner => None,
    });
    faults.chain(changes).chain(probes)
}

fn refusal(name: &str, on: &Selector, forbidden: &BTreeMap<Protection, &Object>) -> PlanError {
    let each: Vec<String> =
        forbidden.iter().map(|(what, object)| format!("{object}, which {}", what.why())).collect();
    let lines: Vec<String> = forbidden.keys().map(|what| format!("`allow {what}`")).collect();
    let message = format!("`{name}` would touch {}", each.join(", and "));
    let help =
        format!("narrow the target; where it is meant, write {} in the blast radius", lines.join(" and "));
    PlanError::unsound(Remark::error(on.span(), message).with_help(help))
}
