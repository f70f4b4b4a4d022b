//! Claims about one number of a phase.

use super::super::{
    Comparison as Relation, Interval, Leaning, Outcome,
    confidence::{Confidence, Estimate, Judged, Reason},
    finding::Finding,
    margin::normalised,
    proportion::{judge_share, judge_share_against_baseline},
    quantile::{Allowance, Method, difference, judge_against_baseline, judge_quantile},
    window::{Observation, distribution, trials},
};
use super::{
    course::{About, Course},
    limit::{Limit, relation},
    metric::{self, Stretch, during},
    wording,
};
use crate::model::{Comparison, Function, Phase, formula::Bound};

/// Judges a comparison over a phase: with confidence unless `observed`, or where nothing but the observed number has a
/// meaning (a count, a rate, an extreme, the last value).
pub(super) fn judge(course: &Course<'_>, comparison: &Comparison, phase: &Phase, observed: bool) -> Finding {
    let whole = course.stretches(phase);
    let cut = whole.iter().any(|stretch| course.cut(phase, *stretch).is_some());
    // After an abort the rest of the phase is unknown.
    let stretches: Vec<Stretch> = whole
        .iter()
        .map(|(start, end)| (*start, course.cut(phase, (*start, *end)).map_or(*end, |at| at.min(*end))))
        .collect();
    let length = stretches.iter().map(|(start, end)| end.saturating_sub(*start)).fold(0, i64::saturating_add);
    let samples = course.view.samples;
    let limit = Limit::of(comparison, samples, course.baseline(), Some(length));
    let observations = metric::observations(&comparison.metric, samples, course.view.end);
    let seen = during(&stretches, &observations);
    let confidence = super::confidence(course.experiment);
    let case = Case { comparison, limit: &limit, seen: &seen, confidence };
    let mut judged = if whole.is_empty() {
        Judged { outcome: course.absent(), ..case.nothing(Reason::NotExercised) }
    } else if observed {
        let number = metric::number(&comparison.metric, &stretches, &observations);
        case.observed(number)
    } else {
        let baseline = course.baseline().map(|stretch| during(&[stretch], &observations));
        let number = || metric::number(&comparison.metric, &stretches, &observations);
        case.confident(baseline.as_deref(), number)
    };
    if cut && judged.outcome == Outcome::Failed && case.may_recover(observed) {
        judged.outcome = Outcome::inconclusive(Leaning::Failed, Reason::Aborted, None);
    }
    let estimate = case.estimate().or(judged.estimate.filter(|_| limit.baseline.is_none()));
    let (outcome, reasons) = course.tested(judged.outcome, About::Phase(phase), cut);
    let mut finding = Finding::of(outcome, comparison.metric.unit());
    finding.estimate = estimate;
    finding.baseline = limit.baseline;
    finding.limit = limit.value;
    finding.allowed = Some(wording::allowed(comparison.op, &limit));
    finding.margin = judged.margin;
    finding.normalised = judged.margin.zip(limit.value).and_then(|(margin, value)| {
        let raw = [margin.lo, margin.hi].into_iter().find(|end| end.is_finite())?;
        Some(normalised(raw, value, limit.scale)).filter(|share| share.is_finite())
    });
    finding.reasons = reasons;
    finding.need = wording::need(&finding.outcome, comparison, phase);
    finding.sentence = wording::statistic(&finding, comparison, phase);
    finding
}

/// One comparison with what was seen.
struct Case<'a> {
    comparison: &'a Comparison,
    limit: &'a Limit,
    seen: &'a [Observation],
    confidence: Confidence,
}

