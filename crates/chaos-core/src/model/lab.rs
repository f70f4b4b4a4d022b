//! The lab: a scope that needs no cluster.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::span::{Span, Spanned};

/// Hosts on one switch, each a network namespace with its own address and real processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lab {
    /// The hosts, in the order they were declared.
    pub hosts: Vec<Host>,
    /// Properties of the ways between them.
    pub links: Vec<Link>,
    /// Where it was written.
    pub span: Span,
}

impl Lab {
    /// Returns the name of every host, copies counted: `api 3` gives `api-1`, `api-2`, `api-3`.
    pub fn names(&self) -> Vec<String> {
        self.hosts.iter().flat_map(Host::names).collect()
    }
}

/// One host, or several copies of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Host {
    /// The name as declared.
    pub name: Spanned<String>,
    /// The number of copies; without one there is a single host that bears the name itself.
    pub copies: Option<u32>,
    /// What runs on it.
    pub programs: Vec<Spanned<Program>>,
}

impl Host {
    /// Returns the names of the copies.
    pub fn names(&self) -> Vec<String> {
        match self.copies {
            None => vec![self.name.value.clone()],
            Some(n) => (1..=n).map(|i| format!("{}-{i}", self.name.value)).collect(),
        }
    }
}

/// A way between two hosts with a delay of its own, present from the start to the end of the lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Link {
    /// One end: a host's name.
    pub a: Spanned<String>,
    /// The other end.
    pub b: Spanned<String>,
    /// What each direction adds.
    pub delay: Duration,
}

/// A program on a lab host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The built-in HTTP server.
    Http {
        /// The port it listens on.
        port: u16,
        /// How long a request occupies one of its places.
        work: Duration,
        /// How many requests it works on at once; more wait in line.
        capacity: Option<u32>,
        /// The status it answers with.
        status: u16,
    },
    /// The built-in reverse proxy.
    Gateway {
        /// The port it listens on.
        port: u16,
        /// The upstream host's name.
        upstream: Spanned<String>,
        /// The upstream port.
        upstream_port: u16,
        /// The time each try may take.
        timeout: Duration,
        /// How many more tries a failed one gets.
        retries: u32,
    },
    /// The built-in DNS server of the lab's names, on port 53.
    Dns,
    /// A real program.
    Command {
        /// The program and its arguments; no shell is involved.
        argv: Vec<String>,
        /// What shows that it is ready.
        ready: Ready,
    },
}

/// What shows that a program is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// It accepts connections on this TCP port.
    Tcp(u16),
    /// It has been alive for so long.
    After(Duration),
}
