//! What each kind of probe is: what it reads and times, how often it measures, and its words.
//!
//! Everything that a plan, a report, an explanation or a check has to know of a kind stands here, one match for each
//! question; how a measurement is taken is the matter of a prober.

#![warn(clippy::wildcard_enum_match_arm)]

use std::fmt;

use super::{AlertSource, HeaderValue, ProbeKind, grpc};
use crate::model::{
    command,
    metric::Field,
    quantity::{Quantity, Unit, format_seconds},
};

/// Whom a probe asks, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks<'a> {
    /// The server of a URL.
    Url(&'a str),
    /// A host and a port.
    Address(&'a str),
}

impl<'a> Asks<'a> {
    /// Returns it as written.
    pub fn as_written(self) -> &'a str {
        match self {
            Asks::Url(text) | Asks::Address(text) => text,
        }
    }
}

/// The statuses that the answers of a kind can have.
#[derive(Clone, Copy, Debug)]
pub struct Statuses {
    /// Whether a text is one of them.
    pub contain: fn(&str) -> bool,
    /// How one is written.
    pub help: &'static str,
}

impl ProbeKind {
    /// Returns what its measurements read, with its unit; none where they read nothing.
    pub fn reads(&self) -> Option<Field> {
        match self {
            ProbeKind::Prometheus { scale, .. } | ProbeKind::Exec { scale, .. } => {
                Some(Field::Value(scale.unit))
            }
            // Whatever a harness reads is a plain number.
            ProbeKind::Custom { .. } | ProbeKind::Kube(_) => Some(Field::Value(Unit::Count)),
            ProbeKind::Tls { .. } => Some(Field::DaysLeft),
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Alerts { .. } => None,
        }
    }

    /// Returns whether its measurements have a part of this name.
    pub fn takes(&self, field: Field) -> bool {
        match (self, field) {
            (ProbeKind::Kube(_), field) => self.reads() == Some(field),
            (ProbeKind::Custom { .. }, _) | (_, Field::Latency | Field::Duration | Field::Dns) => true,
            (_, Field::Value(_) | Field::DaysLeft) => self.reads() == Some(field),
            (
                ProbeKind::Http { .. }
                | ProbeKind::Prometheus { .. }
                | ProbeKind::Alerts { .. }
                | ProbeKind::Grpc { .. },
                Field::Connect | Field::Ttfb,
            ) => true,
            (
                ProbeKind::Http { url, .. }
                | ProbeKind::Prometheus { url, .. }
                | ProbeKind::Alerts { url, .. },
                Field::Tls,
            ) => url.starts_with("https://"),
            (ProbeKind::Grpc { secure, .. }, Field::Tls) => *secure,
            (ProbeKind::Tls { .. }, Field::Connect | Field::Tls) => true,
            (ProbeKind::Tls { .. }, Field::Ttfb) => false,
            (ProbeKind::Tcp { .. }, Field::Connect) => true,
            (ProbeKind::Tcp { .. }, Field::Tls | Field::Ttfb) => false,
            (ProbeKind::Dns { .. } | ProbeKind::Exec { .. }, Field::Connect | Field::Tls | Field::Ttfb) => {
                false
            }
        }
    }