impl Case<'_> {
    fn relation(&self) -> Relation {
        relation(self.comparison.op)
    }

    fn nothing(&self, reason: Reason) -> Judged {
        Judged::without(reason, self.limit.value.unwrap_or(0.0), None)
    }

    fn observed(&self, number: Option<Interval>) -> Judged {
        let Some(limit) = self.limit.value else { return self.nothing(Reason::BaselineUnhealthy) };
        Judged::as_observed(number, self.made(), self.relation(), limit)
    }

    /// How many measurements were taken.
    fn made(&self) -> u64 {
        self.seen.iter().filter(|o| !o.answer.is_unknown()).count() as u64
    }

    fn confident(
        &self,
        baseline: Option<&[Observation]>,
        number: impl FnOnce() -> Option<Interval>,
    ) -> Judged {
        let (relation, confidence) = (self.relation(), self.confidence);
        match (self.comparison.metric.function, &self.comparison.bound) {
            (Function::Quantile(q), Bound::Constant(limit)) => {
                judge_quantile(&distribution(self.seen), q, relation, limit.value, confidence)
            }
            (Function::Success | Function::Errors, Bound::Constant(limit)) => {
                judge_share(self.trials(self.seen), relation, limit.value, confidence)
            }
            (Function::Quantile(q), Bound::Baseline { factor, offset }) => {
                let Some(before) = baseline else { return self.nothing(Reason::BaselineUnhealthy) };
                let (phase, before) = (distribution(self.seen), distribution(before));
                match allowance(*factor, *offset) {
                    Some(allowance) => judge_against_baseline(
                        &phase,
                        &before,
                        q,
                        relation,
                        allowance,
                        Method::Mover,
                        confidence,
                    ),
                    None => self.between(
                        phase.estimate(q, confidence.alpha),
                        before.estimate(q, confidence.alpha),
                        *factor,
                        *offset,
                    ),
                }
            }
            (Function::Success | Function::Errors, Bound::Baseline { factor, offset }) => {
                let Some(before) = baseline else { return self.nothing(Reason::BaselineUnhealthy) };
                let (phase, before) = (self.trials(self.seen), self.trials(before));
                match allowance(*factor, *offset) {
                    Some(allowance) => {
                        judge_share_against_baseline(phase, before, relation, allowance, confidence)
                    }
                    None => self.between(
                        phase.wilson(confidence.alpha),
                        before.wilson(confidence.alpha),
                        *factor,
                        *offset,
                    ),
                }
            }
            (
                Function::Rate
                | Function::Count
                | Function::Min
                | Function::Max
                | Function::Last
                | Function::Value
                | Function::Fires,
                _,
            ) => self.observed(number()),
        }
    }

    /// Judges `phase - factor x baseline` against the offset, for bounds that have both.
    fn between(&self, phase: Option<Estimate>, before: Option<Estimate>, factor: f64, offset: f64) -> Judged {
        let Some(before) = before else { return self.nothing(Reason::BaselineUnhealthy) };
        let Some(phase) = phase else { return self.nothing(Reason::TooFewSamples) };
        let scaled =
            Estimate { value: before.value.scaled(factor), bounds: before.bounds.scaled(factor), ..before };
        Judged::by_bounds(difference(&phase, &scaled, Method::Mover), self.relation(), offset, |_| None)
    }

    fn trials(&self, observations: &[Observation]) -> super::super::proportion::Trials {
        let trials = trials(observations);
        if self.comparison.metric.function == Function::Errors { trials.inverted() } else { trials }
    }

    /// The number of the phase itself with its bounds, whatever it was compared with.
    fn estimate(&self) -> Option<Estimate> {
        let alpha = self.confidence.alpha;
        match self.comparison.metric.function {
            Function::Quantile(q) => distribution(self.seen).estimate(q, alpha),
            Function::Success | Function::Errors => self.trials(self.seen).clopper_pearson(alpha),
            _ => None,
        }
    }

    /// Whether the rest of the phase could have turned a failure: what was only observed could, unless it can but grow
    /// worse; what failed with confidence has failed.
    fn may_recover(&self, observed: bool) -> bool {
        let upper = self.comparison.op.is_upper_bound();
        match self.comparison.metric.function {
            Function::Max | Function::Count => !upper,
            Function::Min => upper,
            Function::Rate | Function::Last | Function::Value | Function::Fires => true,
            Function::Quantile(_) | Function::Success | Function::Errors => observed,
        }
    }
}

/// Returns the bound as one of the two that have a theory; none where it has both parts.
fn allowance(factor: f64, offset: f64) -> Option<Allowance> {
    if factor == 1.0 {
        Some(Allowance::Plus(offset))
    } else if offset == 0.0 && factor >= 0.0 {
        Some(Allowance::Times(factor))
    } else {
        None
    }
}
