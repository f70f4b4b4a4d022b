//! Steps of a timeline in an order that makes no sense.

use super::{Finding, Kind};
use crate::{
    model::{Experiment, Step, Timeline},
    span::Spanned,
};

pub(super) fn find(experiment: &Experiment) -> Vec<Finding> {
    let faults: Vec<&str> = experiment.faults.iter().map(|f| f.name.as_str()).collect();
    of_timeline(&experiment.timeline, &faults)
}

/// Returns the mistakes of a whole timeline; `faults` are all that are declared.
pub fn of_timeline(timeline: &Timeline, faults: &[&str]) -> Vec<Finding> {
    let Timeline { steps, span } = timeline;
    let mut out = Vec::new();
    let Some(walk) = Walk::over(steps, &mut out) else { return out };
    let missing = |message, help| Finding::new(Kind::Missing, "the timeline", *span, message, help);
    if walk.ever.is_empty() && !faults.is_empty() {
        // With nothing in place no step makes sense, and one line mends all of them.
        let help = format!("add `inject {}`", faults.join("`, `inject "));
        return vec![Finding::plain(Kind::Missing, *span, "the timeline injects nothing", help)];
    }
    if !walk.ever.is_empty() && !walk.held {
        out.push(missing("the fault is never held", "add `hold 30s`".to_owned()));
    }
    out
}

/// Returns the mistakes of the first steps of a timeline, of which the rest is not known.
pub fn of_steps(steps: &[Spanned<Step>]) -> Vec<Finding> {
    let mut out = Vec::new();
    Walk::over(steps, &mut out);
    out
}

/// What is in place, step by step.
#[derive(Default)]
struct Walk<'a> {
    made: Vec<&'a str>,
    active: Vec<&'a str>,
    ever: Vec<&'a str>,
    held: bool,
}

impl<'a> Walk<'a> {
    /// Goes through the steps; `None` if a mistake leaves open what is in place after it.
    fn over(steps: &'a [Spanned<Step>], out: &mut Vec<Finding>) -> Option<Walk<'a>> {
        let mut walk = Walk::default();
        for step in steps {
            let mut add = |message: String, help: &str| {
                out.push(Finding::new(Kind::Order, "the timeline", step.span, message, help));
            };
            match &step.value {
                Step::Baseline(_) if !walk.ever.is_empty() => add(
                    "a baseline comes before anything is injected".into(),
                    "write `hold` while a fault is in place, and `watch` after the rollback",
                ),
                Step::Baseline(_) => {}
                Step::Hold(_) => {
                    walk.held = true;
                    if walk.active.is_empty() {
                        let help = "write `inject NAME` before it, or `watch` after the rollback";
                        add("nothing is in place that could be held".into(), help);
                    }
                }
                Step::Watch(_) if !walk.active.is_empty() || walk.ever.is_empty() => {
                    let help = "write `hold` while a fault is in place";
                    add("`watch` comes after the rollback".into(), help);
                }
                Step::Watch(_) => {}
                Step::Make(name) if walk.made.contains(&name.as_str()) => {
                    let help = "a change is undone only at the end of the run: declare a second one";
                    add(format!("`{name}` is made twice"), help);
                }
                Step::Make(name) => walk.made.push(name),
                Step::Inject(name) if walk.ever.contains(&name.as_str()) => {
                    let kind =
                        if walk.active.contains(&name.as_str()) { Kind::Conflict } else { Kind::Order };
                    let message = format!("`{name}` is injected twice");
                    out.push(Finding::new(
                        kind,
                        "the timeline",
                        step.span,
                        message,
                        "declare a second fault",
                    ));
                    return None;
                }
                Step::Inject(name) => {
                    walk.active.push(name);
                    walk.ever.push(name);
                }
                Step::Rollback(None) => {
                    if walk.active.is_empty() {
                        let help = "write `inject NAME` before it";
                        add("nothing is in place that could be rolled back".into(), help);
                    }
                    walk.active.clear();
                }
                Step::Rollback(Some(name)) => {
                    if !walk.active.contains(&name.as_str()) {
                        let help = format!("write `inject {name}` before it, or remove this step");
                        add(format!("`{name}` is not in place here"), &help);
                        return None;
                    }
                    walk.active.retain(|active| *active != name.value);
                }
            }
        }
        Some(walk)
    }
}
