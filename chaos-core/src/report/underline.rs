//! What in the scenario a run speaks of: its violated lines, for a renderer that underlines them.

use crate::outcome::{Verdict, result};
use crate::{
    judge::view,
    remark::Remark,
    run::{Completion, Record, record::SteadyWhen},
};

/// Finds the places of a run, the gravest first; what stands in no file is left out.
pub fn underlines(record: &Record) -> Vec<Remark> {
    let mut out = Vec::new();
    if let Some(cause) = &record.abort
        && let Some(span) = cause.span
    {
        let title = match result(record).if_restored {
            Verdict::Inconclusive | Verdict::NotKept | Verdict::Failed => "the fault is not proven",
            _ => "the run was aborted",
        };
        out.push(Remark::error(span, title).with_label(cause.reason.clone()));
    }
    let refused = matches!(record.completion, Completion::Refused { .. });
    for steady in &record.steady {
        let when = match steady.when {
            SteadyWhen::Before if !refused => continue,
            SteadyWhen::Before => "the steady state does not hold",
            SteadyWhen::After => "the steady state did not come back",
        };
        for predicate in steady.predicates.iter().filter(|p| p.held != Some(true)) {
            let remark = match predicate.held {
                Some(false) => Remark::error(predicate.span, when),
                _ => Remark::warning(predicate.span, when),
            };
            out.push(remark.with_label(predicate.measured.clone()));
        }
    }
    for judged in &record.expectations {
        let title = |what: &str| format!("`{}` {what}", judged.name);
        out.push(match &judged.verdict {
            view::Verdict::Passed => continue,
            view::Verdict::Failed => {
                Remark::error(judged.span, title("does not hold")).with_label(judged.measured.clone())
            }
            view::Verdict::Inconclusive { reasons } => {
                let more = reasons.iter().filter(|r| !judged.measured.contains(r.as_str()));
                let parts: Vec<&str> =
                    std::iter::once(&judged.measured).chain(more).map(String::as_str).collect();
                Remark::warning(judged.span, title("is undecided")).with_label(parts.join("; "))
            }
        });
    }
    out.retain(|remark| !remark.span.is_none());
    out.sort_by_key(|remark| remark.severity);
    out
}
