//! What in the scenario a run speaks of: its violated lines, for a renderer that underlines them.

use crate::outcome::{Verdict, result};
use crate::{
    judge::view,
    run::{Completion, Record, record::SteadyWhen},
    span::Span,
};

/// A place in the scenario with what to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underline {
    /// The place.
    pub span: Span,
    /// Whether it is an error; else a warning.
    pub error: bool,
    /// What to say above the source.
    pub title: String,
    /// What to say at the place.
    pub message: String,
}

/// Finds the places of a run, the gravest first; what stands in no file is left out.
pub fn underlines(record: &Record) -> Vec<Underline> {
    let mut out = Vec::new();
    if let Some(cause) = &record.abort
        && let Some(span) = cause.span
    {
        let title = match result(record).if_restored {
            Verdict::Inconclusive | Verdict::Failed => "the fault is not proven",
            _ => "the run was aborted",
        };
        out.push(Underline { span, error: true, title: title.into(), message: cause.reason.clone() });
    }
    let refused = matches!(record.completion, Completion::Refused { .. });
    for steady in &record.steady {
        let when = match steady.when {
            SteadyWhen::Before if !refused => continue,
            SteadyWhen::Before => "the steady state does not hold",
            SteadyWhen::After => "the steady state did not come back",
        };
        for predicate in steady.predicates.iter().filter(|p| p.held != Some(true)) {
            out.push(Underline {
                span: predicate.span,
                error: predicate.held == Some(false),
                title: when.into(),
                message: predicate.measured.clone(),
            });
        }
    }
    for judged in &record.expectations {
        let (error, what, message) = match &judged.verdict {
            view::Verdict::Passed => continue,
            view::Verdict::Failed => (true, "does not hold", judged.measured.clone()),
            view::Verdict::Inconclusive { reasons } => {
                let more = reasons.iter().filter(|r| !judged.measured.contains(r.as_str()));
                let parts: Vec<&str> =
                    std::iter::once(&judged.measured).chain(more).map(String::as_str).collect();
                (false, "is undecided", parts.join("; "))
            }
        };
        out.push(Underline { span: judged.span, error, title: format!("`{}` {what}", judged.name), message });
    }
    out.retain(|u| !u.span.is_none());
    out.sort_by_key(|u| !u.error);
    out
}
