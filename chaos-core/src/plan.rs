//! From an experiment to what exactly will be touched, with what, and how it is undone; touches nothing itself.
//!
//! 1. `names` refuses what leads nowhere; [`resolve`] asks the inventory for objects and draws picks from the seed.
//! 2. `protected` refuses what the blast radius does not allow by name.
//! 3. Each fault becomes one [`Ask`](crate::injector::Ask) per object; injectors answer with offers, which become the plan's parts (`planner`).
//! 4. [`radius`] counts what is touched against the limits of the file.
//! 5. [`soundness`] refuses claims that cannot fail or cannot be decided, and warns of what is likely to disappoint.

#![warn(clippy::wildcard_enum_match_arm)]

mod error;
mod names;
mod planner;
mod protected;
pub mod radius;
pub mod resolve;
pub mod seed;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    injector::{Injector, Offer},
    inventory::Inventory,
    model::{Claim, Course, Experiment, Probe, Step, Vantage},
    non_empty::NonEmpty,
    place::{Object, ObjectId},
    remark::Remark,
    soundness,
};

pub use error::PlanError;

use planner::Planner;

/// The longest that a fault may be in place.
pub const LONGEST_FAULT: Duration = Duration::from_secs(30 * 60);

/// How much longer than its planned time a fault may live before it is ended.
pub const DEADLINE_MARGIN: Duration = Duration::from_secs(15);

/// How much longer than twice the planned run a change may live before it is ended.
pub const CHANGE_MARGIN: Duration = Duration::from_secs(10 * 60);

/// What exactly a run will do; all of its random choices are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// The experiment.
    pub experiment: Experiment,
    /// The seed of every random choice; running with the same seed makes the same choices.
    pub seed: u64,
    /// The objects that each named target picked.
    pub targets: BTreeMap<String, NonEmpty<Object>>,
    /// Where each probe is sent from.
    pub probes: Vec<PlannedProbe>,
    /// The faults that the timeline injects, in the order of the file.
    pub faults: Vec<PlannedFault>,
    /// The changes that the timeline makes, in the order of the file.
    #[serde(default)]
    pub changes: Vec<PlannedFault>,
    /// What is put in place before the baseline and removed last: the delays of a lab's links.
    pub background: Vec<Part>,
    /// What is touched, against the limits.
    pub radius: radius::Radius,
    /// What should be known before running.
    pub warnings: Vec<Remark>,
}

impl Plan {
    /// Returns the objects that faults and changes are on, without what goes along with them.
    pub(crate) fn acted_on(&self) -> Vec<ObjectId> {
        let parts = self.faults.iter().chain(&self.changes).flat_map(|planned| &planned.parts);
        let all: BTreeSet<ObjectId> = parts.map(|part| part.offer.ask.object.clone()).collect();
        all.into_iter().collect()
    }

    /// Finds a part by its id, whatever it belongs to.
    pub fn part(&self, id: &str) -> Option<&Part> {
        let planned = self.faults.iter().chain(&self.changes).flat_map(|planned| &planned.parts);
        planned.chain(&self.background).find(|part| part.id == id)
    }
}

/// A probe with the places it is sent from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedProbe {
    /// The probe's name.
    pub probe: String,
    /// Where.
    pub from: Origin,
}

/// Where the requests of a probe come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Where the runner is.
    Runner,
    /// Each of these objects.
    Places(NonEmpty<ObjectId>),
}

impl Origin {
    /// Returns from how many places they come.
    pub fn count(&self) -> usize {
        match self {
            Origin::Runner => 1,
            Origin::Places(places) => places.len(),
        }
    }
}

/// A fault with everything it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedFault {
    /// The fault's name.
    pub name: String,
    /// What is injected, in this order; reverted in reverse order.
    pub parts: Vec<Part>,
    /// After which it ends on its own, as the [`Hold`](crate::injector::Hold) of each part says.
    pub deadline: Duration,
}

/// One mechanism on one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Part {
    /// Unique within the run: `FAULT/OBJECT/NUMBER`.
    pub id: String,
    /// The injector that offered it.
    pub injector: String,
    /// What it will do.
    pub offer: Offer,
}

