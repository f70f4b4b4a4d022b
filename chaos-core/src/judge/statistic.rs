//! Claims about one number of a phase.

use std::{cell::OnceCell, rc::Rc};

use super::finding::Finding;
use super::{
    About, Period, breakdown,
    cache::Selected,
    drift,
    limit::{Limit, relation},
    metric::{self, Least},
    pair,
    timeline::RunTimeline,
    wording,
};
use crate::verdict::{
    Comparison as Relation, Interval, Leaning, Outcome,
    confidence::{Confidence, Estimate, Judged, Reason},
    monitor::margin::normalised,
    proportion::{Trials, judge_share, judge_share_against_baseline},
    quantile::{Allowance, Distribution, Method, difference, judge_against_baseline, judge_quantile},
};
use crate::{
    model::{Comparison, Function, Phase, formula::Bound},
    time::Nanos,
};

/// One number of a phase with what was seen of it, to be judged at whatever confidence.
pub(super) struct Case<'a> {
    timeline: &'a RunTimeline<'a>,
    comparison: &'a Comparison,
    phase: &'a Phase,
    observed: bool,
    /// The phase as it was, up to an abort.
    periods: Vec<Period>,
    absent: bool,
    cut: bool,
    limit: Limit,
    seen: Selected,
    values: OnceCell<Rc<Distribution>>,
    trials: OnceCell<Trials>,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        timeline: &'a RunTimeline<'a>,
        comparison: &'a Comparison,
        phase: &'a Phase,
        observed: bool,
    ) -> Self {
        let whole = timeline.periods(phase);
        let cut = whole.iter().any(|period| timeline.cut(phase, *period).is_some());
        // After an abort the rest of the phase is unknown.
        let periods: Vec<Period> = whole
            .iter()
            .map(|(start, end)| (*start, timeline.cut(phase, (*start, *end)).map_or(*end, |at| at.min(*end))))
            .collect();
        let least = if observed { Least::One } else { Least::Meaningful };
        let mut limit = timeline.limit(comparison, Some(length(&periods)), least);
        let seen = timeline.within(&comparison.metric, &periods);
        if let Bound::Metric { metric, factor, offset } = &comparison.bound {
            let other = timeline.within(metric, &periods);
            limit.other(comparison, metric::number(metric, &periods, &other, least), *factor, *offset);
        }
        let (absent, values, trials) = (whole.is_empty(), OnceCell::new(), OnceCell::new());
        Case { timeline, comparison, phase, observed, periods, absent, cut, limit, seen, values, trials }
    }

    /// Whether a theory stands behind the number, so that it is judged with confidence; a count, a rate, an extreme or the
    /// last value on its own is what it is.
    pub(super) fn is_inferred(&self) -> bool {
        !self.observed && is_inferred(self.comparison)
    }

    /// Judges the number: with confidence unless `observed`, or where nothing but the observed number has a meaning.
    pub(super) fn judged(&self, confidence: Confidence) -> Judged {
        let mut judged = if self.absent {
            Judged { outcome: self.timeline.absent(), ..self.nothing(Reason::NotExercised) }
        } else if self.observed {
            self.as_observed(self.number())
        } else {
            self.confident(confidence)
        };
        if self.cut && judged.outcome == Outcome::Failed && self.may_recover() {
            judged.outcome = Outcome::inconclusive(Leaning::Failed, Reason::Aborted, None);
        }
        judged
    }

    /// Judges the number and says all that is known of it.
    pub(super) fn finding(&self, confidence: Confidence) -> Finding {
        let judged = self.judged(confidence);
        let relative = !matches!(self.comparison.bound, Bound::Constant(_));
        let own = judged.estimate.filter(|_| !relative);
        let estimate = own.or_else(|| self.estimate(confidence));
        let (comparison, phase, limit) = (self.comparison, self.phase, &self.limit);
        let probes: Vec<&str> =
            comparison.metrics().into_iter().map(|metric| metric.probe.value.as_str()).collect();
        let (outcome, reasons) = self.timeline.tested(judged.outcome, About::Phase(phase), self.cut, &probes);
        let mut finding = Finding::of(outcome, comparison.metric.unit());
        finding.confidence = self.is_inferred().then_some(1.0 - confidence.alpha);
        finding.estimate = estimate;
        finding.baseline = limit.baseline;
        finding.limit = limit.value;
        finding.allowed = Some(wording::allowed(comparison.op, limit));
        finding.margin = judged.margin;
        finding.normalised = judged.margin.zip(limit.value).and_then(|(margin, value)| {
            let raw = [margin.lo, margin.hi].into_iter().find(|end| end.is_finite())?;
            Some(normalised(raw, value, limit.scale)).filter(|share| share.is_finite())
        });
        finding.reasons = reasons;
        let seconds = length(&self.periods) as f64 / 1e9;
        let per_second = self.made() as f64 / seconds.max(1e-9);
        finding.need = wording::need(&finding.outcome, comparison, phase, per_second);
        if !finding.outcome.is_decided()
            && let Some(line) = self.unmatched().or_else(|| self.failed())
        {
            // More samples like these would not help.
            (finding.reasons, finding.need) = (vec![line], None);
        }
        if let Bound::Baseline { .. } = comparison.bound {
            finding.remarks.extend(drift::remark(self.timeline, &comparison.metric, confidence));
        }
        finding.sentence = wording::statistic(&finding, comparison, phase);
        let baseline =
            self.timeline.baseline().filter(|_| *phase != Phase::Baseline && breakdown::is_near(&finding));
        let samples = self.timeline.view.samples;
        if let Some(grown) = baseline
            .and_then(|before| breakdown::grown_part(&comparison.metric, samples, before, &self.periods))
        {
            finding.sentence.push_str(&format!(" ({grown})"));
        }
        finding
    }

    /// Says that nothing matched the filter, where that is why there is no answer.
    fn unmatched(&self) -> Option<String> {
        let metric = &self.comparison.metric;
        let open = self.seen.is_empty() && !self.absent && !metric.filter.is_empty();
        open.then(|| super::filter::unmatched(metric, self.timeline.view.samples, &self.periods)).flatten()
    }

    /// Says that requests failed, if that is why a time has no value.
    fn failed(&self) -> Option<String> {
        let metric = &self.comparison.metric;
        metric::failed(metric, &self.seen, &self.periods).or_else(|| match &self.comparison.bound {
            Bound::Constant(_) => None,
            Bound::Baseline { .. } => {
                let before = [self.timeline.baseline()?];
                let line = metric::failed(metric, &self.timeline.within(metric, &before), &before)?;
                Some(format!("in the baseline, {line}"))
            }
            Bound::Metric { metric, .. } => {
                metric::failed(metric, &self.timeline.within(metric, &self.periods), &self.periods)
            }
        })
    }

    fn number(&self) -> Option<Interval> {
        let least = if self.observed { Least::One } else { Least::Meaningful };
        metric::number(&self.comparison.metric, &self.periods, &self.seen, least)
    }

    fn values(&self) -> &Distribution {
        self.values.get_or_init(|| self.timeline.values(&self.comparison.metric, &self.periods))
    }

    fn relation(&self) -> Relation {
        relation(self.comparison.op)
    }

    fn nothing(&self, reason: Reason) -> Judged {
        Judged::without(reason, self.limit.value.unwrap_or(0.0), None)
    }

    fn as_observed(&self, number: Option<Interval>) -> Judged {
        let Some(limit) = self.limit.value else { return self.nothing(self.limit.missing(self.comparison)) };
        Judged::as_observed(number, self.made(), self.relation(), limit)
    }

    /// How many measurements were taken.
    fn made(&self) -> u64 {
        self.seen.iter().filter(|o| !o.answer.is_unknown()).count() as u64
    }

    fn confident(&self, confidence: Confidence) -> Judged {
        let (relation, alpha) = (self.relation(), confidence.alpha);
        let metric = &self.comparison.metric;
        match (metric.function, &self.comparison.bound) {
            (Function::Quantile(q), Bound::Constant(limit)) => {
                judge_quantile(self.values(), q, relation, limit.value, confidence)
            }
            (Function::Success | Function::Errors, Bound::Constant(limit)) => {
                judge_share(self.trials(), relation, limit.value, confidence)
            }
            (Function::Quantile(q), Bound::Baseline { factor, offset }) => {
                let Some(before) = self.timeline.baseline() else {
                    return self.nothing(Reason::BaselineUnhealthy);
                };
                let (phase, before) = (self.values(), self.timeline.values(metric, &[before]));
                match allowance(*factor, *offset) {
                    Some(allowance) => judge_against_baseline(
                        phase,
                        &before,
                        q,
                        relation,
                        allowance,
                        Method::Mover,
                        confidence,
                    ),
                    None => {
                        self.between(phase.estimate(q, alpha), before.estimate(q, alpha), *factor, *offset)
                    }
                }
            }
            (Function::Success | Function::Errors, Bound::Baseline { factor, offset }) => {
                let Some(before) = self.timeline.baseline() else {
                    return self.nothing(Reason::BaselineUnhealthy);
                };
                let before = metric::outcomes(metric, &self.timeline.within(metric, &[before]));
                let phase = self.trials();
                match allowance(*factor, *offset) {
                    Some(allowance) => {
                        judge_share_against_baseline(phase, before, relation, allowance, confidence)
                    }
                    None => self.between(phase.wilson(alpha), before.wilson(alpha), *factor, *offset),
                }
            }
            (_, Bound::Metric { metric: other, factor, offset }) if is_inferred(self.comparison) => {
                pair::judge(
                    (metric, &self.seen),
                    (other, &self.timeline.within(other, &self.periods)),
                    length(&self.periods) as f64 / 1e9,
                    (relation, *factor, *offset),
                    confidence,
                )
            }
            _ => self.as_observed(self.number()),
        }
    }

    /// Judges `phase - factor x baseline` against the offset, for bounds that have both.
    fn between(&self, phase: Option<Estimate>, before: Option<Estimate>, factor: f64, offset: f64) -> Judged {
        let Some(before) = before else { return self.nothing(Reason::BaselineUnhealthy) };
        let Some(phase) = phase else { return self.nothing(Reason::TooFewSamples) };
        let scaled = Estimate {
            value: before.value.scaled(factor),
            bounds: before.bounds.scaled(factor),
            careful: before.careful.scaled(factor),
            ..before
        };
        Judged::by_bounds(difference(&phase, &scaled, Method::Mover), self.relation(), offset, |_| None)
    }

    fn trials(&self) -> Trials {
        *self.trials.get_or_init(|| metric::outcomes(&self.comparison.metric, &self.seen))
    }

    /// The number of the phase itself with its bounds, whatever it was compared with.
    fn estimate(&self, confidence: Confidence) -> Option<Estimate> {
        let alpha = confidence.alpha;
        match self.comparison.metric.function {
            Function::Quantile(q) => self.values().estimate(q, alpha),
            Function::Success | Function::Errors => self.trials().clopper_pearson(alpha),
            Function::Rate
            | Function::Count
            | Function::Min
            | Function::Max
            | Function::Last
            | Function::Value
            | Function::Fires => None,
        }
    }

    /// Whether the rest of the phase could have turned a failure: what was only observed could, unless it can but grow
    /// worse; what failed with confidence has failed.
    fn may_recover(&self) -> bool {
        let upper = self.comparison.op.is_upper_bound();
        match self.comparison.metric.function {
            _ if matches!(self.comparison.bound, Bound::Metric { .. }) => !self.is_inferred(),
            Function::Max | Function::Count => !upper,
            Function::Min => upper,
            Function::Rate | Function::Last | Function::Value | Function::Fires => true,
            Function::Quantile(_) | Function::Success | Function::Errors => self.observed,
        }
    }
}

/// Whether a theory stands behind what is compared.
pub(super) fn is_inferred(comparison: &Comparison) -> bool {
    let theory = |function| matches!(function, Function::Quantile(_) | Function::Success | Function::Errors);
    let counted = |function| matches!(function, Function::Rate | Function::Count);
    match &comparison.bound {
        Bound::Constant(_) | Bound::Baseline { .. } => theory(comparison.metric.function),
        // Two counts over the same time vary, where one on its own is what it is.
        Bound::Metric { metric, .. } => {
            let both = [comparison.metric.function, metric.function];
            both.into_iter().all(theory) || both.into_iter().all(counted)
        }
    }
}

fn length(periods: &[Period]) -> Nanos {
    periods.iter().map(|(start, end)| end.saturating_sub(*start)).fold(0, i64::saturating_add)
}

/// Returns the bound as one of the two that have a theory; `None` if it has both parts.
fn allowance(factor: f64, offset: f64) -> Option<Allowance> {
    if factor == 1.0 {
        Some(Allowance::Plus(offset))
    } else if offset == 0.0 && factor >= 0.0 {
        Some(Allowance::Times(factor))
    } else {
        None
    }
}
