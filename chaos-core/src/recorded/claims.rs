//! Exchanging what is claimed, where the run can speak of it.

use crate::{
    model::{
        Claim, Event, Experiment, Phase,
        formula::Bound,
        metric::{ALERT, Filter},
    },
    plan::picked,
    remark::Remark,
    run::Record,
    span::{Span, Spanned},
};

/// Takes the expectations and the confidence of another experiment; fails, changing nothing, where they speak of a probe,
/// a label, a phase or an event that the run had not.
pub fn replace_claims(record: &mut Record, with: &Experiment) -> Result<(), Vec<Remark>> {
    let had = &record.plan.experiment;
    let mut errors = Vec::new();
    for expectation in &with.expectations {
        for claim in expectation.claim.elements() {
            if let Claim::Completes { probe, .. } = claim {
                measured(had, with, probe, &[], &mut errors);
            }
            for comparison in claim.comparisons() {
                for metric in comparison.metrics() {
                    measured(had, with, &metric.probe, &metric.filter, &mut errors);
                }
                if matches!(comparison.bound, Bound::Baseline { .. }) {
                    phase(record, &Phase::Baseline, comparison.span, &mut errors);
                }
            }
            if let Some(during) = claim.during() {
                phase(record, during, expectation.span, &mut errors);
            }
            match claim.after() {
                Some(Event::Starts(name) | Event::Ends(name)) => {
                    fault(had, name, expectation.span, &mut errors);
                }
                Some(Event::Made(name)) if had.change(name).is_none() => {
                    let all = had.changes.iter().map(|c| c.name.value.as_str());
                    errors.push(absent("change", name, expectation.span, all));
                }
                Some(Event::Rollback | Event::RollbackStarts | Event::Made(_)) | None => {}
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let experiment = &mut record.plan.experiment;
    experiment.expectations = with.expectations.clone();
    for expectation in &mut experiment.expectations {
        picked(&mut expectation.claim, &record.plan.targets);
    }
    experiment.confidence = with.confidence;
    experiment.correction = with.correction;
    Ok(())
}

/// Checks that the run has measured what a claim looks at.
fn measured(
    had: &Experiment,
    with: &Experiment,
    name: &Spanned<String>,
    filters: &[Filter],
    errors: &mut Vec<Remark>,
) {
    let Some(probe) = had.probe(name) else {
        let all = had.probes.iter().map(|p| p.name.value.as_str());
        return errors.push(absent("probe", name, name.span, all));
    };
    let other_kind = with
        .probe(name)
        .is_some_and(|new| std::mem::discriminant(&new.kind) != std::mem::discriminant(&probe.kind));
    if other_kind {
        errors.push(
            Remark::error(
                name.span,
                format!("the run's probe `{name}` measured something else than this file's"),
            )
            .with_help("give the new probe another name, and run it"),
        );
    }
    for filter in filters {
        let label = filter.label.value.as_str();
        let known =
            matches!(label, "from" | "status" | ALERT) || probe.labels.iter().any(|l| l.name.value == label);
        if !known {
            let all = probe.labels.iter().map(|l| l.name.value.as_str()).chain(["from", "status"]);
            errors.push(absent(&format!("label of probe `{name}`"), label, filter.label.span, all));
        }
    }
}

/// Checks that the run had a phase, or would have had it if nothing had ended it early.
fn phase(record: &Record, phase: &Phase, span: Span, errors: &mut Vec<Remark>) {
    let experiment = &record.plan.experiment;
    let planned = match phase {
        Phase::Fault(Some(name)) => return fault(experiment, name, span, errors),
        Phase::Baseline => !experiment.timeline.baseline().is_zero(),
        Phase::Watch => !experiment.timeline.watch().is_zero(),
        Phase::Fault(None) | Phase::WholeRun => true,
    };
    if !planned && record.phases.iter().all(|p| p.phase != *phase) {
        let mut had: Vec<String> = record.phases.iter().map(|p| format!("`{}`", p.phase)).collect();
        had.dedup();
        errors.push(
            Remark::error(span, format!("the run had no {phase}"))
                .with_help(format!("it had {}", had.join(", "))),
        );
    }
}

fn fault(had: &Experiment, name: &str, span: Span, errors: &mut Vec<Remark>) {
    if had.fault(name).is_none() {
        errors.push(absent("fault", name, span, had.faults.iter().map(|f| f.name.value.as_str())));
    }
}

fn absent<'a>(what: &str, name: &str, span: Span, had: impl Iterator<Item = &'a str>) -> Remark {
    let had: Vec<String> = had.map(|name| format!("`{name}`")).collect();
    let help = if had.is_empty() { "it had none".to_owned() } else { format!("it had {}", had.join(", ")) };
    Remark::error(span, format!("the run had no {what} `{name}`")).with_help(help)
}
