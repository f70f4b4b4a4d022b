//! From an experiment to what exactly will be touched, with what, and how it is undone; touches nothing itself.
//!
//! 1. `names` refuses what leads nowhere; [`resolve`] asks the inventory for objects and draws picks from the seed.
//! 2. Each fault becomes one [`Ask`] per object; injectors answer with offers, which become the plan's parts.
//! 3. [`radius`] counts what is touched against the limits of the file.
//! 4. [`soundness`] refuses claims that cannot fail or cannot be decided, and warns of what is likely to disappoint.

#![warn(clippy::wildcard_enum_match_arm)]

mod names;
pub mod radius;
pub mod resolve;
pub mod seed;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    injector::{Ask, Direction, Injector, Names, Offer, PacketMatch, Packets, Surroundings, Work},
    inventory::Inventory,
    model::{
        Action, Claim, Course, Experiment, FaultSpec, PacketFault, Probe, Scope, Selector, Step, Vantage,
        packets::Way,
    },
    non_empty::{Empty, NonEmpty},
    place::{Object, ObjectId},
    remark::Remark,
    soundness,
    span::Span,
    trouble::Trouble,
    which::Which,
};

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

/// Why an experiment is not run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// A selector found nothing, or nothing can be found.
    #[error("{trouble}")]
    Inventory {
        /// Why not.
        trouble: Trouble,
        /// The selector's place.
        span: Span,
    },
    /// No injector can do it here.
    #[error("`{fault}` cannot be injected on {object}: {denied}")]
    Denied {
        /// The fault's name.
        fault: String,
        /// The object.
        object: Box<ObjectId>,
        /// Why not.
        denied: Trouble,
        /// The fault's place.
        span: Span,
    },
    /// More would be touched than the file allows.
    #[error("{message}")]
    Radius {
        /// Which limit, and by how much.
        message: String,
        /// What is touched.
        touched: Vec<String>,
        /// The limit's place.
        span: Span,
    },
    /// The experiment itself cannot be carried out.
    #[error("{}", .0.message)]
    Unsound(Box<Remark>),
}

impl PlanError {
    /// Makes the error of an experiment that cannot be carried out as it is.
    pub fn unsound(remark: Remark) -> Self {
        PlanError::Unsound(Box::new(remark))
    }

    /// Returns the place in the file.
    pub fn span(&self) -> Span {
        match self {
            PlanError::Inventory { span, .. }
            | PlanError::Denied { span, .. }
            | PlanError::Radius { span, .. } => *span,
            PlanError::Unsound(remark) => remark.span,
        }
    }

    /// Returns what there is to say to whoever wrote the experiment.
    pub fn remark(&self) -> Remark {
        Remark { help: self.help(), ..Remark::error(self.span(), self.to_string()) }
    }

    /// Returns the likely fix.
    pub fn help(&self) -> Option<String> {
        match self {
            PlanError::Inventory { trouble, .. } => trouble.help.clone(),
            PlanError::Denied { denied, .. } => denied.help.clone(),
            PlanError::Radius { touched, .. } => Some(format!(
                "the faults would touch {}; narrow their targets, or have the limit reviewed",
                touched.join(", ")
            )),
            PlanError::Unsound(remark) => remark.help.clone(),
        }
    }
}

impl From<soundness::Finding> for PlanError {
    fn from(finding: soundness::Finding) -> Self {
        PlanError::unsound(finding.into_remark())
    }
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
        // Twice the run: a change must not end before the run takes it back.
        let deadline = (experiment.steady_state.over + experiment.timeline.planned()) * 2 + CHANGE_MARGIN;
        changes.push(PlannedFault { name: change.name.value.clone(), parts, deadline });
    }
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
    let warnings = warnings.into_iter().map(soundness::Finding::into_remark).collect();
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

/// What the parts of a plan are made with.
struct Planner<'a> {
    objects: &'a resolve::Resolver<'a>,
    inventory: &'a dyn Inventory,
    injectors: &'a [Arc<dyn Injector>],
    seed: u64,
}

