//! A share of all or none, which no number of measurements confirms.

use super::{Finding, Kind, claims};
use crate::model::{
    Claim, Experiment, Function,
    formula::{Bound, Op},
};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, _, claim) in claims(experiment) {
        let Claim::Statistic { comparison, observed: false, .. } = claim else { continue };
        let Bound::Constant(limit) = comparison.bound else { continue };
        let all = match (comparison.metric.function, comparison.op) {
            (Function::Success | Function::Errors, Op::AtLeast) => limit.value == 1.0,
            (Function::Success | Function::Errors, Op::AtMost) => limit.value == 0.0,
            _ => false,
        };
        if all {
            out.push(Finding::new(
                Kind::Undecidable,
                about,
                comparison.span,
                format!("`{comparison}` can never be confirmed: the next measurement may differ"),
                "add `observed` to judge what was measured and no more, or leave room: `>= 99.9%`, `<= 0.1%`",
            ));
        }
    }
}
