//! Loss, duplication and refusal in a BPF program on the interface.

use std::collections::{BTreeMap, BTreeSet};

use chaos_core::{
    injector::{Done, Measured, PacketMatch, Undo, Unit},
    model::{
        FaultSpec,
        packets::{Blocked, Refusal},
    },
    trouble::Trouble,
};

use super::{
    ground::{Ground, State, bpf_failed, packets},
    inexpressible,
    programs::{Key, Programs},
};
use crate::{
    bpf::{Action, Counters, Deadline, Loss, Rule, RuleId},
    share::{Bursts, Share},
};

/// Returns a fault as the action of a program on the interface.
pub(crate) fn action(spec: &FaultSpec) -> Result<Action, Trouble> {
    let share = |ratio| Share::new(ratio).map_err(inexpressible);
    match *spec {
        FaultSpec::Loss { ratio, burst: None } => Ok(Action::Drop(Loss::Independent(share(ratio)?))),
        FaultSpec::Loss { ratio, burst: Some(length) } => {
            let bursts = Bursts::of_length(share(ratio)?, length.into());
            Ok(Action::Drop(Loss::Bursts(bursts.map_err(inexpressible)?)))
        }
        FaultSpec::Duplicate { ratio } => Ok(Action::Duplicate(share(ratio)?)),
        FaultSpec::Corrupt { .. } => {
            Err(inexpressible("a program on an interface sees packets before their checksums are finished"))
        }
        FaultSpec::Block { answer: Refusal::Reject, .. } => {
            Err(inexpressible("a program on the interface cannot answer the sender"))
        }
        FaultSpec::Block { connections, answer: Refusal::Drop } => Ok(match connections {
            Blocked::All => Action::Drop(Loss::Independent(Share::ALL)),
            Blocked::New => Action::DropOpening,
            Blocked::Established => Action::DropEstablished,
        }),
        FaultSpec::Partition => Ok(Action::Drop(Loss::Independent(Share::ALL))),
        FaultSpec::Delay { .. } | FaultSpec::Reorder { .. } | FaultSpec::Bandwidth { .. } => {
            Err(inexpressible("a program on an interface cannot hold packets"))
        }
    }
}

/// The faults that this process holds by programs.
#[derive(Debug, Default)]
pub(crate) struct Tcx {
    active: BTreeMap<String, Active>,
}

/// One fault.
#[derive(Debug, Default)]
struct Active {
    /// When its rules end on their own.
    until: Option<Deadline>,
    /// Its rules that are in place.
    placed: Vec<Placed>,
    /// Where rules were, whose programs stay until the fault is reverted.
    lifted: Vec<Key>,
    /// What those rules matched.
    met: BTreeMap<usize, Counters>,
}

/// One effect on one device and direction.
#[derive(Clone, Copy, Debug)]
struct Placed {
    key: Key,
    rule: RuleId,
    /// Which of the joined effects; a packet that one of them loses never meets the next.
    spec: usize,
}

impl Tcx {
    /// Adds the rules, where they are not in place yet.
    pub(crate) async fn inject(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: &Ground,
        programs: &mut Programs,
    ) -> Result<(), Trouble> {
        let packets = packets(undo)?;
        let active = self.active.entry(undo.id.clone()).or_default();
        if !active.lifted.is_empty() {
            return Ok(());
        }
        let placed = &mut active.placed;
        // What comes later ends with the rest.
        let until = *active.until.get_or_insert_with(|| Deadline::after(undo.deadline));
        for interface in &state.interfaces {
            let device = ground.device(interface.index).await?;
            for direction in &interface.directions {
                if placed.iter().any(|placed| placed.key == (interface.index, *direction)) {
                    continue;
                }
                let key = programs.open(device.clone(), *direction).await?;
                for (spec, asked) in packets.specs.iter().enumerate() {
                    let action = action(asked)?;
                    let rule = Rule {
                        matching: packets.matches.clone(),
                        action,
                        deadline: Some(until),
                        mark: state.mark,
                    };
                    let rule = programs.add(key, rule).map_err(bpf_failed)?;
                    // The kernel confirms by the counters that the rule is there.
                    programs.counters(key, rule).map_err(bpf_failed)?;
                    placed.push(Placed { key, rule, spec });
                }
            }
        }
        Ok(())
    }

    /// Has the rules apply to other packets.
    pub(crate) fn apply_to(
        &self,
        id: &str,
        matches: &PacketMatch,
        programs: &Programs,
    ) -> Result<(), Trouble> {
        let placed = self.active.get(id).map_or(&[][..], |active| &active.placed);
        placed
            .iter()
            .try_for_each(|placed| programs.change(placed.key, placed.rule, matches).map_err(bpf_failed))
    }

