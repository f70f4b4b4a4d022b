//! A cluster as a scope, and the words that find its pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    non_empty::NonEmpty,
    span::{Span, Spanned},
};

/// A Kubernetes cluster, and the namespace that names stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The context of the kubeconfig that leads to it.
    pub context: Spanned<String>,
    /// The uid of its namespace `kube-system`: a context may lead to another cluster tomorrow, this never does.
    pub uid: Spanned<String>,
    /// The namespace of every name that does not state its own.
    pub namespace: Spanned<String>,
}

/// Pods of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pods {
    /// What they have in common.
    pub by: Criterion,
    /// Their namespace, where it is not that of the scope.
    pub namespace: Option<Spanned<String>>,
    /// Where this was written.
    pub span: Span,
}

/// What pods have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// Labels and fields: all of these hold.
    Where(NonEmpty<Requirement>),
    /// A workload that owns them, or a Service that they are the ready endpoints of.
    Of(Workload),
}

/// A workload or a Service by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Spanned<String>,
}

/// What pods can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// A Deployment, through its ReplicaSets.
    Deployment,
    /// A StatefulSet.
    Statefulset,
    /// A DaemonSet.
    Daemonset,
    /// A Job.
    Job,
    /// A Service: the pods that its EndpointSlices call ready.
    Service,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [WorkloadKind; 5] = [
        WorkloadKind::Deployment,
        WorkloadKind::Statefulset,
        WorkloadKind::Daemonset,
        WorkloadKind::Job,
        WorkloadKind::Service,
    ];

    /// Returns its word in the language.
    pub fn word(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "deployment",
            WorkloadKind::Statefulset => "statefulset",
            WorkloadKind::Daemonset => "daemonset",
            WorkloadKind::Job => "job",
            WorkloadKind::Service => "service",
        }
    }
}

/// One thing that a pod's labels or fields have to fulfil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What is looked at.
    pub of: Key,
    /// What it has to be. A pod without a label fulfils [`Test::NotIn`], as with `kubectl`.
    pub is: Test,
}

/// What a requirement looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// A label.
    Label(String),
    /// A field that the API server can select by, such as `spec.nodeName`.
    Field(String),
}

/// What a label or field has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// One of these.
    In(NonEmpty<String>),
    /// None of these.
    NotIn(NonEmpty<String>),
    /// There, whatever its value.
    Exists,
    /// Not there.
    Absent,
}

/// A Service, as the other end of traffic: its own addresses and those of its ready endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: Spanned<String>,
    /// Its namespace, where it is not that of the scope.
    pub namespace: Option<Spanned<String>>,
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Criterion::Where(all) => {
                for (n, one) in all.iter().enumerate() {
                    f.write_str(if n == 0 { "pods where " } else { " and " })?;
                    one.fmt(f)?;
                }
            }
            Criterion::Of(Workload { kind, name }) => write!(f, "pods of {} \"{name}\"", kind.word())?,
        }
        within(self.namespace.as_ref(), f)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service \"{}\"", self.name)?;
        within(self.namespace.as_ref(), f)
    }
}

pub(super) fn within(namespace: Option<&Spanned<String>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    namespace.map_or(Ok(()), |namespace| write!(f, " in \"{namespace}\""))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(&self.is, Test::Absent) || matches!(&self.is, Test::NotIn(all) if all.len() > 1) {
            f.write_str("not ")?;
        }
        match &self.of {
            // What is a word of the language needs no quotes.
            Key::Label(name) if is_word(name) => f.write_str(name)?,
            Key::Label(name) => write!(f, "label \"{name}\"")?,
            Key::Field(path) => write!(f, "field \"{path}\"")?,
        }
        let list =
            |all: &NonEmpty<String>| all.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>().join(", ");
        match &self.is {
            Test::In(all) if all.len() == 1 => write!(f, " = {}", list(all)),
            Test::NotIn(all) if all.len() == 1 => write!(f, " != {}", list(all)),
            Test::In(all) | Test::NotIn(all) => write!(f, " in [{}]", list(all)),
            Test::Exists | Test::Absent => Ok(()),
        }
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_as_they_are_written() {
        let values = |all: &[&str]| {
            NonEmpty::try_from(all.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let label = |name: &str, is| Requirement { of: Key::Label(name.into()), is };
        let all = vec![
            label("app", Test::In(values(&["api"]))),
            label("tier", Test::NotIn(values(&["canary", "old"]))),
            label("example.com/zone", Test::Exists),
            label("legacy", Test::Absent),
            Requirement { of: Key::Field("spec.nodeName".into()), is: Test::NotIn(values(&["n1"])) },
        ];
        let pods = Pods {
            by: Criterion::Where(all.try_into().unwrap()),
            namespace: Some("shop".into()),
            span: Span::NONE,
        };
        assert_eq!(
            pods.to_string(),
            "pods where app = \"api\" and not tier in [\"canary\", \"old\"] and label \"example.com/zone\" \
             and not legacy and field \"spec.nodeName\" != \"n1\" in \"shop\""
        );
        for kind in WorkloadKind::ALL {
            let by = Criterion::Of(Workload { kind, name: "x".into() });
            let pods = Pods { by, namespace: None, span: Span::NONE };
            assert_eq!(pods.to_string(), format!("pods of {} \"x\"", kind.word()));
        }
    }
}
