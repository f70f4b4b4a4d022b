//! The watch as a second baseline: phases come one after another, so that what drifts on its own looks like an effect.

use super::{
    metric,
    show::{difference_unit, show},
    timeline::RunTimeline,
};
use crate::model::{Function, Metric, Phase};
use crate::verdict::{
    confidence::{Confidence, Estimate},
    quantile::{Method, difference},
};

/// Says that the second half of the watch differs from the baseline by more than chance explains, where it does.
///
/// The first half is left to the recovery. Both ends of the difference's interval count, so each has half the chance of error.
pub(super) fn remark(timeline: &RunTimeline<'_>, metric: &Metric, confidence: Confidence) -> Option<String> {
    let before = timeline.baseline()?;
    let (start, end) = timeline.periods(&Phase::Watch).last().copied()?;
    let after = (start.midpoint(end), end);
    let estimate = |period| -> Option<Estimate> {
        let tail = confidence.alpha / 2.0;
        match metric.function {
            Function::Quantile(q) => timeline.values(metric, &[period]).estimate(q, tail),
            Function::Success | Function::Errors => {
                metric::outcomes(metric, &timeline.within(metric, &[period])).wilson(tail)
            }
            Function::Rate
            | Function::Count
            | Function::Min
            | Function::Max
            | Function::Last
            | Function::Value
            | Function::Fires => None,
        }
    };
    let (before, after) = (estimate(before)?, estimate(after)?);
    let between = difference(&after, &before, Method::Mover).bounds;
    if between.contains(0.0) || !between.lo.is_finite() && !between.hi.is_finite() {
        return None;
    }
    let unit = metric.unit();
    let by = (after.value.lo - before.value.lo).abs();
    let by =
        if by.is_finite() { format!(", {} off", show(by, difference_unit(unit))) } else { String::new() };
    Some(format!(
        "the baseline drifted: {metric} was {} before and {} in the second half of the watch{by}",
        show(before.value.lo, unit),
        show(after.value.lo, unit),
    ))
}
