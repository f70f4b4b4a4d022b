//! What the built-in servers are reported, as the lab writes it and they read it.

use std::net::IpAddr;
use std::time::Duration;

use chaos_core::model::Program;
use serde::{Deserialize, Serialize};

use crate::address::{HostLayout, Layout};
use crate::resolver::Names;

/// How the HTTP server behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// The host's name, given in `x-served-by`.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
    /// How long a request occupies one of its places.
    #[serde(default)]
    pub work: Duration,
    /// How many requests it works on at once; more wait in line. Without it there is no limit.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// The status it answers with.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body of every answer; without it a line with the host's name.
    #[serde(default)]
    pub body: Option<String>,
}

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The host's name, given in `x-served-by` where no upstream answered.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
    /// The name of the upstream.
    pub upstream: String,
    /// The upstream's port.
    pub upstream_port: u16,
    /// The upstream's addresses, where there is no DNS server to ask.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The DNS servers to ask for the upstream.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// The time each try may take, from connecting to the last byte of the answer; and looking up the upstream.
    pub timeout: Duration,
    /// How many more tries a failed one gets.
    pub retries: u32,
}

/// What the DNS server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// The port to listen on.
    pub port: u16,
    /// The names and what they stand for.
    pub names: Names,
}

fn ok() -> u16 {
    200
}

/// Gives the kind of a built-in program and its configuration as JSON.
pub(crate) fn of(program: &Program, host: &HostLayout, layout: &Layout) -> (&'static str, String) {
    let json = match program {
        Program::Http { port, work, capacity, status } => (
            "http",
            serde_json::to_string(&Http {
                host: host.name.clone(),
                port: *port,
                work: *work,
                capacity: *capacity,
                status: *status,
                body: None,
            }),
        ),
        Program::Gateway { port, upstream, upstream_port, timeout, retries } => (
            "gateway",
            serde_json::to_string(&Gateway {
                host: host.name.clone(),
                port: *port,
                upstream: upstream.value.clone(),
                upstream_port: *upstream_port,
                addresses: if layout.dns.is_empty() {
                    layout.names.resolve(upstream).to_vec()
                } else {
                    vec![]
                },
                dns: layout.dns.clone(),
                timeout: *timeout,
                retries: *retries,
            }),
        ),
        Program::Dns => ("dns", serde_json::to_string(&Dns { port: 53, names: layout.names.clone() })),
        Program::Command { .. } => unreachable!("commands configure themselves"),
    };
    (json.0, json.1.expect("configurations hold nothing that JSON cannot"))
}
