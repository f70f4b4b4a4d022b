//! Verdicts in words.

use std::fmt;

use super::{
    About,
    limit::Limit,
    show::{difference_unit, late, show, time, value},
};
use crate::judge::finding::Finding;
use crate::verdict::{Interval, Leaning, Need, Outcome, confidence::Reason, monitor::Decision};
use crate::{
    judge::view::RunView,
    model::{
        Claim, Comparison, Event, Function, Phase, Unit,
        formula::{Bound, Op},
        quantity::format_seconds,
    },
    time::{Nanos, nanos},
};

/// Writes what is allowed: `at most 13.2ms`.
pub(super) fn allowed(op: Op, limit: &Limit) -> String {
    let word = match op {
        Op::Less => "less than",
        Op::AtMost => "at most",
        Op::Greater => "more than",
        Op::AtLeast => "at least",
    };
    format!("{word} {}", limit.text)
}

/// A comparison with what was measured: `success(shop, over 2s) was 71.3%, below 80%`.
pub(super) struct Measured<'a> {
    pub(super) comparison: &'a Comparison,
    pub(super) limit: &'a Limit,
    pub(super) value: Option<Interval>,
}

impl fmt::Display for Measured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = &self.comparison.metric;
        if metric.alert().is_some() {
            return f.write_str(&match self.value {
                Some(seen) if seen.lo > 0.0 => format!("{metric} was firing"),
                Some(seen) if seen.hi < 1.0 => format!("{metric} was not firing"),
                Some(_) => format!("{metric} was firing some of the time"),
                None => format!("whether {metric} fires is not known"),
            });
        }
        let Some(seen) = self.value else {
            return match metric.function {
                Function::Value => write!(f, "no reading of {metric}"),
                Function::Success
                | Function::Errors
                | Function::Rate
                | Function::Count
                | Function::Quantile(_)
                | Function::Min
                | Function::Max
                | Function::Last
                | Function::Fires => write!(f, "too few samples for {metric}"),
            };
        };
        write!(f, "{metric} was {}", value(seen, metric.unit()))?;
        let Some(limit) = self.limit.value else {
            if let Bound::Metric { metric, .. } = &self.comparison.bound {
                return write!(f, ", and there were too few samples for {metric}");
            }
            return write!(f, ", and the baseline gave nothing to compare with");
        };
        match seen {
            _ if seen.is_exact() && seen.lo == limit => write!(f, ", just {}", self.limit.text),
            _ if seen.hi < limit => write!(f, ", below {}", self.limit.text),
            _ if seen.lo > limit => write!(f, ", above {}", self.limit.text),
            _ => write!(f, ", compared with {}", self.limit.text),
        }
    }
}

/// Writes why a claim is undecided.
///
/// `idle` names the faults that tested nothing, each with the reason where one is known.
pub(super) fn reasons(
    outcome: &Outcome,
    about: About<'_>,
    idle: &[(&str, Option<String>)],
    view: &RunView<'_>,
) -> Vec<String> {
    let Outcome::Inconclusive { reasons, .. } = outcome else { return Vec::new() };
    let line = |reason: &Reason| match reason {
        Reason::Gap => "nothing was measured for some of the time that matters".to_owned(),
        Reason::TooFewSamples => "too few samples".to_owned(),
        Reason::HorizonNotReached => "the run ended before it was decided".to_owned(),
        Reason::Aborted => match view.aborted {
            Some(at) => format!("the run was aborted at {}", time(at)),
            None => "the run was aborted".to_owned(),
        },
        Reason::NextFault => {
            let next = match about {
                About::Phase(_) => None,
                About::Event(event) => {
                    let came = view.marks.iter().filter(|mark| mark.event == *event);
                    came.filter_map(|mark| view.next_fault_after(mark.at, event)).min()
                }
            };
            let at = next.map(|at| format!(" at {}", time(at))).unwrap_or_default();
            format!("the next fault began{at}")
        }
        Reason::NotExercised => match (idle, about) {
            ([], About::Phase(phase)) => format!("not exercised: {phase} never came"),
            ([], About::Event(event)) => format!("not exercised: {event} never came"),
            (idle, _) => {
                let why = |(name, why): &(&str, Option<String>)| {
                    format!("`{name}` {}", why.as_deref().unwrap_or("did nothing that could be shown"))
                };
                let lines: Vec<String> = idle.iter().map(why).collect();
                format!("not exercised: {}", lines.join(", and "))
            }
        },
        Reason::BaselineUnhealthy => "the baseline gave no number to compare with".to_owned(),
    };
    reasons.iter().map(line).collect()
}

