//! What is protected: a fault is on it only where the blast radius allows that by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reason why something is not touched unless the blast radius allows it by this name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// It is of the namespace `kube-system`.
    KubeSystem,
    /// It is the API server.
    ApiServer,
    /// It makes the network of the pods of its node.
    Cni,
    /// It uses the network of its node.
    HostNetwork,
    /// It is a node.
    Nodes,
    /// The runner itself runs in it.
    Runner,
    /// Its owner lets others disturb fewer pods at once than faults would be on.
    DisruptionBudget,
    /// It keeps a machine going: a service of the system, what starts containers, or somebody's session.
    System,
}

impl Protection {
    /// All of them.
    pub const ALL: [Protection; 8] = [
        Protection::KubeSystem,
        Protection::ApiServer,
        Protection::Cni,
        Protection::HostNetwork,
        Protection::Nodes,
        Protection::Runner,
        Protection::DisruptionBudget,
        Protection::System,
    ];

    /// Returns the words that allow it.
    pub fn word(self) -> &'static str {
        match self {
            Protection::KubeSystem => "kube-system",
            Protection::ApiServer => "apiserver",
            Protection::Cni => "cni",
            Protection::HostNetwork => "hostNetwork",
            Protection::Nodes => "nodes",
            Protection::Runner => "runner",
            Protection::DisruptionBudget => "disruption budget",
            Protection::System => "system",
        }
    }

    /// Says of an object what protects it, behind its name.
    pub fn why(self) -> &'static str {
        match self {
            Protection::KubeSystem => "is of the namespace `kube-system`, which the cluster itself runs in",
            Protection::ApiServer => "is the API server, through which the run itself is steered",
            Protection::Cni => "makes the network of all pods on its node (CNI)",
            Protection::HostNetwork => {
                "uses its node's own network (hostNetwork), so a fault would be on the whole node"
            }
            Protection::Nodes => "is a node, with all of the pods on it",
            Protection::Runner => "is the pod that this run is steered from",
            Protection::DisruptionBudget => "is of a disruption budget that is used up",
            Protection::System => {
                "keeps its machine going (a system service, a container runtime, or somebody's session)"
            }
        }
    }

    /// Says in the plural what it protects.
    pub fn what(self) -> &'static str {
        match self {
            Protection::KubeSystem => "objects of the namespace `kube-system`",
            Protection::ApiServer => "the API server",
            Protection::Cni => "pods that make the network of their nodes (CNI)",
            Protection::HostNetwork => "pods on their node's own network",
            Protection::Nodes => "nodes",
            Protection::Runner => "the pod of the runner itself",
            Protection::DisruptionBudget => "more pods of an application than its disruption budget allows",
            Protection::System => "processes that keep a machine going",
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
