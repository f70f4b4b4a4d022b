//! A run as Markdown, to paste into a pull request or an incident note.

mod escape;

use std::fmt::Write as _;

pub(super) use self::escape::prose;
use self::escape::{code, text};
use super::{
    excerpt::excerpt,
    fault::{asked, effect, offer, phases, restored, time},
    shell,
    text::steady_title,
    underline::underlines,
};
use crate::outcome::{NotRun, Overall, Verdict, remarks, result};
use crate::{
    judge::view,
    model::{Quantity, Scope},
    run::{
        Record, Restoration,
        record::{PartRecord, Role},
    },
    time::{Nanos, duration},
};

/// Folds a run to Markdown; `file` is the scenario's path as a reader would write it to repeat the run.
pub fn render(record: &Record, file: Option<&str>) -> String {
    let overall = result(record);
    let mut out = String::new();
    head(&mut out, record, &overall);
    expectations(&mut out, record, &overall);
    steady(&mut out, record);
    places(&mut out, record);
    faults(&mut out, record);
    timeline(&mut out, record);
    probes(&mut out, record);
    list(&mut out, "Warnings", record.plan.warnings.iter().map(|w| &w.message).chain(&record.warnings));
    environment(&mut out, record);
    repeat(&mut out, record, file.unwrap_or("FILE"));
    out
}

/// Folds an experiment that was not run to Markdown.
pub(super) fn not_run(not_run: &NotRun) -> String {
    let sign = if not_run.verdict == Verdict::NotPermitted { "❌" } else { "❔" };
    let mut out =
        format!("## {sign} {}: {}\n\n", not_run.verdict.words().to_uppercase(), text(&not_run.experiment));
    for line in std::iter::once(&not_run.reason).chain(&not_run.help) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "- {}", prose(line));
    }
    out
}

fn moment(at: Nanos) -> String {
    time(duration(at))
}

/// Writes a table; cells are Markdown already.
pub(super) fn table<const N: usize>(
    out: &mut String,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let mut line = |cells: &[String]| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    line(&header.map(str::to_owned));
    line(&header.map(|_| "---".to_owned()));
    for row in rows {
        line(&row);
    }
}

/// Escapes text of any origin for a cell of a table; what it sets in backticks becomes code.
pub(super) fn cell(text: &str) -> String {
    prose(text)
}

fn section(out: &mut String, title: &str) {
    let _ = write!(out, "\n### {title}\n\n");
}

fn list<'a>(out: &mut String, title: &str, items: impl Iterator<Item = &'a String>) {
    let items: Vec<_> = items.collect();
    if items.is_empty() {
        return;
    }
    section(out, title);
    for item in items {
        let _ = writeln!(out, "- {}", prose(item));
    }
}

fn head(out: &mut String, record: &Record, overall: &Overall) {
    let sign = match overall.verdict {
        Verdict::Passed => "✅",
        Verdict::Inconclusive | Verdict::NotKept | Verdict::Refused => "❔",
        Verdict::Failed | Verdict::Aborted | Verdict::NotPermitted | Verdict::NotRestored => "❌",
    };
    let name = text(&record.plan.experiment.title());
    let _ = write!(out, "## {sign} {}: {name}\n\n", overall.verdict.words().to_uppercase());
    let _ = writeln!(out, "> {}\n", text(&record.plan.experiment.hypothesis));
    // What is still in place is listed below, thing by thing.
    let listed = usize::from(overall.verdict == Verdict::NotRestored);
    for reason in overall.reasons.iter().skip(listed) {
        let _ = writeln!(out, "- {}", prose(reason));
    }
    if let Some(closest) = &overall.closest {
        let word = if closest.margin >= 0.0 { "tightest" } else { "worst miss" };
        let _ = writeln!(out, "- {word}: {}", prose(&closest.sentence));
    }
    match &record.restoration {
        Restoration::Restored => {
            let _ = writeln!(out, "- everything is as it was");
        }
        Restoration::NotRestored { what, command } => {
            for left in what {
                let _ = writeln!(out, "- **still in place:** {}", prose(left));
            }
            let _ = writeln!(out, "- finish it with {}", code(command));
            let _ = writeln!(out, "- the experiment itself: {}", overall.if_restored.words());
        }
    }
}

fn expectations(out: &mut String, record: &Record, overall: &Overall) {
    if record.expectations.is_empty() {
        return;
    }
    section(out, "Expectations");
    let rows = record.expectations.iter().map(|e| {
        let (verdict, more) = match &e.verdict {
            view::Verdict::Passed => ("✅ passed", Vec::new()),
            view::Verdict::Failed => ("❌ **failed**", Vec::new()),
            view::Verdict::Inconclusive { reasons } => {
                let more = reasons.iter().filter(|r| !e.measured.contains(r.as_str())).cloned().collect();
                ("❔ inconclusive", more)
            }
        };
        let remarks = remarks(&e.findings).into_iter().map(str::to_owned);
        let measured: Vec<String> = [e.measured.clone()].into_iter().chain(more).chain(remarks).collect();
        [verdict.to_owned(), text(&e.name), code(&e.claim), prose(&measured.join("; "))]
    });
    table(out, ["", "expectation", "claim", "measured"], rows);
    if let Some(how) = &overall.confidence {
        let _ = write!(out, "\n{}\n", prose(how));
    }
}

