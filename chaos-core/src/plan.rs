//! From an experiment to what exactly will be touched, with what, and how it is undone; touches nothing itself.
//!
//! 1. `names` refuses what leads nowhere; [`resolve`] asks the inventory for objects and draws picks from the seed.
//! 2. Each fault becomes one [`Ask`] per object; injectors answer with offers, which become the plan's parts.
//! 3. [`radius`] counts what is touched against the limits of the file.
//! 4. [`soundness`] refuses claims that cannot fail or cannot be decided, and warns of what is likely to disappoint.

mod names;
pub mod radius;
pub mod resolve;
pub mod seed;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    injector::{Ask, Direction, Injector, Offer, PacketMatch, Peer},
    inventory::Inventory,
    model::{Claim, Distribution, Experiment, Fault, FaultSpec, Probe, Scope, Step, fault::Way},
    place::Object,
    remark::Remark,
    soundness,
    span::Span,
    trouble::Trouble,
};

/// The longest that a fault may be in place.
pub const LONGEST_FAULT: Duration = Duration::from_secs(30 * 60);

/// How much longer than its planned time a fault may live before it ends by itself.
pub const DEADLINE_MARGIN: Duration = Duration::from_secs(15);

/// How much longer than twice the planned run a change may live before it ends by itself.
pub const CHANGE_MARGIN: Duration = Duration::from_secs(10 * 60);

/// What exactly a run will do; all of its random choices are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// The experiment.
    pub experiment: Experiment,
    /// The seed of every random choice; running with the same seed makes the same choices.
    pub seed: u64,
    /// The objects that each named target picked.
    pub targets: BTreeMap<String, Vec<Object>>,
    /// Where each probe is sent from.
    pub probes: Vec<PlannedProbe>,
    /// The faults that the timeline injects, in the order of the file.
    pub faults: Vec<PlannedFault>,
    /// The changes that the timeline makes, in the order of the file.
    #[serde(default)]
    pub changes: Vec<PlannedFault>,
    /// What is put in place before the baseline and taken back last: the delays of a lab's links.
    pub background: Vec<Part>,
    /// What is touched, against the limits.
    pub radius: radius::Radius,
    /// What should be known before running.
    pub warnings: Vec<Remark>,
}

/// A probe with the places it is sent from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedProbe {
    /// The probe's name.
    pub probe: String,
    /// The places; empty means where the runner is.
    pub from: Vec<Object>,
}

/// A fault with everything it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedFault {
    /// The fault's name.
    pub name: String,
    /// What is injected, in this order; taken back in reverse.
    pub parts: Vec<Part>,
    /// After which it ends by itself, whatever happens.
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
        object: Box<Object>,
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
    let mut faults = Vec::new();
    for fault in experiment.faults.iter().filter(|f| !experiment.timeline.held(&f.name).is_zero()) {
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
        let parts = parts(fault, &objects, injectors, seed).await?;
        faults.push(PlannedFault { name: fault.name.value.clone(), parts, deadline: held + DEADLINE_MARGIN });
    }
    let mut changes = Vec::new();
    for change in &experiment.changes {
        let makes = |step: &Step| matches!(step, Step::Make(name) if *name == change.name);
        if !experiment.timeline.steps.iter().any(|step| makes(&step.value)) {
            continue;
        }
        let parts = parts(change, &objects, injectors, seed).await?;
        // Twice the run: a change must not end before the run takes it back.
        let deadline = (experiment.steady_state.over + experiment.timeline.planned()) * 2 + CHANGE_MARGIN;
        changes.push(PlannedFault { name: change.name.value.clone(), parts, deadline });
    }
    let background = background(experiment, &objects, injectors, seed).await?;
    let mut probes = Vec::new();
    for probe in &experiment.probes {
        let from = match &probe.from {
            Some(selector) => objects.find(selector).await?,
            None => Vec::new(),
        };
        probes.push(PlannedProbe { probe: probe.name.value.clone(), from });
    }
    let radius = radius::measure(experiment, faults.iter().chain(&changes), &objects).await?;
    let places =
        |probe: &Probe| probes.iter().find(|p| p.probe == probe.name.value).map_or(1, |p| p.from.len());
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
pub(crate) fn picked(claim: &mut Claim, targets: &BTreeMap<String, Vec<Object>>) {
    match claim {
        Claim::Each { of, keys, claim, .. } => {
            if let Some(target) = targets.get(&of.value) {
                keys.retain(|key| target.iter().any(|object| object.name == *key));
            }
            picked(claim, targets);
        }
        Claim::Given { condition, claim } => {
            picked(condition, targets);
            picked(claim, targets);
        }
        Claim::All(all) | Claim::Any(all) => all.iter_mut().for_each(|claim| picked(claim, targets)),
        _ => {}
    }
}

