//! A timeline that ends before a claim about what comes after an event is decided.

use std::time::Duration;

use super::{Finding, Kind, claims, reach, text};
use crate::model::{Claim, Event, Experiment};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    let timeline = &experiment.timeline;
    for (about, span, claim) in claims(experiment) {
        let Some((event, needed)) = horizon(claim) else { continue };
        // An event that never comes is another mistake.
        let Some(left) = timeline.after(event).filter(|left| *left < needed) else { continue };
        let there = match (event, left) {
            (Event::Starts(_) | Event::Made(_), _) => format!("the timeline ends after {}", text(left)),
            (_, Duration::ZERO) => "there is no watch".to_owned(),
            _ => format!("the watch lasts {}", text(left)),
        };
        let when = match event {
            Event::Starts(fault) => format!("`{fault}` starts"),
            Event::Made(change) => format!("`{change}` is made"),
            Event::Rollback | Event::RollbackStarts | Event::Ends(_) => "the rollback".to_owned(),
        };
        let message = format!("{about} needs {} after {when}, and {there}", text(needed));
        let watch = timeline.watch() + (needed - left);
        let help = format!("write `watch {}` at the end of the timeline", text(watch));
        out.push(Finding::plain(Kind::TooShort, span, message, help));
    }
}

/// Returns how long the watch of an experiment must last, so that all of its claims can be decided.
pub fn needed(experiment: &Experiment) -> Duration {
    let timeline = &experiment.timeline;
    let needed = claims(experiment).into_iter().filter_map(|(_, _, claim)| {
        let (event, needed) = horizon(claim)?;
        let before = timeline.after(event)?.saturating_sub(timeline.watch());
        Some(needed.saturating_sub(before))
    });
    needed.max().unwrap_or_default()
}

/// The event of a claim, and how long after it the claim is decided at the latest.
fn horizon(claim: &Claim) -> Option<(&Event, Duration)> {
    match claim {
        Claim::Within { predicate, within, after } | Claim::Stops { predicate, within, after } => {
            Some((after, *within + reach(predicate)))
        }
        Claim::Settles { predicate, within, lasting, after } => {
            Some((after, *within + reach(predicate) + lasting.unwrap_or_default()))
        }
        Claim::Stays { predicate, lasting, after } => Some((after, *lasting + reach(predicate))),
        Claim::Completes { within, open_at, .. } => Some((open_at, *within)),
        Claim::Statistic { .. }
        | Claim::Always { .. }
        | Claim::Never { .. }
        | Claim::Unless { .. }
        | Claim::Eventually { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => None,
    }
}
