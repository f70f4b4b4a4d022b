//! A checked experiment: what a `.chaos` file means, and what a harness builds in code.
//!
//! Every part has its file: [`scope`], [`lab`] and [`cluster`] say where, [`target`] which objects, [`probe`] and [`metric`] what is
//! measured, [`formula`] what is claimed, [`action`] what is injected or changed, [`packets`] what can happen to packets and
//! [`names`] to queries for names, [`objects`] to objects of a cluster's API, [`processes`] to processes,
//! [`watched`] numbers of a cluster's state, [`timeline`] when, [`quantity`] the units, [`outside`] what is used beyond all that. [`mod@build`]
//! has shorthands for harnesses.

pub mod action;
pub mod build;
pub mod cluster;
pub mod command;
pub mod formula;
pub mod lab;
pub mod metric;
pub mod names;
pub mod objects;
pub mod outside;
pub mod packets;
pub mod probe;
pub mod processes;
pub mod quantity;
pub mod scope;
pub mod target;
pub mod timeline;
pub mod watched;

use serde::{Deserialize, Serialize};

use crate::span::{Span, Spanned};

pub use action::{Action, Change, Course, Custom, Fault, PacketFault};
pub use cluster::{Cluster, Pods, Service};
pub use formula::{Abort, Claim, Comparison, Correction, Event, Expectation, Phase, Predicate, SteadyState};
pub use lab::{Host, Lab, Link, Program, Ready};
pub use metric::{Field, Function, Metric};
pub use names::{NameEffect, NameFailure, NameFault};
pub use objects::ObjectFault;
pub use outside::Outside;
pub use packets::{Distribution, FaultSpec, Traffic};
pub use probe::{Connections, Probe, ProbeKind, Vantage};
pub use processes::{ProcessEffect, ProcessFault};
pub use quantity::{Quantity, Unit};
pub use scope::{Allowance, RadiusLimit, Scope};
pub use target::{Pick, Selector, Target};
pub use timeline::{Step, Timeline};
pub use watched::Watched;

/// One experiment, free of errors of meaning; what it touches is only known once it is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Experiment {
    /// The title.
    pub name: Spanned<String>,
    /// Who answers for it; required outside a lab.
    pub owner: Option<Spanned<String>>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What is believed, in words, with its parameters filled in.
    pub hypothesis: Spanned<String>,
    /// What users are expected to feel, in words.
    pub impact: Option<String>,
    /// The parameters and the values this run gives them.
    pub params: Vec<Param>,
    /// The parameters that the file varies from run to run, the outermost first.
    #[serde(default)]
    pub varied: Vec<String>,
    /// Where it takes place.
    pub scope: Scope,
    /// The named targets of the scope, picked once per run and shared by faults and probes.
    pub targets: Vec<Target>,
    /// The hard limits; more than this is refused before anything is touched.
    pub blast_radius: Vec<RadiusLimit>,
    /// What faults and agents may be put on although it is protected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Allowance>,
    /// What is measured, throughout the run.
    pub probes: Vec<Probe>,
    /// What must hold before anything is injected, and again after rollback.
    pub steady_state: SteadyState,
    /// What may be injected.
    pub faults: Vec<Fault>,
    /// What may be made different for the rest of the run.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What happens when.
    pub timeline: Timeline,
    /// What ends the fault at once.
    pub aborts: Vec<Abort>,
    /// The hypothesis, checkable.
    pub expectations: Vec<Expectation>,
    /// The one-sided confidence of the expectations, as a fraction; 0.95 unless the file says otherwise.
    pub confidence: f64,
    /// What is made of several expectations being judged at once.
    #[serde(default)]
    pub correction: Correction,
    /// What is kept beside the default evidence.
    pub evidence: Vec<Spanned<Evidence>>,
    /// The place of the whole experiment.
    pub span: Span,
}

/// A named value that a run may change within its reviewed range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Param {
    /// Its name.
    pub name: Spanned<String>,
    /// The value in this run.
    pub value: Quantity,
    /// The default of the file.
    pub default: Quantity,
    /// The lowest and highest value a run may set.
    pub range: Option<(Quantity, Quantity)>,
}

/// Something to keep in the run's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The run's events; always kept.
    Events,
    /// What the kernel says of links, qdiscs, filters and BPF links before, during and after.
    Kernel,
    /// The output of the lab's programs.
    Logs(Selector),
}

impl Experiment {
    /// Returns the name, with the values of what the file varies: `slow [extra = 100ms]`.
    pub fn title(&self) -> String {
        let values: Vec<String> =
            self.varied().map(|param| format!("{} = {}", param.name, param.value)).collect();
        match values.is_empty() {
            true => self.name.value.clone(),
            false => format!("{} [{}]", self.name, values.join(", ")),
        }
    }

    /// Returns the parameters that the file varies, with their values in this run.
    pub fn varied(&self) -> impl Iterator<Item = &Param> {
        self.varied.iter().filter_map(|name| self.params.iter().find(|param| param.name.value == *name))
    }

    /// Finds a probe by name.
    pub fn probe(&self, name: &str) -> Option<&Probe> {
        self.probes.iter().find(|p| p.name.value == name)
    }

    /// Finds a fault by name.
    pub fn fault(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|f| f.name.value == name)
    }

    /// Returns the declared target that a selector names, if it names one.
    pub fn target_of(&self, selector: &Selector) -> Option<&Target> {
        let Selector::Named(name) = selector else { return None };
        self.targets.iter().find(|target| target.name == *name)
    }

    /// Returns what finds the objects: the selector of the target that it names, else the selector itself.
    pub fn finder<'a>(&'a self, selector: &'a Selector) -> &'a Selector {
        self.target_of(selector).map_or(selector, |target| &target.selector)
    }

    /// Returns whether a fault was declared in this experiment itself, and not beside it or in another file, where several
    /// experiments share it.
    pub fn owns(&self, fault: &Fault) -> bool {
        fault.name.span.is_none() || self.span.covers(fault.name.span)
    }

    /// Finds a change by name.
    pub fn change(&self, name: &str) -> Option<&Change> {
        self.changes.iter().find(|c| c.name.value == name)
    }

    /// Returns the lab, where the scope is one.
    pub fn lab(&self) -> Option<&Lab> {
        self.scope.lab()
    }
}
