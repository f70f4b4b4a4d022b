//! Loss, duplication, damage and refusal in a BPF program on the interface.

use std::collections::BTreeMap;

use chaos_core::{
    injector::{Effect, Undo},
    trouble::Trouble,
};

use super::{
    ground::{Ground, State, bpf_failed},
    holds::{Holds, Key},
};
use crate::{
    bpf::{Counters, Deadline, Rule, RuleId},
    network,
};

/// The faults that this process holds by programs.
#[derive(Debug, Default)]
pub(crate) struct Tcx {
    active: BTreeMap<String, Active>,
}

/// One fault.
#[derive(Debug, Default)]
struct Active {
    /// Its rules that are in place.
    placed: Vec<Placed>,
    /// Where rules were, whose programs stay until the fault is reverted.
    lifted: Vec<Key>,
    /// What those rules met.
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
    /// Adds the rules, all of them or none.
    pub(crate) async fn inject(
        &mut self,
        undo: &Undo,
        state: &State,
        ground: &Ground,
        holds: &mut Holds,
    ) -> Result<(), Trouble> {
        if self.active.contains_key(&undo.id) {
            return Ok(());
        }
        let placed = &mut self.active.entry(undo.id.clone()).or_default().placed;
        let ask = &undo.offer.ask;
        let until = Deadline::after(undo.deadline);
        for interface in &state.interfaces {
            let device = ground.device(interface.index).await?;
            for direction in &ask.directions {
                let key = holds.open(ground.inode(), device.clone(), *direction).map_err(bpf_failed)?;
                for (spec, asked) in ask.specs.iter().enumerate() {
                    let action = network::action(asked).map_err(Trouble::unable)?;
                    let rule = Rule { matching: ask.matches.clone(), action, deadline: Some(until) };
                    let rule = holds.add(key, rule).map_err(bpf_failed)?;
                    // The kernel confirms by the counters that the rule is there.
                    holds.counters(key, rule).map_err(bpf_failed)?;
                    placed.push(Placed { key, rule, spec });
                }
            }
        }
        Ok(())
    }

    /// Takes the rules off; programs stay, as long as the fault is not reverted.
    pub(crate) fn release(&mut self, id: &str, holds: &mut Holds) -> Result<(), Trouble> {
        let Some(Active { placed, lifted, met }) = self.active.get_mut(id) else { return Ok(()) };
        while let Some(last) = placed.last().copied() {
            add(met, last.spec, holds.remove(last.key, last.rule).map_err(bpf_failed)?);
            holds.keep(last.key);
            lifted.push(last.key);
            placed.pop();
        }
        Ok(())
    }

    /// Takes the rules off; a program without rules goes as a whole.
    pub(crate) fn revert(&mut self, undo: &Undo, holds: &mut Holds) -> Result<Effect, Trouble> {
        self.release(&undo.id, holds)?;
        let Active { lifted, met, .. } = self.active.remove(&undo.id).unwrap_or_default();
        for key in lifted {
            holds.let_go(key);
        }
        holds.tidy();
        Ok(effect(&met))
    }

    /// Reads the counters.
    pub(crate) fn effect(&self, undo: &Undo, holds: &Holds) -> Result<Effect, Trouble> {
        let Some(Active { placed, met, .. }) = self.active.get(&undo.id) else {
            return Ok(effect(&BTreeMap::new()));
        };
        let mut met = met.clone();
        for placed in placed {
            add(&mut met, placed.spec, holds.counters(placed.key, placed.rule).map_err(bpf_failed)?);
        }
        Ok(effect(&met))
    }
}

fn add(met: &mut BTreeMap<usize, Counters>, spec: usize, counters: Counters) {
    let sum = met.entry(spec).or_default();
    sum.seen += counters.seen;
    sum.hit += counters.hit;
}

fn effect(met: &BTreeMap<usize, Counters>) -> Effect {
    let seen = met.values().map(|counters| counters.seen).max().unwrap_or(0);
    let changed = met.values().map(|counters| counters.hit).sum();
    Effect {
        seen: Some(seen),
        met: seen,
        changed,
        added_delay: None,
        line: format!("{seen} packets met it, {changed} of them were changed"),
    }
}
