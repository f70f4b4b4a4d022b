//! What a run says while it happens: the one border between running and reporting.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{AbortCause, Completion, PartState, Restoration, Role, Stage, SteadyResult};
use crate::{injector::Measured, judge::view::Judged, model::Event, place::ObjectId, time::Nanos};

/// The version of events and records; it grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 2;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunEvent {
    /// The version of the format.
    pub version: u32,
    /// When, in nanoseconds since the run began.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum What {
    /// The run begins; nothing was touched yet.
    RunStarted {
        /// The run's id.
        run: String,
        /// The experiment's name.
        experiment: String,
        /// The time by the wall clock.
        #[schemars(with = "String")]
        started: Timestamp,
        /// The waits of the timeline and of the steady state together; setting up, injecting and reverting come on top.
        planned: Duration,
    },
    /// The environment reports a step on the way up.
    EnvironmentProgress {
        /// One line for people.
        line: String,
    },
    /// The environment is up and everything in it ready.
    EnvironmentUp,
    /// The environment is gone, proven.
    EnvironmentDown,
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: Stage,
        /// How long it is planned to take, where that is known.
        planned: Option<Duration>,
    },
    /// A stage is over.
    StageEnded {
        /// Which.
        stage: Stage,
        /// How long it took.
        took: Duration,
    },
    /// The steady state was judged.
    SteadyState(SteadyResult),
    /// One part of a fault went from one state to the next.
    Part {
        /// The part.
        id: String,
        /// The fault it belongs to.
        fault: String,
        /// Where.
        object: ObjectId,
        /// What it is for.
        role: Role,
        /// Its new state.
        state: PartState,
        /// What it does, or how it is undone, or why that failed: one line for people.
        line: String,
    },
    /// An event of the formulas: a fault is in place or gone, the rollback begins or is done.
    Mark {
        /// Which.
        event: Event,
    },
    /// What a part did so far.
    Effect {
        /// The part.
        id: String,
        /// The fault it belongs to.
        fault: String,
        /// What was measured.
        effect: Measured,
    },
    /// What should prove that a fault met traffic did not come true in time.
    Unproven {
        /// The fault.
        fault: String,
        /// The condition, as the language writes it.
        condition: String,
        /// How long it had.
        after: Duration,
    },
    /// How the run is doing; several each second.
    Progress {
        /// Each probe, in the order of the experiment.
        probes: Vec<ProbeProgress>,
        /// The faults in place.
        active: Vec<String>,
        /// How much of the planned waits is left.
        left: Duration,
    },
    /// Something ends the experiment early; the unwinding begins at this moment.
    Abort(AbortCause),
    /// Something that should be known, but ends nothing.
    Warning {
        /// One line for people.
        line: String,
    },
    /// The baseline is over; from here on it does not change.
    BaselineFrozen {
        /// Its start.
        from: Nanos,
        /// Its end.
        to: Nanos,
        /// How many measurements it holds.
        samples: u64,
    },
    /// An expectation was judged.
    Judged(Box<Judged>),
    /// Everything is over.
    RunEnded {
        /// How far the timeline got.
        completion: Completion,
        /// Whether everything is as it was.
        restoration: Restoration,
    },
}

/// How a probe is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeProgress {
    /// The probe's name.
    pub probe: String,
    /// How many measurements are over since the load began.
    pub sent: u64,
    /// The share that succeeded over the last seconds; none without measurements.
    pub success: Option<f64>,
    /// The 95th percentile of the latency over the last seconds.
    pub p95: Option<Duration>,
    /// The time that success and p95 look back on.
    pub over: Duration,
}
