//! Claims made of others, and the confidence that each is judged with.

use std::collections::VecDeque;

use super::finding::Finding;
use super::{requests, statistic::Case, temporal, timeline::RunTimeline};
use crate::model::{Claim, Correction, Experiment};
use crate::verdict::{
    Confidence, Outcome,
    confidence::{Leaning, Reason},
    holm::step_down,
};

/// Judges all claims of an experiment, one after another.
pub(super) struct ClaimJudge<'a> {
    timeline: &'a RunTimeline<'a>,
    /// The confidence of each statistic still to be judged that shares its chance of error with others, in their order.
    levels: VecDeque<Confidence>,
}

impl<'a> ClaimJudge<'a> {
    pub(super) fn new(timeline: &'a RunTimeline<'a>) -> Self {
        let levels = match timeline.experiment.correction {
            Correction::None => VecDeque::new(),
            Correction::Holm => shared_confidence(timeline),
        };
        ClaimJudge { timeline, levels }
    }

    /// Judges a claim; returns a finding for each elementary claim in it.
    pub(super) fn judge(&mut self, claim: &Claim) -> (Outcome, Vec<Finding>) {
        let mut findings = Vec::new();
        let outcome = self.outcome(claim, &mut findings);
        (outcome, findings)
    }

    fn outcome(&mut self, claim: &Claim, findings: &mut Vec<Finding>) -> Outcome {
        let mut finding = match claim {
            Claim::All(all) => {
                return all.iter().fold(Outcome::Passed, |o, c| o.and(self.outcome(c, findings)));
            }
            Claim::Any(any) => {
                return any.iter().fold(Outcome::Failed, |o, c| o.or(self.outcome(c, findings)));
            }
            Claim::Given { condition, claim } => return self.given(condition, claim, findings),
            Claim::Each { variable, keys, claim, .. } => return self.each(variable, keys, claim, findings),
            Claim::Statistic { comparison, during, observed, confidence } => {
                let case = Case::new(self.timeline, comparison, during, *observed);
                let level = match confidence {
                    Some(own) => Confidence::of(*own),
                    None if !case.is_inferred() => default_confidence(self.timeline.experiment),
                    None => self
                        .levels
                        .pop_front()
                        .unwrap_or_else(|| default_confidence(self.timeline.experiment)),
                };
                case.finding(level)
            }
            Claim::Completes { probe, within, open_at } => {
                requests::judge(self.timeline, probe, *within, open_at)
            }
            temporal => temporal::judge(self.timeline, temporal),
        };
        finding.claim = claim.to_string();
        let outcome = finding.outcome.clone();
        findings.push(finding);
        outcome
    }

    /// A claim whose precondition does not surely hold was not tested, whatever its result.
    fn given(&mut self, condition: &Claim, claim: &Claim, findings: &mut Vec<Finding>) -> Outcome {
        let (condition_outcome, mut before) = self.judge(condition);
        let (outcome, mut after) = self.judge(claim);
        let outcome = outcome.given(&condition_outcome);
        for finding in &mut before {
            finding.precondition = true;
            finding.sentence = format!("given that {}", finding.sentence);
        }
        if condition_outcome != Outcome::Passed {
            let why = match condition_outcome {
                Outcome::Failed => "does not hold",
                _ => "is undecided",
            };
            let reason = format!("not exercised: the precondition `{condition}` {why}");
            for finding in &mut after {
                finding.outcome = Outcome::inconclusive(Leaning::None, Reason::NotExercised, None);
                finding.reasons = vec![reason.clone()];
                finding.need = None;
                finding.sentence = format!("{reason}; {}", finding.sentence);
            }
        }
        findings.append(&mut before);
        findings.append(&mut after);
        outcome
    }

    /// Each of many: all must hold, and the worst speaks for them.
    fn each(
        &mut self,
        variable: &str,
        keys: &[String],
        claim: &Claim,
        findings: &mut Vec<Finding>,
    ) -> Outcome {
        if keys.is_empty() {
            return Outcome::inconclusive(Leaning::None, Reason::NotExercised, None);
        }
        let judged: Vec<(&String, Outcome, Vec<Finding>)> = keys
            .iter()
            .map(|key| {
                let (outcome, findings) = self.judge(&claim.of(variable, key));
                (key, outcome, findings)
            })
            .collect();
        let outcome = Outcome::all(judged.iter().map(|(_, outcome, _)| outcome.clone()));
        let worst = judged.into_iter().min_by(|(_, one, left), (_, other, right)| {
            one.rank().cmp(&other.rank()).then(closeness(left).total_cmp(&closeness(right)))
        });
        let Some((key, _, worst)) = worst else { return outcome };
        findings.extend(worst.into_iter().map(|mut finding| {
            if keys.len() > 1 && !finding.precondition {
                finding.sentence = format!("{key} is the worst of {}: {}", keys.len(), finding.sentence);
            }
            finding.key.get_or_insert_with(|| key.clone());
            finding
        }));
        outcome
    }
}

/// Returns the smallest margin of the findings, as a share of what was allowed.
fn closeness(findings: &[Finding]) -> f64 {
    let margins = findings.iter().filter(|f| !f.precondition).filter_map(|f| f.normalised);
    margins.fold(f64::INFINITY, f64::min)
}

/// Returns the confidence that an experiment asks of its expectations.
fn default_confidence(experiment: &Experiment) -> Confidence {
    if experiment.confidence.is_finite() {
        Confidence::of(experiment.confidence)
    } else {
        Confidence::default()
    }
}

/// Returns a confidence for each statistic such that all passes hold together, and so do all failures (Holm).
///
/// Two families, since each claim is one test that it holds and one that it does not. What has a confidence of its own, is
/// taken as observed or is judged over time belongs to neither.
fn shared_confidence(timeline: &RunTimeline<'_>) -> VecDeque<Confidence> {
    let mut claims = Vec::new();
    for expectation in &timeline.experiment.expectations {
        statistics(&expectation.claim, &mut claims);
    }
    let cases: Vec<Case<'_>> = claims
        .iter()
        .filter_map(|claim| match claim {
            Claim::Statistic { comparison, during, observed, confidence: None } => {
                Some(Case::new(timeline, comparison, during, *observed))
            }
            _ => None,
        })
        .filter(Case::is_inferred)
        .collect();
    let alpha = default_confidence(timeline.experiment).alpha;
    let family = |wanted: &Outcome| {
        step_down(cases.len(), alpha, |test, alpha| {
            cases[test].judged(Confidence { alpha }).outcome == *wanted
        })
    };
    let (passes, failures) = (family(&Outcome::Passed), family(&Outcome::Failed));
    let open = passes.last.min(failures.last);
    let decided = passes.found.iter().zip(&failures.found);
    decided.map(|(pass, fail)| Confidence { alpha: pass.or(*fail).unwrap_or(open) }).collect()
}

/// Gathers the statistics of a claim in the order in which they are judged.
fn statistics(claim: &Claim, out: &mut Vec<Claim>) {
    match claim {
        Claim::Statistic { .. } => out.push(claim.clone()),
        Claim::Each { variable, keys, claim, .. } => {
            keys.iter().for_each(|key| statistics(&claim.of(variable, key), out));
        }
        _ => claim.parts().into_iter().for_each(|part| statistics(part, out)),
    }
}
