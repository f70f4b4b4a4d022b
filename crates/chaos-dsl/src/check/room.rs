//! Whether the phases of the timeline have room for what is claimed of them.

use std::time::Duration;

use chaos_core::{
    model::{Claim, Event, Expectation, Phase, Predicate, Step, Timeline, quantity::format_seconds},
    span::Span,
};

use super::Checker;
use crate::codes::Code;

impl Checker {
    /// Refuses claims on phases and events that the timeline never comes to, or whose windows a phase never fills.
    pub(super) fn takes_place(&mut self, expectations: &[Expectation], timeline: &Timeline) {
        for expectation in expectations {
            self.claim_takes_place(&expectation.claim, expectation.span, timeline);
        }
    }

    fn claim_takes_place(&mut self, claim: &Claim, span: Span, timeline: &Timeline) {
        let injected = |fault: &str| {
            timeline.steps.iter().any(|s| matches!(&s.value, Step::Inject(name) if name.value == fault))
        };
        let (phase, event, predicate) = match claim {
            Claim::All(all) | Claim::Any(all) => {
                for claim in all {
                    self.claim_takes_place(claim, span, timeline);
                }
                return;
            }
            Claim::Statistic { during, .. } => (Some(during), None, None),
            Claim::Always { predicate, during } | Claim::Never { predicate, during } => {
                (Some(during), None, Some((predicate, Duration::ZERO)))
            }
            Claim::Eventually { predicate, during, within } => {
                (Some(during), None, Some((predicate, *within)))
            }
            Claim::Within { after, .. }
            | Claim::Stops { after, .. }
            | Claim::Stays { after, .. }
            | Claim::Settles { after, .. } => (None, Some(after), None),
        };
        let fault = match (phase, event) {
            (Some(Phase::Fault(Some(name))), _) => Some(name),
            (_, Some(Event::Starts(name) | Event::Ends(name))) => Some(name),
            _ => None,
        };
        if let Some(fault) = fault.filter(|f| !injected(f)) {
            let message = format!("the timeline never injects `{fault}`, so this is never put to the test");
            self.error(Code::Undecidable, span, message).help =
                Some(format!("add `inject {fault}` to the timeline, or remove the claim"));
            return;
        }
        let Some(phase) = phase else { return };
        let length = match phase {
            Phase::Baseline => timeline.baseline(),
            Phase::Watch => timeline.watch(),
            Phase::WholeRun | Phase::Fault(None) => timeline.planned(),
            Phase::Fault(Some(name)) => timeline.held(name),
        };
        let text = |d: Duration| format_seconds(d.as_secs_f64());
        if length.is_zero() && matches!(phase, Phase::Baseline | Phase::Watch) {
            let (code, message, help) = match phase {
                Phase::Baseline => (
                    Code::NoBaseline,
                    "the timeline has no baseline to speak of",
                    "add `baseline 1m` before the first `inject`",
                ),
                _ => (
                    Code::TooShort,
                    "the timeline has no watch to speak of",
                    "add `watch 30s` after the rollback",
                ),
            };
            self.error(code, span, message).help = Some(help.into());
            return;
        }
        let Some((predicate, within)) = predicate else { return };
        let (reach, phase_is) = (reach(predicate), text(length));
        if within > length {
            let message = format!(
                "the deadline of {} lies behind the end of {phase}, which lasts {phase_is}",
                text(within)
            );
            self.error(Code::TooShort, span, message).help =
                Some("shorten the deadline, or lengthen the phase".into());
        } else if reach >= length {
            let message =
                format!("{phase} lasts {phase_is}, and this is first known {} after it began", text(reach));
            self.error(Code::TooShort, span, message).help =
                Some("shorten the window and what `for` asks, or lengthen the phase".into());
        }
    }

    /// Refuses claims that the planned phases are too short for; returns what the watch must last at least.
    pub(super) fn long_enough(
        &mut self,
        expectations: &[Expectation],
        timeline: &Timeline,
        plain: bool,
    ) -> Duration {
        let mut needed = Duration::ZERO;
        for expectation in expectations {
            let (watch, deadline_of) = after_rollback(&expectation.claim);
            needed = needed.max(watch);
            if !plain && watch > timeline.watch() {
                let needed = format_seconds(watch.as_secs_f64());
                let there = match timeline.watch() {
                    Duration::ZERO => "there is no watch".to_owned(),
                    lasting => format!("the watch lasts {}", format_seconds(lasting.as_secs_f64())),
                };
                let message =
                    format!("`{}` needs {needed} after the rollback, and {there}", expectation.name);
                self.error(Code::TooShort, expectation.span, message).help =
                    Some(format!("write `watch {needed}` at the end of the timeline"));
            }
            if let Some((window, within)) = deadline_of
                && window > within
            {
                let text = |d: Duration| format_seconds(d.as_secs_f64());
                let message = format!(
                    "the window of {} is longer than the deadline of {}, so it still holds what was before",
                    text(window),
                    text(within)
                );
                self.error(Code::TooShort, expectation.span, message).help =
                    Some("shorten the window, or lengthen the deadline".into());
            }
        }
        needed
    }
}

/// The longest window of a predicate, with what `for` adds.
fn reach(predicate: &Predicate) -> Duration {
    match predicate {
        Predicate::Compare(c) => c.metric.over.unwrap_or_default(),
        Predicate::For { predicate, lasting } => reach(predicate) + *lasting,
        Predicate::Not(p) => reach(p),
        Predicate::All(all) | Predicate::Any(all) => all.iter().map(reach).max().unwrap_or_default(),
    }
}

/// How long a claim needs to be watched after the rollback, and its window beside its deadline.
fn after_rollback(claim: &Claim) -> (Duration, Option<(Duration, Duration)>) {
    let late = |event: &Event| matches!(event, Event::Rollback | Event::RollbackStarts | Event::Ends(_));
    match claim {
        Claim::Within { predicate, within, after } | Claim::Stops { predicate, within, after } => {
            let watch = if late(after) { *within + reach(predicate) } else { Duration::ZERO };
            (watch, Some((reach(predicate), *within)))
        }
        Claim::Settles { predicate, within, lasting, after } => {
            let end = *within + reach(predicate) + lasting.unwrap_or_default();
            (if late(after) { end } else { Duration::ZERO }, Some((reach(predicate), *within)))
        }
        Claim::Stays { predicate, lasting, after } => {
            (if late(after) { *lasting + reach(predicate) } else { Duration::ZERO }, None)
        }
        Claim::All(all) | Claim::Any(all) => {
            let each: Vec<_> = all.iter().map(after_rollback).collect();
            let watch = each.iter().map(|(w, _)| *w).max().unwrap_or_default();
            (watch, each.into_iter().find_map(|(_, d)| d))
        }
        Claim::Statistic { .. } | Claim::Always { .. } | Claim::Never { .. } | Claim::Eventually { .. } => {
            (Duration::ZERO, None)
        }
    }
}
