//! A deadline that is measured too coarsely: by a window that fills most of it, or by a probe that hardly looks.

use super::{
    Finding, Kind, claims, reach,
    reading::{self, INTERVAL_SHARE},
    text,
};
use crate::model::{Claim, Experiment};

/// How much of a deadline a window may fill.
const WINDOW_SHARE: f64 = 0.5;

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, span, claim) in claims(experiment) {
        let (Claim::Within { predicate, within, .. }
        | Claim::Stops { predicate, within, .. }
        | Claim::Settles { predicate, within, .. }
        | Claim::Eventually { predicate, within, .. }) = claim
        else {
            continue;
        };
        let window = reach(predicate);
        // A window beyond its deadline is refused.
        if window > within.mul_f64(WINDOW_SHARE) && window <= *within {
            out.push(Finding::new(
                Kind::Odd,
                about.clone(),
                span,
                format!(
                    "the window of {} is most of the deadline of {}: a change shows fully only when {} are left",
                    text(window),
                    text(*within),
                    text(*within - window)
                ),
                format!("shorten the window to {} or less, or lengthen the deadline", text(within.mul_f64(WINDOW_SHARE))),
            ));
        }
        // What is read so seldom that it may miss all of the deadline is reported separately.
        if reading::seldom(experiment, predicate, *within).is_some() {
            continue;
        }
        let metrics = predicate.comparisons().into_iter().flat_map(|c| c.metrics());
        let slowest =
            metrics.filter_map(|m| experiment.probe(&m.probe)).min_by(|a, b| a.rate.total_cmp(&b.rate));
        if let Some(probe) = slowest
            && probe.rate > 0.0
            && 1.0 / probe.rate > within.as_secs_f64() * INTERVAL_SHARE
        {
            let every = std::time::Duration::from_secs_f64((1.0 / probe.rate).min(1e9));
            out.push(Finding::new(
                Kind::Odd,
                about,
                span,
                format!(
                    "`{}` looks once in {}, and the deadline is {}",
                    probe.name,
                    text(every),
                    text(*within)
                ),
                format!("measure at least once in {}", text(within.mul_f64(INTERVAL_SHARE))),
            ));
        }
    }
}
