//! `lab { … }`: hosts, what runs on them, and the links between them.

use std::{collections::BTreeMap, time::Duration};

use chaos_core::{
    model::{Host, Lab, Link, Program, Ready},
    span::{Span, Spanned},
};

use super::Checker;
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest,
    syntax::{Block, Cursor, Item, Statement, Symbol},
};

/// The most hosts of a lab.
const MAX_HOSTS: u32 = 1000;

const PROGRAMS: &[&str] = &["http", "gateway", "dns"];

impl Checker {
    /// Checks a lab's block. With mistakes it is a lab all the same, without hosts where these are not certain.
    pub(super) fn lab(&mut self, statement: &Statement<'_>) -> Lab {
        let mut cursor = statement.cursor();
        cursor.take();
        let mut lab = Lab { span: statement.span, ..Lab::default() };
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "the lab's hosts in braces")
                .advise("write `lab { host client … }`")
                .because(Cause::NoBlock);
            return lab;
        };
        let mut taken = BTreeMap::new();
        let mut before: Option<&Statement<'_>> = None;
        for statement in &block.statements {
            match statement.keyword() {
                "host" => self.host(statement, &mut lab, &mut taken),
                "link" => {}
                // The first of them has been reported.
                "run" if before.is_some_and(|line| line.keyword() == "run") => {}
                "run" => self.run_without_host(statement, before),
                word => {
                    let near = suggest::did_you_mean(word, ["host", "link"]);
                    let message = format!("a lab has no `{word}`");
                    self.error(Code::UnknownStatement, statement.span, message).advise_on(
                        statement.head(),
                        near.unwrap_or_else(|| "a lab holds `host` and `link` lines".into()),
                    );
                }
            }
            before = Some(statement);
        }
        for statement in block.statements.iter().filter(|s| s.keyword() == "link") {
            self.link(statement, &mut lab);
        }
        if lab.hosts.is_empty() {
            self.error(Code::MissingLine, block.span, "the lab has no host").help =
                Some("add `host client`".into());
        }
        if lab.hosts.iter().map(|h| u64::from(h.copies.unwrap_or(1))).sum::<u64>() > u64::from(MAX_HOSTS) {
            let message = format!("the lab has more than {MAX_HOSTS} hosts");
            self.error(Code::TooMuch, statement.span, message).help = Some("declare fewer copies".into());
            return Lab { span: statement.span, ..Lab::default() };
        }
        self.upstreams(&lab);
        lab
    }

    /// Reports a program in the braces of the lab, where the line before may be a host whose own were never opened.
    fn run_without_host(&mut self, run: &Statement<'_>, before: Option<&Statement<'_>>) {
        let host = before.filter(|line| line.keyword() == "host" && line.block().is_none());
        match host.and_then(|host| Some((host, host.name()?))) {
            Some((host, name)) => {
                let message =
                    format!("expected the programs of `{}` in braces, found the end of the line", name.text);
                let end = Span { start: host.span.end, ..host.span };
                self.error(Code::Misplaced, end, message)
                    .advise("end the line with `{`, and write `}` behind the last program")
                    .because(Cause::NoBlock);
            }
            None => {
                self.error(Code::UnknownStatement, run.span, "a lab has no `run`").help =
                    Some("write it in the braces of a host: `host api { run http port 8080 }`".into());
            }
        }
    }

    fn host(&mut self, statement: &Statement<'_>, lab: &mut Lab, taken: &mut BTreeMap<String, Span>) {
        let Some(name) = statement.name() else { return };
        let name = Spanned::new(name.text.to_owned(), name.span);
        let mut cursor = statement.cursor();
        cursor.take();
        cursor.take();
        let mut valid = name.value.len() <= 40 && !name.value.contains(['*', '.', '_']);
        valid &= name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid {
            let message = format!("`{name}` cannot be a host's name");
            self.error(Code::BadAddress, name.span, message).help = Some(
                "host names are DNS labels: lower-case letters, digits and `-`, at most 40 of them".into(),
            );
        }
        let mut copies = None;
        if cursor.peek().is_some_and(|i| i.as_quantity().is_some()) {
            copies = self.take_count(&mut cursor, "the number of copies", 1, MAX_HOSTS);
        }
        let mut host = Host { name: name.clone(), copies, programs: Vec::new() };
        if let Some(block) = cursor.take_block() {
            for line in &block.statements {
                if let Some(program) = self.program(line.cursor()) {
                    host.programs.push(Spanned::new(program, line.span));
                }
            }
        }
        self.end(&cursor, &[]);
        self.ports_taken(&host);
        // A copy's name may also be declared by hand: `host api 3` and `host api-1`.
        let mut names = host.names();
        names.push(name.value.clone());
        match names.iter().find_map(|n| taken.get(n)) {
            Some(first) => self.duplicate("host", &name, *first),
            None => {
                // Names beyond the limit are not kept: the lab is refused as a whole.
                if taken.len() <= 2 * MAX_HOSTS as usize {
                    taken.extend(names.into_iter().map(|n| (n, name.span)));
                }
            }
        }
        lab.hosts.push(host);
    }

    /// Reads `run PROGRAM`.
    pub(super) fn program(&mut self, mut cursor: Cursor<'_, '_>) -> Option<Program> {
        if cursor.take_word("run").is_none() {
            let first = cursor.peek().and_then(Item::as_word).map_or("", |word| word.text);
            let near = suggest::did_you_mean(first, ["run"]);
            let shape = "write `run http port 8080`, or `run \"program --flag\" ready when tcp 6379`";
            let at = cursor.span();
            self.error(Code::UnknownStatement, cursor.whole(), "a host holds only `run` lines")
                .advise_on(at, near.unwrap_or_else(|| shape.into()));
            return None;
        }
        if cursor.peek().is_some_and(|i| i.as_text().is_some()) {
            return self.command(&mut cursor);
        }
        let Some(kind) = cursor.take_any_word() else {
            self.expected(&cursor, "a program").help =
                Some("write `http`, `gateway`, `dns`, or a command in quotes".into());
            return None;
        };
        match kind.text {
            "dns" => {
                self.end(&cursor, &[]);
                Some(Program::Dns)
            }
            "http" => {
                let port = self.port(&mut cursor)?;
                let (mut work, mut capacity, mut status) = (Duration::ZERO, None, 200);
                if let Some(block) = cursor.take_block() {
                    self.settings(
                        block,
                        &["work", "capacity", "status"],
                        |checker, word, cursor| match word {
                            "work" => {
                                work = checker
                                    .take_duration(cursor, "the time of work", true)
                                    .unwrap_or_default()
                            }
                            "capacity" => capacity = checker.take_count(cursor, "the capacity", 1, 1_000_000),
                            _ => {
                                status =
                                    checker.take_count(cursor, "the status", 100, 599).unwrap_or(200) as u16
                            }
                        },
                    );
                }
                self.end(&cursor, &["port"]);
                Some(Program::Http { port, work, capacity, status })
            }
            "gateway" => {
                let port = self.port(&mut cursor)?;
                if cursor.take_word("to").is_none() {
                    self.expected(&cursor, "`to` and the upstream").help =
                        Some("write `run gateway port 80 to api:8080`".into());
                    return None;
                }
                let Some(upstream) = cursor.take_any_word() else {
                    self.expected(&cursor, "the name of the upstream host").help =
                        Some("write `run gateway port 80 to api:8080`".into());
                    return None;
                };
                if cursor.take_symbol(Symbol::Colon).is_none() {
                    self.expected(&cursor, "`:` and the upstream's port").help =
                        Some(format!("write `to {}:8080`", upstream.text));
                    return None;
                }
                let upstream_port = self.take_port(&mut cursor)?;
                let (mut timeout, mut retries) = (Duration::from_secs(1), 0);
                if let Some(block) = cursor.take_block() {
                    self.settings(block, &["timeout", "retries"], |checker, word, cursor| match word {
                        "timeout" => {
                            timeout = checker.take_duration(cursor, "the timeout", false).unwrap_or(timeout)
                        }
                        _ => {
                            retries = checker.take_count(cursor, "the number of retries", 0, 100).unwrap_or(0)
                        }
                    });
                }
                self.end(&cursor, &["port", "to"]);
                let upstream = Spanned::new(upstream.text.to_owned(), upstream.span);
                Some(Program::Gateway { port, upstream, upstream_port, timeout, retries })
            }
            word => {
                let near = suggest::did_you_mean(word, PROGRAMS.iter().copied());
                let advice = near.unwrap_or_else(|| {
                    format!("for a real program write `run \"{word} …\" ready when tcp PORT`").into()
                });
                self.error(Code::UnknownKind, kind.span, format!("there is no built-in program `{word}`"))
                    .advise(advice);
                None
            }
        }
    }

    fn command(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Program> {
        let words = self.take_string(cursor, "the command")?;
        let argv = self.words(&words, "run", "redis-server --port 6379")?;
        let ready = if cursor.take_words(&["ready", "when"]).is_some() {
            if cursor.take_word("tcp").is_none() {
                self.expected(cursor, "`tcp` and a port").help = Some("write `ready when tcp 6379`".into());
                return None;
            }
            Ready::Tcp(self.take_port(cursor)?)
        } else if cursor.take_words(&["ready", "after"]).is_some() {
            Ready::After(self.take_duration(cursor, "the time until it is ready", true)?)
        } else {
            self.expected(cursor, "what shows that the program is ready").help =
                Some("write `ready when tcp 6379`, or `ready after 2s`".into());
            return None;
        };
        let (mut env, mut as_root) = (Vec::new(), false);
        if let Some(block) = cursor.take_block() {
            self.settings(block, &["env", "as"], |checker, word, cursor| match word {
                "env" => env = checker.variables(cursor),
                _ if cursor.take_word("root").is_some() => as_root = true,
                _ => checker.expected(cursor, "`root`").help = Some("write `as root`".into()),
            });
        }
        self.end(cursor, &["ready when tcp", "ready after"]);
        Some(Program::Command { argv, ready, env, as_root })
    }

    /// Reads the names of environment variables, each in quotes.
    fn variables(&mut self, cursor: &mut Cursor<'_, '_>) -> Vec<String> {
        const SHAPE: &str =
            "write `env \"PGDATA\" \"PGPORT\"`; the values come from the environment of `chaos`";
        let mut names = Vec::new();
        while let Some(name) = self.take_string(cursor, "the name of a variable in quotes") {
            if name.value.is_empty() || name.value.contains(|c: char| c == '=' || c.is_whitespace()) {
                let message = format!("`{name}` cannot be the name of a variable");
                self.error(Code::Misplaced, name.span, message).help = Some(SHAPE.into());
            }
            names.push(name.value);
            if cursor.peek().is_none() {
                break;
            }
        }
        names
    }

    fn port(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<u16> {
        if cursor.take_word("port").is_none() {
            self.expected(cursor, "`port` and a number").help = Some("write `port 8080`".into());
            return None;
        }
        self.take_port(cursor)
    }

    /// Reads a block of `WORD VALUE` lines, each at most once.
    pub(super) fn settings(
        &mut self,
        block: &Block<'_>,
        known: &[&str],
        mut read: impl FnMut(&mut Self, &str, &mut Cursor<'_, '_>),
    ) {
        let mut seen: Vec<&str> = Vec::new();
        for line in &block.statements {
            let word = line.keyword();
            if !known.contains(&word) {
                let near = suggest::did_you_mean(word, known.iter().copied());
                let advice =
                    near.unwrap_or_else(|| format!("here may stand {}", super::join_words(known)).into());
                self.error(Code::UnknownStatement, line.span, format!("unknown setting `{word}`"))
                    .advise_on(line.head(), advice);
                continue;
            }
            if seen.contains(&word) {
                self.error(Code::DuplicateLine, line.span, format!("`{word}` stands twice")).help =
                    Some("remove one of them".into());
                continue;
            }
            seen.push(word);
            let mut cursor = line.cursor();
            cursor.take();
            read(self, word, &mut cursor);
            self.end(&cursor, &[]);
        }
    }

    fn link(&mut self, statement: &Statement<'_>, lab: &mut Lab) {
        let mut cursor = statement.cursor();
        cursor.take();
        let mut ends = Vec::new();
        for _ in 0..2 {
            match cursor.take_any_word() {
                Some(name) => {
                    let known: Vec<String> = lab
                        .hosts
                        .iter()
                        .flat_map(|h| std::iter::once(h.name.value.clone()).chain(h.names()))
                        .collect();
                    if !known.iter().any(|k| k == name.text) {
                        self.unknown("host", name, known.iter().map(String::as_str));
                    }
                    ends.push(Spanned::new(name.text.to_owned(), name.span));
                }
                None => {
                    self.expected(&cursor, "a host's name").help =
                        Some("write `link gw <-> db delay 1ms`".into());
                    return;
                }
            }
            if ends.len() == 1 && cursor.take_symbol(Symbol::Link).is_none() {
                self.expected(&cursor, "`<->`").help = Some("write `link gw <-> db delay 1ms`".into());
                return;
            }
        }
        if cursor.take_word("delay").is_none() {
            self.expected(&cursor, "`delay` and a duration").help =
                Some("write `link gw <-> db delay 1ms`".into());
            return;
        }
        let Some(delay) = self.take_duration(&mut cursor, "the delay", false) else { return };
        self.end(&cursor, &["delay"]);
        let Ok([a, b]) = <[_; 2]>::try_from(ends) else { return };
        if a == b {
            self.error(Code::Misplaced, b.span, format!("`{b}` is linked with itself")).help =
                Some("name two hosts".into());
            return;
        }
        lab.links.push(Link { a, b, delay });
    }

    /// Two servers of one host cannot have the same port.
    fn ports_taken(&mut self, host: &Host) {
        let mut taken: Vec<(u16, chaos_core::span::Span)> = Vec::new();
        for program in &host.programs {
            let Some(port) = listens(program) else { continue };
            if let Some((_, first)) = taken.iter().find(|(p, _)| *p == port) {
                let first = *first;
                let error = self.error(
                    Code::DuplicateName,
                    program.span,
                    format!("port {port} of `{}` is taken", host.name),
                );
                error.secondary.push(crate::diagnostic::Label { span: first, message: "taken here".into() });
                error.help = Some("give one of them another port".into());
            }
            taken.push((port, program.span));
        }
    }

    fn upstreams(&mut self, lab: &Lab) {
        lab.hosts.iter().flat_map(|h| &h.programs).for_each(|program| self.upstream(program, lab));
    }

    /// A gateway's upstream must be a host that listens on that port.
    pub(super) fn upstream(&mut self, program: &Program, lab: &Lab) {
        let Program::Gateway { upstream, upstream_port, .. } = program else { return };
        let host = lab.hosts.iter().find(|h| h.name == *upstream || h.names().contains(&upstream.value));
        let Some(host) = host else {
            let name = crate::syntax::Word { text: &upstream.value, span: upstream.span };
            let known: Vec<String> = lab
                .hosts
                .iter()
                .flat_map(|h| std::iter::once(h.name.value.clone()).chain(h.names()))
                .collect();
            self.unknown("host", name, known.iter().map(String::as_str));
            return;
        };
        // A real program may listen anywhere; where there is none, what listens is known.
        let ports: Vec<u16> = host.programs.iter().filter_map(|p| listens(p)).collect();
        let certain = !host.programs.iter().any(|p| matches!(p.value, Program::Command { .. }));
        if certain && !ports.contains(upstream_port) {
            let message = format!("nothing on `{upstream}` listens on port {upstream_port}");
            let help = match ports.as_slice() {
                [] => {
                    format!("let it run something: `host {} {{ run http port {upstream_port} }}`", host.name)
                }
                _ => format!(
                    "it listens on {}",
                    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
                ),
            };
            self.error(Code::BadAddress, upstream.span, message).help = Some(help);
        }
    }
}

/// The port that a program is known to listen on.
fn listens(program: &Program) -> Option<u16> {
    match program {
        Program::Http { port, .. } | Program::Gateway { port, .. } => Some(*port),
        Program::Dns => Some(53),
        Program::Command { ready: Ready::Tcp(port), .. } => Some(*port),
        Program::Command { .. } => None,
    }
}
