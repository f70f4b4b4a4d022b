//! Atoms: one comparison of one signal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::interval::{Comparison, Interval, Truth};
use super::super::steps::Steps;
use super::{Reading, Trace};

/// The place of a signal in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SignalId(pub usize);

/// What an atom asks of its signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The boolean signal is true.
    Holds,
    /// The value compares so with a limit.
    Compares {
        /// How the value is compared.
        comparison: Comparison,
        /// What it is compared with.
        limit: Operand,
    },
}

/// The right-hand side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Operand {
    /// A number fixed beforehand, or by the baseline once that is over.
    Constant(f64),
    /// `factor x signal + offset`: what another signal is at the same instant.
    Signal {
        /// The other signal.
        signal: SignalId,
        /// What it is multiplied by; not negative.
        factor: f64,
        /// What is added, in the unit of the signals.
        offset: f64,
    },
    /// A number that the baseline has not given yet, or failed to give.
    Pending,
}

impl Operand {
    /// Returns the value of another signal as it is.
    #[must_use]
    pub fn signal(signal: SignalId) -> Self {
        Self::Signal { signal, factor: 1.0, offset: 0.0 }
    }
}

/// What a margin is measured against, to make margins of different units comparable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scale {
    /// The best value there can be: 0 for a latency, an error rate or a count, 1 for a success rate or a ratio.
    pub ideal: f64,
    /// The smallest step that matters, in the metric's unit; used only when the limit is the ideal itself.
    pub quantum: f64,
}

impl Scale {
    /// The scale of metrics whose best value is 0.
    pub const FROM_ZERO: Self = Self { ideal: 0.0, quantum: 1.0 };
    /// The scale of metrics whose best value is 1, such as a success rate.
    pub const FROM_ONE: Self = Self { ideal: 1.0, quantum: 0.01 };
}

/// One comparison of one signal, with what is needed to report it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Atom {
    /// A number by which the caller finds the atom's place in its source again.
    pub id: u32,
    /// The signal.
    pub signal: SignalId,
    /// What is asked of it.
    pub subject: Subject,
    /// What its margin is measured against.
    pub scale: Scale,
}

impl Atom {
    /// Returns the atom that compares a signal with a constant.
    #[must_use]
    pub fn compares(id: u32, signal: SignalId, comparison: Comparison, limit: f64, scale: Scale) -> Self {
        let limit = Operand::Constant(limit);
        Self { id, signal, subject: Subject::Compares { comparison, limit }, scale }
    }

    /// Returns the atom that a boolean signal is true.
    #[must_use]
    pub fn holds(id: u32, signal: SignalId) -> Self {
        Self { id, signal, subject: Subject::Holds, scale: Scale::FROM_ZERO }
    }

    /// Returns the values of both sides over all time.
    pub(crate) fn values(&self, trace: &Trace) -> Steps<(Interval, Interval)> {
        let value = trace.signals[self.signal.0].values();
        match self.subject {
            Subject::Compares { limit: Operand::Signal { signal, factor, offset }, .. } => value
                .zip(&trace.signals[signal.0].values(), |value, limit| {
                    (value, limit.scaled(factor).shifted(offset))
                }),
            _ => {
                let limit = self.limit(&|signal| trace.signals[signal.0].range());
                value.map(|value| (value, limit))
            }
        }
    }

    /// Returns the right-hand side, given what each signal is, or may be.
    pub(crate) fn limit(&self, value: &dyn Fn(SignalId) -> Interval) -> Interval {
        match self.subject {
            Subject::Holds => Interval::exactly(1.0),
            Subject::Compares { limit, .. } => match limit {
                Operand::Constant(limit) => Interval::exactly(limit),
                Operand::Signal { signal, factor, offset } => value(signal).scaled(factor).shifted(offset),
                Operand::Pending => Interval::EVERYTHING,
            },
        }
    }

    /// Returns the signal on the right-hand side, where there is one.
    pub(crate) fn other(&self) -> Option<SignalId> {
        match self.subject {
            Subject::Compares { limit: Operand::Signal { signal, .. }, .. } => Some(signal),
            _ => None,
        }
    }

    /// Returns the reading for given values of both sides.
    pub(crate) fn read(&self, value: Interval, limit: Interval) -> Reading {
        match self.subject {
            Subject::Holds => Reading {
                truth: Comparison::AtLeast.truth(value, limit),
                margin: Interval::new(boolean_margin(value.lo), boolean_margin(value.hi)),
            },
            Subject::Compares { limit: Operand::Pending, .. } => {
                Reading { truth: Truth::Unknown, margin: Interval::EVERYTHING }
            }
            Subject::Compares { comparison, .. } => {
                Reading { truth: comparison.truth(value, limit), margin: comparison.margin(value, limit) }
            }
        }
    }
}

fn boolean_margin(value: f64) -> f64 {
    if value >= 1.0 { 1.0 } else { -1.0 }
}
