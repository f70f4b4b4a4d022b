//! Where an experiment takes place, and how much of it a fault may touch.

use serde::{Deserialize, Serialize};

use super::{lab::Lab, target::Selector};
use crate::span::Span;

/// Where an experiment takes place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A lab of network namespaces, made for the run and gone with it.
    Lab(Lab),
    /// The machine that the runner is on: its own namespace, named namespaces, processes.
    Machine,
}

/// One line of the blast radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RadiusLimit {
    /// How many, or which share, at most.
    pub at_most: Amount,
    /// Of what.
    pub of: RadiusUnit,
    /// Where it was written.
    pub span: Span,
}

/// A number of things, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// This fraction of all.
    Share(f64),
}

/// What a blast radius counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RadiusUnit {
    /// Distinct places (lab hosts, namespaces, machines) that any fault touches.
    Hosts,
    /// Distinct processes that any fault touches.
    Processes,
    /// The objects that a selector finds.
    Of(Selector),
}
