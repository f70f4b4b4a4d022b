//! What a run leaves: everything that reports fold from, besides the samples themselves.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    injector::{Hold, Measured, Recovered},
    judge::view::{Judged, RunView, Samples},
    model::{Event, Phase},
    place::ObjectId,
    plan::Plan,
    source::SourceFile,
    span::Span,
    time::Nanos,
};

pub use crate::journal::State as PartState;

/// Everything that is known of a run when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// The version of the format, [`SCHEMA_VERSION`](super::event::SCHEMA_VERSION).
    pub version: u32,
    /// The run's id.
    pub run: String,
    /// What was planned, with the experiment.
    pub plan: Plan,
    /// When the run began, by the wall clock.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When everything was over, in nanoseconds since the run began.
    pub ended: Nanos,
    /// What happened when, without gaps, for people.
    pub stages: Vec<StageSpan>,
    /// The stretches that formulas speak of.
    pub phases: Vec<PhaseSpan>,
    /// The instants that formulas speak of.
    pub marks: Vec<Mark>,
    /// Every part that was planned, the background first.
    pub parts: Vec<PartRecord>,
    /// The end of what expectations look at: of the watch, or of what was left of it.
    pub judged_to: Nanos,
    /// Whether each fault and change of the timeline changed something in the way that was asked for; one that was never in
    /// place is absent.
    pub exercised: BTreeMap<String, bool>,
    /// Why those that did not, by their names: `matched 252 packets and changed none of them`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub idle: BTreeMap<String, String>,
    /// The steady state before the baseline and after the rollback, as far as the run got.
    pub steady: Vec<SteadyResult>,
    /// What ended the run early.
    pub abort: Option<AbortCause>,
    /// The expectations, in the order of the experiment; empty if the run was refused.
    pub expectations: Vec<Judged>,
    /// How far the timeline got.
    pub completion: Completion,
    /// Whether everything is as it was.
    pub restoration: Restoration,
    /// Each probe, phase by phase.
    pub probes: Vec<ProbeSummary>,
    /// The clocks of other places that probes were measured by; empty where the runner took every measurement itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<ClockRecord>,
    /// Why not all of its evidence could be kept in the folder of the run; none where it was, or nobody keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What should be known.
    pub warnings: Vec<String>,
    /// What the environment and the kernel said.
    pub environment: EnvironmentFacts,
    /// The files of the scenario, which spans point into, set by whoever has compiled it; empty where it was built in code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenario: Vec<SourceFile>,
}

/// How well the clock of a place was known whose agent measured a probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClockRecord {
    /// The probe's name.
    pub probe: String,
    /// The place's name.
    pub from: String,
    /// By how many nanoseconds the times of its samples may be wrong, at worst; none if the clocks were never compared.
    /// Latencies are not affected: both ends of each were read on the one clock.
    pub uncertainty: Option<Nanos>,
}

/// How far the timeline got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Completion {
    /// To its end.
    Completed,
    /// It was ended early.
    Aborted {
        /// Why.
        reason: String,
    },
    /// Nothing of it was begun.
    Refused {
        /// What refused it.
        by: Refusal,
        /// Why.
        reason: String,
        /// The likely fix.
        help: Option<String>,
    },
}

/// What keeps an experiment from being begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The system was not healthy to begin with.
    SteadyState,
    /// The environment did not come up.
    Environment,
    /// A probe cannot work.
    Probe,
    /// The journal cannot be written.
    Journal,
    /// A right is missing.
    Permission,
    /// The link delays of the lab, or another part of its background, cannot be put in place.
    Background,
    /// Somebody stopped it before anything was injected.
    Stopped,
    /// More would be touched than was planned.
    Radius,
}

/// Whether everything is as it was before the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Restoration {
    /// Yes, proven by reading back.
    Restored,
    /// No.
    NotRestored {
        /// What is left, a line each.
        what: Vec<String>,
        /// The command that finishes it.
        command: String,
    },
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AbortCause {
    /// What kind of reason.
    pub kind: AbortKind,
    /// When it was noticed.
    pub at: Nanos,
    /// One line for people.
    pub reason: String,
    /// The condition as the language writes it, where it was one.
    pub condition: Option<String>,
    /// The condition's place in the file.
    pub span: Option<Span>,
}

/// What kinds of reasons end a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AbortKind {
    /// An abort condition of the experiment came true.
    Condition,
    /// Nothing was heard any more of a metric that an abort condition needs.
    Blind,
    /// The environment broke.
    Environment,
    /// A fault that should be in place was lost.
    Lost,
    /// The runner itself stood still while a fault was in place.
    Stalled,
    /// A fault could not be injected.
    Inject,
    /// A fault could not be injected for want of a right.
    Denied,
    /// A fault could not be reverted when the timeline asked for it.
    Revert,
    /// A fault was in place, but nothing proved that it met traffic; the expectations are inconclusive.
    Unproven,
    /// Somebody asked for it.
    Stopped,
    /// The runner itself failed.
    Internal,
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A stretch of a run as it happened, for people.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The environment is made, probes are opened.
    Setup,
    /// The steady state is watched before anything is touched.
    SteadyState,
    /// The healthy system is watched.
    Baseline,
    /// A change is being made.
    Making(String),
    /// A fault is being put in place.
    Injecting(String),
    /// Faults are left in place.
    Hold,
    /// Faults are being taken away.
    RollingBack,
    /// The system recovers.
    Watch,
    /// The steady state is watched once more, where the watch was too short for it.
    SteadyAgain,
    /// Measurements under way are waited for.
    Draining,
    /// The expectations are judged.
    Judging,
    /// The environment is unmade.
    Teardown,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Setup => "setup",
            Stage::SteadyState => "steady state",
            Stage::Baseline => "baseline",
            Stage::Making(name) => return write!(f, "make {name}"),
            Stage::Injecting(name) => return write!(f, "inject {name}"),
            Stage::Hold => "hold",
            Stage::RollingBack => "rollback",
            Stage::Watch => "watch",
            Stage::SteadyAgain => "steady state again",
            Stage::Draining => "drain",
            Stage::Judging => "judge",
            Stage::Teardown => "teardown",
        })
    }
}

