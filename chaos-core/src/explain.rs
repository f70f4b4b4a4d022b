//! A checked experiment in plain English, for somebody who did not write it.
//!
//! [`explain()`] is pure: the same experiment always gives the same text. It says nothing that only planning can know (which
//! objects a pick draws); [`schedule`] computes when each step begins, [`place`] says where, [`measure`] what is measured,
//! [`fault`] what is injected, [`claim`] what each expectation means, down to its formula and the samples it needs.

mod claim;
mod fault;
mod measure;
mod page;
mod place;
mod schedule;
mod series;
mod words;

use std::time::Duration;

use crate::{
    judge::confident,
    model::{
        Abort, Comparison, Correction, Experiment, Outside, Quantity, Scope, Selector, Step, formula::Bound,
    },
    run::Policy,
};

use page::{Page, time};
use schedule::{Schedule, clock};
pub use series::series;

/// Says an experiment in plain English: what happens when, what it takes to judge it, what ends it and what is put back.
///
/// `policy` holds the times of the runner that will run it.
///
/// ```
/// use std::time::Duration;
/// use chaos_core::{explain::explain, model::{Experiment, Step}, run::Policy};
///
/// let experiment = Experiment::new("a pause", "nothing happens")
///     .with_timeline([Step::Baseline(Duration::from_secs(10))]);
/// let words = explain(&experiment, &Policy::default());
/// assert!(words.contains("baseline"), "{words}");
/// ```
#[must_use]
pub fn explain(experiment: &Experiment, policy: &Policy) -> String {
    let schedule = Schedule::new(experiment);
    let mut page = Page::default();
    head(experiment, &mut page);
    place::explain(experiment, &mut page);
    outside(experiment, &mut page);
    measure::explain(experiment, &mut page);
    steady_state(experiment, &mut page);
    fault::explain(experiment, &mut page);
    fault::changes(experiment, &mut page);
    timeline(experiment, &schedule, &mut page);
    put_back(experiment, &schedule, policy, &mut page);
    aborts(experiment, policy, &mut page);
    page.section("What is expected");
    for expectation in &experiment.expectations {
        claim::explain(experiment, &schedule, expectation, &mut page);
    }
    correction(experiment, &mut page);
    drift(experiment, &mut page);
    verdict(experiment, &mut page);
    evidence(experiment, &mut page);
    page.finish()
}

/// Lists what a file of somebody else could do beyond breaking its targets.
fn outside(experiment: &Experiment, page: &mut Page) {
    let lines = Outside::of(experiment).lines();
    if !lines.is_empty() {
        page.section(Outside::HEADING);
        lines.iter().for_each(|line| page.item(line));
    }
}

fn head(experiment: &Experiment, page: &mut Page) {
    page.title(&experiment.name);
    let mut fields = vec![("hypothesis", experiment.hypothesis.value.clone())];
    fields.extend(experiment.impact.clone().map(|impact| ("impact", impact)));
    let nobody = || "nobody is named".to_owned();
    fields.push(("owner", experiment.owner.as_ref().map_or_else(nobody, |o| o.value.clone())));
    if !experiment.tags.is_empty() {
        fields.push(("tags", experiment.tags.join(", ")));
    }
    for param in &experiment.params {
        let mut text = format!("{} = {}", param.name, param.value);
        if param.value != param.default {
            text.push_str(&format!(", changed for this run from {}", param.default));
        }
        if let Some((low, high)) = param.range {
            text.push_str(&format!("; a run may set {low} to {high}"));
        }
        fields.push(("param", text));
    }
    page.fields(&fields);
}

fn steady_state(experiment: &Experiment, page: &mut Page) {
    let steady = &experiment.steady_state;
    page.section("What must hold before");
    page.text(&format!(
        "The healthy system is watched for {}. Unless all of this was observed, nothing is injected and the run is refused. \
         The same is asked again after everything was put back, and reported.",
        time(steady.over)
    ));
    for predicate in &steady.predicates {
        page.item(&format!("{}: {}", predicate, words::predicate(predicate)));
    }
}

