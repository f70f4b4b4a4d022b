//! Refusals with an answer to the sender, by an own nf_tables table.
//!
//! The table belongs to the socket that made it, so the kernel takes it away with the agent, however that dies (Linux
//! 5.12 and later, which the trial finds out). Its rules match until the deadline, also where the agent hangs.

mod message;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use chaos_core::{
    injector::{Direction, Measured, PacketMatch, Undo, Unit},
    model::{FaultSpec, packets::Blocked},
    trouble::{Kind, Trouble},
};
use chaos_netns::Namespace;

use self::message::{Found, Table};
use super::{
    ground::{Ground, packets},
    inexpressible,
};
use crate::netlink::filter;

/// The faults that this process holds by tables.
#[derive(Debug, Default)]
pub(crate) struct Nft {
    active: BTreeMap<String, Active>,
}

/// One fault.
#[derive(Debug)]
struct Active {
    table: Table,
    /// When its rules end on their own.
    until: SystemTime,
    /// What rules met in whose place there are others by now.
    before: u64,
}

impl Active {
    fn met(&self) -> std::io::Result<u64> {
        Ok(self.before + self.table.counted()?.iter().sum::<u64>())
    }
}

impl Nft {
    /// Makes the fault's table, and reads its rules back.
    pub(crate) fn inject(&mut self, undo: &Undo, mark: u32, ground: &Ground) -> Result<(), Trouble> {
        if self.active.contains_key(&undo.id) {
            return Ok(());
        }
        let rules = rules(undo)?;
        let until = SystemTime::now() + undo.deadline;
        let table = Table::make(ground.connection.namespace(), &name(&undo.id, mark), &rules, until)
            .map_err(refused)?;
        let there = table.counted().map_err(refused)?.len();
        if there != rules.len() {
            return Err(Trouble::unable(format!("the kernel has {there} of {} rules", rules.len())));
        }
        self.active.insert(undo.id.clone(), Active { table, until, before: 0 });
        Ok(())
    }

    /// Has the fault's table refuse the packets that its record names by now.
    pub(crate) fn apply_anew(&mut self, undo: &Undo) -> Result<(), Trouble> {
        let Some(active) = self.active.get_mut(&undo.id) else { return Ok(()) };
        let rules = rules(undo)?;
        let before = active.met().map_err(refused)?;
        active.table.refill(&rules, active.until).map_err(refused)?;
        active.before = before;
        Ok(())
    }

    /// Removes the fault's table, where this process made it; one of an agent that is dead is gone already.
    pub(crate) fn revert(&mut self, undo: &Undo) -> Measured {
        let Some(active) = self.active.remove(&undo.id) else { return effect(0) };
        effect(active.met().unwrap_or(active.before))
    }

    /// Says what of a fault that should be in place was taken away.
    pub(crate) fn missing(&self, undo: &Undo, mark: u32) -> Result<Option<String>, Trouble> {
        let Some(active) = self.active.get(&undo.id) else { return Ok(None) };
        let asked = rules(undo)?.len();
        let name = name(&undo.id, mark);
        Ok(match active.table.counted() {
            Ok(counted) if counted.len() >= asked => None,
            Ok(counted) => {
                Some(format!("{} of {asked} rules of its table `inet {name}` are left", counted.len()))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                Some(format!("its table `inet {name}` was deleted"))
            }
            Err(error) => return Err(refused(error)),
        })
    }

    /// Reads the counters.
    pub(crate) fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let Some(active) = self.active.get(&undo.id) else { return Ok(effect(0)) };
        Ok(effect(active.met().map_err(refused)?))
    }
}

/// Returns the rules that refuse a fault's packets.
fn rules(undo: &Undo) -> Result<Vec<Refusal>, Trouble> {
    let packets = packets(undo)?;
    let mut rules = Vec::new();
    for spec in &packets.specs {
        let FaultSpec::Block { connections, .. } = spec else {
            return Err(Trouble::unable(format!("a table cannot do `{spec}`")));
        };
        rules.extend(compile(&packets.matches, &packets.directions, *connections)?);
    }
    Ok(rules)
}

/// How long the rules of a trial match.
const TRIAL: Duration = Duration::from_secs(10);

/// Makes a table with a refusal, which no packet meets where others use the namespace too.
///
/// # Errors
/// Why that cannot be done.
pub(crate) fn trial(namespace: &Namespace, others: bool) -> std::io::Result<()> {
    let rules = compile(&PacketMatch::default(), &[Direction::Egress], Blocked::All);
    let rules = rules.map_err(std::io::Error::other)?;
    let name = format!("chaos_trial_{:08x}", rand::random::<u32>());
    let make = if others { Table::make_dormant } else { Table::make };
    make(namespace, &name, &rules, SystemTime::now() + TRIAL)?.counted().map(drop)
}

fn refused(error: std::io::Error) -> Trouble {
    Trouble::unable(format!("the kernel refused the fault's nf_tables table: {error}"))
        .of_kind(Kind::from(&error))
}

fn effect(met: u64) -> Measured {
    let line = format!("matched {met} packets, refused {met} with an answer to the sender");
    Measured { seen: Some(met), met, changed: met, line, ..Measured::nothing(Unit::Packets) }
}

/// Finds the table of a fault, whoever made it: its name, and the process that holds it, as far as that can be seen.
pub(crate) fn standing(
    ground: &Ground,
    undo: &Undo,
    mark: u32,
) -> Result<Option<(String, Option<u32>)>, Trouble> {
    let (namespace, name) = (ground.connection.namespace(), name(&undo.id, mark));
    Ok(match message::find(namespace, &name).map_err(refused)? {
        Found::Absent => None,
        Found::Standing { owner } => Some((name, owner.and_then(|port| message::process(namespace, port)))),
    })
}

/// Lists the tables of faults in a namespace, each with the process that holds it, as far as that can be seen.
pub(crate) fn tables(ground: &Ground) -> Result<Vec<(String, Option<u32>)>, Trouble> {
    let namespace = ground.connection.namespace();
    let all = match message::all(namespace) {
        // This kernel has no tables.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::ENOENT)
            ) =>
        {
            return Ok(Vec::new());
        }
        all => all.map_err(refused)?,
    };
    let own =
        all.into_iter().filter(|(name, _)| name.starts_with("chaos_") && !name.starts_with("chaos_trial_"));
    Ok(own.map(|(name, owner)| (name, owner.and_then(|port| message::process(namespace, port)))).collect())
}

/// Makes a name that the `nft` program can print.
fn name(id: &str, mark: u32) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let plain: String = id.chars().map(plain).take(200).collect();
    format!("chaos_{mark:08x}_{plain}")
}

/// How the sender of a refused packet is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By a reset; for TCP only.
    Reset(Blocked),
    /// By an ICMP or ICMPv6 "port unreachable"; for all but TCP.
    Unreachable,
}

/// A rule of a table.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) direction: Direction,
    pub(crate) packets: filter::Rule,
    pub(crate) answer: Answer,
}

/// Without connections there are none to tell apart, so of `new` and `established` only TCP is meant.
fn compile(
    matches: &PacketMatch,
    directions: &[Direction],
    connections: Blocked,
) -> Result<Vec<Refusal>, Trouble> {
    let mut rules = Vec::new();
    for direction in directions {
        let packets = filter::compile(matches, *direction).map_err(inexpressible)?;
        for packets in packets {
            let rule = |answer| Refusal { direction: *direction, packets: packets.clone(), answer };
            rules.push(rule(Answer::Reset(connections)));
            if connections == Blocked::All {
                rules.push(rule(Answer::Unreachable));
            }
        }
    }
    Ok(rules)
}
