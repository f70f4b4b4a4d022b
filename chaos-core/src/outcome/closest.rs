//! How close a run came to another verdict, and how sure its verdicts are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    judge::finding::Finding,
    model::{Correction, Quantity, Unit, quantity::format_seconds},
    run::Record,
    time::{Nanos, duration},
};

/// The claim of a run that came nearest to the other verdict, or missed by most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ClosestOfAll")]
pub struct Closest {
    /// The expectation it belongs to.
    pub expectation: String,
    /// The comparison, or the claim, as the language writes it.
    pub what: String,
    /// When it was closest, in nanoseconds since the run began; none for one number of a phase.
    pub at: Option<Nanos>,
    /// By how much it held (positive) or not, in the base of `unit`.
    pub margin: f64,
    /// The unit of the margin; percentage points for a share.
    pub unit: Unit,
    /// The share of what was allowed that was left, at most 1.
    pub normalised: f64,
    /// All of it, one sentence for people.
    pub sentence: String,
}

/// Finds the claim that came nearest to the other verdict; `None` if no claim has a margin.
pub(super) fn closest(record: &Record) -> Option<Closest> {
    let all = record.expectations.iter().flat_map(|e| e.findings.iter().map(move |f| (e.name.as_str(), f)));
    // What only had to hold for another claim to mean anything turns no verdict.
    let deciding = all.filter(|(_, finding)| !finding.precondition);
    deciding
        .filter_map(|(name, finding)| of(name, finding))
        .min_by(|a, b| a.normalised.total_cmp(&b.normalised))
}

fn of(expectation: &str, finding: &Finding) -> Option<Closest> {
    let normalised = finding.normalised.filter(|share| share.is_finite())?;
    let points = |unit| if unit == Unit::Ratio { Unit::Points } else { unit };
    let (what, at, margin, unit) = match (&finding.closest, finding.margin, finding.time_margin) {
        (Some(call), ..) => (call.comparison.clone(), Some(call.at), call.margin, call.unit),
        (None, Some(margin), _) => {
            let raw = [margin.lo, margin.hi].into_iter().find(|end| end.is_finite())?;
            (finding.claim.clone(), None, raw, points(finding.unit))
        }
        (None, None, Some(time)) => {
            (finding.claim.clone(), finding.decided_at, time as f64 / 1e9, Unit::Seconds)
        }
        (None, None, None) => return None,
    };
    let when = at.map_or_else(String::new, |at| {
        let into: Duration = duration(at);
        format!(", {} into the run", format_seconds(into.as_secs_f64()))
    });
    let amount = Quantity::new(rounded(margin.abs(), unit), unit);
    let sentence = if margin >= 0.0 {
        let headroom = Quantity::ratio((normalised * 100.0).round() / 100.0);
        format!("`{expectation}`: {what} with {amount} to spare, {headroom} headroom left{when}")
    } else {
        format!("`{expectation}`: {what} missed by {amount}{when}")
    };
    Some(Closest { expectation: expectation.to_owned(), what, at, margin, unit, normalised, sentence })
}

/// A share is worth a thousandth of a percentage point, and other numbers what the language writes of them.
fn rounded(value: f64, unit: Unit) -> f64 {
    if unit == Unit::Points { (value * 1e5).round() / 1e5 } else { value }
}

/// Says how sure the verdicts are, where any was judged with confidence.
pub(super) fn confidence(record: &Record) -> Option<String> {
    let mut findings = record.expectations.iter().flat_map(|e| &e.findings);
    findings.find(|f| f.confidence.is_some())?;
    let experiment = &record.plan.experiment;
    let share = Quantity::ratio(experiment.confidence);
    Some(match experiment.correction {
        Correction::None => format!("judged with {share} confidence each, without correction for several"),
        Correction::Holm => {
            format!(
                "judged with {share} confidence together, by Holm's correction: all passes, and all failures"
            )
        }
    })
}

/// Everything that puts the numbers of an expectation in doubt without turning its verdict.
pub(crate) fn remarks(findings: &[Finding]) -> Vec<&str> {
    let mut remarks: Vec<&str> = Vec::new();
    for remark in findings.iter().flat_map(|f| &f.remarks) {
        if !remarks.contains(&remark.as_str()) {
            remarks.push(remark);
        }
    }
    remarks
}
