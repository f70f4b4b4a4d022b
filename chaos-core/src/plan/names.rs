//! Names that lead nowhere: a file is checked for them with everything else, an experiment built in code is checked here.

use super::PlanError;
use crate::{
    model::{Abort, Claim, Comparison, Event, Experiment, Metric, Phase, Predicate, Step},
    remark::Remark,
    span::{Span, Spanned},
};

/// Refuses an experiment that speaks of a probe or a fault that it does not declare, or declares one twice.
pub(super) fn check(experiment: &Experiment) -> Result<(), PlanError> {
    once(experiment.probes.iter().map(|p| &p.name), "probe")?;
    once(experiment.faults.iter().map(|f| &f.name), "fault")?;
    let faults = experiment.faults.iter().map(|f| &f.name);
    once(faults.chain(experiment.changes.iter().map(|c| &c.name)), "fault or change")?;
    for step in &experiment.timeline.steps {
        if let Step::Make(name) = &step.value {
            change(experiment, &name.value, name.span)?;
        }
        if let Step::Inject(name) | Step::Rollback(Some(name)) = &step.value {
            fault(experiment, &name.value, name.span)?;
        }
    }
    for metric in metrics(experiment) {
        if experiment.probe(&metric.probe).is_none() {
            let declared = experiment.probes.iter().map(|p| p.name.value.as_str());
            return Err(unknown("probe", &metric.probe, metric.probe.span, declared));
        }
    }
    experiment.expectations.iter().try_for_each(|e| times(experiment, &e.claim, e.span))
}

fn once<'a>(names: impl Iterator<Item = &'a Spanned<String>>, what: &str) -> Result<(), PlanError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            return Err(PlanError::unsound(
                Remark::error(name.span, format!("two {what}s are named `{name}`"))
                    .with_help("give each a name of its own"),
            ));
        }
    }
    Ok(())
}

fn fault(experiment: &Experiment, name: &str, span: Span) -> Result<(), PlanError> {
    match experiment.fault(name) {
        Some(_) => Ok(()),
        None => Err(unknown("fault", name, span, experiment.faults.iter().map(|f| f.name.value.as_str()))),
    }
}

fn change(experiment: &Experiment, name: &str, span: Span) -> Result<(), PlanError> {
    match experiment.change(name) {
        Some(_) => Ok(()),
        None => Err(unknown("change", name, span, experiment.changes.iter().map(|c| c.name.value.as_str()))),
    }
}

fn unknown<'a>(what: &str, name: &str, span: Span, declared: impl Iterator<Item = &'a str>) -> PlanError {
    let declared: Vec<_> = declared.map(|name| format!("`{name}`")).collect();
    let help = match declared.is_empty() {
        true => format!("declare a {what} of that name"),
        false => format!("declared are {}", declared.join(", ")),
    };
    PlanError::unsound(Remark::error(span, format!("no {what} is named `{name}`")).with_help(help))
}

/// Returns every metric that the experiment speaks of.
fn metrics(experiment: &Experiment) -> impl Iterator<Item = &Metric> {
    let steady = experiment.steady_state.predicates.iter().flat_map(Predicate::comparisons);
    let aborts = experiment.aborts.iter().flat_map(Abort::comparisons);
    let proofs = experiment.faults.iter().filter_map(|fault| fault.proven_by.as_ref());
    let claims = experiment.expectations.iter().flat_map(|expectation| expectation.claim.comparisons());
    steady.chain(aborts).chain(proofs).chain(claims).flat_map(Comparison::metrics)
}

/// Checks the faults by which a claim names a phase or an event.
fn times(experiment: &Experiment, claim: &Claim, span: Span) -> Result<(), PlanError> {
    claim.elements().into_iter().try_for_each(|claim| {
        if let Claim::Completes { probe, .. } = claim
            && experiment.probe(probe).is_none()
        {
            let declared = experiment.probes.iter().map(|p| p.name.value.as_str());
            return Err(unknown("probe", probe, probe.span, declared));
        }
        if let Some(Event::Made(name)) = claim.after() {
            return change(experiment, name, span);
        }
        let name = match (claim.during(), claim.after()) {
            (Some(Phase::Fault(Some(name))), _) => Some(name),
            (_, Some(Event::Starts(name) | Event::Ends(name))) => Some(name),
            _ => None,
        };
        name.map_or(Ok(()), |name| fault(experiment, name, span))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Probe, Quantity};

    fn refusal(change: impl FnOnce(&mut Experiment)) -> String {
        let mut experiment = crate::testing::experiment();
        assert!(check(&experiment).is_ok());
        change(&mut experiment);
        match check(&experiment) {
            Ok(()) => "accepted".into(),
            Err(error) => format!("{error}; {}", error.help().unwrap_or_default()),
        }
    }

    #[test]
    fn what_is_not_declared_is_named_with_what_is() {
        let all = || Metric::success("put").at_least(Quantity::ratio(1.0));
        assert_eq!(
            refusal(|e| e.timeline.steps.push(Step::inject("third").into())),
            "no fault is named `third`; declared are `first`, `second`"
        );
        assert_eq!(
            refusal(|e| e.aborts.push(Abort::When(all().into()))),
            "no probe is named `put`; declared are `get`"
        );
        let claim = || Metric::success("get").at_least(Quantity::ratio(1.0));
        assert_eq!(
            refusal(|e| *e = e.clone().expect("x", claim().during(Phase::Fault(Some("1st".into()))))),
            "no fault is named `1st`; declared are `first`, `second`"
        );
        let second = Duration::from_secs(1);
        assert_eq!(
            refusal(|e| *e = e.clone().expect("x", claim().settles(second, Event::Ends("1st".into())))),
            "no fault is named `1st`; declared are `first`, `second`"
        );
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(
            refusal(|e| e.probes.push(Probe::custom("get", "other"))),
            "two probes are named `get`; give each a name of its own"
        );
    }
}
