//! The standard judge: what an experiment claims, on what a run measured.
//!
//! 1. [`metric`] picks the samples that a metric looks at, and turns them into observations, numbers and signals; [`polled`]
//!    knows what holds between two readings, and [`cache`] keeps what several claims look at.
//! 2. [`timeline`] knows the phases and events as they were: what an abort cut short, and which faults met nothing.
//! 3. [`statistic`] judges one number of a phase, on its own or against another one ([`pair`]), and looks for a [`drift`];
//!    [`temporal`] judges how signals behave in time, [`requests`] what happened to single requests. [`claim`] joins what is
//!    made of several in three values.
//! 4. [`breakdown`] names the part of a latency that grew most. [`guard`] watches abort conditions while the run goes on, [`confident`]
//!    those that must be sure.
//! 5. [`finding`] is what comes out for each elementary claim, with its numbers; [`wording`] says it to people.

pub mod border;
mod breakdown;
mod cache;
mod claim;
pub(crate) mod confident;
mod drift;
mod filter;
pub mod finding;
mod guard;
mod limit;
mod metric;
pub(crate) mod pair;
mod polled;
mod requests;
mod show;
pub(crate) mod statistic;
mod temporal;
mod timeline;
pub mod view;
mod wording;

pub(crate) use self::metric::informs;
pub use self::view::Samples;

use self::finding::Finding;
use self::{limit::Limit, metric::Least, timeline::RunTimeline, wording::Measured};
use crate::verdict::{Interval, Outcome, Truth, confidence::Reason};
use crate::{
    judge::{
        border::{Guard, Judge},
        view::{Judged, PredicateResult, RunView, Verdict},
    },
    model::{Claim, Comparison, Event, Experiment, Phase, Predicate, formula::Bound},
    span::Span,
    time::{Nanos, nanos},
};

/// A period `[start, end)`.
type Period = (Nanos, Nanos);

