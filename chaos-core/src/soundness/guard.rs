//! An abort condition that comes true wherever what is expected does, so that the run always ends before it is judged.

use super::{Finding, Kind, reach};
use crate::model::{
    Abort, Claim, Comparison, Experiment, Function, Metric, Phase, Predicate, Unit,
    formula::{Bound, Op},
};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    let demanded = demanded(experiment);
    for abort in &experiment.aborts {
        let Abort::When(condition) = abort else { continue };
        // One that takes longer than the fault lasts does not end it.
        if reach(condition) >= experiment.timeline.faulted() {
            continue;
        }
        if let Some((about, demand)) = demanded.iter().find(|(_, demand)| follows(condition, demand)) {
            let span = condition.comparisons().first().map_or(experiment.span, |c| c.span);
            out.push(Finding::plain(
                Kind::Odd,
                span,
                format!(
                    "`abort when {condition}` comes true wherever {about} does (`{demand}`), so the run ends before it is \
                     judged"
                ),
                "abort on what the fault should not touch, or choose a limit beyond what is expected",
            ));
        }
    }
}

/// What must be so while faults are in place, for the run to be a success.
fn demanded(experiment: &Experiment) -> Vec<(String, &Comparison)> {
    fn parts<'a>(about: &str, claim: &'a Claim, out: &mut Vec<(String, &'a Comparison)>) {
        match claim {
            Claim::Statistic { comparison, during: Phase::Fault(_), .. } => {
                out.push((about.to_owned(), comparison));
            }
            Claim::All(all) => all.iter().for_each(|c| parts(about, c, out)),
            Claim::Statistic { .. }
            | Claim::Always { .. }
            | Claim::Never { .. }
            | Claim::Unless { .. }
            | Claim::Eventually { .. }
            | Claim::Within { .. }
            | Claim::Stops { .. }
            | Claim::Stays { .. }
            | Claim::Settles { .. }
            | Claim::Completes { .. }
            | Claim::Each { .. }
            | Claim::Given { .. }
            | Claim::Any(_) => {}
        }
    }
    let mut out = Vec::new();
    for fault in experiment.faults.iter().filter(|f| !experiment.timeline.held(&f.name).is_zero()) {
        out.extend(fault.proven_by.iter().map(|c| (format!("the proof of `{}`", fault.name), c)));
    }
    for expectation in &experiment.expectations {
        parts(&format!("`{}`", expectation.name), &expectation.claim, &mut out);
    }
    out
}

/// Whether the condition holds of every number that meets the demand.
fn follows(condition: &Predicate, demand: &Comparison) -> bool {
    match condition {
        Predicate::Compare(c) => implied(c, demand),
        Predicate::For { predicate, .. } => follows(predicate, demand),
        Predicate::All(all) => all.iter().all(|p| follows(p, demand)),
        Predicate::Any(all) => all.iter().any(|p| follows(p, demand)),
        Predicate::Not(_) => false,
    }
}

fn implied(condition: &Comparison, demand: &Comparison) -> bool {
    // What is read may be below zero, so that nothing is known of its baseline.
    let unknown = demand.metric.field.is_read() && matches!(demand.bound, Bound::Baseline { .. });
    if unknown || !same(&condition.metric, &demand.metric) {
        return false;
    }
    // What is compared with another metric follows from nothing said of the first.
    if [condition, demand].iter().any(|c| matches!(c.bound, Bound::Metric { .. })) {
        return false;
    }
    let (condition, demand) = (Limit::of(condition), Limit::of(demand));
    if condition.upper != demand.upper {
        return false;
    }
    // What the demand allows at the most, or asks at the least.
    let Some(edge) = demand.loosest() else { return false };
    let Some(limit) = condition.constant() else { return false };
    let beyond = if condition.upper { edge < limit } else { edge > limit };
    beyond || edge == limit && (demand.strict || !condition.strict)
}

/// Whether two metrics are one number, but for the window.
fn same(one: &Metric, other: &Metric) -> bool {
    let shares = |f: Function| matches!(f, Function::Success | Function::Errors);
    (one.function == other.function || shares(one.function) && shares(other.function))
        && one.probe == other.probe
        && one.field == other.field
        && one.filter == other.filter
}

/// A limit of a metric; errors are reported as what is missing of success.
struct Limit {
    upper: bool,
    strict: bool,
    share: bool,
    factor: f64,
    offset: f64,
}

impl Limit {
    fn of(comparison: &Comparison) -> Limit {
        let (factor, offset) = match &comparison.bound {
            Bound::Constant(limit) => (0.0, limit.value),
            Bound::Baseline { factor, offset } | Bound::Metric { factor, offset, .. } => (*factor, *offset),
        };
        let upper = matches!(comparison.op, Op::Less | Op::AtMost);
        let share = comparison.metric.unit() == Unit::Ratio;
        let limit = Limit { upper, strict: comparison.op.is_strict(), share, factor, offset };
        match comparison.metric.function {
            // 1 - (f × (1 - b) + o) = f × b + (1 - f - o), with the baseline b of the successes.
            Function::Errors => Limit { upper: !limit.upper, offset: 1.0 - factor - offset, ..limit },
            Function::Success
            | Function::Rate
            | Function::Count
            | Function::Quantile(_)
            | Function::Min
            | Function::Max
            | Function::Last
            | Function::Value
            | Function::Fires => limit,
        }
    }

    fn constant(&self) -> Option<f64> {
        (self.factor == 0.0).then_some(self.offset)
    }

    /// The limit at that baseline at which it asks least: nothing measured is below zero, and no share above one.
    fn loosest(&self) -> Option<f64> {
        match (self.upper, self.share) {
            _ if self.factor == 0.0 => Some(self.offset),
            (false, _) => Some(self.offset),
            (true, true) => Some(self.factor + self.offset),
            (true, false) => None,
        }
    }
}
