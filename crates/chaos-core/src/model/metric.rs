//! What of a probe's measurements is looked at.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::quantity::{Unit, format_seconds};
use crate::span::{Span, Spanned};

/// A number made of a probe's samples: a signal if it has a window, else one number for a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Metric {
    /// How samples become a number.
    pub function: Function,
    /// The probe's name.
    pub probe: Spanned<String>,
    /// Which part of a sample.
    pub field: Field,
    /// Which samples; an empty list means all, several must all match.
    pub filter: Vec<Filter>,
    /// The window that slides over time.
    pub over: Option<Duration>,
    /// Where it was written.
    pub span: Span,
}

/// How samples become a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// The share of measurements that succeeded.
    Success,
    /// The share that did not.
    Errors,
    /// Measurements per second.
    Rate,
    /// The number of measurements.
    Count,
    /// The order statistic of this rank, as a fraction (0.95 for p95).
    Quantile(f64),
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The latest.
    Last,
}

/// Which part of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// From the intended start to the end.
    #[default]
    Latency,
    /// Finding the address.
    Dns,
    /// Opening the connection.
    Connect,
    /// The time to the first byte of the answer.
    Ttfb,
}

/// A test of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Filter {
    /// The label's name; `from` is the place a sample was sent from, `status` the HTTP status.
    pub label: Spanned<String>,
    /// The values that match.
    pub values: Vec<String>,
    /// Whether those values match or all others.
    pub negated: bool,
}

impl Metric {
    /// Returns the unit of the number.
    pub fn unit(&self) -> Unit {
        match self.function {
            Function::Success | Function::Errors => Unit::Ratio,
            Function::Rate => Unit::PerSecond,
            Function::Count => Unit::Count,
            Function::Quantile(_) | Function::Min | Function::Max | Function::Last => Unit::Seconds,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Function::Success => f.write_str("success"),
            Function::Errors => f.write_str("errors"),
            Function::Rate => f.write_str("rate"),
            Function::Count => f.write_str("count"),
            // Rounded so that p99.9, whose fraction is not exact in binary, prints as written.
            Function::Quantile(q) => write!(f, "p{}", (q * 1e8).round() / 1e6),
            Function::Min => f.write_str("min"),
            Function::Max => f.write_str("max"),
            Function::Last => f.write_str("last"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}", self.function, self.probe)?;
        if self.unit() == Unit::Seconds {
            f.write_str(match self.field {
                Field::Latency => ".latency",
                Field::Dns => ".dns",
                Field::Connect => ".connect",
                Field::Ttfb => ".ttfb",
            })?;
        }
        for (i, filter) in self.filter.iter().enumerate() {
            f.write_str(if i == 0 { " where " } else { " and " })?;
            match (filter.values.as_slice(), filter.negated) {
                ([one], false) => write!(f, "{} = \"{one}\"", filter.label)?,
                ([one], true) => write!(f, "{} != \"{one}\"", filter.label)?,
                (many, negated) => {
                    let not = if negated { "not " } else { "" };
                    write!(f, "{} {not}in [", filter.label)?;
                    for (i, value) in many.iter().enumerate() {
                        write!(f, "{}\"{value}\"", if i == 0 { "" } else { ", " })?;
                    }
                    f.write_str("]")?;
                }
            }
        }
        if let Some(window) = self.over {
            write!(f, ", over {}", format_seconds(window.as_secs_f64()))?;
        }
        f.write_str(")")
    }
}
