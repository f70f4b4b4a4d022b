//! What an experiment cannot show as it is written, found without touching or asking anything.
//!
//! One file for each mistake, and one list for each time at which it can be looked for; to add one, add a file and a
//! line to its list. The checker of the language calls the same lists on what a file says, so that it can underline the
//! place; [`plan`](crate::plan::plan()) calls them for experiments built in code.
//!
//! - [`REFUSED`], whatever the timeline is: [`constant`] limits that every measurement meets or none, shares of [`all`] or
//!   none that nothing confirms, metrics that no probe feeds ([`fed`]), a [`window`] longer than its deadline.
//! - [`REFUSED_COURSE`], of the timeline: a [`baseline`] that is not there, a [`phase`] that never comes or is too short, a
//!   [`watch`] that ends before its claims are decided.
//! - of the steps themselves: [`order`].
//! - [`WARNED`]: a fault that is never [`injected`], an abort condition that [`guards`](guard) against what is expected, a
//!   quantile that the [`share`] of requests a fault meets cannot move, or moves for sure, effects so [`rare`] that there may be none, a [`deadline`] that is measured too
//!   coarsely, a [`reading`] that need not come while a claim looks at it, a claim on latency that stands [`alone`], a share of what is answered that
//!   leaves out the [`unanswered`]; requests that wait for a connection of their own [`pool`], not for the server.
//! - [`samples`], which also asks from how many places each probe is sent.

mod all;
mod alone;
mod aside;
mod baseline;
mod constant;
mod deadline;
mod fed;
mod guard;
mod hosts;
mod injected;
pub mod order;
mod phase;
mod pool;
mod rare;
mod reading;
mod samples;
mod share;
mod unanswered;
pub mod watch;
mod window;

pub(crate) use self::share::reaches;

use std::time::Duration;

use self::{hosts::Hosts, samples::Places};
use crate::{
    model::{
        Abort, Claim, Comparison, Experiment, Phase, Predicate, Probe, Timeline, quantity::format_seconds,
    },
    remark::{Remark, Severity},
    span::Span,
};

/// What sort of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It can never hold, or never fail, or never be decided.
    Undecidable,
    /// The timeline has no baseline for it.
    NoBaseline,
    /// A phase is too short for it.
    TooShort,
    /// The steps of the timeline stand in an order that makes no sense.
    Order,
    /// A step of the timeline asks for what is in place already.
    Conflict,
    /// A step of the timeline is missing.
    Missing,
    /// It can be carried out, but hardly as it was meant.
    Odd,
}

/// Something that an experiment cannot show as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What sort of mistake it is.
    pub kind: Kind,
    /// What it is about, for experiments without a text: an expectation, the steady state, …; none where the message names it.
    pub about: Option<String>,
    /// What is wrong, why, where, and the likely fix.
    pub remark: Remark,
}

/// Looks for one mistake.
type Lint = fn(&Experiment, &mut Vec<Finding>);

/// Mistakes of what is claimed, whatever the timeline is.
const REFUSED: &[Lint] = &[constant::find, all::find, fed::find, window::find];

/// Mistakes of what is claimed of this timeline.
const REFUSED_COURSE: &[Lint] = &[baseline::find, phase::find, watch::find];

/// What can be carried out, but hardly as it was meant.
const WARNED: &[Lint] = &[
    injected::find,
    guard::find,
    share::unmoved,
    share::aborting,
    rare::find,
    aside::find,
    deadline::find,
    reading::find,
    alone::find,
    unanswered::find,
    pool::find,
];

fn look(lints: &[Lint], experiment: &Experiment) -> Vec<Finding> {
    let mut out = Vec::new();
    for lint in lints {
        lint(experiment, &mut out);
    }
    out
}

/// Returns the claims that cannot be decided, whatever the timeline is.
pub fn of_claims(experiment: &Experiment) -> Vec<Finding> {
    look(REFUSED, experiment)
}

/// Returns the claims that cannot be decided with this timeline.
pub fn of_course(experiment: &Experiment) -> Vec<Finding> {
    look(REFUSED_COURSE, experiment)
}

/// Returns everything for which an experiment is refused.
pub fn refusals(experiment: &Experiment) -> Vec<Finding> {
    let order = order::find(experiment).into_iter().filter(Finding::is_refused);
    order.chain(of_claims(experiment)).chain(of_course(experiment)).collect()
}

/// Returns what should be known before running; `places` says from how many each probe is sent.
pub(crate) fn warnings(experiment: &Experiment, places: &Places<'_>) -> Vec<Finding> {
    let order = order::find(experiment).into_iter().filter(|f| !f.is_refused());
    order.chain(look(WARNED, experiment)).chain(samples::find(experiment, places)).collect()
}

