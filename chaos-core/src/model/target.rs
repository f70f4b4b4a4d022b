//! Which objects: selectors, picks, and named targets.

#![warn(clippy::wildcard_enum_match_arm)]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    cluster::{Pods, Service},
    watched::ObjectRef,
};
use crate::span::{Span, Spanned};

/// Words that find objects in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// Lab hosts by name or glob (`api-1`, `api`, `api-*`); the name of a counted host means all of its copies.
    Hosts(Spanned<String>),
    /// This machine's own network namespace.
    Here(Span),
    /// A named network namespace of this machine (`/run/netns/NAME`).
    Netns(Spanned<String>),
    /// The network namespace of the processes with this name.
    Process(Spanned<String>),
    /// Pods of a cluster.
    Pods(Pods),
    /// A Service of a cluster: only as the other end of traffic.
    Service(Service),
    /// One object of a cluster by its kind and name: only as what an object's fault is on.
    Object(ObjectRef),
    /// A target declared by name.
    Named(Spanned<String>),
}

impl Selector {
    /// Returns where it was written.
    pub fn span(&self) -> Span {
        match self {
            Selector::Here(span) => *span,
            Selector::Pods(pods) => pods.span,
            Selector::Service(service) => service.name.span,
            Selector::Object(object) => object.name.span,
            Selector::Hosts(s) | Selector::Netns(s) | Selector::Process(s) | Selector::Named(s) => s.span,
        }
    }
}

impl Selector {
    /// Returns the name or pattern of a lab's hosts; none for a selector of anything else.
    pub fn pattern(&self) -> Option<&Spanned<String>> {
        match self {
            Selector::Hosts(pattern) => Some(pattern),
            Selector::Here(_)
            | Selector::Netns(_)
            | Selector::Process(_)
            | Selector::Pods(_)
            | Selector::Service(_)
            | Selector::Object(_)
            | Selector::Named(_) => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Hosts(name) => write!(f, "hosts {name}"),
            Selector::Here(_) => f.write_str("here"),
            Selector::Netns(name) => write!(f, "netns \"{name}\""),
            Selector::Process(name) => write!(f, "process \"{name}\""),
            Selector::Pods(pods) => pods.fmt(f),
            Selector::Service(service) => service.fmt(f),
            Selector::Object(object) => object.fmt(f),
            Selector::Named(name) => write!(f, "{name}"),
        }
    }
}

/// A named set of objects, drawn once per run from the run's seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// Its name.
    pub name: Spanned<String>,
    /// What finds the objects.
    pub selector: Selector,
    /// How many of them.
    pub pick: Pick,
}

/// How many of the objects found are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// All of them.
    #[default]
    All,
    /// So many, drawn at random from the run's seed.
    Count(u32),
    /// So many of each node, drawn at random from the run's seed; all of a node that has fewer.
    PerNode(u32),
    /// So many of each zone, drawn at random from the run's seed; all of a zone that has fewer.
    PerZone(u32),
    /// A fraction, rounded down but at least one, and at most `up_to`.
    Share {
        /// The fraction.
        fraction: f64,
        /// The most to pick.
        up_to: Option<u32>,
    },
}

impl Pick {
    /// Returns how many are picked at most of this many that were found: with [`Pick::PerNode`] and [`Pick::PerZone`] the nodes decide.
    pub fn of(self, found: usize) -> usize {
        let wanted = match self {
            Pick::All | Pick::PerNode(_) | Pick::PerZone(_) => found,
            Pick::Count(n) => n as usize,
            // A share that is whole but for a rounding error is whole.
            Pick::Share { fraction, up_to } => {
                let share = ((found as f64 * fraction + 1e-9).floor() as usize).max(1);
                share.min(up_to.map_or(usize::MAX, |n| n as usize))
            }
        };
        wanted.min(found)
    }
}

/// Returns whether a name matches a pattern in which `*` stands for any characters; takes no longer than their lengths
/// multiplied, whatever the pattern.
pub fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let (middle, end) = tail.rsplit_once('*').unwrap_or(("", tail));
    // Each part between two stars is found where it first can be: no other choice leaves more for those behind it.
    for part in middle.split('*') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, matches) in [
            ("api-*", "api-1", true),
            ("*", "x", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("api", "api-1", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("a*a", "a", false),
            ("**", "", true),
            ("*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }
}
