//! A claim on a phase or event that the timeline never comes to, or whose windows a phase never fills.

use std::time::Duration;

use super::{Finding, Kind, claims, length, reach, text};
use crate::model::{Claim, Event, Experiment, Phase, Predicate, Step, Timeline};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, span, claim) in claims(experiment) {
        if let Some((kind, message, help)) = mistake(claim, &experiment.timeline) {
            out.push(Finding::new(kind, about, span, message, help));
        }
    }
}

fn mistake(claim: &Claim, timeline: &Timeline) -> Option<(Kind, String, String)> {
    if let Some(fault) = fault(claim)
        && !timeline.steps.iter().any(|s| matches!(&s.value, Step::Inject(name) if name.value == fault))
    {
        return Some((
            Kind::Undecidable,
            format!("the timeline never injects `{fault}`, so this is never put to the test"),
            format!("add `inject {fault}` to the timeline, or remove the claim"),
        ));
    }
    if let Some(Event::Made(change)) = claim.after()
        && !timeline.steps.iter().any(|s| matches!(&s.value, Step::Make(name) if name.value == *change))
    {
        return Some((
            Kind::Undecidable,
            format!("the timeline never makes `{change}`, so this is never put to the test"),
            format!("add `make {change}` to the timeline, or remove the claim"),
        ));
    }
    let phase = claim.during()?;
    let length = length(timeline, phase);
    match phase {
        Phase::Baseline if length.is_zero() => {
            return Some((
                Kind::NoBaseline,
                "the timeline has no baseline to speak of".into(),
                "add `baseline 1m` before the first `inject`".into(),
            ));
        }
        Phase::Watch if length.is_zero() => {
            return Some((
                Kind::TooShort,
                "the timeline has no watch to speak of".into(),
                "add `watch 30s` after the rollback".into(),
            ));
        }
        Phase::Baseline | Phase::Fault(_) | Phase::Watch | Phase::WholeRun => {}
    }
    let (predicate, within) = deadline(claim)?;
    let reach = reach(predicate);
    if within > length {
        return Some((
            Kind::TooShort,
            format!(
                "the deadline of {} lies behind the end of {phase}, which lasts {}",
                text(within),
                text(length)
            ),
            "shorten the deadline, or lengthen the phase".into(),
        ));
    }
    (reach >= length).then(|| {
        (
            Kind::TooShort,
            format!("{phase} lasts {}, and this is first known {} after it began", text(length), text(reach)),
            "shorten the window and what `for` asks, or lengthen the phase".into(),
        )
    })
}

/// The fault by which a claim names its phase or event.
fn fault(claim: &Claim) -> Option<&str> {
    match (claim.during(), claim.after()) {
        (Some(Phase::Fault(Some(name))), _) | (_, Some(Event::Starts(name) | Event::Ends(name))) => {
            Some(name)
        }
        _ => None,
    }
}

/// What must be known in the phase of a claim, and by when.
fn deadline(claim: &Claim) -> Option<(&Predicate, Duration)> {
    match claim {
        Claim::Always { predicate, .. } | Claim::Never { predicate, .. } => Some((predicate, Duration::ZERO)),
        Claim::Eventually { predicate, within, .. } => Some((predicate, *within)),
        Claim::Statistic { .. }
        | Claim::Unless { .. }
        | Claim::Within { .. }
        | Claim::Stops { .. }
        | Claim::Stays { .. }
        | Claim::Settles { .. }
        | Claim::Completes { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => None,
    }
}
