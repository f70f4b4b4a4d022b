//! The parts of a plan: what is asked of the injectors, and what they offer.

#![warn(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use super::{Part, PlanError, resolve, seed};
use crate::{
    injector::{
        Ask, Direction, Injector, Named, NamedPeer, Names, Offer, PacketMatch, Packets, Surroundings, Work,
    },
    inventory::Inventory,
    model::{
        Action, Experiment, FaultSpec, PacketFault, ProcessFault, Scope, Selector,
        packets::{Destination, Way, Who},
    },
    non_empty::{Empty, NonEmpty},
    place::{Object, ObjectId},
    remark::Remark,
    span::Span,
    trouble::Trouble,
    which::Which,
};

/// What the parts of a plan are made with.
pub(super) struct Planner<'a> {
    pub(super) objects: &'a resolve::Resolver<'a>,
    pub(super) inventory: &'a dyn Inventory,
    pub(super) injectors: &'a [Arc<dyn Injector>],
    pub(super) seed: u64,
}

impl Planner<'_> {
    /// Asks for everything that a fault or a change consists of.
    pub(super) async fn parts(
        &self,
        name: &str,
        action: &Action,
        on: &Selector,
        span: Span,
        below: &[&Part],
    ) -> Result<Vec<Part>, PlanError> {
        let mut parts = Vec::new();
        for object in self.meant(action, on).await? {
            let work = self.work(action, &object).await?;
            let seed = seed::derive(self.seed, &format!("fault {name} on {}", object.name));
            let ask = Ask { fault: name.to_owned(), object, work, seed };
            self.add(&mut parts, action, ask, span, below).await?;
        }
        Ok(parts)
    }

    /// Returns what an action is done to: what a selector finds, or its processes, each for itself, where they run already.
    async fn meant(&self, action: &Action, on: &Selector) -> Result<Vec<ObjectId>, PlanError> {
        let found = self.objects.find(on).await?.into_iter().map(|object| object.id);
        let Action::Processes(ProcessFault { named, effect: _ }) = action else { return Ok(found.collect()) };
        let mut meant: Vec<ObjectId> = Vec::new();
        for object in found {
            let processes = self.inventory.processes(&object, named).await;
            let processes = processes.map_err(|trouble| PlanError::Inventory { trouble, span: on.span() })?;
            match processes {
                Some(processes) => meant.extend(processes.into_iter().map(|process| process.id)),
                None => meant.push(object),
            }
        }
        Ok(meant)
    }

    /// Resolves what an action means to one object.
    async fn work(&self, action: &Action, object: &ObjectId) -> Result<Work, PlanError> {
        Ok(match action {
            Action::Packets(packets) => Work::Packets(self.packets(packets, object).await?),
            Action::Names(names) => Work::Names(Names::new(names.clone())),
            Action::Objects(objects) => Work::Objects(objects.clone()),
            Action::Processes(processes) => Work::Processes(processes.clone()),
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
        let named = match &fault.traffic.peers {
            Which::Any => None,
            Which::These(destinations) => self.named(destinations, object).await?,
        };
        Ok(Packets { specs, directions, matches, named })
    }

    /// Returns the remote ends where some of them are names; whoever injects the fault finds out their addresses.
    async fn named(
        &self,
        destinations: &NonEmpty<Destination>,
        object: &ObjectId,
    ) -> Result<Option<Named>, PlanError> {
        let names: Vec<NamedPeer> = destinations.iter().filter_map(name_of).collect();
        let Ok(names) = NonEmpty::try_from(names) else { return Ok(None) };
        let others = destinations.iter().filter(|destination| name_of(destination).is_none());
        let others = match NonEmpty::try_from(Vec::from_iter(others.cloned())) {
            Ok(others) => self.objects.peers(&others, object).await?.into_vec(),
            Err(Empty) => Vec::new(),
        };
        Ok(Some(Named { names, others }))
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
            Action::Packets(_)
            | Action::Names(_)
            | Action::Objects(_)
            | Action::Processes(_)
            | Action::Program(_) => (
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
    pub(super) async fn background(&self, experiment: &Experiment) -> Result<Vec<Part>, PlanError> {
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
                        named: None,
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

/// Returns a destination that is a name.
fn name_of(destination: &Destination) -> Option<NamedPeer> {
    match &destination.who {
        Who::Name(name) => {
            Some(NamedPeer { name: name.clone(), port: destination.port, addresses: Vec::new() })
        }
        Who::Objects(_) | Who::Network { .. } => None,
    }
}

/// Returns whether an injector is asked for offers for an action: a custom one goes to the injector it names alone.
fn asked(injector: &dyn Injector, action: &Action) -> bool {
    let named = match action {
        Action::Packets(_)
        | Action::Names(_)
        | Action::Objects(_)
        | Action::Processes(_)
        | Action::Program(_) => true,
        Action::Custom(custom) => custom.injector.value == injector.name(),
    };
    named && injector.handles(action)
}