/// Writes what would decide a claim.
///
/// `per_second` of the samples that count were taken, so that it can say how long that would be.
pub(super) fn need(
    outcome: &Outcome,
    comparison: &Comparison,
    phase: &Phase,
    per_second: f64,
) -> Option<String> {
    let Outcome::Inconclusive { need: Some(need), .. } = outcome else { return None };
    let samples = |n: u64| if n == 1 { "sample" } else { "samples" };
    let alike = |n: u64| if n == 1 { "sample like these" } else { "samples like these" };
    let longer = |n: u64| {
        let seconds = n as f64 / per_second;
        if seconds.is_finite() && per_second > 1e-6 {
            format!(" ({} at this rate)", format_seconds(seconds))
        } else {
            String::new()
        }
    };
    Some(match (need, comparison.metric.function) {
        (Need::MoreSamples(n), Function::Success | Function::Errors) => {
            format!("{n} more clean {}{}", samples(*n), longer(*n))
        }
        (Need::MoreSamples(n), _) => format!("{n} more {}{}", alike(*n), longer(*n)),
        (Need::MoreSamplesPerPhase(n), _) if matches!(comparison.bound, Bound::Metric { .. }) => {
            format!("{n} more {} of each metric{}", alike(*n), longer(*n))
        }
        (Need::MoreSamplesPerPhase(n), _) => {
            format!("{n} more {} in each of baseline and {phase}{}", alike(*n), longer(*n))
        }
        (Need::UnlikelyToPass, _) => "more samples are unlikely to make it pass".to_owned(),
    })
}

/// Writes the sentence of a claim about one number.
pub(super) fn statistic(finding: &Finding, comparison: &Comparison, phase: &Phase) -> String {
    let unit = finding.unit;
    let metric = &comparison.metric;
    let margin = finding.margin.and_then(|m| [m.lo, m.hi].into_iter().find(|end| end.is_finite()));
    // The number itself, where there are no bounds of its own, is the limit and the margin together.
    let number = finding.estimate.map(|e| e.value).or_else(|| {
        let (limit, margin) = (finding.limit?, finding.margin?);
        let limit = Interval::exactly(limit);
        Some(if comparison.op.is_upper_bound() { limit.minus(margin) } else { margin.minus(limit.negated()) })
    });
    let Some(number) = number else {
        return format!("{metric} is undecided: {}", why(finding));
    };
    let bounds = match finding.estimate.map(|e| e.bounds) {
        Some(b) if b == number => String::new(),
        Some(b) => match (b.lo.is_finite(), b.hi.is_finite()) {
            (true, true) => format!(" ({}–{})", show(b.lo, unit), show(b.hi, unit)),
            (true, false) => format!(" (at least {})", show(b.lo, unit)),
            (false, true) => format!(" (at most {})", show(b.hi, unit)),
            (false, false) => String::new(),
        },
        None => String::new(),
    };
    let allowed = finding.allowed.as_deref().unwrap_or("something else");
    let verb = if comparison.op.is_upper_bound() { "allowed" } else { "required" };
    let head = format!("{metric} was {}{bounds} during {phase}, {allowed} {verb}", value(number, unit));
    match &finding.outcome {
        Outcome::Inconclusive { .. } => format!("{head}: {}", why(finding)),
        Outcome::Passed | Outcome::Failed => match margin {
            Some(margin) => format!("{head}: {}", spare(margin, unit, comparison.op)),
            None => head,
        },
    }
}

fn spare(margin: f64, unit: Unit, op: Op) -> String {
    let amount = show(margin.abs(), difference_unit(unit));
    match (margin >= 0.0, op.is_upper_bound()) {
        (true, _) => format!("{amount} to spare"),
        (false, true) => format!("{amount} too much"),
        (false, false) => format!("{amount} too little"),
    }
}

/// Says why a claim is undecided, what would decide it, and what it probably is.
pub(super) fn why(finding: &Finding) -> String {
    let mut why = finding.reasons.join(", ");
    let leaning = finding.outcome.leaning();
    let hopeless = matches!(finding.outcome, Outcome::Inconclusive { need: Some(Need::UnlikelyToPass), .. });
    if hopeless && finding.need.is_some() {
        why.push_str(match leaning {
            Leaning::Failed => "; probably a failure, and more samples are unlikely to change that",
            Leaning::Passed | Leaning::None => "; more samples are unlikely to make it pass",
        });
        return why;
    }
    if let Some(need) = &finding.need {
        why.push_str(&format!("; {need} would decide it"));
    }
    match leaning {
        Leaning::Passed => why.push_str("; it probably holds"),
        Leaning::Failed => why.push_str("; it probably does not hold"),
        Leaning::None => {}
    }
    why
}