/// Asks each injector in turn; the first that can do all of it is taken, else the most telling refusal is returned.
async fn best_offer(
    injectors: &[Arc<dyn Injector>],
    ask: &Ask,
    span: Span,
) -> Result<(String, Vec<Offer>), PlanError> {
    let mut refusal: Option<Trouble> = None;
    let does = |injector: &&Arc<dyn Injector>| ask.specs.iter().all(|spec| injector.does(spec));
    for injector in injectors.iter().filter(does) {
        match injector.offer(ask).await {
            Ok(offers) => return Ok((injector.name().to_owned(), offers)),
            Err(denied) => {
                refusal.get_or_insert(denied);
            }
        }
    }
    let denied = refusal.unwrap_or_else(|| {
        Trouble::unable("no injector that was given to the runner does this")
            .with_help("hand one that does to it")
    });
    Err(PlanError::Denied { fault: ask.fault.clone(), object: Box::new(ask.object.clone()), denied, span })
}

async fn ask(
    fault: &Fault,
    object: &Object,
    objects: &resolve::Resolver<'_>,
    seed: u64,
) -> Result<Ask, PlanError> {
    let mut peers = Vec::new();
    for destination in &fault.traffic.peers {
        peers.extend(objects.peers(destination, object).await?);
    }
    peers.sort();
    peers.dedup();
    let specs: Vec<FaultSpec> = fault.specs.iter().map(|s| s.value.clone()).collect();
    let both = specs.contains(&FaultSpec::Partition);
    let directions = match fault.traffic.direction {
        _ if both => vec![Direction::Egress, Direction::Ingress],
        Way::Egress => vec![Direction::Egress],
        Way::Ingress => vec![Direction::Ingress],
        Way::Both => vec![Direction::Egress, Direction::Ingress],
    };
    let matches = PacketMatch { peers, ports: fault.traffic.ports.clone(), protocol: fault.traffic.protocol };
    Ok(Ask {
        fault: fault.name.value.clone(),
        object: object.clone(),
        specs,
        directions,
        matches,
        seed: seed::derive(seed, &format!("fault {} on {}", fault.name, object.name)),
    })
}

/// Asks for everything that a fault or a change consists of.
async fn parts(
    fault: &Fault,
    objects: &resolve::Resolver<'_>,
    injectors: &[Arc<dyn Injector>],
    seed: u64,
) -> Result<Vec<Part>, PlanError> {
    let mut parts = Vec::new();
    for object in objects.find(&fault.on).await? {
        let ask = ask(fault, &object, objects, seed).await?;
        let (injector, offers) = best_offer(injectors, &ask, fault.span).await?;
        for offer in offers {
            let id = format!("{}/{}/{}", fault.name, object.name, parts.len() + 1);
            parts.push(Part { id, injector: injector.clone(), offer });
        }
    }
    Ok(parts)
}

/// The delays of a lab's links, as faults on both of their ends.
async fn background(
    experiment: &Experiment,
    objects: &resolve::Resolver<'_>,
    injectors: &[Arc<dyn Injector>],
    seed: u64,
) -> Result<Vec<Part>, PlanError> {
    let Scope::Lab(lab) = &experiment.scope else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for link in lab.links.iter().filter(|l| !l.delay.is_zero()) {
        for (near, far) in [(&link.a, &link.b), (&link.b, &link.a)] {
            let selector = |name: &crate::span::Spanned<String>| crate::model::Selector::Hosts(name.clone());
            let far: Vec<Peer> =
                objects.find(&selector(far)).await?.iter().flat_map(resolve::all_addresses).collect();
            for object in objects.find(&selector(near)).await? {
                let name = format!("link-{}-{}", link.a, link.b);
                let ask = Ask {
                    fault: name.clone(),
                    object: object.clone(),
                    specs: vec![FaultSpec::Delay {
                        delay: link.delay,
                        jitter: Duration::ZERO,
                        correlation: 0.0,
                        distribution: Distribution::Uniform,
                    }],
                    directions: vec![Direction::Egress],
                    matches: PacketMatch { peers: far.clone(), ..PacketMatch::default() },
                    seed: seed::derive(seed, &format!("{name} on {}", object.name)),
                };
                let (injector, offers) = best_offer(injectors, &ask, link.a.span).await?;
                for offer in offers {
                    let id = format!("{name}/{}/{}", object.name, parts.len() + 1);
                    parts.push(Part { id, injector: injector.clone(), offer });
                }
            }
        }
    }
    Ok(parts)
}
