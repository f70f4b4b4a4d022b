//! Which object: its identity, apart from what may change about it.

use std::{borrow::Cow, collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::Protection;

/// The namespace that a cluster itself runs in.
const SYSTEM: &str = "kube-system";

/// What kind of thing an object is, as a word: `host`, `netns`, or whatever a scope yet to come is made of.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9.-]*$"))]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// A lab host.
    pub const HOST: Kind = Kind(Cow::Borrowed("host"));
    /// The runner's own machine.
    pub const HERE: Kind = Kind(Cow::Borrowed("here"));
    /// A named network namespace.
    pub const NETNS: Kind = Kind(Cow::Borrowed("netns"));
    /// A process; its name is `NAME[PID@START]`.
    pub const PROCESS: Kind = Kind(Cow::Borrowed("process"));
    /// A pod of a cluster.
    pub const POD: Kind = Kind(Cow::Borrowed("pod"));
    /// A node of a cluster.
    pub const NODE: Kind = Kind(Cow::Borrowed("node"));
    /// A Service of a cluster.
    pub const SERVICE: Kind = Kind(Cow::Borrowed("service"));

    /// Makes a word of a text: what a word cannot have in it becomes `-`.
    pub(crate) fn of(text: &str) -> Kind {
        let fit = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' { c } else { '-' };
        let word: String = text.chars().map(fit).collect();
        Kind::try_from(word.clone()).unwrap_or_else(|_| Kind(Cow::Owned(format!("x{word}"))))
    }

    /// Returns its word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text does not name a kind of object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a kind of object: write a lower-case word such as `pod`")]
pub struct UnknownKind(String);

impl TryFrom<String> for Kind {
    type Error = UnknownKind;

    fn try_from(word: String) -> Result<Self, UnknownKind> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(inner) {
            Ok(Kind(Cow::Owned(word)))
        } else {
            Err(UnknownKind(word))
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> String {
        kind.0.into_owned()
    }
}

/// Which object: what makes it itself, whatever else changes about it.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct ObjectId {
    /// What kind of thing it is.
    pub kind: Kind,
    /// The namespace that its name belongs to, where names of its kind have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name, unique within its kind and namespace.
    pub name: String,
    /// What distinguishes it from an earlier or later object of the same name, where its scope gives that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl ObjectId {
    /// Names an object whose kind has neither namespaces nor uids.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        ObjectId { kind, namespace: None, name: name.into(), uid: None }
    }

    /// Names a host of a lab.
    pub fn host(name: impl Into<String>) -> Self {
        ObjectId::new(Kind::HOST, name)
    }

    /// Names the runner's own machine.
    pub fn here() -> Self {
        ObjectId::new(Kind::HERE, "here")
    }

    /// Names a network namespace.
    pub fn netns(name: impl Into<String>) -> Self {
        ObjectId::new(Kind::NETNS, name)
    }

    /// Names a process, as `NAME[PID@START]`.
    pub fn process(name: impl Into<String>) -> Self {
        ObjectId::new(Kind::PROCESS, name)
    }

    /// Adds the addresses that it has at the moment.
    pub fn at(self, addresses: impl Into<Vec<IpAddr>>) -> Object {
        Object { id: self, addresses: addresses.into(), node: None, protected: Vec::new() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::HERE {
            return f.write_str("this machine");
        }
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object as it was found: its identity, and what may be otherwise the next time.
///
/// Two of the same `id` are the same object, whatever their addresses; so this is neither ordered nor hashed, and the keys of
/// maps and sets are `id`s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Which object.
    pub id: ObjectId,
    /// Its addresses, as far as known when it was looked up.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on, where it is of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What protects it, beside what its identity says: see [`Object::protections`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<Protection>,
}

impl Object {
    /// Returns everything that protects it: what was found out about it, and what its identity says.
    pub fn protections(&self) -> BTreeSet<Protection> {
        let mut all: BTreeSet<Protection> = self.protected.iter().copied().collect();
        if self.is_of_the_cluster() {
            all.insert(Protection::KubeSystem);
        }
        if self.id.kind == Kind::NODE {
            all.insert(Protection::Nodes);
        }
        all
    }

    /// Whether the cluster itself lives on it: what is in its namespace, that namespace, and the roles of its own components, which
    /// are of no namespace and whose names begin alike (Kubernetes, "Using RBAC Authorization").
    fn is_of_the_cluster(&self) -> bool {
        match self.id.namespace.as_deref() {
            Some(namespace) => namespace == SYSTEM,
            None => {
                self.id.name.starts_with("system:")
                    || (self.id.kind.as_str() == "namespace" && self.id.name == SYSTEM)
            }
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}