    /// Takes the rules off; programs stay, as long as the fault is not reverted.
    pub(crate) fn release(&mut self, id: &str, programs: &mut Programs) -> Result<(), Trouble> {
        let Some(Active { placed, lifted, met, .. }) = self.active.get_mut(id) else { return Ok(()) };
        while let Some(last) = placed.last().copied() {
            add(met, last.spec, programs.remove(last.key, last.rule).map_err(bpf_failed)?);
            programs.keep(last.key);
            lifted.push(last.key);
            placed.pop();
        }
        Ok(())
    }

    /// Takes the rules off; a program without rules goes as a whole.
    pub(crate) async fn revert(&mut self, undo: &Undo, programs: &mut Programs) -> Result<Measured, Trouble> {
        self.release(&undo.id, programs)?;
        let Active { lifted, met, .. } = self.active.remove(&undo.id).unwrap_or_default();
        for key in lifted {
            programs.let_go(key);
        }
        programs.tidy().await;
        // What is reverted stays reverted, whatever can be said of it.
        let specs = packets(undo).map_or(&[][..], |packets| &packets.specs);
        Ok(effect(specs, &met))
    }

    /// Says what of a fault that should be in place was taken away, on the interfaces that are there; `names` are theirs.
    pub(crate) fn missing(
        &self,
        id: &str,
        programs: &Programs,
        there: &BTreeSet<u32>,
        names: &(dyn Fn(u32) -> String + Sync),
    ) -> Result<Option<String>, Trouble> {
        for placed in self.active.get(id).map_or(&[][..], |active| &active.placed) {
            if there.contains(&placed.key.0) && !programs.is_attached(placed.key).map_err(bpf_failed)? {
                return Ok(Some(taken_off(placed.key, names)));
            }
        }
        Ok(None)
    }

    /// Reads the counters.
    pub(crate) fn effect(&self, undo: &Undo, programs: &Programs) -> Result<Measured, Trouble> {
        let Some(Active { placed, met, .. }) = self.active.get(&undo.id) else {
            return Ok(effect(&[], &BTreeMap::new()));
        };
        let mut met = met.clone();
        for placed in placed {
            add(&mut met, placed.spec, programs.counters(placed.key, placed.rule).map_err(bpf_failed)?);
        }
        Ok(effect(&packets(undo)?.specs, &met))
    }
}

/// Says that somebody took a program off an interface that is still there.
pub(super) fn taken_off((index, _): Key, names: &(dyn Fn(u32) -> String + Sync)) -> String {
    format!("its BPF program on interface `{}` was detached", names(index))
}

fn add(met: &mut BTreeMap<usize, Counters>, spec: usize, counters: Counters) {
    let sum = met.entry(spec).or_default();
    sum.seen += counters.seen;
    sum.hit += counters.hit;
}

fn effect(specs: &[FaultSpec], met: &BTreeMap<usize, Counters>) -> Measured {
    let seen = met.values().map(|counters| counters.seen).max().unwrap_or(0);
    let changed = met.values().map(|counters| counters.hit).sum();
    let mut done: Vec<(&str, u64)> = Vec::new();
    for (spec, counters) in met {
        let word = specs.get(*spec).map_or("changed", done_by);
        match done.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += counters.hit,
            None => done.push((word, counters.hit)),
        }
    }
    let mut line = format!("matched {seen} packets");
    for (word, count) in done {
        line += &format!(", {word} {count}");
    }
    let hits = |spec: usize| met.get(&spec).map_or(0, |counters| counters.hit);
    let done = |(spec, asked): (usize, &FaultSpec)| Done { spec: asked.clone(), changed: Some(hits(spec)) };
    let each = specs.iter().enumerate().map(done).collect();
    Measured { seen: Some(seen), met: seen, changed, each, line, ..Measured::nothing(Unit::Packets) }
}

/// Returns what a program does to the packets that a fault hits, in the past tense.
fn done_by(spec: &FaultSpec) -> &'static str {
    match spec {
        FaultSpec::Loss { .. } | FaultSpec::Block { .. } | FaultSpec::Partition => "dropped",
        FaultSpec::Duplicate { .. } => "duplicated",
        FaultSpec::Corrupt { .. }
        | FaultSpec::Delay { .. }
        | FaultSpec::Reorder { .. }
        | FaultSpec::Bandwidth { .. } => "changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_says_what_was_done_to_how_many_packets() {
        let counted = |seen, hit| Counters { seen, hit };
        let specs = [FaultSpec::loss(0.05), FaultSpec::Duplicate { ratio: 0.01 }, FaultSpec::Partition];
        let met = BTreeMap::from([(0, counted(153, 8)), (1, counted(145, 2)), (2, counted(145, 145))]);
        assert_eq!(effect(&specs, &met).line, "matched 153 packets, dropped 153, duplicated 2");
        assert_eq!(effect(&specs, &BTreeMap::new()).line, "matched 0 packets");
    }
}
