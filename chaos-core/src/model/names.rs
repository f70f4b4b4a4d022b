//! What can happen to the questions that a target asks of DNS, and to which of them.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    quantity::{Quantity, format_seconds},
    target::glob,
};
use crate::{non_empty::NonEmpty, span::Spanned};

/// The most addresses that an answer may have: the largest such answer fits into any datagram that has the longest name.
pub const MOST_ADDRESSES: usize = 8;

/// What happens to queries, and to which of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NameFault {
    /// What happens to them.
    pub effect: Spanned<NameEffect>,
    /// The names that are meant, `*` standing for any characters. It is compared without case, with the name as it is asked
    /// for and with the name without a search domain of the place.
    pub of: Spanned<String>,
}

/// One effect on queries. Exhaustive matches over this enum find what a new one lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameEffect {
    /// Queries arrive later, and so do their answers.
    Delay {
        /// By how much.
        delay: Duration,
        /// How far the delay may differ from it, evenly distributed.
        jitter: Duration,
        /// What is delayed once.
        per: Per,
    },
    /// Queries fail.
    Fail {
        /// How.
        failure: NameFailure,
        /// The fraction of the queries.
        ratio: f64,
    },
    /// Queries for addresses are answered with these, and queries for other types with an answer that has no records.
    Answer {
        /// The addresses.
        with: NonEmpty<IpAddr>,
    },
}

/// What a delay happens to once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Each query.
    Query,
    /// What a client asks to resolve one name: A and AAAA, in all domains of its search list, as long as one query follows
    /// the other within a moment.
    Lookup,
}

/// How a query fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameFailure {
    /// The name does not exist.
    Nxdomain,
    /// The server failed.
    Servfail,
    /// The server refuses.
    Refused,
    /// There is no answer.
    Timeout,
    /// The answer over UDP is cut off and says so, and the client asks again over TCP. Queries over TCP are left alone.
    Truncate,
}

impl NameFailure {
    /// All of them, in the order of the reference.
    pub const ALL: [NameFailure; 5] = [
        NameFailure::Nxdomain,
        NameFailure::Servfail,
        NameFailure::Refused,
        NameFailure::Timeout,
        NameFailure::Truncate,
    ];

    /// Returns the word that names it in the language.
    pub fn word(self) -> &'static str {
        match self {
            NameFailure::Nxdomain => "nxdomain",
            NameFailure::Servfail => "servfail",
            NameFailure::Refused => "refused",
            NameFailure::Timeout => "timeout",
            NameFailure::Truncate => "truncate",
        }
    }
}

impl NameFault {
    /// Returns whether a name is meant, as it was asked for or without one of these search domains.
    pub fn means(&self, name: &str, search: &[String]) -> bool {
        let pattern = plain(&self.of);
        let name = plain(name);
        let short = search.iter().filter_map(|domain| without(&name, domain));
        glob(&pattern, &name) || short.into_iter().any(|short| glob(&pattern, short))
    }
}

/// Returns a name as it is compared: without case and without the dot of the root.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Returns what a client was asked to resolve when it asks for a name: the name without the longest of these search domains.
pub fn looked_up<'a>(name: &'a str, search: &[String]) -> &'a str {
    search.iter().filter_map(|domain| without(name, domain)).min_by_key(|short| short.len()).unwrap_or(name)
}

fn without<'a>(name: &'a str, domain: &str) -> Option<&'a str> {
    let domain = domain.trim_matches('.');
    let at = name.len().checked_sub(domain.len() + 1).filter(|at| *at > 0 && !domain.is_empty())?;
    let (short, rest) = (name.get(..at)?, name.get(at..)?);
    (rest.starts_with('.') && rest[1..].eq_ignore_ascii_case(domain)).then_some(short)
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = &self.of.value;
        match &self.effect.value {
            NameEffect::Delay { delay, jitter, per } => {
                write!(f, "dns delay {}", format_seconds(delay.as_secs_f64()))?;
                if !jitter.is_zero() {
                    write!(f, " jitter {}", format_seconds(jitter.as_secs_f64()))?;
                }
                let per = match per {
                    Per::Query => "query",
                    Per::Lookup => "lookup",
                };
                write!(f, " per {per} of \"{of}\"")
            }
            NameEffect::Fail { failure, ratio } => {
                write!(f, "dns {}", failure.word())?;
                if *ratio < 1.0 {
                    write!(f, " to {} of queries", Quantity::ratio(*ratio))?;
                }
                write!(f, " of \"{of}\"")
            }
            NameEffect::Answer { with } => {
                let with: Vec<String> = with.iter().map(ToString::to_string).collect();
                write!(f, "dns answer \"{of}\" with {}", with.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> NameFault {
        let effect = NameEffect::Fail { failure: NameFailure::Nxdomain, ratio: 1.0 };
        NameFault { effect: effect.into(), of: pattern.to_owned().into() }
    }

    #[test]
    fn a_name_is_meant_with_and_without_a_search_domain_and_without_case() {
        let search = ["svc.cluster.local".to_owned(), "cluster.local".to_owned()];
        for (pattern, name, meant) in [
            ("pay.example", "pay.example", true),
            ("pay.example", "PAY.exAmple.", true),
            ("Pay.Example", "pay.example", true),
            ("pay.example", "pay.example.svc.cluster.local", true),
            ("pay.example", "pay.example.cluster.LOCAL", true),
            ("pay.example", "pay.example.other", false),
            ("pay", "paysvc.cluster.local", false),
            ("pay*", "pay.svc.cluster.local", true),
            ("*.cluster.local", "pay.svc.cluster.local", true),
            ("pay.svc", "pay.svc.cluster.local", true),
            ("*", "x", true),
            ("", "svc.cluster.local", false),
        ] {
            assert_eq!(of(pattern).means(name, &search), meant, "{pattern} {name}");
        }
    }

    #[test]
    fn what_was_looked_up_is_the_name_without_its_longest_domain() {
        let search = ["b.example".to_owned(), "a.b.example".to_owned()];
        for (name, short) in [
            ("pay.a.b.example", "pay"),
            ("pay.b.example", "pay"),
            ("pay", "pay"),
            ("b.example", "b.example"),
            ("é.b.example", "é"),
        ] {
            assert_eq!(looked_up(name, &search), short);
        }
    }
}
