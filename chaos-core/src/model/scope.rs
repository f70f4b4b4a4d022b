//! Where an experiment takes place, and how much of it a fault may touch.

#![warn(clippy::wildcard_enum_match_arm)]

use serde::{Deserialize, Serialize};

use super::{cluster::Cluster, lab::Lab, target::Selector};
use crate::{place::Protection, span::Span};

/// Where an experiment takes place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A lab of network namespaces, made for the run and gone with it.
    Lab(Lab),
    /// The machine that the runner is on: its own namespace, named namespaces, processes.
    Machine,
    /// A Kubernetes cluster.
    Cluster(Cluster),
}

/// What is so of a scope: asked for by name, because a kind of scope that is not a lab need not be a machine.
impl Scope {
    /// Returns the lab, where that is the scope.
    pub fn lab(&self) -> Option<&Lab> {
        match self {
            Scope::Lab(lab) => Some(lab),
            Scope::Machine | Scope::Cluster(_) => None,
        }
    }

    /// Returns the cluster, where that is the scope.
    pub fn cluster(&self) -> Option<&Cluster> {
        match self {
            Scope::Cluster(cluster) => Some(cluster),
            Scope::Lab(_) | Scope::Machine => None,
        }
    }

    /// Returns whether it has hosts of a lab, which are named in the experiment itself.
    pub fn has_lab(&self) -> bool {
        self.lab().is_some()
    }

    /// Returns whether nothing and nobody outside of it is touched, whatever goes wrong: it is made for the run and gone with it.
    pub fn is_isolated(&self) -> bool {
        match self {
            Scope::Lab(_) => true,
            Scope::Machine | Scope::Cluster(_) => false,
        }
    }

    /// Returns whether it can only be touched with the rights of whoever it belongs to; else an ordinary user's own rights
    /// suffice, in a user namespace.
    pub fn needs_owner(&self) -> bool {
        match self {
            Scope::Lab(_) => false,
            Scope::Machine | Scope::Cluster(_) => true,
        }
    }

    /// Returns whether the runner itself is on its network, so that a probe can be sent from where the runner is.
    pub fn includes_runner(&self) -> bool {
        match self {
            Scope::Lab(_) => false,
            Scope::Machine | Scope::Cluster(_) => true,
        }
    }
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

/// A line of the blast radius that allows what is protected otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Allowance {
    /// What is allowed.
    pub what: Protection,
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
    /// Distinct pods that any fault touches.
    Pods,
    /// Distinct nodes that any fault touches.
    Nodes,
    /// Distinct objects of a cluster's API, other than pods and nodes, that any fault touches.
    Objects,
    /// The objects that a selector finds.
    Of(Selector),
}