    /// Returns whether it asks another system for what that knows, so that an answer holds until the next one.
    pub fn is_polled(&self) -> bool {
        match self {
            ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. } | ProbeKind::Kube(_) => true,
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Custom { .. } => false,
        }
    }

    /// Returns whom its requests go to, host and port, where each is one request to one server of a lab.
    pub fn server(&self) -> Option<&str> {
        match self {
            ProbeKind::Http { url, .. } => url.split_once("://")?.1.split('/').next(),
            ProbeKind::Tcp { address } => Some(address.as_str()),
            ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Prometheus { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => None,
        }
    }

    /// Returns the port that its requests go to, where each is one request to one server.
    pub fn port(&self) -> Option<u16> {
        let port = self.server()?.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.or(match self {
            ProbeKind::Http { url, .. } if url.starts_with("https:") => Some(443),
            ProbeKind::Http { .. } => Some(80),
            ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Prometheus { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => None,
        })
    }

    /// Returns whom it asks; none where it asks nobody, or the scope, its place or the harness says whom.
    pub fn asks(&self) -> Option<Asks<'_>> {
        match self {
            ProbeKind::Http { url, .. }
            | ProbeKind::Alerts { url, .. }
            | ProbeKind::Prometheus { url, .. } => Some(Asks::Url(&url.value)),
            ProbeKind::Tcp { address }
            | ProbeKind::Tls { address, .. }
            | ProbeKind::Grpc { address, .. }
            | ProbeKind::Dns { server: Some(address), .. } => Some(Asks::Address(&address.value)),
            ProbeKind::Dns { server: None, .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => None,
        }
    }

    /// Returns the command that each measurement runs, where it runs one.
    pub fn command(&self) -> Option<&[String]> {
        match self {
            ProbeKind::Exec { words, .. } => Some(words),
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Prometheus { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => None,
        }
    }

    /// Returns what it sends with each request beside the request itself.
    pub fn headers(&self) -> &[(String, HeaderValue)] {
        match self {
            ProbeKind::Http { headers, .. } => headers,
            ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Prometheus { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => &[],
        }
    }

    /// Returns which statuses its answers can have, and how one is written; none where anything may be one, or nothing is.
    pub fn statuses(&self) -> Option<Statuses> {
        match self {
            ProbeKind::Http { .. } => {
                Some(Statuses { contain: is_http_status, help: "write a status such as 200 or 503" })
            }
            ProbeKind::Grpc { .. } => Some(Statuses {
                contain: is_grpc_status,
                help: "write a status such as `SERVING` or `UNAVAILABLE`",
            }),
            ProbeKind::Tcp { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Prometheus { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => None,
        }
    }

    /// Returns the prober of the harness that it needs, where it needs one.
    pub fn prober(&self) -> Option<&str> {
        match self {
            ProbeKind::Custom { prober } => Some(prober),
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Prometheus { .. } => None,
        }
    }

    /// Returns how many measurements a second it takes where nothing else is said.
    pub fn usual_rate(&self) -> f64 {
        match self {
            ProbeKind::Prometheus { .. }
            | ProbeKind::Alerts { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Exec { .. } => 1.0,
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Kube(_)
            | ProbeKind::Custom { .. } => 10.0,
        }
    }

    /// Returns its name with its article.
    pub fn name(&self) -> &'static str {
        match self {
            ProbeKind::Http { .. } => "an http probe",
            ProbeKind::Tcp { .. } => "a tcp probe",
            ProbeKind::Dns { .. } => "a dns probe",
            ProbeKind::Tls { .. } => "a tls probe",
            ProbeKind::Grpc { .. } => "a grpc probe",
            ProbeKind::Exec { .. } => "an exec probe",
            ProbeKind::Alerts { .. } => "the question for alerts",
            ProbeKind::Prometheus { .. } => "a prometheus probe",
            ProbeKind::Kube(_) => "a kube probe",
            ProbeKind::Custom { .. } => "this probe",
        }
    }

    /// Says what one measurement does.
    pub fn in_words(&self) -> String {
        match self {
            ProbeKind::Http { method, url, .. } => format!("HTTP {method} {url}"),
            ProbeKind::Tcp { address } => format!("opening a TCP connection to {address}"),
            ProbeKind::Dns { record, name, server: None } => {
                format!("asking for the {record} record of {name}")
            }
            ProbeKind::Dns { record, name, server: Some(server) } => {
                format!("asking {server} for the {record} record of {name}")
            }
            ProbeKind::Tls { address, name: None } => format!("a TLS handshake with {address}"),
            ProbeKind::Tls { address, name: Some(name) } => {
                format!("a TLS handshake with {address}, as {name}")
            }
            ProbeKind::Grpc { address, service, secure } => format!(
                "asking {address} by gRPC{} for the health of {}",
                if *secure { " over TLS" } else { "" },
                if service.is_empty() { "the server" } else { service }
            ),
            ProbeKind::Exec { words, .. } => format!("running {}", command::line(words)),
            ProbeKind::Alerts { source: AlertSource::Alertmanager, url } => {
                format!("asking the Alertmanager at {url} which alerts fire")
            }
            ProbeKind::Alerts { source: AlertSource::Prometheus, url } => {
                format!("asking the Prometheus at {url} which alerts fire")
            }
            ProbeKind::Prometheus { query, url, take: None, .. } => {
                format!("asking the Prometheus at {url} for {query}")
            }
            ProbeKind::Prometheus { query, url, take: Some(take), .. } => format!(
                "asking the Prometheus at {url} for the {} of {query} over the last {}, in steps of {}",
                take.which.as_str(),
                format_seconds(take.over.as_secs_f64()),
                format_seconds(take.step.as_secs_f64())
            ),
            ProbeKind::Kube(watched) => format!("watching {watched}"),
            ProbeKind::Custom { prober } => format!("the harness's prober {prober}"),
        }
    }

    /// Says what counts as a reading; nothing of a kind that reads nothing.
    pub fn reading_in_words(&self) -> String {
        match self {
            ProbeKind::Prometheus { default, scale, .. } => {
                let one = Quantity::new(scale.factor, scale.unit);
                let counts = match scale.unit == Unit::Count {
                    true => String::new(),
                    false => format!(", of which one counts as {one}"),
                };
                match default {
                    Some(value) => format!(
                        "It reads one number{counts}; an answer without a series reads {}. An error of the server reads nothing.",
                        Quantity::new(value * scale.factor, scale.unit)
                    ),
                    None => format!(
                        "It reads one number{counts}; an answer without a series, or an error of the server, reads nothing, \
                         which is unknown, not a failure."
                    ),
                }
            }
            ProbeKind::Alerts { .. } => {
                "While nobody can be asked, whether an alert fires is unknown.".to_owned()
            }
            ProbeKind::Kube(_) => {
                "It reads one number. While the API server is out of reach, nothing is read.".to_owned()
            }
            ProbeKind::Http { .. }
            | ProbeKind::Tcp { .. }
            | ProbeKind::Dns { .. }
            | ProbeKind::Tls { .. }
            | ProbeKind::Grpc { .. }
            | ProbeKind::Exec { .. }
            | ProbeKind::Custom { .. } => String::new(),
        }
    }

    /// Says what counts as a success where the experiment does not; none where it measures no success.
    pub fn usual_success(&self) -> Option<&'static str> {
        match self {
            ProbeKind::Http { .. } => Some("It succeeds when the status is 200 to 399."),
            ProbeKind::Tcp { .. } => Some("It succeeds when the connection is accepted."),
            ProbeKind::Dns { .. } => Some("It succeeds when an answer comes."),
            ProbeKind::Tls { .. } => Some(
                "It succeeds when the handshake does, with a certificate that is trusted, valid and for that name.",
            ),
            ProbeKind::Grpc { .. } => Some("It succeeds when the answer is SERVING."),
            ProbeKind::Exec { .. } => Some("It succeeds when the command ends with 0."),
            ProbeKind::Custom { .. } => Some("What succeeds is up to that prober."),
            ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. } | ProbeKind::Kube(_) => None,
        }
    }
}

/// Whether an answer of HTTP can have a status (RFC 9110, section 15).
fn is_http_status(value: &str) -> bool {
    value.parse::<u16>().is_ok_and(|n| (100..1000).contains(&n))
}

/// Whether a health check of gRPC can have a status: one of grpc.health.v1, or the code of a call that failed.
fn is_grpc_status(value: &str) -> bool {
    grpc::HEALTH.contains(&value) || grpc::CODES.contains(&value)
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeKind::Http { method, url, .. } => write!(f, "http {method} {url}"),
            ProbeKind::Tcp { address } => write!(f, "tcp {address}"),
            ProbeKind::Dns { record, name, server: None } => write!(f, "dns {record} {name}"),
            ProbeKind::Dns { record, name, server: Some(server) } => {
                write!(f, "dns {record} {name} at {server}")
            }
            ProbeKind::Tls { address, .. } => write!(f, "tls {address}"),
            ProbeKind::Grpc { address, service, .. } if service.is_empty() => write!(f, "grpc {address}"),
            ProbeKind::Grpc { address, service, .. } => write!(f, "grpc {address} {service}"),
            ProbeKind::Exec { words, .. } => write!(f, "exec `{}`", command::line(words)),
            ProbeKind::Alerts { source, url } => write!(f, "alerts from {} {url}", source.as_str()),
            ProbeKind::Prometheus { query, url, .. } => write!(f, "prometheus {query} at {url}"),
            ProbeKind::Kube(watched) => write!(f, "kube {watched}"),
            ProbeKind::Custom { prober } => write!(f, "custom `{prober}`"),
        }
    }
}
