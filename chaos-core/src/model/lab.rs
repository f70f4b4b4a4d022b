//! The lab: a scope that needs no cluster.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{command, quantity::format_seconds};
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
        /// The environment variables that it gets beside the usual ones, such as `PATH`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        env: Vec<String>,
        /// Whether it keeps the rights of whoever runs the experiment, instead of being an ordinary user.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        as_root: bool,
    },
}

/// Writes it as the language does.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |d: &Duration| format_seconds(d.as_secs_f64());
        match self {
            Program::Http { port, work, capacity, status } => {
                let work = (!work.is_zero()).then(|| format!("work {}", time(work)));
                let capacity = capacity.map(|n| format!("capacity {n}"));
                let status = (*status != 200).then(|| format!("status {status}"));
                let settings: Vec<String> = [work, capacity, status].into_iter().flatten().collect();
                write!(f, "http port {port}")?;
                if settings.is_empty() { Ok(()) } else { write!(f, " {{ {} }}", settings.join(", ")) }
            }
            Program::Gateway { port, upstream, upstream_port, timeout, retries } => write!(
                f,
                "gateway port {port} to {upstream}:{upstream_port} {{ timeout {}, retries {retries} }}",
                time(timeout)
            ),
            Program::Dns => f.write_str("dns"),
            Program::Command { argv, ready, env, as_root } => {
                write!(f, "\"{}\" ready ", command::line(argv))?;
                match ready {
                    Ready::Tcp(port) => write!(f, "when tcp {port}")?,
                    Ready::After(settle) => write!(f, "after {}", time(settle))?,
                }
                let names: Vec<String> = env.iter().map(|name| format!("\"{name}\"")).collect();
                let env = (!env.is_empty()).then(|| format!("env {}", names.join(" ")));
                let settings: Vec<String> =
                    env.into_iter().chain(as_root.then(|| "as root".to_owned())).collect();
                if settings.is_empty() { Ok(()) } else { write!(f, " {{ {} }}", settings.join(", ")) }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_as_they_are_written() {
        let http = |work, capacity, status| Program::Http { port: 80, work, capacity, status }.to_string();
        assert_eq!(http(Duration::ZERO, None, 200), "http port 80");
        assert_eq!(
            http(Duration::from_millis(50), Some(3), 503),
            "http port 80 { work 50ms, capacity 3, status 503 }"
        );
        let (upstream, timeout) = ("api".into(), Duration::from_secs(1));
        let gateway = Program::Gateway { port: 80, upstream, upstream_port: 8080, timeout, retries: 2 };
        assert_eq!(gateway.to_string(), "gateway port 80 to api:8080 { timeout 1s, retries 2 }");
        assert_eq!(Program::Dns.to_string(), "dns");
        let argv = vec!["redis-server".to_owned(), "--port".to_owned(), "6379".to_owned()];
        let command = |ready| {
            Program::Command { argv: argv.clone(), ready, env: Vec::new(), as_root: false }.to_string()
        };
        assert_eq!(command(Ready::Tcp(6379)), "\"redis-server --port 6379\" ready when tcp 6379");
        assert_eq!(
            command(Ready::After(Duration::from_secs(2))),
            "\"redis-server --port 6379\" ready after 2s"
        );
        let env = vec!["PGDATA".to_owned(), "PGPORT".to_owned()];
        let (argv, ready) = (vec!["pg".to_owned()], Ready::Tcp(5432));
        assert_eq!(
            Program::Command { argv, ready, env, as_root: true }.to_string(),
            "\"pg\" ready when tcp 5432 { env \"PGDATA\" \"PGPORT\", as root }"
        );
    }
}
