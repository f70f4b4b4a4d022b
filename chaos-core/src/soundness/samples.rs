//! A claim for which fewer samples are planned than decide it.

use super::{Finding, Kind, claims, length};
use crate::model::{Claim, Comparison, Experiment, Function, Phase, Predicate, Probe, formula::Bound};

/// From how many places a probe is sent.
pub(crate) type Places<'a> = dyn Fn(&Probe) -> usize + 'a;

/// Returns the claims that are going to be inconclusive for want of samples.
pub(super) fn find(experiment: &Experiment, places: &Places<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for (about, _, claim) in claims(experiment) {
        match claim {
            Claim::Statistic { comparison, during, observed, confidence } => {
                let confidence = confidence.unwrap_or(experiment.confidence);
                let needed = if *observed { 1.0 } else { needed(comparison, confidence) };
                out.extend(too_few(experiment, places, &about, comparison, during, needed));
                // The baseline bounds nothing with fewer, and then neither does the difference to it.
                let relative = matches!(comparison.bound, Bound::Baseline { .. }) && !observed;
                if relative && !experiment.timeline.baseline().is_zero() {
                    out.extend(too_few(experiment, places, &about, comparison, &Phase::Baseline, needed));
                }
            }
            _ => {
                if let Claim::Always { predicate, .. } | Claim::Never { predicate, .. } = claim {
                    let never = matches!(claim, Claim::Never { .. });
                    if let Predicate::Compare(comparison) = predicate {
                        out.extend(one_failure(experiment, places, &about, comparison, never));
                    }
                }
                let signals = claim.predicates().into_iter().flat_map(Predicate::comparisons);
                out.extend(signals.filter_map(|c| too_few_in_window(experiment, places, &about, c)));
            }
        }
    }
    let steady = experiment.steady_state.predicates.iter().flat_map(Predicate::comparisons);
    out.extend(steady.filter_map(|c| too_few_in_window(experiment, places, "the steady state", c)));
    out
}

/// Planned samples per second of a probe, over all places it is sent from.
fn rate(experiment: &Experiment, places: &Places<'_>, name: &str) -> f64 {
    experiment.probe(name).map_or(0.0, |p| p.rate * places(p).max(1) as f64)
}

fn too_few(
    experiment: &Experiment,
    places: &Places<'_>,
    about: &str,
    comparison: &Comparison,
    during: &Phase,
    needed: f64,
) -> Option<Finding> {
    let lasting = length(&experiment.timeline, during);
    let planned = rate(experiment, places, &comparison.metric.probe) * lasting.as_secs_f64();
    let message = format!(
        "`{comparison}` needs at least {needed:.0} samples to be decided, and {planned:.0} are planned during {during}"
    );
    let help = "raise the probe's rate, hold longer, or say `observed`";
    (planned < needed).then(|| Finding::new(Kind::Odd, about, comparison.span, message, help))
}

/// The least number of samples that can decide a claim: ⌈ln α / ln q⌉ for an upper bound on a quantile (the chance that all
/// of n samples lie below the quantile is qⁿ), ⌈ln α / ln s⌉ for a success rate with no failure (Clopper & Pearson 1934).
fn needed(comparison: &Comparison, confidence: f64) -> f64 {
    let alpha = 1.0 - confidence;
    let share = match (comparison.metric.function, &comparison.bound) {
        (Function::Quantile(q), _) => q,
        (Function::Success, Bound::Constant(s)) if !comparison.op.is_upper_bound() => s.value,
        (Function::Errors, Bound::Constant(e)) if comparison.op.is_upper_bound() => 1.0 - e.value,
        _ => return 1.0,
    };
    if share <= 0.0 || share >= 1.0 { 1.0 } else { (alpha.ln() / share.ln() - 1e-9).ceil() }
}

/// A share at every instant that a single failure in a window breaks.
fn one_failure(
    experiment: &Experiment,
    places: &Places<'_>,
    about: &str,
    comparison: &Comparison,
    never: bool,
) -> Option<Finding> {
    let (window, Bound::Constant(limit)) = (comparison.metric.over?, &comparison.bound) else { return None };
    let upper = comparison.op.is_upper_bound() != never;
    let allowed = match (comparison.metric.function, upper) {
        (Function::Success, false) => 1.0 - limit.value,
        (Function::Errors, true) => limit.value,
        _ => return None,
    };
    let planned = rate(experiment, places, &comparison.metric.probe) * window.as_secs_f64();
    let least = 1.0 / allowed;
    if allowed <= 0.0 || planned >= least - 1e-9 || planned <= 0.0 {
        return None;
    }
    let metric = &comparison.metric;
    let message = format!(
        "each window of `{metric}` holds about {planned:.0} samples, so that a single failure breaks `{comparison}`; it takes \
         {least:.0} to bear one"
    );
    let help = format!(
        "claim it of the phase: `{}({}) …  during FAULT`, or widen the window",
        metric.function, metric.probe
    );
    Some(Finding::new(Kind::Odd, about, comparison.span, message, help.replace("  ", " ")))
}

/// A window with fewer samples than its quantile needs is never known, and a claim on it never decided.
fn too_few_in_window(
    experiment: &Experiment,
    places: &Places<'_>,
    about: &str,
    comparison: &Comparison,
) -> Option<Finding> {
    let (Function::Quantile(q), Some(window)) = (comparison.metric.function, comparison.metric.over) else {
        return None;
    };
    let planned = rate(experiment, places, &comparison.metric.probe) * window.as_secs_f64();
    let needed = (0.05_f64.ln() / q.ln() - 1e-9).ceil();
    let message = format!(
        "each window of `{}` holds about {planned:.0} samples, and {} is unknown below {needed:.0}",
        comparison.metric, comparison.metric.function
    );
    let help = "widen the window, raise the probe's rate, or take a lower percentile";
    (planned < needed).then(|| Finding::new(Kind::Odd, about, comparison.metric.span, message, help))
}
