//! Measuring: one request at a time, scheduled by the load engine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{model, place::Place, time::Nanos, trouble::Trouble};

/// Makes probers for the probes of an experiment.
#[async_trait]
pub trait Probers: Send + Sync {
    /// Prepares a probe at a place; fails on what can never work (an address that cannot be, a missing secret).
    async fn open(&self, probe: &model::Probe, place: &Place) -> Result<Arc<dyn Prober>, Trouble>;
}

/// Takes one measurement at a time; many may be under way at once.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Takes one measurement. Never fails: what goes wrong is the measurement. The caller bounds the time.
    async fn once(&self) -> Observation;
}

/// How a measurement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed: refused, reset, or an answer that is not a success. Its latency does not count.
    Failed,
    /// It took longer than the timeout; its latency is at least that.
    TimedOut,
    /// The prober itself could not run; the sample is unknown, neither success nor failure.
    NotRun,
}

impl Outcome {
    /// Every outcome with the word that names it in files.
    const WORDS: [(Outcome, &'static str); 4] = [
        (Outcome::Ok, "ok"),
        (Outcome::Failed, "failed"),
        (Outcome::TimedOut, "timed-out"),
        (Outcome::NotRun, "not-run"),
    ];

    /// Returns the word that names it in files.
    pub fn word(self) -> &'static str {
        Outcome::WORDS.iter().find(|(outcome, _)| *outcome == self).map_or("", |(_, word)| word)
    }

    /// Returns the outcome that a word names.
    pub fn of_word(word: &str) -> Option<Outcome> {
        Outcome::WORDS.iter().find(|(_, w)| *w == word).map(|(outcome, _)| *outcome)
    }
}

/// What one measurement saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// How it ended; a prober never says `TimedOut`, the load engine does.
    pub outcome: Outcome,
    /// Finding the address.
    pub dns: Option<Duration>,
    /// Opening the connection; none where one was reused.
    pub connect: Option<Duration>,
    /// The TLS handshake; none where there is none, or a connection was reused.
    pub tls: Option<Duration>,
    /// From sending to the first byte of the answer.
    pub ttfb: Option<Duration>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The number that was read, in the base of its unit: what a query gave, or the seconds that a certificate is still valid.
    pub value: Option<f64>,
    /// The probe's labels with their values; a label may stand several times.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Why it failed, in few words that do not vary from one to the next.
    pub error: Option<Arc<str>>,
}

impl Observation {
    /// A bare success.
    pub fn ok() -> Self {
        Observation {
            outcome: Outcome::Ok,
            dns: None,
            connect: None,
            tls: None,
            ttfb: None,
            status: None,
            value: None,
            labels: Vec::new(),
            error: None,
        }
    }

    /// A failure with its reason.
    pub fn failed(error: impl Into<Arc<str>>) -> Self {
        Observation { outcome: Outcome::Failed, error: Some(error.into()), ..Observation::ok() }
    }
}

/// One measurement on the run's time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it was meant to start.
    pub intended: Nanos,
    /// How much later it really started.
    pub late: Duration,
    /// From the intended start to the end; for a timeout, the timeout.
    pub latency: Duration,
    /// The place it was sent from.
    pub from: Arc<str>,
    /// What was seen.
    pub observation: Observation,
}

impl Sample {
    /// Returns when it was over.
    pub fn completed(&self) -> Nanos {
        self.intended + crate::time::nanos(self.latency)
    }
}