/// Returns what should be known before running, as far as the experiment itself says: from how many places a probe is sent
/// is only certain in a lab. What its steps leave out is not in it.
pub fn remarks(experiment: &Experiment) -> Vec<Finding> {
    let mut found = look(WARNED, experiment);
    found.extend(samples::find(experiment, &|probe| declared(experiment, probe)));
    found
}

/// Returns from how many hosts of the lab a probe is sent.
fn declared(experiment: &Experiment, probe: &Probe) -> usize {
    let from = experiment.lab().zip(probe.from.selector());
    from.and_then(|(lab, from)| Hosts::of(experiment, lab, from)).map_or(1, |hosts| hosts.most)
}

impl Finding {
    /// Makes one about an expectation, or whatever else has a name.
    fn new(
        kind: Kind,
        about: impl Into<String>,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding { about: Some(about.into()), ..Finding::plain(kind, span, message, help) }
    }

    /// Makes one whose message names what it is about.
    fn plain(kind: Kind, span: Span, message: impl Into<String>, help: impl Into<String>) -> Finding {
        let finding = Finding { kind, about: None, remark: Remark::warning(span, message).with_help(help) };
        match finding.is_refused() {
            true => Finding { remark: Remark { severity: Severity::Error, ..finding.remark }, ..finding },
            false => finding,
        }
    }

    /// Returns whether nothing is run because of it. An odd order of steps harms nothing: the runner reverts what is in
    /// place, and no more.
    pub fn is_refused(&self) -> bool {
        match self.kind {
            Kind::Undecidable | Kind::NoBaseline | Kind::TooShort | Kind::Conflict => true,
            Kind::Order | Kind::Missing | Kind::Odd => false,
        }
    }

    /// Returns what there is to say; where no text can be underlined, with what it is about.
    pub(crate) fn into_remark(self) -> Remark {
        match self.about.filter(|_| self.remark.span.is_none()) {
            Some(about) => Remark { message: format!("{about}: {}", self.remark.message), ..self.remark },
            None => self.remark,
        }
    }
}

/// Returns every comparison of an experiment, with what it belongs to.
fn comparisons(experiment: &Experiment) -> Vec<(String, &Comparison)> {
    let mut all = Vec::new();
    let steady = experiment.steady_state.predicates.iter().flat_map(Predicate::comparisons);
    all.extend(steady.map(|c| ("the steady state".to_owned(), c)));
    for fault in &experiment.faults {
        all.extend(fault.proven_by.iter().map(|c| (format!("the proof of `{}`", fault.name), c)));
    }
    for abort in &experiment.aborts {
        let about = match abort {
            Abort::When(predicate) => format!("`abort when {predicate}`"),
            Abort::Confident(comparison) => format!("`abort when confident {comparison}`"),
            Abort::Never(_) => continue,
        };
        all.extend(abort.comparisons().into_iter().map(|c| (about.clone(), c)));
    }
    for expectation in &experiment.expectations {
        let claimed = expectation.claim.comparisons();
        all.extend(claimed.into_iter().map(|c| (format!("`{}`", expectation.name), c)));
    }
    all
}

/// Returns the elementary claims of the expectations, each with the name and place of its expectation.
fn claims(experiment: &Experiment) -> Vec<(String, Span, &Claim)> {
    let named = experiment.expectations.iter().flat_map(|e| {
        e.claim.elements().into_iter().map(move |claim| (format!("`{}`", e.name), e.span, claim))
    });
    named.collect()
}

/// Returns the planned length of a phase.
fn length(timeline: &Timeline, phase: &Phase) -> Duration {
    match phase {
        Phase::Baseline => timeline.baseline(),
        Phase::Watch => timeline.watch(),
        Phase::WholeRun => timeline.planned(),
        Phase::Fault(None) => timeline.faulted(),
        Phase::Fault(Some(name)) => timeline.held(name),
    }
}

/// Returns how long a predicate looks back: its longest window, with what `for` adds.
fn reach(predicate: &Predicate) -> Duration {
    match predicate {
        Predicate::Compare(c) => c.metrics().iter().filter_map(|m| m.over).max().unwrap_or_default(),
        Predicate::For { predicate, lasting } => reach(predicate) + *lasting,
        Predicate::Not(p) => reach(p),
        Predicate::All(all) | Predicate::Any(all) => all.iter().map(reach).max().unwrap_or_default(),
    }
}

fn text(time: Duration) -> String {
    format_seconds(time.as_secs_f64())
}

#[cfg(test)]
mod tests;
