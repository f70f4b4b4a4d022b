//! A reading that is taken too seldom for what a claim looks at: none of its readings need fall into that.

use std::time::Duration;

use super::{Finding, Kind, claims, length, text};
use crate::model::{Abort, Claim, Experiment, Metric, Predicate, Probe, probe::FRESH};

/// How much of a deadline may go by between two measurements.
pub(super) const INTERVAL_SHARE: f64 = 0.2;

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, span, claim) in claims(experiment) {
        let mut stretches = stretches(experiment, claim);
        stretches.extend(claim.predicates().into_iter().flat_map(lasting));
        if let Some((message, help)) = stretches.into_iter().find_map(|s| missed(experiment, &s)) {
            out.push(Finding::new(Kind::Odd, about, span, message, help));
        }
    }
    for abort in &experiment.aborts {
        let Abort::When(predicate) = abort else { continue };
        if let Some((message, help)) = lasting(predicate).iter().find_map(|s| missed(experiment, s))
            && let Some(comparison) = predicate.comparisons().first()
        {
            let about = format!("`abort when {predicate}`");
            out.push(Finding::new(Kind::Odd, about, comparison.span, message, help));
        }
    }
}

/// Something that a predicate is looked at for.
struct Stretch<'a> {
    what: String,
    length: Duration,
    predicate: &'a Predicate,
}

/// Returns what a claim itself looks at.
fn stretches<'a>(experiment: &Experiment, claim: &'a Claim) -> Vec<Stretch<'a>> {
    let (what, length) = match claim {
        Claim::Within { within, .. }
        | Claim::Stops { within, .. }
        | Claim::Settles { within, .. }
        | Claim::Eventually { within, .. } => (format!("the deadline of {}", text(*within)), *within),
        Claim::Stays { lasting, .. } => (format!("the {} that it is to stay so", text(*lasting)), *lasting),
        Claim::Always { during, .. } | Claim::Never { during, .. } | Claim::Unless { during, .. } => {
            let length = length(&experiment.timeline, during);
            (format!("the {} of {during}", text(length)), length)
        }
        Claim::Statistic { .. }
        | Claim::Completes { .. }
        | Claim::Each { .. }
        | Claim::Given { .. }
        | Claim::All(_)
        | Claim::Any(_) => return Vec::new(),
    };
    let of = |predicate| Stretch { what: what.clone(), length, predicate };
    claim.predicates().into_iter().map(of).collect()
}

/// Returns what the `for` in a predicate looks at.
fn lasting(predicate: &Predicate) -> Vec<Stretch<'_>> {
    match predicate {
        Predicate::Compare(_) => Vec::new(),
        Predicate::For { predicate, lasting: length } => {
            let mut all = lasting(predicate);
            all.push(Stretch {
                what: format!("the {} of its `for`", text(*length)),
                length: *length,
                predicate,
            });
            all
        }
        Predicate::Not(predicate) => lasting(predicate),
        Predicate::All(all) | Predicate::Any(all) => all.iter().flat_map(lasting).collect(),
    }
}

/// Returns the probe of a predicate that may not read anything in a stretch, with the time between two readings.
pub(super) fn seldom<'a>(
    experiment: &'a Experiment,
    predicate: &Predicate,
    stretch: Duration,
) -> Option<(&'a Probe, Duration)> {
    let metrics = predicate.comparisons().into_iter().flat_map(|c| c.metrics());
    let probes = metrics.filter(|m: &&Metric| m.is_gauge()).filter_map(|m| experiment.probe(&m.probe));
    let slowest = probes.filter(|p| p.rate > 0.0).min_by(|a, b| a.rate.total_cmp(&b.rate))?;
    let every = Duration::from_secs_f64((1.0 / slowest.rate).min(1e9));
    // A stretch of no length is another mistake.
    (every > stretch && !stretch.is_zero()).then_some((slowest, every))
}

fn missed(experiment: &Experiment, stretch: &Stretch<'_>) -> Option<(String, String)> {
    let (probe, every) = seldom(experiment, stretch.predicate, stretch.length)?;
    let message = format!(
        "`{}` is read once in {}, and a reading holds for up to {}: {} may go by without one, and what was read before it \
         decides",
        probe.name,
        text(every),
        text(every.mul_f64(FRESH)),
        stretch.what
    );
    let often = text(stretch.length.mul_f64(INTERVAL_SHARE));
    Some((message, format!("read it at least once in {often}: `every {often}`")))
}
