//! What became of each part of a fault, in the words that all reports share.

use std::time::Duration;

use super::line::Style;
use crate::{
    injector::Offer,
    model::{FaultSpec, Phase, Quantity},
    plan::Plan,
    run::{
        Record,
        record::{PartRecord, PartState, PhaseSummary, ProbeSummary},
    },
    time::duration,
};

/// Writes a duration as the language does.
pub(super) fn time(d: Duration) -> String {
    Quantity::duration(d).to_string()
}

/// Writes `1 host`, `3 hosts`.
pub(super) fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// The phases of a probe that are worth a line: with a single fault in the run, `fault` is the same as its name.
pub(super) fn phases(probe: &ProbeSummary) -> impl Iterator<Item = &PhaseSummary> {
    let named = probe.phases.iter().filter(|p| matches!(p.phase, Phase::Fault(Some(_)))).count();
    probe.phases.iter().filter(move |p| named != 1 || p.phase != Phase::Fault(None))
}

/// The specs of an offer as the language writes them.
pub(super) fn specs(specs: &[FaultSpec]) -> String {
    specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Finds what was offered for a part.
pub(super) fn offer<'a>(plan: &'a Plan, id: &str) -> Option<&'a Offer> {
    let mut parts = plan
        .faults
        .iter()
        .flat_map(|f| &f.parts)
        .chain(plan.changes.iter().flat_map(|c| &c.parts))
        .chain(&plan.background);
    parts.find(|p| p.id == id).map(|p| &p.offer)
}

/// Says what was asked of a part, as the language writes it.
pub(super) fn asked(record: &Record, part: &PartRecord) -> String {
    offer(&record.plan, &part.id).map(|o| specs(&o.ask.specs)).unwrap_or_default()
}

/// Says what a part did, with the delay that was asked for beside the one measured.
pub(super) fn effect(record: &Record, part: &PartRecord) -> (Style, String) {
    let Some(effect) = &part.effect else {
        let text = if part.injected.is_some() { "its effect was not measured" } else { "no effect" };
        return (Style::Unsure, text.into());
    };
    if effect.met == 0 {
        return (Style::Unsure, "met no traffic".into());
    }
    let mut text = effect.line.clone();
    if text.is_empty() {
        text = format!("{} packets met it, {} were changed", effect.met, effect.changed);
    }
    if let Some(added) = effect.added_delay {
        let wanted = offer(&record.plan, &part.id).and_then(|o| delay(&o.ask.specs));
        text += &match wanted {
            Some(wanted) => format!("; {} added, {} asked", time(added), time(wanted)),
            None => format!("; {} added", time(added)),
        };
    }
    (Style::Plain, text)
}

fn delay(specs: &[FaultSpec]) -> Option<Duration> {
    specs.iter().find_map(|s| match s {
        FaultSpec::Delay { delay, .. } => Some(*delay),
        _ => None,
    })
}

/// Says whether a part is taken back, and what proves it.
pub(super) fn restored(part: &PartRecord) -> (Style, String) {
    let attempts = match part.attempts {
        0 | 1 => String::new(),
        n => format!(" at attempt {n}"),
    };
    match part.state {
        PartState::Planned => (Style::Dim, "never put in place".into()),
        PartState::Reverted => match (part.injected, part.reverted) {
            (Some(from), Some(to)) => (
                Style::Good,
                format!("removed after {}{attempts}, proven by reading back", time(duration(to - from))),
            ),
            _ => {
                (Style::Good, format!("never confirmed in place; removed{attempts}, proven by reading back"))
            }
        },
        _ => {
            let attempts = match part.attempts {
                0 => String::new(),
                n => format!(" after {}", counted(n as usize, "attempt")),
            };
            let why = part.error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
            (Style::Bad, format!("still in place{attempts}{why}"))
        }
    }
}
