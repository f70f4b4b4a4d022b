//! Claims that cannot fail, or cannot be decided as planned.

use super::{PlannedProbe, Warning};
use crate::model::{Claim, Comparison, Experiment, Function, Phase, Predicate, Step};

/// Returns what should be known before running.
pub fn warnings(experiment: &Experiment, probes: &[PlannedProbe]) -> Vec<Warning> {
    let mut out = Vec::new();
    for fault in &experiment.faults {
        let injected = experiment
            .timeline
            .steps
            .iter()
            .any(|s| matches!(&s.value, Step::Inject(name) if name.value == fault.name.value));
        if !injected {
            out.push(Warning {
                message: format!("the timeline never injects `{}`", fault.name),
                help: Some(format!("add `inject {}`, or remove the fault", fault.name)),
                span: fault.name.span,
            });
        }
    }
    for expectation in &experiment.expectations {
        undecidable(experiment, probes, &expectation.claim, &mut out);
    }
    for comparison in experiment.steady_state.predicates.iter().flat_map(Predicate::comparisons) {
        too_few_in_window(experiment, probes, comparison, &mut out);
    }
    out
}

/// Planned samples per second of a probe, over all places it is sent from.
fn rate(experiment: &Experiment, probes: &[PlannedProbe], name: &str) -> f64 {
    let places = probes.iter().find(|p| p.probe == name).map_or(1, |p| p.from.len().max(1));
    experiment.probe(name).map_or(0.0, |p| p.rate * places as f64)
}

fn undecidable(experiment: &Experiment, probes: &[PlannedProbe], claim: &Claim, out: &mut Vec<Warning>) {
    match claim {
        Claim::Statistic { comparison, during, observed } => {
            let seconds = match during {
                Phase::Baseline => experiment.timeline.baseline().as_secs_f64(),
                Phase::Fault(Some(name)) => experiment.timeline.held(name).as_secs_f64(),
                Phase::Fault(None) => experiment
                    .faults
                    .iter()
                    .map(|f| experiment.timeline.held(&f.name).as_secs_f64())
                    .fold(0.0, f64::max),
                Phase::Watch => experiment.timeline.watch().as_secs_f64(),
                Phase::WholeRun => experiment.timeline.planned().as_secs_f64(),
            };
            let planned = rate(experiment, probes, &comparison.metric.probe) * seconds;
            let needed = if *observed { 1.0 } else { needed(comparison, experiment.confidence) };
            if planned < needed {
                out.push(Warning {
                    message: format!(
                        "`{comparison}` needs at least {needed:.0} samples to be decided, and {planned:.0} are planned \
                         during {during}"
                    ),
                    help: Some("raise the probe's rate, hold longer, or say `observed`".into()),
                    span: comparison.span,
                });
            }
        }
        Claim::All(all) | Claim::Any(all) => {
            for claim in all {
                undecidable(experiment, probes, claim, out);
            }
        }
        Claim::Always { predicate, .. }
        | Claim::Never { predicate, .. }
        | Claim::Eventually { predicate, .. }
        | Claim::Within { predicate, .. }
        | Claim::Stops { predicate, .. }
        | Claim::Stays { predicate, .. }
        | Claim::Settles { predicate, .. } => {
            for comparison in predicate.comparisons() {
                too_few_in_window(experiment, probes, comparison, out);
            }
        }
    }
}

/// The least number of samples that can decide a claim: ⌈ln α / ln q⌉ for an upper bound on a quantile (the chance that all
/// of n samples lie below the quantile is qⁿ), ⌈ln α / ln s⌉ for a success rate with no failure (Clopper & Pearson 1934).
fn needed(comparison: &Comparison, confidence: f64) -> f64 {
    let alpha = 1.0 - confidence;
    let share = match (comparison.metric.function, &comparison.bound) {
        (Function::Quantile(q), _) => q,
        (Function::Success, crate::model::formula::Bound::Constant(s)) if !comparison.op.is_upper_bound() => {
            s.value
        }
        (Function::Errors, crate::model::formula::Bound::Constant(e)) if comparison.op.is_upper_bound() => {
            1.0 - e.value
        }
        _ => return 1.0,
    };
    if share <= 0.0 || share >= 1.0 { 1.0 } else { (alpha.ln() / share.ln() - 1e-9).ceil() }
}

/// A window with fewer samples than its quantile needs is never known, and a claim on it never decided.
fn too_few_in_window(
    experiment: &Experiment,
    probes: &[PlannedProbe],
    comparison: &Comparison,
    out: &mut Vec<Warning>,
) {
    let (Function::Quantile(q), Some(window)) = (comparison.metric.function, comparison.metric.over) else {
        return;
    };
    let planned = rate(experiment, probes, &comparison.metric.probe) * window.as_secs_f64();
    let needed = (0.05_f64.ln() / q.ln() - 1e-9).ceil();
    if planned < needed {
        out.push(Warning {
            message: format!(
                "each window of `{}` holds about {planned:.0} samples, and {} is unknown below {needed:.0}",
                comparison.metric, comparison.metric.function
            ),
            help: Some("widen the window, raise the probe's rate, or take a lower percentile".into()),
            span: comparison.metric.span,
        });
    }
}