fn timeline(experiment: &Experiment, schedule: &Schedule, page: &mut Page) {
    page.section("When what happens");
    page.text("Planned times; what injecting and putting back take comes on top.");
    let mut rows =
        vec![(schedule.start(), format!("steady state, watched for {}", time(experiment.steady_state.over)))];
    for (at, step) in schedule.steps() {
        rows.push((
            *at,
            match step {
                Step::Baseline(d) => {
                    format!("baseline for {}: the healthy system, to compare with", time(*d))
                }
                Step::Make(name) => match experiment.change(name) {
                    Some(change) => format!(
                        "make {name}, for the rest of the run: {}",
                        fault::short(&change.action, &change.on)
                    ),
                    None => format!("make {name}"),
                },
                Step::Inject(name) => match experiment.fault(name) {
                    Some(fault) => format!("inject {name}: {}", fault::short(&fault.action, &fault.on)),
                    None => format!("inject {name}"),
                },
                Step::Hold(d) => format!("hold for {}", time(*d)),
                Step::Rollback(None) => "roll back all that is in place".to_owned(),
                Step::Rollback(Some(name)) => format!("roll back {name}"),
                Step::Watch(d) => format!("watch the recovery for {}", time(*d)),
            },
        ));
    }
    if schedule.again() > Duration::ZERO {
        let at = schedule.end().saturating_sub(schedule.again());
        rows.push((at, format!("watch {} more, to see the steady state again", time(schedule.again()))));
    }
    rows.push((schedule.end(), "steady state judged again, verdicts, end".to_owned()));
    let width = rows.iter().map(|(at, _)| clock(*at).len()).max().unwrap_or_default();
    for (at, what) in rows {
        page.row(&format!("{:>width$}", clock(at)), &what);
    }
}

fn put_back(experiment: &Experiment, schedule: &Schedule, policy: &Policy, page: &mut Page) {
    page.section("What is put back, and how");
    let order: Vec<String> = schedule.injected().iter().rev().map(|f| (*f).to_owned()).collect();
    let order = if order.len() > 1 {
        format!(" What was injected last goes first: {}.", order.join(", then "))
    } else {
        String::new()
    };
    page.text(&format!(
        "Every fault, automatically: at its rollback, and at once when the run is aborted, stopped or fails.{order} A removal \
         that does not succeed is tried again for up to {}. Requests that failed meanwhile stay failed; nothing else is left.",
        time(policy.revert_patience)
    ));
    match &experiment.scope {
        Scope::Lab(_) => {
            page.text("The lab itself, with all of its hosts and programs, is gone at the end of the run.");
        }
        Scope::Machine => {}
        Scope::Cluster(_) => page.text(
            "The agent's ended container stays in the specification of each pod that it was in until the pod goes: Kubernetes \
             removes no ephemeral container.",
        ),
    }
}

fn aborts(experiment: &Experiment, policy: &Policy, page: &mut Page) {
    let tick = policy.tick;
    page.section("What ends it early");
    for abort in &experiment.aborts {
        match abort {
            Abort::Never(reason) => page.item(&format!("No condition of its own, because {reason}.")),
            Abort::When(predicate) => {
                page.item(&format!("When {predicate}: {}.", words::predicate(predicate)));
                let (window, lasting) = (words::longest_window(predicate), words::persistence(predicate));
                page.detail(&format!(
                    "Takes effect at the latest {} after it has become true of every request: a window of {}, {}a tick of {}.",
                    time(window + lasting + tick),
                    time(window),
                    if lasting.is_zero() { String::new() } else { format!("{} of persistence, ", time(lasting)) },
                    time(tick)
                ));
                for note in delays(experiment, abort) {
                    page.detail(&note);
                }
            }
            Abort::Confident(comparison) => {
                page.item(&format!("When surely {}: {}.", comparison, words::comparison(comparison)));
                page.detail(&certainty(experiment, comparison));
                for note in delays(experiment, abort) {
                    page.detail(&note);
                }
            }
        }
    }
    if experiment.aborts.is_empty() {
        page.item("No condition is written down.");
    }
    page.item("In any case: a request to stop, a broken environment, or an agent that is lost.");
    if experiment.faults.iter().any(|f| f.proven_by.is_some()) {
        page.item(&format!(
            "A fault whose `proven by` has not come true {} after its injection; the run is then inconclusive.",
            time(policy.proven_within)
        ));
    }
    page.text("Conditions are judged from the baseline until everything is put back.");
}

