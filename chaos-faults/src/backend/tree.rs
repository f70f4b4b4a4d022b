//! The kernel's own queues, netem and tbf, below an own root qdisc. [`qdisc`] says what a fault is to each of them.

pub(crate) mod qdisc;

use std::collections::{BTreeMap, BTreeSet};

use chaos_core::{
    injector::{Direction, Done, Measured, PacketMatch, Undo, Unit},
    model::FaultSpec,
    trouble::Trouble,
};

use self::qdisc::Counted;
use super::{
    Mechanism,
    ground::{Ground, Interface, Standing, State, failed, list, packets},
    inexpressible,
    layers::{self, Portion},
};
use crate::netlink::{
    Qdisc, QdiscOptions, QdiscStatistics, filter,
    tree::{Branch, MOST_BRANCHES, Root, Tree},
};

/// The own roots that this process made in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    /// By interface; newest fault first, as of several branches that match the first one counts.
    standing: BTreeMap<u32, Vec<Grown>>,
    /// Where others' roots stood when a fault was to be put there, so that there is nothing of it to revert.
    refused: BTreeSet<(String, u32)>,
}

/// What a fault has in a tree.
#[derive(Clone, Debug)]
struct Grown {
    id: String,
    branches: Vec<Branch>,
    /// What was counted before the tree was made anew for another fault.
    counted: QdiscStatistics,
}

/// Refuses interfaces whose root qdisc somebody chose.
pub(crate) fn check(mechanism: Mechanism, interfaces: &[Interface]) -> Result<(), Trouble> {
    for interface in interfaces {
        let foreign = interface.qdiscs.iter().find(|qdisc| {
            qdisc.parent == crate::netlink::Handle::ROOT && !qdisc.is_default() && !qdisc.is_own()
        });
        if let Some(foreign) = foreign {
            return Err(Trouble::unable(format!(
                    "interface `{}` already has the root qdisc `{} {}`, which somebody set and {mechanism} would replace",
                    interface.name, foreign.kind, foreign.handle
                )).with_help(format!(
                    "use a backend that leaves the queue alone (`--backend tcx`, `--backend forwarder`), or remove it: `tc qdisc del dev {} root`",
                    interface.name
                )));
        }
    }
    Ok(())
}

/// Refuses an interface with queues of a fault that are not this process's own.
pub(crate) fn check_own(interface: &Interface, ours: bool) -> Result<(), Trouble> {
    let own = || interface.qdiscs.iter().any(Standing::is_own);
    if ours || !own() { Ok(()) } else { Err(others(&interface.name, &interface.qdiscs)) }
}

fn others(interface: &str, now: &[Standing]) -> Trouble {
    let now = list(now);
    Trouble::unable(format!("interface `{interface}` still carries a fault of another run: {now}"))
        .with_help("wait for that run to end, or finish it with `chaos restore`")
}

impl Trees {
    /// Returns whether this process has a root on an interface.
    pub(crate) fn stand_on(&self, index: u32) -> bool {
        self.standing.contains_key(&index)
    }

