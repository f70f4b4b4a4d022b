//! `experiment "…" { … }`: its lines, which of them are required, and what only shows in the whole.

use std::{collections::BTreeMap, time::Duration};

use chaos_core::{
    model::{
        Abort, Correction, Evidence, Experiment, Scope, SteadyState, Timeline,
        scope::{Allowance, RadiusLimit},
    },
    span::{Span, Spanned},
};

use super::{
    Checker, Names, alert::ALERTS, inherited::Inherited, predicate::Where, reading::reads, timeline::STEPS,
};
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest::{self, Advice},
    syntax::{Cursor, ItemKind, Statement},
};

/// The first words of an experiment's lines.
pub const LINES: &[&str] = &[
    "owner",
    "hypothesis",
    "tags",
    "impact",
    "scope",
    "lab",
    "blast radius",
    "param",
    "target",
    "probe",
    "alerts",
    "steady state",
    "fault",
    "change",
    "timeline",
    "duration",
    "abort",
    "judge",
    "expect",
    "evidence",
];

/// Lines that may stand only once.
const ONCE: &[&str] = &[
    "alerts",
    "owner",
    "hypothesis",
    "tags",
    "impact",
    "scope",
    "lab",
    "cluster",
    "namespace",
    "blast",
    "steady",
    "timeline",
    "duration",
    "judge",
    "expect",
    "evidence",
];

/// What is gathered while reading an experiment.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) owner: Option<Spanned<String>>,
    pub(super) hypothesis: Option<Spanned<String>>,
    pub(super) tags: Vec<String>,
    pub(super) impact: Option<String>,
    pub(super) blast_radius: Vec<RadiusLimit>,
    pub(super) allowed: Vec<Allowance>,
    pub(super) targets: Vec<chaos_core::model::Target>,
    pub(super) probes: Vec<chaos_core::model::Probe>,
    pub(super) faults: Vec<chaos_core::model::Fault>,
    pub(super) changes: Vec<chaos_core::model::Change>,
    pub(super) steady_state: Option<SteadyState>,
    pub(super) timeline: Option<(Timeline, bool)>,
    pub(super) aborts: Vec<Abort>,
    pub(super) expectations: Vec<chaos_core::model::Expectation>,
    pub(super) confidence: Option<f64>,
    pub(super) correction: Correction,
    pub(super) evidence: Vec<Spanned<Evidence>>,
}

