//! Numbers of a cluster's own state, kept current by a watch.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cluster::{Pods, Service, within};
use crate::{place::Kind, span::Spanned};

/// What is read of a cluster's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// How many endpoints of a Service its EndpointSlices call ready.
    ReadyEndpoints(Service),
    /// Something that is counted of the pods that match; those that are being deleted count as well.
    Pods {
        /// Which.
        pods: Pods,
        /// What is counted of them.
        count: PodCount,
    },
    /// Something that one object says of itself.
    Object {
        /// The object.
        object: ObjectRef,
        /// What it says.
        says: ObjectSays,
    },
}

/// What is counted of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodCount {
    /// The pods.
    All,
    /// Those whose condition `Ready` is true.
    Ready,
    /// The restarts of all their containers.
    Restarts,
}

/// An object of a cluster, by its kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Resource,
    /// Its name.
    pub name: Spanned<String>,
    /// Its namespace, where it is not that of the scope.
    pub namespace: Option<Spanned<String>>,
}

/// A kind of object, as the API server's paths name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The group, such as `apps`; empty for the core of the API.
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The plural, such as `deployments`.
    pub plural: String,
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectSays {
    /// Whether a condition of its status is true: 1, or else 0. A condition that is not there is not true.
    Condition(Spanned<String>),
    /// A number at a path of names, such as `status.readyReplicas`; 0 where it is not there, as the API leaves out zeros. True is 1
    /// and false 0.
    Field(Spanned<String>),
}

/// Kinds that have a word: the word, the group, the version and the plural.
const WORDS: [(&str, &str, &str, &str); 16] = [
    ("deployment", "apps", "v1", "deployments"),
    ("statefulset", "apps", "v1", "statefulsets"),
    ("daemonset", "apps", "v1", "daemonsets"),
    ("replicaset", "apps", "v1", "replicasets"),
    ("job", "batch", "v1", "jobs"),
    ("pod", "", "v1", "pods"),
    ("service", "", "v1", "services"),
    ("node", "", "v1", "nodes"),
    ("namespace", "", "v1", "namespaces"),
    ("lease", "coordination.k8s.io", "v1", "leases"),
    ("hpa", "autoscaling", "v2", "horizontalpodautoscalers"),
    ("pdb", "policy", "v1", "poddisruptionbudgets"),
    ("gateway", "gateway.networking.k8s.io", "v1", "gateways"),
    ("httproute", "gateway.networking.k8s.io", "v1", "httproutes"),
    ("ingress", "networking.k8s.io", "v1", "ingresses"),
    ("certificate", "cert-manager.io", "v1", "certificates"),
];

/// Kinds whose objects are of no namespace: the group and the plural.
const OF_NONE: [(&str, &str); 15] = [
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumes"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("cert-manager.io", "clusterissuers"),
    ("gateway.networking.k8s.io", "gatewayclasses"),
    ("networking.k8s.io", "ingressclasses"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "storageclasses"),
];

impl Resource {
    /// Returns whether its objects are of the whole cluster and of no namespace, as far as kinds are known.
    pub fn is_of_no_namespace(&self) -> bool {
        OF_NONE.contains(&(self.group.as_str(), self.plural.as_str()))
    }

    /// Returns the words that kinds have.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, ..)| *word)
    }

    /// Returns the kind that a word stands for.
    pub fn of_word(word: &str) -> Option<Resource> {
        let (_, group, version, plural) = WORDS.iter().find(|(known, ..)| *known == word)?;
        Some(Resource { group: (*group).into(), version: (*version).into(), plural: (*plural).into() })
    }

    /// Reads `widgets.v1.example.com`, as `kubectl get` takes it: the plural, the version and the group.
    pub fn of_path(path: &str) -> Option<Resource> {
        let name = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
                && !part.split('.').any(str::is_empty)
        };
        let (plural, rest) = path.split_once('.')?;
        let (version, group) = match rest.split_once('.') {
            Some((_, "")) => return None,
            Some(both) => both,
            None => (rest, ""),
        };
        let numbered = version.strip_prefix('v').is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        let lettered = plural.starts_with(|c: char| c.is_ascii_lowercase());
        (lettered && name(plural) && numbered && name(version) && (group.is_empty() || name(group)))
            .then(|| Resource { group: group.into(), version: version.into(), plural: plural.into() })
    }
}

impl Resource {
    /// Returns the word for the kind of its objects: its own, or the path without quotes.
    pub fn word(&self) -> Kind {
        Kind::of(&self.to_string().replace('"', ""))
    }

    /// Returns the kind of API object that a word or a path stands for; none for a kind of anything else.
    pub fn of_kind(kind: &Kind) -> Option<Resource> {
        Resource::of_word(kind.as_str()).or_else(|| Resource::of_path(kind.as_str()))
    }
}

impl PodCount {
    /// Every count with its words in the language.
    pub const ALL: [(PodCount, &str); 3] =
        [(PodCount::All, "count"), (PodCount::Ready, "ready"), (PodCount::Restarts, "restarts")];
}

impl fmt::Display for PodCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PodCount::ALL.iter().find(|(count, _)| count == self).map_or("", |(_, word)| word))
    }
}

impl fmt::Display for Resource {
    /// Writes it as a file would: its word, or its path in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resource { group, version, plural } = self;
        let known = WORDS.iter().find(|(_, g, v, p)| g == group && v == version && p == plural);
        match known {
            Some((word, ..)) => f.write_str(word),
            None if group.is_empty() => write!(f, "\"{plural}.{version}\""),
            None => write!(f, "\"{plural}.{version}.{group}\""),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind, self.name)?;
        within(self.namespace.as_ref(), f)
    }
}

impl fmt::Display for Watched {
    /// Writes it as it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watched::ReadyEndpoints(service) => write!(f, "ready endpoints of {service}"),
            Watched::Pods { pods, count } => write!(f, "{count} of {pods}"),
            Watched::Object { object, says: ObjectSays::Condition(name) } => {
                write!(f, "condition \"{name}\" of {object}")
            }
            Watched::Object { object, says: ObjectSays::Field(path) } => {
                write!(f, "field \"{path}\" of {object}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_by_word_and_by_path_and_written_likewise() {
        for word in Resource::words() {
            let kind = Resource::of_word(word).unwrap();
            assert_eq!(kind.to_string(), word);
            assert_eq!(Resource::of_kind(&kind.word()), Some(kind));
        }
        for path in ["widgets.v1.example.com", "secrets.v1", "destinationrules.v1beta1.networking.istio.io"] {
            let kind = Resource::of_path(path).unwrap();
            assert_eq!(kind.to_string(), format!("\"{path}\""));
            assert_eq!(Resource::of_kind(&kind.word()), Some(kind));
        }
        assert_eq!(Resource::of_path("deployments.v1.apps"), Resource::of_word("deployment"));
        let of_none = |path: &str| Resource::of_path(path).unwrap().is_of_no_namespace();
        assert!(of_none("nodes.v1") && of_none("clusterroles.v1.rbac.authorization.k8s.io"));
        assert!(!of_none("roles.v1.rbac.authorization.k8s.io") && !of_none("nodes.v1.example.com"));
        for wrong in
            ["", "deployments", "v1", ".v1.apps", "x.v1.", "x.one.apps", "X.v1.apps", "x.v1.a/b", "x.v1..a"]
        {
            assert_eq!(Resource::of_path(wrong), None, "{wrong}");
        }
    }
}
