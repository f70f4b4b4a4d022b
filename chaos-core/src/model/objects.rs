//! What can happen to objects of a cluster's API.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{cluster::Service, quantity::format_seconds};
use crate::{non_empty::NonEmpty, span::Spanned};

/// What happens to an object. Exhaustive matches over this enum find what a new one lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectFault {
    /// Its replicas become another number.
    Scale {
        /// How many there are to be.
        to: u32,
    },
    /// Some of its fields get other values.
    Patch {
        /// Which, and what they become.
        fields: NonEmpty<FieldChange>,
    },
    /// A pod is taken out of a Service: it loses the labels by which the Service selects it, and runs on.
    Detach {
        /// The Service.
        from: Service,
    },
    /// A pod is deleted; what owns it makes another.
    Delete {
        /// How long its programs have to end, where that is not to be what the pod says.
        grace: Option<Duration>,
    },
    /// A pod is evicted, if the disruption budgets allow that; what owns it makes another.
    Evict,
    /// The pods of a workload are replaced by a rollout of the same template.
    Restart,
    /// A node takes no more pods, and those on it are evicted, as the disruption budgets allow; those of a DaemonSet stay.
    Drain {
        /// Whether pods go as well that nothing owns, and that nothing makes again.
        bare: bool,
    },
}

/// A field and the value that it gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// The field.
    pub path: Spanned<FieldPath>,
    /// What it becomes; none takes it away.
    pub to: Option<Value>,
}

/// The way to a field, name by name; in text a JSON pointer (RFC 6901).
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(/[^/]+)+$"))]
pub struct FieldPath(Vec<String>);

/// Why a text does not lead to a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not lead to a field: write names joined by dots, or `/` and names joined by `/` (RFC 6901)"
)]
pub struct NoPath(String);

impl FieldPath {
    /// Reads names joined by dots, such as `spec.selector.app`.
    ///
    /// # Errors
    /// A name is empty.
    pub fn dotted(text: &str) -> Result<Self, NoPath> {
        FieldPath::of(text.split('.').map(str::to_owned).collect(), text)
    }

    /// Reads a JSON pointer, such as `/metadata/labels/app.kubernetes.io~1name`.
    ///
    /// # Errors
    /// It does not begin with `/`, or a name is empty.
    pub fn pointer(text: &str) -> Result<Self, NoPath> {
        let rest = text.strip_prefix('/').ok_or_else(|| NoPath(text.to_owned()))?;
        FieldPath::of(rest.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(), text)
    }

    fn of(names: Vec<String>, text: &str) -> Result<Self, NoPath> {
        if names.iter().any(String::is_empty) { Err(NoPath(text.to_owned())) } else { Ok(FieldPath(names)) }
    }

    /// Returns the names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Returns it as a JSON pointer.
    pub fn to_pointer(&self) -> String {
        self.0.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
    }
}

impl TryFrom<String> for FieldPath {
    type Error = NoPath;

    fn try_from(text: String) -> Result<Self, NoPath> {
        FieldPath::pointer(&text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.to_pointer()
    }
}

impl ObjectFault {
    /// Returns the word that it begins with in the language.
    pub fn word(&self) -> &'static str {
        match self {
            ObjectFault::Scale { .. } => "scale",
            ObjectFault::Patch { .. } => "patch",
            ObjectFault::Detach { .. } => "detach",
            ObjectFault::Delete { .. } => "delete",
            ObjectFault::Evict => "evict",
            ObjectFault::Restart => "restart",
            ObjectFault::Drain { .. } => "drain",
        }
    }

    /// Says it with what it is done to, as a file would.
    pub fn on(&self, object: &impl fmt::Display) -> String {
        match self {
            ObjectFault::Scale { to } => format!("scale {object} to {to}"),
            ObjectFault::Patch { fields } => format!("patch {object} {}", block(fields)),
            ObjectFault::Detach { from } => format!("detach {object} from {from}"),
            ObjectFault::Delete { grace: None } => format!("delete {object}"),
            ObjectFault::Delete { grace: Some(grace) } => {
                format!("delete {object} grace {}", format_seconds(grace.as_secs_f64()))
            }
            ObjectFault::Evict => format!("evict {object}"),
            ObjectFault::Restart => format!("restart {object}"),
            ObjectFault::Drain { bare: false } => format!("drain {object}"),
            ObjectFault::Drain { bare: true } => format!("drain {object} including bare pods"),
        }
    }
}

