//! A claim on latency without one on success: what fails at once is not slow.

use super::{Finding, Kind, claims};
use crate::model::{Comparison, Experiment, Field, Function, Metric};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    let all: Vec<(String, &Comparison)> = claims(experiment)
        .into_iter()
        .flat_map(|(about, _, claim)| claim.comparisons().into_iter().map(move |c| (about.clone(), c)))
        .collect();
    let counted = |m: &Metric| matches!(m.function, Function::Success | Function::Errors);
    let mut named: Vec<&str> = Vec::new();
    for (about, comparison) in &all {
        let metric = &comparison.metric;
        let fast = matches!(metric.function, Function::Quantile(_) | Function::Max)
            && metric.field == Field::Latency
            && comparison.op.is_upper_bound();
        let probe = metric.probe.value.as_str();
        let beside = all.iter().flat_map(|(_, c)| c.metrics()).any(|m| counted(m) && m.probe.value == probe);
        if fast && !beside && !named.contains(&probe) {
            named.push(probe);
            out.push(Finding::new(
                Kind::Odd,
                about,
                comparison.span,
                format!("nothing is claimed of the success of `{probe}`, and requests that fail at once are not slow"),
                format!("add a claim such as `success({probe}) >= 99%`"),
            ));
        }
    }
}