impl Checker {
    /// Checks one experiment; `shared` is what stands outside of it, for all.
    pub(super) fn experiment(
        &mut self,
        statement: &Statement<'_>,
        shared: &[&Statement<'_>],
    ) -> Option<Experiment> {
        let mut cursor = statement.cursor();
        cursor.take();
        let name = self.take_string(&mut cursor, "the experiment's title in quotes")?;
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "the experiment's lines in braces")
                .advise("write `experiment \"title\" { … }`")
                .because(Cause::NoBlock);
            return None;
        };
        self.experiment = statement.span;
        let lines: Vec<&Statement<'_>> = block.statements.iter().collect();
        let Inherited { parts: shared, lines: inherited } = self.inherited(shared, &lines);
        let lines: Vec<&Statement<'_>> = lines.into_iter().chain(inherited).collect();
        // A scope's targets are lines like those of the experiment itself.
        let scope = lines.iter().find(|l| l.keyword() == "scope").and_then(|l| l.block());
        let scoped: Vec<&Statement<'_>> = scope.iter().flat_map(|b| &b.statements).collect();
        let names = self.names(&lines, &scoped, &shared);
        self.in_cluster = names.scope.cluster().is_some();
        let title = Span { end: name.span.end, ..statement.span };
        self.targets.clear();
        let mut parts = Parts::default();
        let mut once: Vec<(&str, Span)> = Vec::new();
        for line in shared.iter().chain(&scoped).chain(&lines) {
            let word = line.keyword();
            if ONCE.contains(&word) {
                if let Some((_, first)) = once.iter().find(|(w, _)| *w == word) {
                    let first = *first;
                    let error = self.error(Code::DuplicateLine, line.span, format!("`{word}` stands twice"));
                    error
                        .secondary
                        .push(crate::diagnostic::Label { span: first, message: "first here".into() });
                    error.help = Some("remove one of them".into());
                    continue;
                }
                let head = Span { end: line.span.start + word.len() as u32, ..line.span };
                once.push((word, head));
            }
            self.line(line, &names, &mut parts, scoped.iter().any(|s| std::ptr::eq(*s, *line)));
        }
        let written: Vec<&str> = shared.iter().chain(&scoped).chain(&lines).map(|l| l.keyword()).collect();
        // A line that means nothing may have been meant as the one that is missing.
        if !lines.iter().any(|l| self.strange.contains(&l.span)) {
            self.required(&written, title);
        }
        let (hypothesis, steady_state, course) = (parts.hypothesis, parts.steady_state, parts.timeline);
        let complete = hypothesis.is_some() && steady_state.is_some() && course.is_some();
        let (timeline, plain) = course.unzip();
        // What is missing has been reported; what is there is judged without it.
        let mut experiment = Experiment {
            name,
            owner: parts.owner,
            tags: parts.tags,
            hypothesis: hypothesis.unwrap_or_else(|| String::new().into()),
            impact: parts.impact,
            params: self.params.all(),
            varied: Vec::new(),
            scope: names.scope,
            targets: parts.targets,
            blast_radius: parts.blast_radius,
            allowed: parts.allowed,
            probes: parts.probes,
            steady_state: steady_state.unwrap_or_default(),
            faults: parts.faults,
            changes: parts.changes,
            timeline: timeline.unwrap_or_default(),
            aborts: parts.aborts,
            expectations: parts.expectations,
            confidence: parts.confidence.unwrap_or(0.95),
            correction: parts.correction,
            evidence: parts.evidence,
            span: statement.span,
        };
        self.sound(&mut experiment, plain);
        complete.then_some(experiment)
    }

    /// Gathers the names that the lines of an experiment declare.
    fn names(
        &mut self,
        lines: &[&Statement<'_>],
        scoped: &[&Statement<'_>],
        shared: &[&Statement<'_>],
    ) -> Names {
        let mut names;
        if let Some(line) = lines.iter().find(|l| l.keyword() == "lab") {
            let lab = self.lab(line);
            // A line that is neither may have been meant to be a host.
            let lines = line.block().into_iter().flat_map(|b| &b.statements);
            let odd = lines.map(|l| l.keyword()).any(|word| word != "host" && word != "link");
            let in_doubt = odd || lab.hosts.is_empty();
            names = Names::in_scope(Scope::Lab(lab));
            names.lab_in_doubt = in_doubt;
        } else if let Some(cluster) = self.cluster(scoped) {
            names = Names::in_scope(Scope::Cluster(cluster));
        } else {
            names = Names::in_scope(Scope::Machine);
            // So may one that is not known here have been meant to be the lab.
            let near =
                |l: &&Statement<'_>| suggest::nearest(l.keyword(), LINES.iter().copied()) == Some("lab");
            names.lab_in_doubt = lines.iter().any(near);
        }
        for (number, line) in shared.iter().chain(scoped).chain(lines).enumerate() {
            if number == shared.len() {
                names.shared_faults = names.faults.len();
            }
            match line.keyword() {
                "probe" => {
                    self.declare("probe", line, &mut names.probes);
                    let labels = line
                        .block()
                        .into_iter()
                        .flat_map(|b| &b.statements)
                        .filter(|s| s.keyword() == "label");
                    if let Some((probe, field)) = line.name().zip(reads(line)) {
                        names.reads.push((probe.text.to_owned(), field));
                    }
                    if let Some(probe) = line.name() {
                        names.labels.extend(labels.filter_map(|l| {
                            Some((probe.text.to_owned(), l.items.get(1)?.as_word()?.text.to_owned()))
                        }));
                    }
                }
                "alerts" => names.probes.push(Spanned::new(ALERTS.to_owned(), line.span)),
                "fault" => self.declare("fault", line, &mut names.faults),
                "change" => self.declare("change", line, &mut names.changes),
                "target" => self.declare("target", line, &mut names.targets),
                _ => {}
            }
        }
        names
    }

    fn line(&mut self, line: &Statement<'_>, names: &Names, parts: &mut Parts, scoped: bool) {
        let mut cursor = line.cursor();
        cursor.take();
        match line.keyword() {
            // Read before all others.
            "lab" | "param" => {}
            "scope" if scoped => self.misplaced_line(line, "scope"),
            "scope" => {
                if names.scope.has_lab() {
                    self.error(
                        Code::DuplicateLine,
                        line.span,
                        "an experiment has a `lab` or a `scope`, not both",
                    )
                    .help =
                        Some("declare targets of a lab beside it: `target api = hosts api-* pick 1`".into());
                }
            }
            // Read before all others.
            "cluster" | "namespace" if scoped && (self.in_cluster || names.scope.has_lab()) => {}
            "context" if scoped => {
                self.error(Code::UnknownStatement, line.span, "a scope has no `context`").help =
                    Some("the context is what `cluster` names: `cluster \"CONTEXT\" uid \"UID\"`".into());
            }
            // A comma ended the target that it belongs to.
            "follow" if scoped => self.needs_cluster(line.span, "`follow replacements`"),
            word @ ("cluster" | "namespace" | "agents" | "allow") if scoped => {
                self.needs_cluster(line.span, &format!("`{word}`"))
            }
            "owner" => parts.owner = self.one_string(&mut cursor, "the owner in quotes"),
            "hypothesis" => parts.hypothesis = self.one_string(&mut cursor, "the hypothesis in quotes"),
            "impact" => parts.impact = self.one_string(&mut cursor, "the impact in quotes").map(|i| i.value),
            "tags" => {
                while let Some(item) = cursor.take() {
                    match &item.kind {
                        ItemKind::Word(word) => parts.tags.push((*word).to_owned()),
                        ItemKind::Text(text) => parts.tags.push(self.text(text)),
                        ItemKind::Symbol(_) => {}
                        _ => {
                            self.error(Code::Misplaced, item.span, "a tag is a word").help =
                                Some("write `tags dns, latency`".into());
                        }
                    }
                }
            }
            "blast" => self.blast_radius(line, names, parts),
            "target" => {
                let target = self.target(line, names);
                self.targets.extend(target.clone());
                parts.targets.extend(target);
            }
            "probe" => parts.probes.extend(self.probe(line, names)),
            "alerts" => parts.probes.extend(self.alerts(line, names)),
            "fault" => parts.faults.extend(self.fault(line, names)),
            "change" => {
                let change = self.change(line, names);
                if let Some(change) = &change
                    && let Some(fault) = names.faults.iter().find(|fault| **fault == change.name)
                {
                    // Both are removed by their names.
                    self.duplicate("change", &change.name, fault.span);
                }
                parts.changes.extend(change);
            }
            "steady" => {
                cursor.take_word("state");
                let over = self.over(&mut cursor);
                let mut predicates = Vec::new();
                let block = cursor.take_block();
                for line in block.into_iter().flat_map(|b| &b.statements) {
                    if let Some(formula) = line.formula() {
                        predicates.extend(self.predicate(
                            formula,
                            names,
                            Where {
                                over: over.or(Some(Duration::from_secs(1))),
                                windows: true,
                                baseline: false,
                            },
                        ));
                    }
                }
                if over.is_none() {
                    self.strange.push(line.span);
                } else if block.is_none_or(|b| b.statements.is_empty()) {
                    self.error(Code::MissingLine, line.span, "the steady state says nothing").help =
                        Some("write `steady state over 30s { success(probe) >= 99% }`".into());
                }
                parts.steady_state = over.map(|over| SteadyState { over, predicates, span: line.span });
            }
            "timeline" | "duration" if parts.timeline.is_some() => {
                let message = "an experiment has a `timeline` or a `duration`, not both";
                self.error(Code::DuplicateLine, line.span, message).help = Some("remove one of them".into());
            }
            "timeline" => parts.timeline = self.timeline(line, names).map(|t| (t, false)),
            "duration" => parts.timeline = self.plain_timeline(line, names).map(|t| (t, true)),
            "abort" => self.abort(line, &mut cursor, names, parts),
            "judge" => {
                cursor.take_word("at");
                if let Some(share) = self.take_share(&mut cursor, "the confidence", false) {
                    if (0.5..1.0).contains(&share) {
                        parts.confidence = Some(share);
                    } else {
                        self.error(
                            Code::OutOfRange,
                            cursor.previous(),
                            "a confidence lies between 50% and 100%",
                        )
                        .help = Some("write `judge at 95%`".into());
                    }
                    if cursor.take_word("with").is_some() {
                        if cursor.take_word("holm").is_some() {
                            parts.correction = Correction::Holm;
                        } else {
                            self.expected(&cursor, "`holm`").help =
                                Some("write `judge at 95% with holm`, or leave out `with`".into());
                            return;
                        }
                    }
                    self.end(&cursor, &["with"]);
                }
            }
            "expect" => {
                let block = cursor.take_block();
                if block.is_none_or(|b| b.statements.is_empty()) {
                    self.error(Code::MissingLine, line.span, "nothing is expected").help =
                        Some("write `expect { \"name\": success(probe) >= 99% during FAULT }`".into());
                }
                let mut named: BTreeMap<String, Span> = BTreeMap::new();
                for line in block.into_iter().flat_map(|b| &b.statements) {
                    if let Some(expectation) = self.expectation(line, names) {
                        let name = &expectation.name;
                        match named.get(&name.value) {
                            Some(first) => self.duplicate("expectation", name, *first),
                            None => {
                                named.insert(name.value.clone(), name.span);
                            }
                        }
                        parts.expectations.push(expectation);
                    }
                }
            }
            "evidence" => self.evidence(&mut cursor, names, parts),
            word @ ("only" | "limit" | "rollback" | "each" | "search") => {
                self.not_yet(line.span, &format!("`{word}`"));
            }
            "use" => {
                self.error(Code::Misplaced, line.span, "`use` does not belong inside of an experiment")
                    .help = Some("move it to the top of the file".into());
            }
            word => {
                // `steady state` is known by its first word.
                let first = |line: &&'static str| line.split(' ').next().unwrap_or(line);
                let near = suggest::nearest(word, LINES.iter().map(first));
                let near = near.and_then(|near| LINES.iter().find(|line| first(line) == near));
                let meant = near.map(|near| Advice {
                    // Of two words the second may stand there already.
                    text: Some(match near.split_once(' ') {
                        Some((first, second)) if line.items.get(1).is_some_and(|i| i.is_word(second)) => {
                            first.to_owned()
                        }
                        _ => (*near).to_owned(),
                    }),
                    ..Advice::meant(*near)
                });
                let advice = match (STEPS.contains(&word), meant) {
                    (true, _) => "it is a step: write it in the braces of `timeline { … }`".into(),
                    (false, Some(meant)) => meant,
                    (false, None) => format!("its lines are {}", super::join_words(LINES)).into(),
                };
                let at = line.head();
                let message = match word {
                    "" => "a line of an experiment begins with a word".to_owned(),
                    word => format!("an experiment has no `{word}`"),
                };
                self.error(Code::UnknownStatement, at, message).advise(advice);
                self.strange.push(line.span);
            }
        }
    }

    fn misplaced_line(&mut self, line: &Statement<'_>, word: &str) {
        self.error(Code::Misplaced, line.span, format!("`{word}` does not belong here")).help = Some(
            "an experiment has one `scope`, and nothing stands in it but `cluster`, `namespace` and targets"
                .into(),
        );
    }

    fn one_string(&mut self, cursor: &mut Cursor<'_, '_>, what: &str) -> Option<Spanned<String>> {
        let text = self.take_string(cursor, what)?;
        self.end(cursor, &[]);
        if text.trim().is_empty() {
            self.error(Code::MissingLine, text.span, "this says nothing").help =
                Some("say it in words, or remove the line".into());
            return None;
        }
        Some(text)
    }

    /// Reports every required line that is missing.
    fn required(&mut self, written: &[&str], title: Span) {
        let lab = written.contains(&"lab");
        // A line with a mistake of its own is there: its mistake has been reported.
        let mut missing = |words: &[&str], what: &str, help: &str| {
            if !words.iter().any(|w| written.contains(w)) {
                self.error(Code::MissingLine, title, format!("the experiment has no {what}")).help =
                    Some(help.to_owned());
            }
        };
        missing(&["hypothesis"], "`hypothesis`", "add `hypothesis \"what you believe, in words\"`");
        missing(&["probe"], "`probe`", "add `probe get = http GET \"http://api:8080/\" from client { … }`");
        missing(&["steady"], "`steady state`", "add `steady state over 30s { success(probe) >= 99% }`");
        missing(&["fault"], "`fault`", "add `fault slow = delay 100ms on HOST`");
        missing(&["timeline", "duration"], "`timeline`", "add `duration 30s`, or a `timeline { … }`");
        missing(&["expect"], "`expect`", "add `expect { \"name\": success(probe) >= 99% during FAULT }`");
        if !lab {
            missing(&["owner"], "`owner`", "add `owner \"team\"`: outside of a lab somebody answers for it");
            missing(&["blast"], "`blast radius`", "add `blast radius { at most 1 host }`");
            missing(
                &["abort"],
                "`abort` condition",
                "add `abort when success(probe, over 10s) < 95% for 10s`",
            );
        }
    }
}