/// Writes the sentence of a claim about signals; times are counted from `origin`, where the claim starts.
pub(super) fn temporal(finding: &Finding, claim: &Claim, origin: Option<Nanos>) -> String {
    let since = |at: Nanos| time(at.saturating_sub(origin.unwrap_or(0)));
    let moment = |at: Nanos| match claim {
        Claim::Always { during, .. }
        | Claim::Never { during, .. }
        | Claim::Unless { during, .. }
        | Claim::Eventually { during, .. } => {
            format!("{} into {during}", since(at))
        }
        Claim::Statistic { .. }
        | Claim::Within { .. }
        | Claim::Stops { .. }
        | Claim::Stays { .. }
        | Claim::Settles { .. }
        | Claim::Completes { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => format!("{} after {}", since(at), event(claim)),
    };
    let closest = finding.closest.as_ref().map(|call| {
        let amount = show(call.margin.abs(), call.unit);
        let (comparison, moment) = (&call.comparison, moment(call.at));
        if call.margin >= 0.0 {
            format!("tightest: {comparison} with {amount} to spare, {moment}")
        } else {
            format!("worst miss: {comparison} missed by {amount}, {moment}")
        }
    });
    let with_closest = |text: String| match &closest {
        Some(call) => format!("{text}; {call}"),
        None => text,
    };
    let broke = finding.decided_at.map_or_else(String::new, |at| format!(" {}", moment(at)));
    let passed = finding.outcome == Outcome::Passed;
    let tm = finding.time_margin;
    let said = match claim {
        _ if !finding.outcome.is_decided() => with_closest(format!("undecided: {}", why(finding))),
        Claim::Always { during, .. } if passed => with_closest(format!("held throughout {during}")),
        Claim::Always { .. } => with_closest(format!("did not hold{broke}")),
        Claim::Unless { during, unless, .. } if passed => {
            with_closest(format!("held throughout {during}, or until {unless}"))
        }
        Claim::Unless { unless, .. } => with_closest(format!("did not hold{broke}, before {unless}")),
        Claim::Never { during, .. } if passed => with_closest(format!("never held during {during}")),
        Claim::Never { .. } => with_closest(format!("held{broke}")),
        Claim::Eventually { within, .. } | Claim::Within { within, .. } => {
            let within = nanos(*within);
            match tm.filter(|_| passed) {
                Some(tm) => {
                    let at = origin.unwrap_or(0).saturating_add(within.saturating_sub(tm));
                    format!("came {}: {} to spare", moment(at), time(tm))
                }
                None => with_closest(format!("did not come within {}", time(within))),
            }
        }
        Claim::Stops { within, after, .. } => match tm {
            Some(tm) if tm == nanos(*within) => format!("never held after {after}"),
            Some(tm) => {
                let last = time(nanos(*within).saturating_sub(tm));
                format!("last held {last} after {after}: {}", late(tm))
            }
            None => with_closest(format!("still held {} after {after}", time(nanos(*within)))),
        },
        Claim::Stays { lasting, after, .. } if passed => {
            with_closest(format!("held for {} after {after}", time(nanos(*lasting))))
        }
        Claim::Stays { .. } => with_closest(format!("did not hold{broke}")),
        Claim::Settles { within, after, lasting, .. } => match tm {
            Some(tm) if passed || lasting.is_some() || tm < 0 => {
                let at = time(nanos(*within).saturating_sub(tm));
                let verb = if passed { "settled" } else { "was out until" };
                format!("{verb} {at} after {after}: {}", late(tm))
            }
            _ => with_closest(format!("did not settle within {}", time(nanos(*within)))),
        },
        Claim::Statistic { .. }
        | Claim::Completes { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => String::new(),
    };
    if finding.outcome.is_decided() && finding.unknown_share > Decision::REMARKABLE_UNKNOWN_SHARE {
        return format!("{said} ({} of the time is unknown)", show(finding.unknown_share, Unit::Ratio));
    }
    said
}

fn event(claim: &Claim) -> String {
    match claim {
        Claim::Within { after, .. }
        | Claim::Stops { after, .. }
        | Claim::Stays { after, .. }
        | Claim::Settles { after, .. } => after.to_string(),
        Claim::Statistic { .. }
        | Claim::Always { .. }
        | Claim::Never { .. }
        | Claim::Unless { .. }
        | Claim::Eventually { .. }
        | Claim::Completes { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => Event::Rollback.to_string(),
    }
}