/// What a claim is about.
#[derive(Clone, Copy, Debug)]
enum About<'a> {
    Phase(&'a Phase),
    Event(&'a Event),
}

/// Judges by the semantics of the language: signals in three-valued temporal logic, phase statistics with confidence.
///
/// It keeps no state, so that judging a record again gives the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standard;

impl Standard {
    /// Makes the judge.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Judge for Standard {
    fn guard(&self, predicate: &Predicate, experiment: &Experiment) -> Box<dyn Guard> {
        Box::new(guard::Watcher::new(predicate, experiment))
    }

    fn confident(&self, comparison: &Comparison, experiment: &Experiment) -> Box<dyn Guard> {
        Box::new(confident::Confident::new(comparison, experiment))
    }

    /// Judges each predicate with the block's time as the window of all its metrics; `baseline` cannot be spoken of here.
    fn steady(
        &self,
        experiment: &Experiment,
        samples: &Samples,
        from: Nanos,
        to: Nanos,
    ) -> Vec<PredicateResult> {
        let judged = |predicate: &Predicate| {
            let (truth, measured) = steadily(predicate, samples, from, to);
            PredicateResult {
                text: predicate.to_string(),
                held: (truth != Truth::Unknown).then_some(truth == Truth::True),
                measured: measured.join("; "),
                span: span(predicate),
            }
        };
        experiment.steady_state.predicates.iter().map(judged).collect()
    }

    fn proven(&self, condition: &Comparison, fault: &str, view: &RunView<'_>) -> Option<bool> {
        let phase = Phase::Fault(Some(fault.to_owned()));
        let span = view.phases.iter().rev().find(|span| span.phase == phase)?;
        let end = span.end.min(view.end);
        // A window, where one is written, looks back from the end, but never to before the fault.
        let start = match condition.metric.over {
            Some(over) => span.start.max(end.saturating_sub(nanos(over))),
            None => span.start,
        };
        let baseline = view.phase(&Phase::Baseline).map(|b| (b.start, b.end.min(view.end)));
        let mut limit = Limit::of(condition, view.samples, baseline, Some(end.saturating_sub(start)));
        compare_with_other(&mut limit, condition, view.samples, (start, end));
        let observations = metric::observations(&condition.metric, view.samples, end);
        let value = metric::number(&condition.metric, &[(start, end)], &observations, Least::Meaningful)?;
        match limit::relation(condition.op).truth(value, Interval::exactly(limit.value?)) {
            Truth::True => Some(true),
            Truth::False => Some(false),
            Truth::Unknown => None,
        }
    }

    fn judge(&self, experiment: &Experiment, view: &RunView<'_>) -> Vec<Judged> {
        let timeline = RunTimeline::new(experiment, view);
        let mut claims = claim::ClaimJudge::new(&timeline);
        let judged = |expectation: &crate::model::Expectation| {
            let (outcome, findings) = claims.judge(&expectation.claim);
            let measured: Vec<&str> = findings.iter().map(|f| f.sentence.as_str()).collect();
            Judged {
                name: expectation.name.value.clone(),
                claim: expectation.claim.to_string(),
                span: expectation.span,
                verdict: verdict(&outcome, &findings, || unread(&expectation.claim, view)),
                measured: measured.join("; "),
                findings,
            }
        };
        experiment.expectations.iter().map(judged).collect()
    }
}

/// The whole expectation's verdict; its reasons are those of the parts that left it open, and why nothing was read where that is
/// one of them.
fn verdict(outcome: &Outcome, findings: &[Finding], unread: impl FnOnce() -> Vec<String>) -> Verdict {
    match outcome {
        Outcome::Passed => Verdict::Passed,
        Outcome::Failed => Verdict::Failed,
        Outcome::Inconclusive { reasons: why, .. } => {
            let mut reasons: Vec<String> = Vec::new();
            for reason in findings.iter().flat_map(|f| &f.reasons) {
                if !reasons.contains(reason) {
                    reasons.push(reason.clone());
                }
            }
            let missing = [Reason::Gap, Reason::TooFewSamples, Reason::BaselineUnhealthy];
            if why.iter().any(|reason| missing.contains(reason)) {
                reasons.extend(unread());
            }
            Verdict::Inconclusive { reasons }
        }
    }
}

/// Says for each probe of a claim with missing readings what error most of them had.
fn unread(claim: &Claim, view: &RunView<'_>) -> Vec<String> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for metric in claim.comparisons().into_iter().flat_map(Comparison::metrics) {
        if let Some((count, error)) = polled::unread(metric, view.samples, (Nanos::MIN, view.end))
            && lines.iter().all(|(probe, _)| *probe != metric.probe.value)
        {
            let readings = if count == 1 { "1 reading" } else { &format!("{count} readings") };
            lines.push((
                &metric.probe.value,
                format!("{readings} of `{}` could not be taken: {error}", metric.probe),
            ));
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The place of a predicate: from its first comparison to its last.
fn span(predicate: &Predicate) -> Span {
    predicate.comparisons().iter().fold(Span::NONE, |span, c| span.to(c.span))
}

/// Makes a limit that is another metric the number that it was over a period.
fn compare_with_other(limit: &mut Limit, comparison: &Comparison, samples: &Samples, period: (Nanos, Nanos)) {
    if let Bound::Metric { metric, factor, offset } = &comparison.bound {
        let observations = metric::observations(metric, samples, period.1);
        let number = metric::number(metric, &[period], &observations, Least::Meaningful);
        limit.other(comparison, number, *factor, *offset);
    }
}

/// Judges a predicate on all of `[from, to)` at once; also says what each of its metrics was.
fn steadily(predicate: &Predicate, samples: &Samples, from: Nanos, to: Nanos) -> (Truth, Vec<String>) {
    let together = |all: &[Predicate], empty: Truth, combine: fn(Truth, Truth) -> Truth| {
        all.iter().map(|p| steadily(p, samples, from, to)).fold(
            (empty, Vec::new()),
            |(truth, mut said), (next, more)| {
                said.extend(more);
                (combine(truth, next), said)
            },
        )
    };
    match predicate {
        Predicate::Compare(comparison) => {
            let mut limit = Limit::of(comparison, samples, None, None);
            compare_with_other(&mut limit, comparison, samples, (from, to));
            let value = if comparison.metric.is_gauge() {
                polled::extent(&comparison.metric, samples, (from, to))
            } else {
                let observations = metric::observations(&comparison.metric, samples, to);
                metric::number(&comparison.metric, &[(from, to)], &observations, Least::Meaningful)
            };
            let truth = match (value, limit.value) {
                (Some(value), Some(limit)) => {
                    limit::relation(comparison.op).truth(value, Interval::exactly(limit))
                }
                _ => Truth::Unknown,
            };
            let mut said = Measured { comparison, limit: &limit, value }.to_string();
            if value.is_none()
                && let Some((_, error)) = polled::unread(&comparison.metric, samples, (from, to))
            {
                said = format!("{said}: {error}");
            } else if value.is_none() && !comparison.metric.is_gauge() {
                let observations = metric::observations(&comparison.metric, samples, to);
                let failed = metric::failed(&comparison.metric, &observations, &[(from, to)]);
                said.extend(failed.map(|failed| format!(": {failed}")));
            }
            (truth, vec![said])
        }
        // The block's time is the window: what holds of it as a whole has held for all of it.
        Predicate::For { predicate, .. } => steadily(predicate, samples, from, to),
        Predicate::Not(predicate) => {
            let (truth, said) = steadily(predicate, samples, from, to);
            (truth.negated(), said)
        }
        Predicate::All(all) => together(all, Truth::True, Truth::min),
        Predicate::Any(any) => together(any, Truth::False, Truth::max),
    }
}

#[cfg(test)]
mod tests;
