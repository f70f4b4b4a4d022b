//! What became of each part of a fault, in the words that all reports share.

use std::time::Duration;

use super::line::Style;
use crate::{
    injector::{Offer, Recovered, Unit},
    model::{Phase, Quantity},
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

/// Finds what was offered for a part.
pub(super) fn offer<'a>(plan: &'a Plan, id: &str) -> Option<&'a Offer> {
    plan.part(id).map(|part| &part.offer)
}

/// Says what was asked of a part, as the language writes it.
pub(super) fn asked(record: &Record, part: &PartRecord) -> String {
    offer(&record.plan, &part.id).map(|o| o.ask.work.to_string()).unwrap_or_default()
}

/// Says what a part did, with the delay that was asked for beside the one measured.
pub(super) fn effect(record: &Record, part: &PartRecord) -> (Style, String) {
    let Some(effect) = &part.effect else {
        let text = if part.injected.is_some() { "its effect was not measured" } else { "no effect" };
        return (Style::Unsure, text.into());
    };
    if effect.met == 0 {
        // Which names were asked for instead is what helps.
        let instead = match effect.unit {
            Unit::Queries if !effect.line.is_empty() => format!(": {}", effect.line),
            _ => String::new(),
        };
        return (Style::Unsure, format!("{}{instead}", effect.unit.met_none()));
    }
    let mut text = effect.line.clone();
    if text.is_empty() {
        text = effect.unit.met(effect.met, effect.changed);
    }
    if let Some(added) = effect.delay {
        let wanted = offer(&record.plan, &part.id).and_then(|o| o.ask.work.delays());
        text += &match wanted {
            Some(wanted) => format!("; added {}, asked for {}", time(added), time(wanted)),
            None => format!("; added {}", time(added)),
        };
    }
    (Style::Plain, text)
}

/// Says when what a part was on was whole again, and how much of that time the revert took.
fn recovery(part: &PartRecord) -> String {
    part.recovered.map_or_else(String::new, |Recovered { after, calls }| {
        format!("; recovered {} after the rollback, of which {} were API calls", time(after), time(calls))
    })
}

/// Says whether a part was reverted, and what proves it.
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
                format!(
                    "removed after {}{attempts}, proven by reading back{}",
                    time(duration(to - from)),
                    recovery(part)
                ),
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