/// Makes the plan of one run.
///
/// Asking injectors may try mechanisms in throw-away namespaces; no target is touched.
pub async fn plan(
    experiment: &Experiment,
    inventory: &dyn Inventory,
    injectors: &[Arc<dyn Injector>],
    seed: u64,
) -> Result<Plan, PlanError> {
    names::check(experiment)?;
    if let Some(unsound) = soundness::refusals(experiment).into_iter().next() {
        return Err(unsound.into());
    }
    let objects = resolve::Resolver::new(experiment, inventory, seed).await?;
    let mut met = protected::check(experiment, &objects).await?;
    let planner = Planner { objects: &objects, inventory, injectors, seed };
    let background = planner.background(experiment).await?;
    let mut planned: Vec<PlannedFault> = Vec::new();
    // In the order of injection, as what comes later stands on what is there.
    for fault in experiment.timeline.injected().filter_map(|name| experiment.fault(name)) {
        let held = experiment.timeline.held(&fault.name);
        if held > LONGEST_FAULT {
            let message = format!(
                "`{}` would be in place for {}, and no fault may be for more than {}",
                fault.name,
                humantime::format_duration(held),
                humantime::format_duration(LONGEST_FAULT)
            );
            return Err(PlanError::unsound(
                Remark::error(fault.span, message).with_help("shorten its `hold`, or split the experiment"),
            ));
        }
        // What is planned, and how its effect is judged, is the same from injection to rollback.
        let Course::Steady = fault.course;
        let active = experiment.timeline.below(&fault.name);
        let stands = planned.iter().filter(|planned| active.contains(&planned.name.as_str()));
        let below: Vec<&Part> = background.iter().chain(stands.flat_map(|planned| &planned.parts)).collect();
        let parts = planner.parts(&fault.name, &fault.action, &fault.on, fault.span, &below).await?;
        planned.push(PlannedFault {
            name: fault.name.value.clone(),
            parts,
            deadline: held + DEADLINE_MARGIN,
        });
    }
    let declared =
        |planned: &PlannedFault| experiment.faults.iter().position(|f| f.name.value == planned.name);
    planned.sort_by_key(declared);
    let faults = planned;
    let mut changes = Vec::new();
    for change in &experiment.changes {
        let makes = |step: &Step| matches!(step, Step::Make(name) if *name == change.name);
        if !experiment.timeline.steps.iter().any(|step| makes(&step.value)) {
            continue;
        }
        let parts = planner.parts(&change.name, &change.action, &change.on, change.span, &[]).await?;
        // Twice the run: a change must not end before the run reverts it.
        let deadline = (experiment.steady_state.over + experiment.timeline.planned()) * 2 + CHANGE_MARGIN;
        changes.push(PlannedFault { name: change.name.value.clone(), parts, deadline });
    }
    met.extend(protected::along(experiment, faults.iter().chain(&changes))?);
    let unused = protected::unused(experiment, &met);
    let mut probes = Vec::new();
    for probe in &experiment.probes {
        let from = match &probe.from {
            Vantage::Each(selector) => Origin::Places(objects.find(selector).await?.map(|object| object.id)),
            Vantage::Runner => Origin::Runner,
        };
        probes.push(PlannedProbe { probe: probe.name.value.clone(), from });
    }
    let radius = radius::measure(experiment, faults.iter().chain(&changes), &objects).await?;
    let places =
        |probe: &Probe| probes.iter().find(|p| p.probe == probe.name.value).map_or(1, |p| p.from.count());
    let warnings = soundness::warnings(experiment, &places);
    let warnings = warnings.into_iter().map(soundness::Finding::into_remark).chain(unused).collect();
    let targets = objects.into_targets();
    let mut experiment = experiment.clone();
    for expectation in &mut experiment.expectations {
        picked(&mut expectation.claim, &targets);
    }
    Ok(Plan { experiment, seed, targets, probes, faults, changes, background, radius, warnings })
}

/// Leaves of those that a claim is about the ones that the run has picked.
pub(crate) fn picked(claim: &mut Claim, targets: &BTreeMap<String, NonEmpty<Object>>) {
    match claim {
        Claim::Each { of, keys, claim, .. } => {
            if let Some(target) = targets.get(&of.value) {
                keys.retain(|key| target.iter().any(|object| object.id.name == *key));
            }
            picked(claim, targets);
        }
        Claim::Given { condition, claim } => {
            picked(condition, targets);
            picked(claim, targets);
        }
        Claim::All(all) | Claim::Any(all) => all.iter_mut().for_each(|claim| picked(claim, targets)),
        Claim::Statistic { .. }
        | Claim::Always { .. }
        | Claim::Never { .. }
        | Claim::Unless { .. }
        | Claim::Eventually { .. }
        | Claim::Within { .. }
        | Claim::Stops { .. }
        | Claim::Stays { .. }
        | Claim::Settles { .. }
        | Claim::Completes { .. } => {}
    }
}
