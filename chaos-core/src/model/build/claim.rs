//! A metric, what it is compared with, and what is claimed of it.

use std::time::Duration;

use crate::{
    model::{
        Claim, Comparison, Event, Function, Metric, Phase, Predicate, Quantity, Unit,
        formula::{Bound, Op},
        metric::Field,
    },
    span::{Span, Spanned},
};

impl From<Duration> for Quantity {
    fn from(duration: Duration) -> Self {
        Quantity::duration(duration)
    }
}

impl Metric {
    /// Takes all samples of a probe; without a window it is one number for a phase.
    pub fn new(function: Function, probe: impl Into<Spanned<String>>) -> Self {
        Metric {
            function,
            probe: probe.into(),
            field: Field::Latency,
            filter: Vec::new(),
            over: None,
            span: Span::NONE,
        }
    }

    /// The share of measurements that succeeded.
    pub fn success(probe: impl Into<Spanned<String>>) -> Self {
        Metric::new(Function::Success, probe)
    }

    /// The latency that this fraction of all measurements does not exceed: 0.95 for p95.
    pub fn latency(probe: impl Into<Spanned<String>>, quantile: f64) -> Self {
        Metric::new(Function::Quantile(quantile), probe)
    }

    /// What a probe reads, such as a query's number, at each instant.
    pub fn value(probe: impl Into<Spanned<String>>) -> Self {
        Metric { field: Field::Value(Unit::Count), ..Metric::new(Function::Value, probe) }
    }

    /// Takes this part of each sample.
    #[must_use]
    pub fn of(mut self, field: Field) -> Self {
        self.field = field;
        self
    }

    /// Makes it a signal, by a window that slides over time.
    #[must_use]
    pub fn over(mut self, window: Duration) -> Self {
        self.over = Some(window);
        self
    }

    /// Claims that it is not below a value.
    pub fn at_least(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtLeast, Bound::Constant(value.into()))
    }

    /// Claims that it is not above a value.
    pub fn at_most(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtMost, Bound::Constant(value.into()))
    }

    /// Claims that it is below a value.
    pub fn below(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::Less, Bound::Constant(value.into()))
    }

    /// Claims that it is above a value.
    pub fn above(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::Greater, Bound::Constant(value.into()))
    }

    /// Claims that it exceeds its own value over the baseline by no more than so much.
    pub fn at_most_baseline_plus(self, offset: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtMost, Bound::Baseline { factor: 1.0, offset: offset.into().value })
    }

    /// Claims that it exceeds its own value over the baseline by at least so much.
    pub fn at_least_baseline_plus(self, offset: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtLeast, Bound::Baseline { factor: 1.0, offset: offset.into().value })
    }

    fn compared(self, op: Op, bound: Bound) -> Comparison {
        Comparison { metric: self, op, bound, span: Span::NONE }
    }
}

impl Comparison {
    /// Claims it of one number of a phase, judged with confidence; the metric has no window.
    pub fn during(self, phase: Phase) -> Claim {
        Claim::Statistic { comparison: self, during: phase, observed: false, confidence: None }
    }

    /// Like [`during`](Self::during), but the observed number decides, without inference.
    pub fn observed_during(self, phase: Phase) -> Claim {
        Claim::Statistic { comparison: self, during: phase, observed: true, confidence: None }
    }

    /// Claims that it comes to hold within so long after the event, and holds to the end of the run.
    pub fn settles(self, within: Duration, after: Event) -> Claim {
        Claim::Settles { predicate: self.into(), within, lasting: None, after }
    }

    /// Claims that it has held without interruption for so long.
    pub fn lasting(self, time: Duration) -> Predicate {
        Predicate::For { predicate: Box::new(self.into()), lasting: time }
    }
}

impl From<Comparison> for Predicate {
    fn from(comparison: Comparison) -> Self {
        Predicate::Compare(comparison)
    }
}