fn steady(out: &mut String, record: &Record) {
    if record.steady.is_empty() {
        return;
    }
    section(out, "Steady state");
    let rows = record.steady.iter().flat_map(|s| {
        s.predicates.iter().map(move |p| {
            let held = match p.held {
                Some(true) => "✅ held",
                Some(false) => "❌ **did not hold**",
                None => "❔ undecided",
            };
            [held.to_owned(), text(&steady_title(s)), code(&p.text), prose(&p.measured)]
        })
    });
    table(out, ["", "when", "predicate", "measured"], rows);
}

/// What does not hold or is undecided, where the scenario says it.
fn places(out: &mut String, record: &Record) {
    let places: Vec<(String, String)> = underlines(record)
        .into_iter()
        .filter_map(|place| Some((place.message, excerpt(record, place.span)?)))
        .collect();
    if places.is_empty() {
        return;
    }
    section(out, "In the scenario");
    let blocks: Vec<String> = places
        .iter()
        .map(|(title, lines)| format!("{}:\n\n{}\n", prose(title), escape::block("text", lines)))
        .collect();
    out.push_str(&blocks.join("\n"));
}

fn faults(out: &mut String, record: &Record) {
    if record.parts.is_empty() {
        return;
    }
    section(out, "Faults");
    let row = |part: &PartRecord| {
        let effect = match part.injected {
            Some(_) => effect(record, part).1,
            None => String::new(),
        };
        let (mut name, what) = (text(&part.fault), asked(record, part));
        match part.role {
            Role::Background => name += " (the lab's own)",
            Role::Fault => {}
            Role::Change => name += " (a change)",
        }
        [
            name,
            text(&part.object.to_string()),
            code(&what),
            format!("{}, {}", text(&part.backend), part.hold),
            prose(&effect),
            prose(&restored(part).1),
        ]
    };
    table(out, ["fault", "on", "what", "backend", "effect", "restored"], record.parts.iter().map(row));
    let mut listed: Vec<(&str, &String)> = Vec::new();
    for part in &record.parts {
        for why in offer(&record.plan, &part.id).iter().flat_map(|o| &o.because) {
            if !listed.contains(&(&part.backend, why)) {
                listed.push((&part.backend, why));
                let _ = write!(out, "\n{}, {}\n", text(&part.backend), prose(why));
            }
        }
    }
}

fn timeline(out: &mut String, record: &Record) {
    if record.stages.is_empty() {
        return;
    }
    section(out, "Timeline");
    let rows = record
        .stages
        .iter()
        .map(|s| [moment(s.start), text(&s.stage.to_string()), moment(s.end.saturating_sub(s.start))]);
    table(out, ["at", "stage", "took"], rows);
}

fn probes(out: &mut String, record: &Record) {
    if record.probes.iter().all(|p| p.phases.is_empty()) {
        return;
    }
    section(out, "Probes");
    let some = |d: Option<std::time::Duration>| d.map(time).unwrap_or_default();
    let rows = record.probes.iter().flat_map(|probe| {
        phases(probe).map(move |p| {
            [
                text(&probe.probe),
                text(&p.phase.to_string()),
                p.count.to_string(),
                p.success.map(|s| Quantity::ratio(s).to_string()).unwrap_or_default(),
                some(p.p50),
                some(p.p95),
                some(p.p99),
            ]
        })
    });
    table(out, ["probe", "phase", "count", "success", "p50", "p95", "p99"], rows);
    for probe in &record.probes {
        for (error, n) in &probe.errors {
            let _ = write!(out, "\n{}: {n} × {}\n", code(&probe.probe), code(error));
        }
    }
}

fn environment(out: &mut String, record: &Record) {
    section(out, "Environment");
    let scope = match &record.plan.experiment.scope {
        Scope::Lab(lab) => format!("a lab of {}", lab.names().join(", ")),
        Scope::Machine => "the machine that the runner was on".into(),
        Scope::Cluster(cluster) => format!("the cluster {} ({})", cluster.context, cluster.uid),
    };
    let _ = writeln!(out, "- in {}", text(&scope));
    for link in record.plan.experiment.lab().iter().flat_map(|l| &l.links) {
        let _ = writeln!(out, "- link {} to {}: {}", text(&link.a), text(&link.b), time(link.delay));
    }
    for line in &record.plan.radius.lines {
        let _ = writeln!(out, "- blast radius: {}", prose(line));
    }
    let _ = writeln!(out, "- run {}, started {}", code(&record.run), text(&record.started.to_string()));
    let _ = writeln!(out, "- {} in all", moment(record.ended));
}

fn repeat(out: &mut String, record: &Record, file: &str) {
    section(out, "Repeat it");
    let _ = writeln!(out, "{}", escape::block("sh", &again(record, file)));
}

/// Returns the command that repeats a run.
pub(super) fn again(record: &Record, file: &str) -> String {
    let mut command = format!("chaos run {} --seed {}", shell::quoted(file), record.plan.seed);
    let varied = &record.plan.experiment.varied;
    let set = |p: &&crate::model::Param| p.value != p.default || varied.contains(&p.name.value);
    for param in record.plan.experiment.params.iter().filter(set) {
        let set = format!("{}={}", param.name, param.value);
        let _ = write!(command, " --set {}", shell::quoted(&set));
    }
    command
}