/// What makes an abort condition later: a request that hangs is known to have failed only at its timeout, and the windows of
/// abort conditions are over the instants at which measurements ended.
fn delays(experiment: &Experiment, abort: &Abort) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for metric in abort.comparisons().into_iter().flat_map(Comparison::metrics) {
        let Some(probe) = experiment.probe(&metric.probe) else { continue };
        let note = format!(
            "Where requests of {} hang instead of failing, up to {} later: each is known to have failed only then.",
            probe.name,
            time(probe.timeout)
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Says how sure a confident condition is, and how long it takes to be so.
fn certainty(experiment: &Experiment, comparison: &Comparison) -> String {
    let (tolerated, ticks) = (confident::tolerated(comparison), confident::planned_ticks(experiment));
    let mut text = format!(
        "Evidence is weighed every second, {ticks} times as planned; a false alarm, while errors are at most {}, has a \
         chance of {} at most.",
        Quantity::ratio(tolerated),
        Quantity::ratio(confident::FALSE_ALARM)
    );
    let probe = experiment.probe(&comparison.metric.probe);
    let places =
        probe.and_then(|p| p.from.selector()).and_then(|from| place::count(experiment, from)).unwrap_or(1);
    let requests = probe.map_or(0.0, |p| p.rate) * places as f64;
    let delays: Vec<String> = [0.1, 0.2, 0.5, 1.0]
        .into_iter()
        .filter_map(|share| {
            let seconds = confident::typical_delay(tolerated, ticks, requests, share)?;
            let seconds = time(Duration::from_secs_f64(seconds.min(1e9)));
            Some(format!("{seconds} at {}", Quantity::ratio(share)))
        })
        .collect();
    if !delays.is_empty() {
        text.push_str(&format!(
            " If errors jump, it typically fires after {} of all requests.",
            delays.join(", ")
        ));
    }
    text
}

/// Says what several claims at once do to how sure each is.
fn correction(experiment: &Experiment, page: &mut Page) {
    let confidence = Quantity::ratio(experiment.confidence);
    page.text(&match experiment.correction {
        Correction::Holm => format!(
            "Holm's correction: all passes judged with confidence are right together with {confidence}, and so are all \
             failures; claims with a confidence of their own, observed ones and those over time have no share in it."
        ),
        Correction::None => format!(
            "Each claim on its own has {confidence} confidence, with no correction for several; `judge at {confidence} with \
             holm` asks it of all together."
        ),
    });
}

/// Phases come one after another: what drifts anyway looks like an effect, the more the longer they take.
fn drift(experiment: &Experiment, page: &mut Page) {
    const LONG: Duration = Duration::from_secs(10 * 60);
    let timeline = &experiment.timeline;
    let long = experiment.faults.iter().map(|f| timeline.held(&f.name)).max().unwrap_or_default();
    let relative = experiment
        .expectations
        .iter()
        .flat_map(|e| e.claim.comparisons())
        .any(|c| matches!(c.bound, Bound::Baseline { .. }));
    if !relative {
        return;
    }
    page.text(
        "The second half of the watch is a second baseline: where it differs from the first by more than chance explains, \
         the report says that the baseline drifted.",
    );
    if long > LONG && timeline.watch() < timeline.baseline() {
        page.text(&format!(
            "A fault of {} leaves time for that: a `watch` as long as the baseline, {}, would distinguish drift from effect.",
            time(long),
            time(timeline.baseline())
        ));
    }
}

fn verdict(experiment: &Experiment, page: &mut Page) {
    let all = match experiment.expectations.len() {
        1 => "that expectation passed".to_owned(),
        2 => "both of them passed".to_owned(),
        n => format!("all {n} of them passed"),
    };
    page.text(&format!(
        "Each expectation passes, fails, or stays inconclusive. The run is a success only if it completed, everything is \
         restored, and {all}."
    ));
}

fn evidence(experiment: &Experiment, page: &mut Page) {
    use crate::model::Evidence;
    page.section("What is recorded");
    page.item("Every event of the run, with its measurements and verdicts.");
    page.item("What the kernel says of the places that are touched, before, during and after.");
    for evidence in &experiment.evidence {
        if let Evidence::Logs(Selector::Hosts(name) | Selector::Named(name)) = &evidence.value {
            page.item(&format!("The output of the programs on {name}."));
        }
    }
}
