//! Delay, jitter, reordering and rate in user space, behind a BPF program or behind filters. [`shape`] says what a fault is
//! to a forwarder.

mod effect;
pub(crate) mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chaos_core::{
    injector::{Direction, Hold, Measured, PacketMatch, Undo},
    trouble::{Kind, Trouble},
};

use super::{
    ground::{Ground, Interface, State, failed, packets},
    inexpressible,
    layers::{self, Portion},
    programs::Programs,
};
use crate::{
    bpf::{Deadline, Device},
    forwarder::{
        Counters, Forwarder, ForwarderError, Shape, TcxSteering,
        queries::{Asking, Tally},
        steering::{Entry, Steering, SteeringError},
    },
    netlink::{
        filter::{self, Hook, SLOTS, Verdict},
        own_pair,
    },
};

/// The faults whose packets this process holds.
#[derive(Debug, Default)]
pub(crate) struct Forwarders {
    active: BTreeMap<String, Vec<Running>>,
    /// When each ends in the kernel.
    until: BTreeMap<String, Deadline>,
    /// The interfaces that this process added `clsact` to.
    hooked: BTreeSet<u32>,
}

#[derive(Debug)]
struct Running {
    forwarder: Option<Forwarder>,
    index: u32,
    direction: Direction,
    /// The set of filters that leads packets in, where no program does.
    slot: Option<u16>,
    /// The priorities of others' filters that were asked before those already.
    ahead: Vec<u16>,
    counted: Counters,
    tally: Tally,
}

/// Refuses interfaces that packets cannot be sent on past the queue.
pub(crate) fn check(interfaces: &[Interface], hold: Hold) -> Result<(), Trouble> {
    for interface in interfaces {
        let name = &interface.name;
        if interface.loopback {
            let why = "traffic of this fault stays on the loopback";
            return Err(Trouble::unable(format!("{why} `{name}`, whose packets a forwarder cannot hold"))
                .with_help(
                    "name destinations outside this network namespace, or use `--backend netem` where there is one",
                ));
        }
        if !interface.ethernet {
            let why = "packets of this fault leave by";
            return Err(Trouble::unable(format!(
                "{why} `{name}`, which has no Ethernet header, so that a forwarder cannot send them on"
            ))
            .with_help("name other destinations, or use `--backend netem` where there is one"));
        }
        if hold == Hold::Agent && interface.qdiscs.iter().any(|qdisc| qdisc.kind == "ingress") {
            return Err(Trouble::unable(format!(
                "interface `{name}` already has the qdisc `ingress`, which somebody set and `clsact` would replace"
            ))
            .with_help(format!("remove it: `tc qdisc del dev {name} ingress`")));
        }
    }
    Ok(())
}

fn refused(error: ForwarderError) -> Trouble {
    let kind = match &error {
        ForwarderError::Setup { source, .. } => Kind::from(source),
        _ => Kind::Unable,
    };
    Trouble::unable(error.to_string()).of_kind(kind)
}

/// Remembers where packets are to be led, for filters that are added right after.
#[derive(Debug)]
struct FilterSteering {
    near: Arc<Mutex<Option<u32>>>,
}

impl Steering for FilterSteering {
    fn wants_heartbeat(&self) -> bool {
        false
    }

    fn engage(&mut self, entry: &Entry) -> Result<(), SteeringError> {
        *self.near.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry.near.index());
        Ok(())
    }

    fn disengage(&mut self) -> Result<(), SteeringError> {
        Ok(())
    }
}

