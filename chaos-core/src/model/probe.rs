//! What is measured.

pub mod grpc;
mod kind;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{quantity::Unit, target::Selector, watched::Watched};
use crate::span::{Span, Spanned};

pub use kind::{Asks, Statuses};

/// Where the measurements of a probe are taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// Where the runner is.
    #[default]
    Runner,
    /// At each object that a selector names.
    Each(Selector),
}

impl Vantage {
    /// Returns the selector of the objects; none where it is the runner's own place.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Vantage::Runner => None,
            Vantage::Each(selector) => Some(selector),
        }
    }
}

/// A stream of measurements, sent on an open-loop schedule throughout the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Probe {
    /// Its name.
    pub name: Spanned<String>,
    /// What one measurement is.
    pub kind: ProbeKind,
    /// Where it is sent from.
    pub from: Vantage,
    /// Measurements per second and place.
    pub rate: f64,
    /// After which a measurement counts as failed.
    pub timeout: Duration,
    /// Whether connections are kept.
    pub connections: Connections,
    /// What makes an answer a success; without it the kind's own default.
    pub ok_when: Option<Condition>,
    /// Values taken from each answer to filter by.
    pub labels: Vec<Label>,
    /// Whose certificates are believed, where TLS is spoken.
    #[serde(default)]
    pub trust: Trust,
    /// Where it was written.
    pub span: Span,
}

/// How many times the time between two readings one of them holds.
pub const FRESH: f64 = 2.5;

/// What one measurement is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// An HTTP/1.1 request.
    Http {
        /// The method.
        method: String,
        /// The whole URL.
        url: Spanned<String>,
        /// Header fields to send.
        headers: Vec<(String, HeaderValue)>,
        /// The body to send.
        body: Option<Vec<u8>>,
    },
    /// A TCP handshake.
    Tcp {
        /// Host and port.
        address: Spanned<String>,
    },
    /// A DNS query.
    Dns {
        /// The record type, such as `A`.
        record: String,
        /// The name asked for.
        name: Spanned<String>,
        /// The server's address or name; without it the place's own.
        server: Option<Spanned<String>>,
    },
    /// A TLS handshake, which reads how long the server's certificate is still valid.
    Tls {
        /// Host and port.
        address: Spanned<String>,
        /// The name that the certificate must be for; without it the host.
        name: Option<Spanned<String>>,
    },
    /// A health check of gRPC.
    Grpc {
        /// Host and port.
        address: Spanned<String>,
        /// The service asked about; empty for the server as a whole.
        service: String,
        /// Whether TLS is spoken.
        secure: bool,
    },
    /// A command, run at the place; the first number that it prints is what is read.
    Exec {
        /// The program and its arguments.
        words: Vec<String>,
        /// What the number counts.
        scale: Scale,
    },
    /// The question which alerts fire; each is a label of the sample.
    Alerts {
        /// Who is asked.
        source: AlertSource,
        /// Where it is, without the path of its API.
        url: Spanned<String>,
    },
    /// A query to Prometheus, whose one number is what is read.
    Prometheus {
        /// The query, in PromQL.
        query: Spanned<String>,
        /// Where the server is, without the path of its API.
        url: Spanned<String>,
        /// What is taken of a stretch of time; without it the value at the instant of the query.
        take: Option<Take>,
        /// What the number counts.
        scale: Scale,
        /// What counts where the answer holds no series; without it there is no reading.
        default: Option<f64>,
    },
    /// A number of the cluster's own state, kept current by a watch.
    Kube(Watched),
    /// A prober of the embedding harness, found by this name.
    Custom {
        /// The name it was registered under.
        prober: String,
    },
}

/// Who knows which alerts fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertSource {
    /// Alertmanager, by its API of version 2.
    Alertmanager,
    /// Prometheus itself.
    Prometheus,
}

impl AlertSource {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertSource::Alertmanager => "alertmanager",
            AlertSource::Prometheus => "prometheus",
        }
    }
}

/// What a number that is read counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Scale {
    /// Its unit.
    pub unit: Unit,
    /// How many of the unit's base one of it is: 0.001 where milliseconds are read.
    pub factor: f64,
}

impl Scale {
    /// A plain number.
    pub const PLAIN: Scale = Scale { unit: Unit::Count, factor: 1.0 };
}

/// One number of a query's values over the last while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Take {
    /// Which.
    pub which: Taken,
    /// How far it looks back.
    pub over: Duration,
    /// How far apart the values are.
    pub step: Duration,
}

/// Which number of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their mean.
    Mean,
}

impl Taken {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Taken::Min => "min",
            Taken::Max => "max",
            Taken::Mean => "mean",
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Those that this machine trusts.
    #[default]
    System,
    /// Those that the authorities in this PEM file signed.
    File(Spanned<String>),
}

/// The value of a header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderValue {
    /// As written.
    Plain(String),
    /// The value of an environment variable, resolved when the run starts and never recorded.
    SecretEnv(String),
}

/// Whether connections are kept between measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Up to this number are kept and used again.
    Reuse(u32),
    /// Each measurement opens its own.
    Fresh,
}

/// What makes an answer a success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The HTTP status lies in one of these closed ranges.
    Status(Vec<(u16, u16)>),
    /// The body holds this text.
    BodyContains(String),
    /// The header field has this value.
    Header(String, String),
    /// One of the answers is this text (an address or a name).
    Answer(String),
    /// The server's certificate is valid for at least this number of seconds.
    DaysLeft(f64),
    /// The command ended with this code.
    Exit(i32),
    /// What the command printed holds this text.
    OutputContains(String),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// A value taken from each answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Label {
    /// What formulas call it.
    pub name: Spanned<String>,
    /// Where it comes from.
    pub source: LabelSource,
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSource {
    /// A header field of the answer.
    Header(String),
    /// The HTTP status.
    Status,
    /// The address that answered.
    Peer,
}
