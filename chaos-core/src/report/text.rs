//! The verdict on a run that a person reads in five seconds, and below it what it rests on.

use super::{
    fault::{asked, counted, effect, phases, restored, time},
    line::{Line, Style, WIDTH, plain, wrap},
};
use crate::outcome::{Overall, Verdict, remarks, result};
use crate::{
    judge::view::{self, Judged},
    model::{Phase, Quantity},
    run::{
        Completion, Record, Restoration,
        record::{PartState, Role, SteadyResult, SteadyWhen},
    },
    time::{Nanos, duration},
};

/// The most errors of a probe that are shown.
const MOST_ERRORS: usize = 3;

/// Folds a run to plain text.
pub fn render(record: &Record) -> String {
    plain(&lines(record))
}

/// Folds a run to styled lines, none wider than [`WIDTH`].
pub fn lines(record: &Record) -> Vec<Line> {
    let overall = result(record);
    let mut out = verdict(record, &overall);
    section(&mut out, expectations(record, &overall));
    section(&mut out, steady(record));
    section(&mut out, faults(record));
    section(&mut out, errors(record));
    section(&mut out, warnings(record));
    section(&mut out, timeline(record));
    wrap(out, WIDTH)
}

fn section(out: &mut Vec<Line>, lines: Vec<Line>) {
    if !lines.is_empty() {
        out.push(Line::blank());
        out.extend(lines);
    }
}

fn moment(at: Nanos) -> String {
    time(duration(at))
}

/// The sign that stands before something good, bad or undecided.
pub(super) fn sign(style: Style) -> &'static str {
    match style {
        Style::Good => "✓",
        Style::Bad => "✗",
        Style::Unsure => "?",
        _ => "·",
    }
}

/// The style of a verdict.
pub fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Passed => Style::Good,
        Verdict::Inconclusive | Verdict::NotKept | Verdict::Refused => Style::Unsure,
        Verdict::Failed | Verdict::Aborted | Verdict::NotPermitted | Verdict::NotRestored => Style::Bad,
    }
}

fn verdict(record: &Record, overall: &Overall) -> Vec<Line> {
    let name = record.plan.experiment.title();
    let mut out = vec![
        Line::at(0)
            .piece(style(overall.verdict), overall.verdict.words().to_uppercase())
            .plain("  ")
            .strong(name),
    ];
    if let Restoration::NotRestored { what, command } = &record.restoration {
        out.push(Line::at(2).piece(Style::Bad, "still in place:"));
        out.extend(what.iter().map(|w| Line::at(4).piece(Style::Bad, "✗ ").plain(w)));
        out.push(Line::at(2).plain("finish it with: ").strong(command));
        out.push(
            Line::at(2)
                .plain("the experiment itself: ")
                .piece(style(overall.if_restored), overall.if_restored.words()),
        );
    }
    // What is not restored was reported above.
    let listed = usize::from(overall.verdict == Verdict::NotRestored);
    for reason in overall.reasons.iter().skip(listed) {
        let cause = record.abort.as_ref().filter(|c| c.reason == *reason);
        let when = cause.map(|c| format!(", {} into the run", moment(c.at))).unwrap_or_default();
        out.push(Line::at(2).plain(reason).plain(when));
    }
    if let Some(closest) = &overall.closest {
        let word = if closest.margin >= 0.0 { "tightest: " } else { "worst miss: " };
        out.push(Line::at(2).plain(word).plain(&closest.sentence));
    }
    if overall.verdict != Verdict::NotRestored {
        let text = match (&record.completion, record.parts.iter().any(|p| p.injected.is_some())) {
            (Completion::Refused { .. }, false) => "nothing was injected",
            (Completion::Refused { .. }, true) => "no fault was injected, and everything is as it was",
            _ => "everything is as it was",
        };
        out.push(Line::at(2).plain(text));
    }
    out
}

fn expectations(record: &Record, overall: &Overall) -> Vec<Line> {
    if record.expectations.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Line::title("Expectations")];
    for judged in &record.expectations {
        out.extend(expectation(judged));
    }
    out.extend(overall.confidence.iter().map(|how| Line::at(2).dim(how)));
    out
}

fn expectation(judged: &Judged) -> Vec<Line> {
    let style = match judged.verdict {
        view::Verdict::Passed => Style::Good,
        view::Verdict::Failed => Style::Bad,
        view::Verdict::Inconclusive { .. } => Style::Unsure,
    };
    let mut out = vec![
        Line::at(2)
            .hang(4)
            .piece(style, format!("{} ", sign(style)))
            .strong(&judged.name)
            .dim(format!(": {}", judged.claim)),
    ];
    if !judged.measured.is_empty() {
        out.push(Line::at(4).plain(&judged.measured));
    }
    if let view::Verdict::Inconclusive { reasons } = &judged.verdict {
        // What was measured mostly says why already.
        let more = reasons.iter().filter(|r| !judged.measured.contains(r.as_str()));
        out.extend(more.map(|r| Line::at(4).piece(Style::Unsure, r)));
    }
    out.extend(
        remarks(&judged.findings).into_iter().map(|r| Line::at(4).piece(Style::Unsure, "! ").plain(r)),
    );
    out
}

