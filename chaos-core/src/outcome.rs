//! What came of a run, ranked in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

mod closest;
mod not_run;

use crate::{
    judge::view,
    run::{
        Completion, Record, Restoration,
        record::{AbortKind, Refusal, SteadyWhen},
    },
};
pub use closest::Closest;
pub(crate) use closest::remarks;
pub use not_run::{NotRun, Ran};

/// What came of a run; ordered from the best to the worst.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OverallVerdict")]
pub enum Verdict {
    /// Every expectation holds, the steady state came back, everything is restored.
    Passed,
    /// Nothing failed, and the data does not decide.
    Inconclusive,
    /// Nothing failed, and what shows it could not be kept.
    NotKept,
    /// An expectation does not hold, or the steady state did not come back.
    Failed,
    /// An abort condition, a breakdown or a person ended the run early.
    Aborted,
    /// Nothing was injected.
    Refused,
    /// A right is missing.
    NotPermitted,
    /// Something is still in place.
    NotRestored,
}

impl Verdict {
    /// Every verdict, from the best to the worst.
    pub const ALL: [Verdict; 8] = [
        Verdict::Passed,
        Verdict::Inconclusive,
        Verdict::NotKept,
        Verdict::Failed,
        Verdict::Aborted,
        Verdict::Refused,
        Verdict::NotPermitted,
        Verdict::NotRestored,
    ];

    /// Returns what it means, one sentence for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Verdict::Passed => "every expectation holds and everything is restored",
            Verdict::Inconclusive => "nothing failed, and the data does not decide",
            Verdict::NotKept => "nothing failed, but the evidence could not be kept, so nothing has passed",
            Verdict::Failed => "an expectation does not hold, or the steady state did not come back",
            Verdict::Aborted => "an abort condition, a breakdown or a person ended the run early",
            Verdict::Refused => "no fault was injected",
            Verdict::NotPermitted => "a right is missing",
            Verdict::NotRestored => "something is still in place",
        }
    }

    /// Returns the one or two words that a report begins with, in lower case.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotKept => "not kept",
            Verdict::Failed => "failed",
            Verdict::Aborted => "aborted",
            Verdict::Refused => "refused",
            Verdict::NotPermitted => "not permitted",
            Verdict::NotRestored => "not restored",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// What came of a run, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Overall {
    /// Its verdict.
    pub verdict: Verdict,
    /// What that means, one sentence for people.
    pub meaning: String,
    /// Why, a line each.
    pub reasons: Vec<String>,
    /// What would have come of it if everything were restored; the same as the verdict where it is.
    pub if_restored: Verdict,
    /// How many expectations hold.
    pub passed: usize,
    /// How many do not.
    pub failed: usize,
    /// How many are undecided.
    pub inconclusive: usize,
    /// The claim that came nearest to the other verdict, or missed by most; `None` if no claim has a margin.
    #[serde(default)]
    pub closest: Option<Closest>,
    /// How confident the verdicts are, one sentence for people; `None` if what was observed decided all of them.
    #[serde(default)]
    pub confidence: Option<String>,
}

/// Ranks the outcome of a run: not restored, not permitted, refused, aborted, failed, not kept, inconclusive, passed.
///
/// A steady state that did not come back is a failure, one that is undecided is inconclusive. A run that was ended because
/// nothing proved its fault is inconclusive rather than aborted: nobody was in danger, there is only nothing to learn from it.
pub fn result(record: &Record) -> Overall {
    let count =
        |of: fn(&view::Verdict) -> bool| record.expectations.iter().filter(|e| of(&e.verdict)).count();
    let (shown, mut why) = hypothesis(record);
    let mut if_restored = shown;
    if let Some(lost) = &record.unkept {
        if_restored = shown.max(Verdict::NotKept);
        let first = if if_restored == Verdict::NotKept { 0 } else { why.len() };
        why.insert(first, format!("the folder of the run is not whole: {lost}"));
    }
    let (verdict, reasons) = match &record.restoration {
        Restoration::Restored => (if_restored, why),
        Restoration::NotRestored { what, command } => {
            let things =
                if what.len() == 1 { "1 thing is".to_owned() } else { format!("{} things are", what.len()) };
            let first = format!("{things} still in place; `{command}` finishes it");
            (Verdict::NotRestored, std::iter::once(first).chain(why).collect())
        }
    };
    Overall {
        verdict,
        meaning: verdict.meaning().to_owned(),
        reasons,
        if_restored,
        passed: count(|v| *v == view::Verdict::Passed),
        failed: count(|v| *v == view::Verdict::Failed),
        inconclusive: count(|v| matches!(v, view::Verdict::Inconclusive { .. })),
        closest: closest::closest(record),
        confidence: closest::confidence(record),
    }
}

