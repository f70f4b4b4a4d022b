//! Measuring: one request at a time, scheduled by the load engine here, or by that of an agent where the place is.

mod number;
mod stream;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::stream::Stream;
use crate::{
    model,
    place::Place,
    time::{Clock, Nanos},
    trouble::Trouble,
};

/// Makes probers for the probes of an experiment.
///
/// # Guarantees
/// Opening sends nothing that the probe's target would count as a request.
///
/// # Assumptions
/// The place was found in the environment of the same run.
///
/// # Errors
/// [`Trouble`] for what can never work at this place: an address that cannot be, a missing secret, a place out of reach.
#[async_trait]
pub trait Probers: Send + Sync {
    /// Returns why a probe can never be opened here, whatever the place: a kind that this build leaves out, a prober that nobody
    /// registered, a right that was not given. Asked when planning, so that nothing is touched for it.
    fn refuses(&self, _probe: &model::Probe) -> Option<Trouble> {
        None
    }

    /// Looks whether a probe's server can be found from a place, and says why not where that may still change before the
    /// run. Asked when planning, of places that are there by then; names may be looked up for it, and nothing else is asked.
    async fn find(&self, _probe: &model::Probe, _place: &Place) -> Result<Option<String>, Trouble> {
        Ok(None)
    }

    /// Returns a text of a server or a program without the secrets that these probers send, which may come back in it; none where
    /// it holds none of them. Asked of everything of others that is recorded or shown.
    fn conceal(&self, _text: &str) -> Option<String> {
        None
    }

    /// Prepares a probe at a place.
    async fn open(&self, probe: &model::Probe, place: &Place) -> Result<Opened, Trouble>;
}

/// A probe that is ready to measure at a place.
#[derive(Clone)]
pub enum Opened {
    /// The load engine of this process drives it, one measurement at a time.
    Each(Arc<dyn Prober>),
    /// It drives itself, elsewhere, and hands on what was measured.
    Feed(Arc<dyn Feed>),
}

impl Opened {
    /// Returns the prober, for callers that drive it themselves.
    ///
    /// # Errors
    /// [`Trouble`] for a [`Feed`], which drives itself.
    pub fn each(self) -> Result<Arc<dyn Prober>, Trouble> {
        match self {
            Opened::Each(prober) => Ok(prober),
            Opened::Feed(_) => Err(Trouble::unable(
                "the probe is measured by an agent at its place, not one measurement at a time",
            )),
        }
    }
}

/// Takes one measurement at a time; many may be under way at once.
///
/// # Guarantees
/// A future that is dropped leaves nothing behind that a later measurement could meet.
///
/// # Assumptions
/// The caller schedules the measurements and bounds the time of each.
///
/// # Errors
/// None: what goes wrong is the measurement. What the prober itself could not do is [`Outcome::NotRun`].
#[async_trait]
pub trait Prober: Send + Sync {
    /// Takes one measurement.
    async fn once(&self) -> Observation;

    /// Takes one measurement, and notes on the way what it is waiting for: the caller drops it when its time is over.
    async fn attempt(&self, _progress: &Progress) -> Observation {
        self.once().await
    }
}

/// What a measurement under way is waiting for, and what is known of it before it ends: its caller drops it when its time is over.
#[derive(Debug)]
pub struct Progress(Mutex<Way>);

/// How far a measurement has come.
#[derive(Debug)]
struct Way {
    waits_for: &'static str,
    labels: Vec<(Arc<str>, Arc<str>)>,
}

impl Default for Progress {
    /// Waits for an answer.
    fn default() -> Self {
        Progress(Mutex::new(Way { waits_for: "answer", labels: Vec::new() }))
    }
}

impl Progress {
    /// Notes what is waited for from now on, such as `address`.
    pub fn waits_for(&self, what: &'static str) {
        self.lock().waits_for = what;
    }

    /// Returns what was waited for last.
    pub fn waited_for(&self) -> &'static str {
        self.lock().waits_for
    }

    /// Notes labels that it has whatever comes of it, such as who is asked; those of before are given up.
    pub fn label(&self, labels: Vec<(Arc<str>, Arc<str>)>) {
        self.lock().labels = labels;
    }

    /// Returns the labels that it has whatever comes of it.
    pub fn labels(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.lock().labels.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures a whole stream where the load engine of this process does not reach: an agent runs the same engine there, so
/// that no latency contains the way to the agent and back.
///
/// # Guarantees
/// Every intended start up to the end of the stream gives exactly one sample; what became of those that were lost on the
/// way, or with the agent, is [`Outcome::NotRun`]. Samples arrive in the order in which they ended, with times on the
/// caller's clock.
///
/// # Assumptions
/// `stop` turns true at the end, and the sink takes samples without waiting.
///
/// # Errors
/// None: an agent that is lost makes samples that were not taken, never silence.
#[async_trait]
pub trait Feed: Send + Sync {
    /// Measures until `stop` turns true, then hands on what is still under way; returns how well the other clock was known.
    async fn run(
        &self,
        stream: &Stream,
        clock: Clock,
        stop: watch::Receiver<bool>,
        sink: &mut (dyn FnMut(Sample) + Send),
    ) -> Alignment;
}

/// How well the clock of a [`Feed`] was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alignment {
    /// By how much the times of its samples may be wrong, at worst; none if the clocks were never compared.
    pub uncertainty: Option<Duration>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// How it ended; a prober never says `TimedOut`, the load engine does.
    pub outcome: Outcome,
    /// Waiting until one of the probe's own connections was free; none where it has no limit of them.
    pub wait: Option<Duration>,
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
    #[serde(with = "number")]
    pub value: Option<f64>,
    /// The probe's labels with their values; a label may stand several times.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// What went wrong, in few words that do not vary from one to the next: why it failed, or, of a success, what it got over, such
    /// as an address of the server that did not answer.
    pub error: Option<Arc<str>>,
}

impl Observation {
    /// A bare success.
    pub fn ok() -> Self {
        Observation {
            outcome: Outcome::Ok,
            wait: None,
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

    /// A measurement that could not be taken, with its reason.
    pub fn not_run(reason: impl Into<Arc<str>>) -> Self {
        Observation { outcome: Outcome::NotRun, error: Some(reason.into()), ..Observation::ok() }
    }
}

/// One measurement on the run's time axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
