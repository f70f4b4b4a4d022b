//! What of a probe's measurements is looked at.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::quantity::{Unit, format_seconds};
use crate::span::{Span, Spanned};

/// The label by which samples of alerts name those that fire.
pub const ALERT: &str = "alert";

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
    /// What was read last, at each instant: a signal without a window.
    Value,
    /// Whether the alert that the filter names fires, at each instant: 1 if so, else 0.
    Fires,
}

/// Which part of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// From the intended start to the end.
    #[default]
    Latency,
    /// From the intended start to the answer or the failure, whichever it was: failed requests have one, unlike a latency.
    Duration,
    /// Finding the address.
    Dns,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The time to the first byte of the answer.
    Ttfb,
    /// The number that a measurement read, in this unit.
    Value(Unit),
    /// How long the server's certificate is still valid; negative where it has expired.
    DaysLeft,
}

impl Field {
    /// Returns what the language calls it.
    pub fn name(self) -> &'static str {
        match self {
            Field::Latency => "latency",
            Field::Duration => "duration",
            Field::Dns => "dns",
            Field::Connect => "connect",
            Field::Tls => "tls",
            Field::Ttfb => "ttfb",
            Field::Value(_) => "value",
            Field::DaysLeft => "days_left",
        }
    }

    /// Returns its unit.
    pub fn unit(self) -> Unit {
        match self {
            Field::Latency
            | Field::Duration
            | Field::Dns
            | Field::Connect
            | Field::Tls
            | Field::Ttfb
            | Field::DaysLeft => Unit::Seconds,
            Field::Value(unit) => unit,
        }
    }

    /// Returns whether it is something read from the world, which goes on between two measurements, and not a time that one
    /// measurement took.
    pub fn is_read(self) -> bool {
        matches!(self, Field::Value(_) | Field::DaysLeft)
    }
}

/// A test of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Filter {
    /// The label's name; `from` is the place a sample was sent from, `status` the HTTP status.
    pub label: Spanned<String>,
    /// The values that match.
    pub values: Vec<String>,
    /// The variable of a `for each` whose value matches, before it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Whether those values match or all others.
    pub negated: bool,
}

impl Metric {
    /// Returns the unit of the number.
    pub fn unit(&self) -> Unit {
        match self.function {
            Function::Success | Function::Errors => Unit::Ratio,
            Function::Rate => Unit::PerSecond,
            Function::Count | Function::Fires => Unit::Count,
            Function::Quantile(_) | Function::Min | Function::Max | Function::Last | Function::Value => {
                self.field.unit()
            }
        }
    }

    /// Returns whether it has a value at each instant, so that it may stand in claims about instants.
    pub fn is_signal(&self) -> bool {
        self.over.is_some() || self.is_gauge()
    }

    /// Returns whether it is what was read last, which holds until it is read again or too old.
    pub fn is_gauge(&self) -> bool {
        matches!(self.function, Function::Value | Function::Fires)
    }

    /// Returns the alert whose firing it is.
    pub fn alert(&self) -> Option<&str> {
        let filter = self.filter.iter().find(|f| f.label.value == ALERT)?;
        (self.function == Function::Fires).then(|| filter.values.first().map(String::as_str)).flatten()
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
            Function::Value => f.write_str("value"),
            Function::Fires => f.write_str("fires"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(alert) = self.alert() {
            return write!(f, "alert \"{alert}\"");
        }
        write!(f, "{}({}", self.function, self.probe)?;
        match self.function {
            Function::Success | Function::Errors | Function::Rate | Function::Count | Function::Fires => {}
            Function::Value if matches!(self.field, Field::Value(_)) => {}
            Function::Quantile(_) | Function::Min | Function::Max | Function::Last | Function::Value => {
                write!(f, ".{}", self.field.name())?;
            }
        }
        for (i, filter) in self.filter.iter().enumerate() {
            f.write_str(if i == 0 { " where " } else { " and " })?;
            if let Some(variable) = &filter.variable {
                write!(f, "{} {}= {variable}", filter.label, if filter.negated { "!" } else { "" })?;
                continue;
            }
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
