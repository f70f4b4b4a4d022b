//! A comparison that every measurement meets, or none.

use super::{Finding, Kind, comparisons};
use crate::model::{
    Experiment, Unit,
    formula::{Bound, Op},
};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, comparison) in comparisons(experiment) {
        let Bound::Constant(limit) = comparison.bound else { continue };
        // What is read may be any number.
        if comparison.metric.field.is_read() {
            continue;
        }
        let (low, high) = match comparison.metric.unit() {
            Unit::Ratio => (0.0, 1.0),
            _ => (0.0, f64::INFINITY),
        };
        let always = match comparison.op {
            Op::AtMost => limit.value >= high,
            Op::Less => limit.value > high,
            Op::AtLeast => limit.value <= low,
            Op::Greater => limit.value < low,
        };
        let never = match comparison.op {
            Op::AtMost => limit.value < low,
            Op::Less => limit.value <= low,
            Op::AtLeast => limit.value > high,
            Op::Greater => limit.value >= high,
        };
        if always || never {
            let word = if always { "always" } else { "never" };
            out.push(Finding::new(
                Kind::Undecidable,
                about,
                comparison.span,
                format!("`{comparison}` {word} holds, whatever is measured"),
                "choose a limit that a measurement can miss",
            ));
        }
    }
}