fn steady(record: &Record) -> Vec<Line> {
    if record.steady.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Line::title("Steady state")];
    for steady in &record.steady {
        out.push(steady_line(steady));
        // What held is one line; what did not is reported with what was measured.
        for predicate in steady.predicates.iter().filter(|p| p.held != Some(true)) {
            let style = held(predicate.held);
            out.push(
                Line::at(4)
                    .hang(4)
                    .piece(style, format!("{} ", sign(style)))
                    .plain(&predicate.text)
                    .plain(": ")
                    .strong(&predicate.measured),
            );
        }
    }
    out
}

fn held(held: Option<bool>) -> Style {
    match held {
        Some(true) => Style::Good,
        Some(false) => Style::Bad,
        None => Style::Unsure,
    }
}

/// Says when and for how long a steady state was watched.
pub(super) fn steady_title(steady: &SteadyResult) -> String {
    let when = match steady.when {
        SteadyWhen::Before => "before",
        SteadyWhen::After => "after the rollback",
    };
    format!("{when}, over {}", time(duration(steady.to - steady.from)))
}

fn steady_line(steady: &SteadyResult) -> Line {
    let style = if steady.held {
        Style::Good
    } else if steady.predicates.iter().any(|p| p.held == Some(false)) {
        Style::Bad
    } else {
        Style::Unsure
    };
    let word = match style {
        Style::Good => "held",
        Style::Bad => "did not hold",
        _ => "undecided",
    };
    Line::at(2)
        .hang(4)
        .piece(style, format!("{} ", sign(style)))
        .plain(format!("{}: {word}", steady_title(steady)))
}

fn faults(record: &Record) -> Vec<Line> {
    let mut out = Vec::new();
    // Of a run that injected nothing the first lines have said so.
    let began = !matches!(record.completion, Completion::Refused { .. });
    for part in
        record.parts.iter().filter(|p| p.role != Role::Background && (began || p.state != PartState::Planned))
    {
        let (style, restored) = restored(part);
        let specs = asked(record, part);
        out.push(
            Line::at(2)
                .hang(4)
                .piece(style, format!("{} ", sign(style)))
                .strong(&part.fault)
                .plain(format!(" on {}: {specs}", part.object))
                .dim(format!(" by {}, {}", part.backend, part.hold)),
        );
        if part.injected.is_some() {
            let (style, effect) = effect(record, part);
            out.push(Line::at(4).piece(style, effect));
        }
        out.push(Line::at(4).piece(if style == Style::Bad { style } else { Style::Plain }, restored));
    }
    let background: Vec<_> =
        record.parts.iter().filter(|p| p.role == Role::Background && p.state != PartState::Planned).collect();
    if !background.is_empty() {
        let left = background.iter().filter(|p| p.state.is_owed()).count();
        let style = if left == 0 { Style::Good } else { Style::Bad };
        let end = if left == 0 { "all removed".to_owned() } else { format!("{left} still in place") };
        out.push(
            Line::at(2)
                .piece(style, format!("{} ", sign(style)))
                .plain(format!("link delays of the lab: {}, {end}", counted(background.len(), "part"))),
        );
    }
    if !out.is_empty() {
        out.insert(0, Line::title("Faults"));
    }
    out
}

fn errors(record: &Record) -> Vec<Line> {
    let mut out = Vec::new();
    for probe in &record.probes {
        for (error, n) in probe.errors.iter().take(MOST_ERRORS) {
            out.push(Line::at(2).hang(4).strong(&probe.probe).plain(format!(": {n} × ")).plain(error));
        }
        if probe.errors.len() > MOST_ERRORS {
            out.push(Line::at(2).dim(format!("… {} more kinds", probe.errors.len() - MOST_ERRORS)));
        }
    }
    if !out.is_empty() {
        out.insert(0, Line::title("Probe errors"));
    }
    out
}

fn warnings(record: &Record) -> Vec<Line> {
    let all = record.plan.warnings.iter().map(|w| &w.message).chain(&record.warnings);
    let mut out: Vec<Line> = all.map(|w| Line::at(2).piece(Style::Unsure, "! ").plain(w)).collect();
    if !out.is_empty() {
        out.insert(0, Line::title("Warnings"));
    }
    out
}

fn timeline(record: &Record) -> Vec<Line> {
    let mut stages = Line::at(2);
    for (i, stage) in record.stages.iter().enumerate() {
        let gap = if i == 0 { "" } else { ", " };
        stages = stages.plain(format!("{gap}{} ", stage.stage)).dim(moment(stage.end - stage.start));
    }
    let mut out = vec![Line::title("Timeline")];
    if !record.stages.is_empty() {
        out.push(stages);
    }
    for probe in &record.probes {
        let phases: Vec<String> = phases(probe)
            .filter(|p| p.phase != Phase::WholeRun)
            .filter_map(|p| {
                let success = Quantity::ratio(p.success?);
                let p95 = p.p95.map(|p95| format!(", p95 {}", time(p95))).unwrap_or_default();
                Some(format!("{} {success} of {}{p95}", p.phase, p.count))
            })
            .collect();
        if !phases.is_empty() {
            out.push(Line::at(2).hang(4).strong(&probe.probe).plain(format!(": {}", phases.join("; "))));
        }
    }
    out.push(Line::at(2).dim(format!(
        "run {}, seed {}, {} in all",
        record.run,
        record.plan.seed,
        moment(record.ended)
    )));
    out
}
