//! What is measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::target::Selector;
use crate::span::{Span, Spanned};

/// A stream of measurements, sent on an open-loop schedule throughout the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Probe {
    /// Its name.
    pub name: Spanned<String>,
    /// What one measurement is.
    pub kind: ProbeKind,
    /// Where it is sent from; without it, from where the runner is.
    pub from: Option<Selector>,
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
    /// Where it was written.
    pub span: Span,
}

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
    /// A prober of the embedding harness, found by this name.
    Custom {
        /// The name it was registered under.
        prober: String,
    },
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
    /// Up to so many are kept and used again.
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