/// When a stage began and ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageSpan {
    /// Which stage.
    pub stage: Stage,
    /// Its start.
    pub start: Nanos,
    /// One past its last instant.
    pub end: Nanos,
}

pub use crate::judge::view::{Mark, PhaseSpan};

/// The steady state, judged once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SteadyResult {
    /// Whether it was before the baseline or after the rollback.
    pub when: SteadyWhen,
    /// Whether all predicates held; one that could not be decided did not.
    pub held: bool,
    /// The time that was looked at.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
    /// Each predicate.
    pub predicates: Vec<crate::judge::view::PredicateResult>,
}

/// When a steady state was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SteadyWhen {
    /// Before the baseline.
    Before,
    /// After the rollback.
    After,
}

/// What a part is for, which decides when it is put in place and when it is reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It belongs to the environment: in place before the steady state, reverted at the very end.
    Background,
    /// It belongs to a fault: a step injects it, a rollback reverts it.
    Fault,
    /// It belongs to a change: a step makes it, and it stays until the very end.
    Change,
}

/// One part of a fault, of a change or of the background, from plan to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartRecord {
    /// `FAULT/OBJECT/NUMBER`.
    pub id: String,
    /// The fault it belongs to.
    pub fault: String,
    /// Where.
    pub object: ObjectId,
    /// The mechanism.
    pub backend: String,
    /// What ends it if everything else fails.
    pub hold: Hold,
    /// What it is for.
    pub role: Role,
    /// Where it stands at the end.
    pub state: PartState,
    /// When it was confirmed in place.
    pub injected: Option<Nanos>,
    /// When its revert began.
    pub reverting: Option<Nanos>,
    /// When its revert was confirmed.
    pub reverted: Option<Nanos>,
    /// How many reverts it took.
    pub attempts: u32,
    /// What it did, measured after the revert where that was possible.
    pub effect: Option<Measured>,
    /// When what it was on was whole again, where that was waited for and came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// What went wrong with it last.
    pub error: Option<String>,
}

/// One probe, phase by phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeSummary {
    /// The probe's name.
    pub probe: String,
    /// The places it was sent from.
    pub from: Vec<String>,
    /// Each phase that the run had; samples belong to the phase of their intended start.
    pub phases: Vec<PhaseSummary>,
    /// How many samples were kept, from the start of the load to its end; those that judging needs are among them.
    pub samples: u64,
    /// The most frequent errors with how often they came, the most frequent first.
    pub errors: Vec<(String, u64)>,
}

/// The samples of a probe in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PhaseSummary {
    /// The phase.
    pub phase: Phase,
    /// All measurements that were taken, whatever came of them.
    pub count: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took longer than the timeout.
    pub timed_out: u64,
    /// Those that could not be taken.
    pub not_run: u64,
    /// Successes among those taken; none where there were none.
    pub success: Option<f64>,
    /// The median latency of successes and timeouts, as an order statistic.
    pub p50: Option<Duration>,
    /// The 90th percentile.
    pub p90: Option<Duration>,
    /// The 95th percentile.
    pub p95: Option<Duration>,
    /// The 99th percentile.
    pub p99: Option<Duration>,
    /// The longest.
    pub max: Option<Duration>,
    /// The 99th percentile of how much later than intended they started.
    pub late_p99: Option<Duration>,
}

/// What the environment and the kernel said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EnvironmentFacts {
    /// The steps on the way up.
    pub progress: Vec<String>,
    /// What injectors read of the kernel, before, during and after the faults.
    pub kernel: Vec<KernelEvidence>,
    /// What the programs of objects wrote.
    pub logs: BTreeMap<String, Vec<String>>,
}

/// What the kernel said of one place at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KernelEvidence {
    /// When.
    pub at: Nanos,
    /// Whether that was before, during or after the faults.
    pub when: EvidenceWhen,
    /// Of what.
    pub object: ObjectId,
    /// Line by line.
    pub lines: Vec<String>,
}

/// When evidence was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceWhen {
    /// Before anything was injected.
    Before,
    /// While faults were in place.
    During,
    /// After everything was reverted.
    After,
}

impl Record {
    /// Finds a part by its id.
    pub fn part(&self, id: &str) -> Option<&PartRecord> {
        self.parts.iter().find(|p| p.id == id)
    }

    /// Returns when an event happened; the first time, if it did several times.
    pub fn mark(&self, event: &Event) -> Option<Nanos> {
        self.marks.iter().find(|m| m.event == *event).map(|m| m.at)
    }

    /// Shows the run to a judge, with the samples that it took.
    pub fn view<'a>(&'a self, samples: &'a Samples) -> RunView<'a> {
        RunView {
            samples,
            phases: &self.phases,
            marks: &self.marks,
            end: self.judged_to,
            aborted: self.abort.as_ref().map(|cause| cause.at),
            exercised: &self.exercised,
            idle: &self.idle,
        }
    }

    /// Returns whether nothing of the timeline was begun.
    pub fn is_refused(&self) -> bool {
        matches!(self.completion, Completion::Refused { .. })
    }

    /// Returns whether everything is as it was.
    pub fn is_restored(&self) -> bool {
        self.restoration == Restoration::Restored
    }
}