/// Returns whether a person ended the run, or kept it from injecting.
pub fn was_stopped(record: &Record) -> bool {
    matches!(record.completion, Completion::Refused { by: Refusal::Stopped, .. })
        || record.abort.as_ref().is_some_and(|cause| cause.kind == AbortKind::Stopped)
}

/// What came of the experiment itself, whatever is left behind.
fn hypothesis(record: &Record) -> (Verdict, Vec<String>) {
    match (&record.completion, &record.abort) {
        (Completion::Refused { reason, help, .. }, _) => {
            let verdict =
                if record.completion.is_denied() { Verdict::NotPermitted } else { Verdict::Refused };
            return (verdict, std::iter::once(reason.clone()).chain(help.clone()).collect());
        }
        (_, Some(cause)) if cause.is_denied() => return (Verdict::NotPermitted, vec![cause.reason.clone()]),
        (_, Some(cause)) if cause.kind != AbortKind::Unproven => {
            return (Verdict::Aborted, vec![cause.reason.clone()]);
        }
        // A record of another writer may report an abort without its cause.
        (Completion::Aborted { reason }, None) => return (Verdict::Aborted, vec![reason.clone()]),
        _ => {}
    }
    let failed = failures(record);
    if !failed.is_empty() {
        return (Verdict::Failed, failed);
    }
    let doubts = doubts(record);
    if !doubts.is_empty() {
        return (Verdict::Inconclusive, doubts);
    }
    let n = record.expectations.len();
    let why = match n {
        0 => "the steady state holds again".to_owned(),
        1 => "the expectation holds".to_owned(),
        n => format!("all {n} expectations hold"),
    };
    (Verdict::Passed, vec![why])
}

fn failures(record: &Record) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(named(record, "does not hold", "do not hold", |v| *v == view::Verdict::Failed));
    if is_lost(record) && !nothing_done(record) {
        out.push("the steady state did not come back after the rollback".into());
    }
    out
}

/// Whether the steady state was not there after the rollback.
fn is_lost(record: &Record) -> bool {
    let mut after = record.steady.iter().filter(|s| s.when == SteadyWhen::After);
    after.any(|after| after.predicates.iter().any(|p| p.held == Some(false)))
}

/// Whether nothing that was in place did what was asked for, so that no fault can be what broke the system.
fn nothing_done(record: &Record) -> bool {
    !record.exercised.is_empty() && record.exercised.values().all(|exercised| !exercised)
}

fn doubts(record: &Record) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(cause) = &record.abort {
        out.push(cause.reason.clone());
    }
    out.extend(named(record, "is undecided", "are undecided", |v| {
        matches!(v, view::Verdict::Inconclusive { .. })
    }));
    if record.expectations.len() < record.plan.experiment.expectations.len() {
        out.push("not every expectation was judged".into());
    }
    let after: Vec<_> = record.steady.iter().filter(|s| s.when == SteadyWhen::After).collect();
    if is_lost(record) && nothing_done(record) {
        out.push("the steady state was lost, but no fault did what was asked for".into());
    } else if after.iter().any(|s| !s.held) {
        out.push("it is undecided whether the steady state came back".into());
    } else if after.is_empty() && !record.plan.experiment.steady_state.predicates.is_empty() {
        out.push("the steady state was not judged after the rollback".into());
    }
    out
}

/// Says how many expectations are such, and their names.
fn named(record: &Record, one: &str, many: &str, of: fn(&view::Verdict) -> bool) -> Option<String> {
    let names: Vec<String> =
        record.expectations.iter().filter(|e| of(&e.verdict)).map(|e| format!("`{}`", e.name)).collect();
    let all = record.expectations.len();
    match names.len() {
        0 => None,
        1 if all == 1 => Some(format!("{} {one}", names[0])),
        1 => Some(format!("1 of {all} expectations {one}: {}", names[0])),
        n => Some(format!("{n} of {all} expectations {many}: {}", names.join(", "))),
    }
}