impl Planner<'_> {
    /// Asks for everything that a fault or a change consists of.
    async fn parts(
        &self,
        name: &str,
        action: &Action,
        on: &Selector,
        span: Span,
        below: &[&Part],
    ) -> Result<Vec<Part>, PlanError> {
        let mut parts = Vec::new();
        for Object { id: object, .. } in self.objects.find(on).await? {
            let work = self.work(action, &object).await?;
            let seed = seed::derive(self.seed, &format!("fault {name} on {}", object.name));
            let ask = Ask { fault: name.to_owned(), object, work, seed };
            self.add(&mut parts, action, ask, span, below).await?;
        }
        Ok(parts)
    }

    /// Resolves what an action means to one object.
    async fn work(&self, action: &Action, object: &ObjectId) -> Result<Work, PlanError> {
        Ok(match action {
            Action::Packets(packets) => Work::Packets(self.packets(packets, object).await?),
            Action::Names(names) => Work::Names(Names::new(names.clone())),
            Action::Program(program) => Work::Program(program.clone()),
            Action::Custom(custom) => Work::Custom(custom.clone()),
        })
    }

    async fn packets(&self, fault: &PacketFault, object: &ObjectId) -> Result<Packets, PlanError> {
        let peers = match &fault.traffic.peers {
            Which::Any => Which::Any,
            Which::These(destinations) => Which::These(self.objects.peers(destinations, object).await?),
        };
        let specs: Vec<FaultSpec> = fault.specs.iter().map(|s| s.value.clone()).collect();
        let both = specs.contains(&FaultSpec::Partition);
        let directions = match fault.traffic.direction {
            _ if both => vec![Direction::Egress, Direction::Ingress],
            Way::Egress => vec![Direction::Egress],
            Way::Ingress => vec![Direction::Ingress],
            Way::Both => vec![Direction::Egress, Direction::Ingress],
        };
        let matches =
            PacketMatch { peers, ports: fault.traffic.ports.clone(), protocol: fault.traffic.protocol };
        Ok(Packets { specs, directions, matches })
    }

    /// Adds what injectors offer for an ask.
    async fn add(
        &self,
        parts: &mut Vec<Part>,
        action: &Action,
        ask: Ask,
        span: Span,
        below: &[&Part],
    ) -> Result<(), PlanError> {
        let below = below.iter().copied().chain(&*parts).map(|part| &part.offer);
        let below: Vec<Offer> = below.filter(|offer| offer.ask.object == ask.object).cloned().collect();
        let (injector, offers) = self.best_offer(action, &ask, span, below).await?;
        for offer in offers {
            let id = format!("{}/{}/{}", ask.fault, ask.object.name, parts.len() + 1);
            parts.push(Part { id, injector: injector.clone(), offer });
        }
        Ok(())
    }

    /// Asks each injector in turn; the first that can do all of it is taken, else the most telling refusal is returned.
    async fn best_offer(
        &self,
        action: &Action,
        ask: &Ask,
        span: Span,
        below: Vec<Offer>,
    ) -> Result<(String, Vec<Offer>), PlanError> {
        let place = self.inventory.place(&ask.object).await;
        let place = place.map_err(|trouble| PlanError::Inventory { trouble, span })?;
        let around = Surroundings { place, below };
        let mut refusal: Option<Trouble> = None;
        for injector in self.injectors.iter().filter(|injector| asked(&***injector, action)) {
            match injector.offer(ask, &around).await {
                Ok(offers) => return Ok((injector.name().to_owned(), offers)),
                Err(denied) => {
                    refusal.get_or_insert(denied);
                }
            }
        }
        let denied = refusal.unwrap_or_else(|| self.nobody(action));
        Err(PlanError::Denied {
            fault: ask.fault.clone(),
            object: Box::new(ask.object.clone()),
            denied,
            span,
        })
    }

    /// Says that no injector does an action.
    fn nobody(&self, action: &Action) -> Trouble {
        let (reason, remedy) = match action {
            Action::Packets(_) | Action::Names(_) | Action::Program(_) => (
                "no injector that was given to the runner does this".to_owned(),
                "hand one that does to it".to_owned(),
            ),
            Action::Custom(custom) => {
                let names: Vec<String> = self.injectors.iter().map(|i| format!("`{}`", i.name())).collect();
                let wanted = &custom.injector;
                let reason = match self.injectors.iter().any(|i| i.name() == wanted.value) {
                    true => format!("the injector `{wanted}` does no custom actions"),
                    false if names.is_empty() => {
                        format!("no injector is named `{wanted}`, and none was given to the runner")
                    }
                    false => format!("no injector is named `{wanted}`; there is {}", names.join(" and ")),
                };
                (reason, "run it with the program that brings that injector".to_owned())
            }
        };
        Trouble::unable(reason).with_help(remedy)
    }

    /// The delays of a lab's links, as faults on both of their ends.
    async fn background(&self, experiment: &Experiment) -> Result<Vec<Part>, PlanError> {
        let lab = match &experiment.scope {
            Scope::Lab(lab) => lab,
            Scope::Machine | Scope::Cluster(_) => return Ok(Vec::new()),
        };
        let mut parts = Vec::new();
        for link in lab.links.iter().filter(|l| !l.delay.is_zero()) {
            let name = format!("link-{}-{}", link.a, link.b);
            let action = Action::from(FaultSpec::delay(link.delay));
            for (near, far) in [(&link.a, &link.b), (&link.b, &link.a)] {
                let peers =
                    resolve::addresses(self.objects.find(&Selector::Hosts(far.clone())).await?.iter());
                let peers = Which::these(peers).map_err(|Empty| {
                    let why = format!("the link to `{far}` cannot be delayed: `{far}` has no address");
                    PlanError::unsound(Remark::error(far.span, why))
                })?;
                for Object { id: object, .. } in self.objects.find(&Selector::Hosts(near.clone())).await? {
                    let work = Work::Packets(Packets {
                        specs: vec![FaultSpec::delay(link.delay)],
                        directions: vec![Direction::Egress],
                        matches: PacketMatch { peers: peers.clone(), ..PacketMatch::default() },
                    });
                    let seed = seed::derive(self.seed, &format!("{name} on {}", object.name));
                    let ask = Ask { fault: name.clone(), object, work, seed };
                    self.add(&mut parts, &action, ask, link.a.span, &[]).await?;
                }
            }
        }
        Ok(parts)
    }
}

/// Returns whether an injector is asked for offers for an action: a custom one goes to the injector it names alone.
fn asked(injector: &dyn Injector, action: &Action) -> bool {
    let named = match action {
        Action::Packets(_) | Action::Names(_) | Action::Program(_) => true,
        Action::Custom(custom) => custom.injector.value == injector.name(),
    };
    named && injector.handles(action)
}