fn block(fields: &NonEmpty<FieldChange>) -> String {
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", fields.join(", "))
}

impl fmt::Display for ObjectFault {
    /// Says it without what it is done to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectFault::Scale { to } => write!(f, "scale to {to}"),
            ObjectFault::Patch { fields } => write!(f, "patch {}", block(fields)),
            ObjectFault::Detach { from } => write!(f, "detach from {from}"),
            ObjectFault::Delete { grace: None } => f.write_str("delete"),
            ObjectFault::Delete { grace: Some(grace) } => {
                write!(f, "delete with a grace of {}", format_seconds(grace.as_secs_f64()))
            }
            ObjectFault::Evict => f.write_str("evict"),
            ObjectFault::Restart => f.write_str("restart"),
            ObjectFault::Drain { bare: false } => f.write_str("drain"),
            ObjectFault::Drain { bare: true } => f.write_str("drain including bare pods"),
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(value) => write!(f, "{} = {value}", self.path.value),
            None => write!(f, "{} = absent", self.path.value),
        }
    }
}

impl fmt::Display for FieldPath {
    /// Writes names joined by dots where that reads back as the same path, else the pointer in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |name: &String| {
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        if self.0.iter().all(is_plain) {
            f.write_str(&self.0.join("."))
        } else {
            write!(f, "\"{}\"", self.to_pointer())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_they_are_read() {
        let plain = FieldPath::dotted("spec.selector.app").unwrap();
        assert_eq!(
            (plain.to_string().as_str(), plain.to_pointer().as_str()),
            ("spec.selector.app", "/spec/selector/app")
        );
        let label = FieldPath::pointer("/metadata/labels/app.kubernetes.io~1name").unwrap();
        assert_eq!(label.names(), ["metadata", "labels", "app.kubernetes.io/name"]);
        assert_eq!(label.to_string(), "\"/metadata/labels/app.kubernetes.io~1name\"");
        assert_eq!(FieldPath::pointer("/a~01").unwrap().names(), ["a~1"]);
        for wrong in ["", "spec", "/", "/spec//x", "/spec/"] {
            assert!(FieldPath::pointer(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", ".spec", "spec..x", "spec."] {
            assert!(FieldPath::dotted(wrong).is_err(), "{wrong}");
        }
        let written = serde_json::to_string(&label).unwrap();
        assert_eq!(serde_json::from_str::<FieldPath>(&written).unwrap(), label);
    }

    #[test]
    fn faults_on_objects_read_as_they_are_written() {
        let field = FieldChange {
            path: FieldPath::dotted("spec.selector.app").unwrap().into(),
            to: Some("wrong".into()),
        };
        let gone = FieldChange { path: FieldPath::dotted("spec.paused").unwrap().into(), to: None };
        let fields = NonEmpty::try_from(vec![field, gone]).unwrap();
        let service = Service { name: "web".into(), namespace: None };
        for (fault, said) in [
            (ObjectFault::Scale { to: 0 }, "scale x to 0"),
            (
                ObjectFault::Patch { fields },
                "patch x { spec.selector.app = \"wrong\", spec.paused = absent }",
            ),
            (ObjectFault::Detach { from: service }, "detach x from service \"web\""),
            (ObjectFault::Delete { grace: None }, "delete x"),
            (ObjectFault::Delete { grace: Some(Duration::from_secs(5)) }, "delete x grace 5s"),
            (ObjectFault::Evict, "evict x"),
            (ObjectFault::Restart, "restart x"),
            (ObjectFault::Drain { bare: false }, "drain x"),
            (ObjectFault::Drain { bare: true }, "drain x including bare pods"),
        ] {
            assert_eq!(fault.on(&"x"), said);
            assert!(said.starts_with(fault.word()));
        }
    }
}