impl Forwarders {
    /// Starts a forwarder for every portion of every interface and direction, least specific first.
    pub(crate) async fn inject(
        &mut self,
        undo: &Undo,
        mark: u32,
        ground: &Ground,
        programs: &mut Programs,
        portions: &[(Interface, Direction, Vec<Portion>)],
    ) -> Result<(), Trouble> {
        // What one left that was killed where its pair had no namespace of its own.
        own_pair::sweep(&ground.connection).await.map_err(failed)?;
        self.active.entry(undo.id.clone()).or_default();
        let specs = &packets(undo)?.specs;
        let search = State::of(undo)?.search;
        // What comes later ends with the rest.
        let until = *self.until.entry(undo.id.clone()).or_insert_with(|| Deadline::after(undo.deadline));
        let mut seed = undo.offer.ask.seed;
        for (interface, direction, portions) in portions {
            let there =
                |running: &Running| (running.index, running.direction) == (interface.index, *direction);
            if self.active.get(&undo.id).is_some_and(|all| all.iter().any(there)) {
                continue;
            }
            let device = ground.device(interface.index).await?;
            // The newest rule is asked first, so the one for all the rest comes first.
            for portion in portions.iter().rev() {
                let task = match undo.offer.ask.work.names() {
                    Some(fault) => {
                        let asking = Asking { fault: fault.clone(), search: search.clone() };
                        Task::Queries(asking, portion.below)
                    }
                    None => {
                        let mut shape = shape::shape(specs)?;
                        shape.delay += portion.below;
                        Task::Packets(shape)
                    }
                };
                let answers = matches!(task, Task::Queries(..));
                seed = seed.wrapping_add(1);
                let running = match undo.offer.hold {
                    Hold::Kernel => {
                        let key = programs.open(device.clone(), *direction).await?;
                        let hold = programs.get(key).ok_or_else(|| Trouble::unable("the program is gone"))?;
                        let steering = TcxSteering::new(hold, portion.matches.clone(), Some(until), mark);
                        let forwarder =
                            start(device.clone(), *direction, task, Box::new(steering), seed).await?;
                        Running {
                            forwarder: Some(forwarder),
                            index: interface.index,
                            direction: *direction,
                            slot: None,
                            ahead: Vec::new(),
                            counted: Counters::default(),
                            tally: Tally::default(),
                        }
                    }
                    Hold::Environment | Hold::Record | Hold::Over => {
                        let hold = undo.offer.hold;
                        return Err(Trouble::unable(format!("a forwarder is never {hold}")));
                    }
                    Hold::Agent => {
                        let near = Arc::new(Mutex::new(None));
                        let steering = FilterSteering { near: Arc::clone(&near) };
                        let forwarder =
                            start(device.clone(), *direction, task, Box::new(steering), seed).await?;
                        let near = near.lock().unwrap_or_else(PoisonError::into_inner).take();
                        let near = near.ok_or_else(|| Trouble::unable("the forwarder has no way in"))?;
                        let slot = self.free_slot(interface.index, *direction)?;
                        let connection = &ground.connection;
                        if connection.ensure_clsact(interface.index).await.map_err(failed)? {
                            self.hooked.insert(interface.index);
                        }
                        let there =
                            connection.filters(interface.index, hook(*direction)).await.map_err(failed)?;
                        let ahead =
                            there.iter().filter(|filter| filter.is_ahead()).map(|filter| filter.priority);
                        // On the list first, so that a revert finds what is half there.
                        self.active.entry(undo.id.clone()).or_default().push(Running {
                            forwarder: Some(forwarder),
                            index: interface.index,
                            direction: *direction,
                            slot: Some(slot),
                            ahead: ahead.collect(),
                            counted: Counters::default(),
                            tally: Tally::default(),
                        });
                        let rules = filter::compile(&portion.matches, *direction).map_err(inexpressible)?;
                        if answers {
                            // They go with the pair.
                            connection.ensure_clsact(near).await.map_err(failed)?;
                            let all = filter::compile(&PacketMatch::default(), Direction::Ingress);
                            let all = all.map_err(inexpressible)?;
                            let back = Verdict::Receive(interface.index);
                            connection
                                .add_filters(near, Hook::Ingress, 0, &all, back)
                                .await
                                .map_err(failed)?;
                        }
                        connection
                            .add_numbered(
                                interface.index,
                                hook(*direction),
                                slot,
                                &rules,
                                Verdict::Redirect(near),
                                self.hooked.contains(&interface.index),
                            )
                            .await
                            .map_err(failed)?;
                        continue;
                    }
                };
                self.active.entry(undo.id.clone()).or_default().push(running);
            }
        }
        Ok(())
    }

