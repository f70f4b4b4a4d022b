//! What forwarders say that they did.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chaos_core::{
    injector::{Done, Measured, Undo, Unit},
    model::FaultSpec,
};

use super::Running;
use crate::{
    backend::ground::packets,
    forwarder::{Counters, queries::Tally},
};

/// Says what was done to the packets or the queries of a fault.
pub(super) fn measured(undo: &Undo, all: &[Running]) -> Measured {
    match undo.offer.ask.work.names() {
        Some(_) => answered(all),
        // Nothing can be said of an undo record that is not about packets.
        None => effect(packets(undo).map_or(&[][..], |packets| &packets.specs), all),
    }
}

/// Reads what a forwarder noted of queries.
pub(super) fn read(tally: &Mutex<Tally>) -> Tally {
    tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Says what was done to queries.
fn answered(all: &[Running]) -> Measured {
    let mut tally = Tally::default();
    all.iter().for_each(|running| tally.add(&running.tally));
    let sum = |field: fn(&Counters) -> u64| all.iter().map(|running| field(&running.counted)).sum::<u64>();
    let bypassed = sum(|counters| counters.bypassed);
    let added = mean(all);
    let mut line = tally.line(added);
    for (count, what) in [
        (sum(|counters| counters.overflow), "dropped {} packets because the queue was full"),
        (bypassed, "let {} packets pass because the forwarder had stalled"),
    ] {
        if count > 0 {
            line += &format!(", {}", what.replace("{}", &count.to_string()));
        }
    }
    Measured {
        seen: Some(tally.seen),
        met: tally.meant,
        changed: tally.changed,
        bypassed,
        delay: added,
        line,
        ..Measured::nothing(Unit::Queries)
    }
}

/// Returns the delay that was added on average, where any was.
fn mean(all: &[Running]) -> Option<Duration> {
    let delayed = all.iter().map(|running| running.counted.delayed).sum::<u64>();
    let total: f64 = all
        .iter()
        .map(|running| running.counted.mean_added_delay.as_secs_f64() * running.counted.delayed as f64)
        .sum();
    (delayed > 0).then(|| Duration::from_secs_f64(total / delayed as f64))
}

fn effect(specs: &[FaultSpec], all: &[Running]) -> Measured {
    let sum = |field: fn(&Counters) -> u64| all.iter().map(|running| field(&running.counted)).sum::<u64>();
    let (held, delayed) = (sum(|counters| counters.packets), sum(|counters| counters.delayed));
    let (lost, doubled) = (sum(|counters| counters.lost), sum(|counters| counters.duplicated));
    let (damaged, overflow) = (sum(|counters| counters.corrupted), sum(|counters| counters.overflow));
    let (queued, bypassed) = (sum(|counters| counters.queued), sum(|counters| counters.bypassed));
    let overtaking = sum(|counters| counters.overtaking);
    let met = held + bypassed;
    let added = mean(all);
    let done = |spec: &FaultSpec| match spec {
        FaultSpec::Delay { .. } => delayed,
        FaultSpec::Reorder { .. } => overtaking,
        FaultSpec::Bandwidth { .. } => queued + overflow,
        FaultSpec::Loss { .. } | FaultSpec::Block { .. } | FaultSpec::Partition => lost,
        FaultSpec::Duplicate { .. } => doubled,
        FaultSpec::Corrupt { .. } => damaged,
    };
    let each: Vec<Done> =
        specs.iter().map(|spec| Done { spec: spec.clone(), changed: Some(done(spec)) }).collect();
    let mut line = format!("matched {met} packets");
    if let Some(added) = added {
        line += &format!(", held {delayed} for {:.3} ms on average", added.as_secs_f64() * 1e3);
    }
    let words = [
        (overtaking, "reordered"),
        (queued, "queued"),
        (lost, "dropped"),
        (doubled, "duplicated"),
        (damaged, "corrupted"),
    ];
    for (count, word) in words {
        if count > 0 {
            line += &format!(", {word} {count}");
        }
    }
    if overflow > 0 {
        line += &format!(", dropped {overflow} because the queue was full");
    }
    if bypassed > 0 {
        line += &format!(", let {bypassed} pass because the forwarder had stalled");
    }
    let changed = each.iter().filter_map(|done| done.changed).max().unwrap_or(0);
    Measured {
        seen: Some(met),
        met,
        changed,
        each,
        bypassed,
        delay: added,
        line,
        ..Measured::nothing(Unit::Packets)
    }
}