    /// Returns the interfaces that this process has a root on.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.standing.keys().copied()
    }

    /// Makes the tree of each interface anew with the fault's branches in front.
    pub(crate) async fn inject(
        &mut self,
        mechanism: Mechanism,
        undo: &Undo,
        ground: &Ground,
        root: Root,
        portions: &[(Interface, Vec<Portion>)],
    ) -> Result<(), Trouble> {
        let (ask, packets) = (&undo.offer.ask, packets(undo)?);
        for (interface, portions) in portions {
            let key = interface.index;
            let mut branches = Vec::new();
            for Portion { matches, below } in portions {
                let qdisc = qdisc::of(mechanism, &packets.specs, *below, ask.seed, interface.mtu)?;
                branches.push(Branch { matches: matches.clone(), qdisc });
            }
            let before = self.standing.get(&key).cloned().unwrap_or_default();
            if before.iter().any(|grown| grown.id == undo.id) {
                continue;
            }
            if before.is_empty() {
                let now = ground.standing(interface.index).await?;
                if now.iter().any(Standing::is_own) {
                    self.refused.insert((undo.id.clone(), key));
                    return Err(others(&interface.name, &now));
                }
            }
            let mut after = self.counted(ground, interface.index, before.clone()).await?;
            after.insert(0, Grown { id: undo.id.clone(), branches, counted: QdiscStatistics::default() });
            if after.iter().map(|grown| grown.branches.len()).sum::<usize>() > MOST_BRANCHES {
                return Err(Trouble::unable(format!(
                    "interface `{}` would have more than {MOST_BRANCHES} different queues of faults",
                    interface.name
                )));
            }
            // Owed a revert from here on, also half done.
            self.standing.insert(key, after.clone());
            if let Err(error) = stand(ground, interface.index, root, &after).await {
                self.standing.insert(key, before.clone());
                stand(ground, interface.index, root, &before).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Leads other packets into the fault's branches: on every interface the same portions as when it was injected, but for what
    /// matches them. What waits in the queues is not touched.
    pub(crate) async fn apply_to(
        &mut self,
        id: &str,
        ground: &Ground,
        portions: &[(Interface, Vec<Portion>)],
    ) -> Result<(), Trouble> {
        let mut there = Vec::new();
        for (interface, portions) in portions {
            let mut all = self.standing.get(&interface.index).into_iter().flatten();
            let Some(ours) = all.find(|grown| grown.id == id) else { continue };
            // With an interface went its queues.
            if ground.link(interface.index).await?.is_some() {
                layers::one_each(ours.branches.len(), portions)?;
                there.push((interface, portions));
            }
        }
        for (interface, portions) in there {
            let Some(all) = self.standing.get_mut(&interface.index) else { continue };
            let Some(at) = all.iter().position(|grown| grown.id == id) else { continue };
            let first = all.iter().take(at).map(|grown| grown.branches.len()).sum::<usize>();
            let Some(ours) = all.get_mut(at) else { continue };
            for ((number, branch), portion) in (first..).zip(&mut ours.branches).zip(portions) {
                let rules = filter::compile(&portion.matches, Direction::Egress).map_err(inexpressible)?;
                let connection = &ground.connection;
                connection.fill_branch(interface.index, number as u8, &rules).await.map_err(failed)?;
                branch.matches.clone_from(&portion.matches);
            }
        }
        Ok(())
    }

    /// Takes the fault's branches off, and the root with the last of them.
    pub(crate) async fn revert(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: Option<&Ground>,
        root: Root,
    ) -> Result<Measured, Trouble> {
        let Some(ground) = ground else {
            self.standing.values_mut().for_each(|grown| grown.retain(|grown| grown.id != undo.id));
            return Ok(effect(&packets(undo)?.specs, &QdiscStatistics::default()));
        };
        let mut sum = QdiscStatistics::default();
        for interface in &state.interfaces {
            let key = interface.index;
            if self.refused.contains(&(undo.id.clone(), key)) {
                continue;
            }
            if ground.link(interface.index).await?.is_none() {
                self.standing.remove(&key);
                continue;
            }
            match self.standing.get(&key).cloned().filter(|grown| !grown.is_empty()) {
                None => {
                    self.standing.remove(&key);
                    // An own root that this process did not make was left by an agent that is dead.
                    ground.connection.remove_tree(interface.index).await.map_err(failed)?;
                }
                Some(before) => {
                    let mut counted = self.counted(ground, interface.index, before).await?;
                    let gone: Vec<_> = counted.extract_if(.., |grown| grown.id == undo.id).collect();
                    if gone.is_empty() {
                        continue;
                    }
                    stand(ground, interface.index, root, &counted).await?;
                    gone.iter().for_each(|gone| add(&mut sum, &gone.counted));
                    if counted.is_empty() {
                        self.standing.remove(&key);
                    } else {
                        self.standing.insert(key, counted);
                    }
                }
            }
        }
        Ok(effect(&packets(undo)?.specs, &sum))
    }

    /// Looks whether an own root stands on an interface where this process has none.
    pub(crate) async fn prove(&self, undo: &Undo, state: &State, ground: &Ground) -> Result<(), Trouble> {
        for interface in &state.interfaces {
            let known = self.standing.contains_key(&interface.index);
            let before = interface.qdiscs.iter().any(Standing::is_own);
            let refused = self.refused.contains(&(undo.id.clone(), interface.index));
            if known || before || refused || ground.link(interface.index).await?.is_none() {
                continue;
            }
            let now = ground.standing(interface.index).await?;
            if now.iter().any(Standing::is_own) {
                let (name, now) = (&interface.name, list(&now));
                return Err(Trouble::unable(format!(
                    "interface `{name}` still has queues of a fault: {now}"
                ))
                .with_help(format!("`tc qdisc del dev {name} root` removes them in its namespace")));
            }
        }
        Ok(())
    }

    /// Says what of a fault that should be in place was taken away, or is not as it was set.
    pub(crate) async fn missing(
        &self,
        undo: &Undo,
        state: &State,
        ground: &Ground,
    ) -> Result<Option<String>, Trouble> {
        for interface in &state.interfaces {
            let (name, index) = (&interface.name, interface.index);
            let Some(all) = self.standing.get(&index).filter(|all| all.iter().any(|one| one.id == undo.id))
            else {
                continue;
            };
            if ground.link(index).await?.is_none() {
                continue;
            }
            let now = ground.connection.qdiscs(index).await.map_err(failed)?;
            if !now.iter().any(|qdisc| qdisc.handle == crate::netlink::Handle::OWN_ROOT) {
                let now = list(&ground.standing(index).await?);
                return Ok(Some(format!(
                    "its queues on interface `{name}` were removed; there is {now} now"
                )));
            }
            let filters = ground.connection.branches_with_filters(index).await.map_err(failed)?;
            let branches =
                all.iter().flat_map(|one| one.branches.iter().map(move |branch| (&one.id, branch)));
            for (number, (_, branch)) in (0_u8..).zip(branches).filter(|(_, (id, _))| **id == undo.id) {
                if !is_as_set(branch, number, &now) {
                    return Ok(Some(format!("its queue on interface `{name}` was changed or removed")));
                }
                if !filters.contains(&number) {
                    return Ok(Some(format!(
                        "the filters that lead packets into its queue on interface `{name}` were removed, or others put before them"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Reads what passed through the fault's branches.
    pub(crate) async fn effect(
        &self,
        undo: &Undo,
        state: &State,
        ground: &Ground,
    ) -> Result<Measured, Trouble> {
        let mut sum = QdiscStatistics::default();
        for interface in &state.interfaces {
            let Some(grown) = self.standing.get(&interface.index) else { continue };
            let counted = self.counted(ground, interface.index, grown.clone()).await?;
            for grown in counted.iter().filter(|grown| grown.id == undo.id) {
                add(&mut sum, &grown.counted);
            }
        }
        Ok(effect(&packets(undo)?.specs, &sum))
    }

    /// Adds what the kernel counted until now to what each fault has on its account.
    async fn counted(&self, ground: &Ground, index: u32, mut all: Vec<Grown>) -> Result<Vec<Grown>, Trouble> {
        if all.is_empty() {
            return Ok(all);
        }
        let qdiscs = ground.connection.qdiscs(index).await.map_err(failed)?;
        let mut number = 0_u8;
        for grown in &mut all {
            for _ in &grown.branches {
                if let Some(found) = qdiscs.iter().find(|qdisc| qdisc.handle == Tree::child(number)) {
                    add(&mut grown.counted, &found.statistics);
                }
                number += 1;
            }
        }
        Ok(all)
    }
}

/// Puts a tree in the place of the present own one, or none, and reads it back.
async fn stand(ground: &Ground, index: u32, root: Root, all: &[Grown]) -> Result<(), Trouble> {
    let branches: Vec<_> = all.iter().flat_map(|grown| grown.branches.clone()).collect();
    let connection = &ground.connection;
    connection.remove_tree(index).await.map_err(failed)?;
    if branches.is_empty() {
        return Ok(());
    }
    let tree = Tree { root, branches };
    connection.install_tree(index, &tree).await.map_err(failed)?;
    let now = connection.qdiscs(index).await.map_err(failed)?;
    for (number, branch) in (0_u8..).zip(&tree.branches) {
        if !is_as_set(branch, number, &now) {
            let there = now.iter().find(|qdisc| qdisc.handle == Tree::child(number));
            return Err(Trouble::unable(format!(
                "interface {index} has {} instead of the asked for {:?}",
                there.map_or("no such qdisc".into(), |qdisc| format!("{:?}", qdisc.decoded)),
                branch.qdisc
            )));
        }
    }
    Ok(())
}

/// Returns whether the qdisc of a branch stands among those of its interface with the options that it was given.
fn is_as_set(branch: &Branch, number: u8, now: &[Qdisc]) -> bool {
    let there = now.iter().find(|qdisc| qdisc.handle == Tree::child(number));
    match (&branch.qdisc, there.and_then(|qdisc| qdisc.decoded.as_ref())) {
        (QdiscOptions::Netem(asked), Some(QdiscOptions::Netem(found))) => asked.matches(found),
        (QdiscOptions::Tbf(asked), Some(QdiscOptions::Tbf(found))) => asked.matches(found),
        _ => false,
    }
}

fn add(sum: &mut QdiscStatistics, more: &QdiscStatistics) {
    sum.bytes += more.bytes;
    sum.packets = sum.packets.wrapping_add(more.packets);
    sum.drops = sum.drops.wrapping_add(more.drops);
    sum.overlimits = sum.overlimits.wrapping_add(more.overlimits);
    sum.requeues = sum.requeues.wrapping_add(more.requeues);
    sum.queued_packets = more.queued_packets;
    sum.queued_bytes = more.queued_bytes;
}

fn effect(specs: &[FaultSpec], counted: &QdiscStatistics) -> Measured {
    let drops = u64::from(counted.drops);
    let met = u64::from(counted.packets) + drops + u64::from(counted.queued_packets);
    let each: Vec<Done> = specs
        .iter()
        .map(|spec| Done {
            spec: spec.clone(),
            changed: match qdisc::counted(spec) {
                Counted::Hold => Some(met.saturating_sub(drops)),
                Counted::Limit => Some(u64::from(counted.overlimits).min(met).max(drops)),
                Counted::Lose => Some(drops),
                Counted::Uncounted => None,
            },
        })
        .collect();
    let does = |one: Counted| specs.iter().any(|spec| qdisc::counted(spec) == one);
    let line = if does(Counted::Hold) {
        format!("matched {met} packets, held {}, dropped {drops}", met.saturating_sub(drops))
    } else if does(Counted::Limit) {
        format!("matched {met} packets, let {} bytes through, dropped {drops}", counted.bytes)
    } else if does(Counted::Lose) {
        format!("matched {met} packets, dropped {drops}")
    } else {
        format!("matched {met} packets")
    };
    // What is not counted may have changed any of them.
    let changed = each.iter().map(|done| done.changed.unwrap_or(met)).max().unwrap_or(met);
    Measured { seen: Some(met), met, changed, each, line, ..Measured::nothing(Unit::Packets) }
}

/// Says whether the root's filters can tell these packets; some matches only a program can express.
pub(crate) fn can_match(matches: &PacketMatch) -> Result<(), Trouble> {
    crate::netlink::filter::compile(matches, chaos_core::injector::Direction::Egress)
        .map(drop)
        .map_err(inexpressible)
}

#[cfg(test)]
mod tests;