    /// Has the forwarders hold other packets: for every interface and direction the same portions as when they were started, but
    /// for what matches them.
    pub(crate) async fn apply_to(
        &mut self,
        id: &str,
        ground: &Ground,
        portions: &[(Interface, Direction, Vec<Portion>)],
    ) -> Result<(), Trouble> {
        let is_on = |running: &Running, interface: &Interface, direction: &Direction| {
            (running.index, running.direction) == (interface.index, *direction)
        };
        let mut there = Vec::new();
        for (interface, direction, portions) in portions {
            let all = self.active.get(id).into_iter().flatten();
            let ours = all.filter(|running| is_on(running, interface, direction)).count();
            // With an interface went what led packets off it.
            if ours > 0 && ground.link(interface.index).await?.is_some() {
                layers::one_each(ours, portions)?;
                there.push((interface, direction, portions));
            }
        }
        for (interface, direction, portions) in there {
            let all = self.active.get_mut(id).into_iter().flatten();
            let ours = all.filter(|running| is_on(running, interface, direction));
            for (running, portion) in ours.zip(portions.iter().rev()) {
                let Some(forwarder) = &mut running.forwarder else { continue };
                let Some(slot) = running.slot else {
                    forwarder.apply_to(&portion.matches).map_err(refused)?;
                    continue;
                };
                let rules = filter::compile(&portion.matches, *direction).map_err(inexpressible)?;
                let (connection, hook) = (&ground.connection, hook(*direction));
                connection.delete_filters(interface.index, hook, slot).await.map_err(failed)?;
                let verdict = Verdict::Redirect(forwarder.near());
                let hooked = self.hooked.contains(&interface.index);
                connection
                    .add_numbered(interface.index, hook, slot, &rules, verdict, hooked)
                    .await
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Returns the interfaces that filters of this process lead packets off.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.active.values().flatten().filter(|running| running.slot.is_some()).map(|running| running.index)
    }

    /// Finds a set of filters that is asked before all others.
    fn free_slot(&self, index: u32, direction: Direction) -> Result<u16, Trouble> {
        let used: BTreeSet<u16> = self
            .active
            .values()
            .flatten()
            .filter(|running| (running.index, running.direction) == (index, direction))
            .filter_map(|running| running.slot)
            .collect();
        let lowest = used.first().copied().unwrap_or(SLOTS);
        lowest.checked_sub(1).ok_or_else(|| Trouble::unable("too many faults on one interface"))
    }

    /// Leads packets past again, sends what is held, and removes what was made.
    pub(crate) async fn revert(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: Option<&Ground>,
        programs: &mut Programs,
    ) -> Result<Measured, Trouble> {
        let mut all = self.active.remove(&undo.id);
        let mut failure = None;
        for running in all.iter_mut().flatten().rev() {
            if let (Some(slot), Some(ground)) = (running.slot, ground) {
                let removed =
                    ground.connection.delete_filters(running.index, hook(running.direction), slot).await;
                match removed {
                    Err(error) if !error.is_absent() => {
                        failure.get_or_insert(failed(error));
                        continue;
                    }
                    _ => running.slot = None,
                }
            }
            let Some(forwarder) = running.forwarder.take() else { continue };
            let gone = forwarder.device().index();
            let stopped = tokio::task::spawn_blocking(move || {
                let (counters, tally) = (forwarder.counters(), forwarder.tally());
                match forwarder.stop() {
                    Ok(last) => (last, effect::read(&tally), None),
                    Err(error) => (counters, effect::read(&tally), Some(error)),
                }
            })
            .await;
            match stopped {
                Ok((counters, tally, None)) => (running.counted, running.tally) = (counters, tally),
                Ok((counters, tally, Some(error))) => {
                    (running.counted, running.tally) = (counters, tally);
                    // With the interface its steering is gone as well.
                    let there = match ground {
                        Some(ground) => ground.link(gone).await?.is_some(),
                        None => false,
                    };
                    if there {
                        failure.get_or_insert(refused(error));
                    }
                }
                Err(error) => {
                    failure.get_or_insert(Trouble::unable(format!(
                        "the forwarder could not be stopped: {error}"
                    )));
                }
            }
        }
        let met = effect::measured(undo, all.as_deref().unwrap_or_default());
        if let Some(failure) = failure {
            self.active.insert(undo.id.clone(), all.unwrap_or_default());
            return Err(failure);
        }
        let known = all.is_some();
        self.until.remove(&undo.id);
        let (hooked, active) = (&mut self.hooked, &self.active);
        hooked.retain(|index| active.values().flatten().any(|running| running.index == *index));
        programs.tidy().await;
        if let Some(ground) = ground.filter(|_| !known) {
            own_pair::sweep(&ground.connection).await.map_err(failed)?;
        }
        if let Some(ground) = ground.filter(|_| undo.offer.hold == Hold::Agent) {
            self.clean(state, ground, known).await?;
        }
        Ok(met)
    }

    /// Removes filters that an agent left that is dead, and the hook if it was not there before and nobody uses it.
    async fn clean(&mut self, state: &State, ground: &Ground, known: bool) -> Result<(), Trouble> {
        for interface in &state.interfaces {
            if ground.link(interface.index).await?.is_none() {
                continue;
            }
            let ours = self.active.values().flatten().any(|running| running.index == interface.index);
            if !known && !ours {
                for direction in [Direction::Egress, Direction::Ingress] {
                    let left = ground.connection.filters(interface.index, hook(direction)).await;
                    let left = match left {
                        Err(error) if error.is_absent() => continue,
                        left => left.map_err(failed)?,
                    };
                    if left.iter().any(filter::Filter::is_own) {
                        for slot in 0..SLOTS {
                            let hook = hook(direction);
                            ground
                                .connection
                                .delete_filters(interface.index, hook, slot)
                                .await
                                .map_err(failed)?;
                        }
                    }
                }
            }
            if !interface.qdiscs.iter().any(|qdisc| qdisc.kind == "clsact") {
                ground.connection.delete_clsact_if_unused(interface.index).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Reads the counters.
    pub(crate) fn effect(&mut self, undo: &Undo) -> Measured {
        let running = self.active.get_mut(&undo.id).map(Vec::as_mut_slice).unwrap_or_default();
        for running in running.iter_mut() {
            if let Some(forwarder) = &running.forwarder {
                running.counted = forwarder.counters();
                running.tally = effect::read(&forwarder.tally());
            }
        }
        effect::measured(undo, running)
    }

    /// Says what leads packets of a fault into its forwarders and was taken away; `names` are those of the interfaces.
    pub(crate) async fn missing(
        &mut self,
        undo: &Undo,
        ground: &Ground,
        programs: &Programs,
        names: &(dyn Fn(u32) -> String + Sync),
    ) -> Result<Option<String>, Trouble> {
        let all = self.active.get(&undo.id).map(Vec::as_slice).unwrap_or_default();
        let all: Vec<_> = all
            .iter()
            .map(|running| {
                let near = running.forwarder.as_ref().map(Forwarder::near);
                (running.index, running.direction, running.slot, running.ahead.clone(), near)
            })
            .collect();
        for (index, direction, slot, ahead, near) in all {
            if ground.link(index).await?.is_none() {
                continue;
            }
            if let Some(near) = near
                && ground.link(near).await?.is_none()
            {
                let name = names(index);
                return Ok(Some(format!("the interface that packets of `{name}` are led to was removed")));
            }
            let Some(slot) = slot else {
                if !programs.is_attached((index, direction)).map_err(super::ground::bpf_failed)? {
                    return Ok(Some(super::tcx::taken_off((index, direction), names)));
                }
                continue;
            };
            let filters = match ground.connection.filters(index, hook(direction)).await {
                // The qdisc that they hang on is gone, and they with it.
                Err(error) if error.is_absent() || error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
                filters => filters.map_err(failed)?,
            };
            let name = names(index);
            if !filters.iter().any(|filter| filter.slot() == Some(slot)) {
                return Ok(Some(format!(
                    "the filters on interface `{name}` that lead packets into it were removed"
                )));
            }
            if filters.iter().any(|filter| filter.is_ahead() && !ahead.contains(&filter.priority)) {
                return Ok(Some(format!(
                    "others put filters on interface `{name}` before those that lead packets into it"
                )));
            }
        }
        Ok(None)
    }

    /// Returns the faults whose thread no longer runs.
    pub(crate) fn dead(&self) -> Vec<String> {
        let dead =
            |running: &Running| running.forwarder.as_ref().is_some_and(|forwarder| !forwarder.is_alive());
        self.active.iter().filter(|(_, all)| all.iter().any(dead)).map(|(id, _)| id.clone()).collect()
    }
}

/// What one does.
enum Task {
    Packets(Shape),
    /// What happens to queries, and by how much a fault below delays the same packets.
    Queries(Asking, Duration),
}

/// Starts one on a thread that may wait for the kernel.
async fn start(
    device: Device,
    direction: Direction,
    task: Task,
    steering: Box<dyn Steering>,
    seed: u64,
) -> Result<Forwarder, Trouble> {
    let start = move || match task {
        Task::Packets(shape) => Forwarder::start(device, direction, shape, steering, seed),
        Task::Queries(asking, below) => Forwarder::start_queries(device, asking, below, steering, seed),
    };
    tokio::task::spawn_blocking(start)
        .await
        .map_err(|error| Trouble::unable(format!("the forwarder could not be started: {error}")))?
        .map_err(refused)
}

fn hook(direction: Direction) -> Hook {
    match direction {
        Direction::Egress => Hook::Egress,
        Direction::Ingress => Hook::Ingress,
    }
}

#[cfg(test)]
mod tests;
