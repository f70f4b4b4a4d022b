//! A run as one HTML page to look at: self-contained, without a script and without anything from elsewhere.
//!
//! 1. [`course`] folds the samples of a probe to as many cells as a drawing can show, and keeps the extremes.
//! 2. [`plot`] draws them: the band from the median to the 99th percentile, what was least and most, which phase it was, when
//!    faults were in place, the limits of claims, and where a claim was nearest to the other verdict.
//!
//! All text is escaped, and does nothing but be read.

mod course;
mod plot;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::plot::{Plot, Stretch};
use super::{
    fault::{asked, effect, phases, restored, time},
    harmless,
    line::Style,
    markdown, text,
};
use crate::{
    judge::{Samples, finding::Finding, view},
    model::{Probe, Quantity, Unit, metric::Field},
    outcome::{Overall, remarks, result},
    probe::{Outcome, Sample},
    run::{
        Record, Restoration,
        record::{PartRecord, Role, SteadyWhen},
    },
    time::{Nanos, duration},
};

/// The name that the page has in the folder of a run.
pub const FILE: &str = "report.html";

/// How many cells a drawing has at most, and how long each is at least.
const MOST_CELLS: Nanos = 240;
const SHORTEST_CELL: Nanos = 100_000_000;

/// Folds a run with its samples to a page; `file` is the scenario's path as a reader would write it to repeat the run.
pub fn render(record: &Record, samples: &Samples, file: Option<&str>) -> String {
    let overall = result(record);
    let title = record.plan.experiment.title();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is loaded, whatever the page were made to hold.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (overall.verdict.words()) ": " (shown(&title)) }
                style { (PreEscaped(include_str!("html/style.css"))) }
            }
            body { main {
                (head(record, &overall, &title))
                (expectations(record, &overall))
                @for probe in &record.plan.experiment.probes { (course_of(record, samples, &overall, probe)) }
                (faults(record))
                (steady(record))
                (probes(record))
                (warnings(record))
                (repeat(record, file))
            } }
        }
    };
    page.into_string()
}

/// Text of any origin: what steers is taken out here, and what is markup is escaped by whoever writes it.
fn shown(text: &str) -> String {
    harmless::lines(text)
}

fn class(style: Style) -> &'static str {
    match style {
        Style::Good => "good",
        Style::Bad => "bad",
        Style::Unsure => "unsure",
        Style::Dim => "dim",
        Style::Plain | Style::Strong => "",
    }
}

fn head(record: &Record, overall: &Overall, title: &str) -> Markup {
    let style = class(text::style(overall.verdict));
    html! {
        h1 { span class=(style) { (overall.verdict.words().to_uppercase()) } " " (shown(title)) }
        p { (shown(&record.plan.experiment.hypothesis)) }
        @if let Restoration::NotRestored { what, command } = &record.restoration {
            p.bad { "Still in place:" }
            ul { @for thing in what { li.bad { (shown(thing)) } } }
            p { "Finish it with " code { (shown(command)) } }
        }
        ul {
            @for reason in &overall.reasons { li { (shown(reason)) } }
            @if let Some(closest) = &overall.closest {
                li { (if closest.margin >= 0.0 { "tightest: " } else { "worst miss: " }) (shown(&closest.sentence)) }
            }
        }
        p.dim {
            "Run " (shown(&record.run)) ", " time datetime=(record.started) { (record.started.strftime("%Y-%m-%d %H:%M:%S UTC")) } ", "
            (time(duration(record.ended))) " in all, seed " (record.plan.seed)
        }
    }
}

fn expectations(record: &Record, overall: &Overall) -> Markup {
    html! {
        @if !record.expectations.is_empty() {
            h2 { "Expectations" }
            table {
                thead { tr { th scope="col" { "Verdict" } th scope="col" { "Claim and what was measured" } th scope="col" { "Against its limit" } } }
                tbody { @for judged in &record.expectations {
                    @let (style, words) = verdict(&judged.verdict);
                    tr {
                        td class=(format!("verdict {}", class(style))) { (text::sign(style)) " " (words) }
                        td {
                            strong { (shown(&judged.name)) } br;
                            code { (shown(&judged.claim)) } br;
                            (shown(&judged.measured))
                            @if let view::Verdict::Inconclusive { reasons } = &judged.verdict {
                                @for reason in reasons.iter().filter(|reason| !judged.measured.contains(reason.as_str())) { br; (shown(reason)) }
                            }
                            @for remark in remarks(&judged.findings) { br; span.dim { (shown(remark)) } }
                        }
                        td { @for finding in &judged.findings { (against(finding)) } }
                    }
                } }
            }
            @if let Some(how) = &overall.confidence { p.dim { (shown(how)) } }
        }
    }
}

fn verdict(verdict: &view::Verdict) -> (Style, &'static str) {
    match verdict {
        view::Verdict::Passed => (Style::Good, "holds"),
        view::Verdict::Failed => (Style::Bad, "does not hold"),
        view::Verdict::Inconclusive { .. } => (Style::Unsure, "undecided"),
    }
}

fn against(finding: &Finding) -> Markup {
    html! {
        @if let Some(estimate) = &finding.estimate {
            (plot::interval(finding.unit, (estimate.bounds.lo, estimate.bounds.hi), middle(estimate.value.lo, estimate.value.hi), finding.limit))
        }
    }
}

/// The middle of an interval, or its finite end.
fn middle(lo: f64, hi: f64) -> f64 {
    if !lo.is_finite() {
        hi
    } else if !hi.is_finite() {
        lo
    } else {
        lo / 2.0 + hi / 2.0
    }
}

/// Draws what a probe measured over the run.
fn course_of(record: &Record, samples: &Samples, overall: &Overall, probe: &Probe) -> Markup {
    let all = samples.get(probe.name.as_str()).map_or(&[][..], Vec::as_slice);
    let (unit, what) = match probe.kind.reads() {
        Some(Field::Value(unit)) => (unit, "what it read"),
        Some(_) | None => (Unit::Seconds, "its latency"),
    };
    let value = |sample: &Sample| match (probe.kind.reads(), sample.observation.outcome) {
        (Some(Field::Value(_)), _) => sample.observation.value,
        (_, Outcome::Ok | Outcome::TimedOut) => Some(sample.latency.as_secs_f64()),
        (_, Outcome::Failed | Outcome::NotRun) => None,
    };
    let whole = (0, record.ended.max(1));
    let count = (record.ended / SHORTEST_CELL).clamp(1, MOST_CELLS) as usize;
    let cells = course::cells(all, whole, count, value);
    let limits = limits(record, probe.name.as_str(), unit);
    let about = limits.iter().map(|(_, claim)| claim);
    let closest =
        overall.closest.as_ref().filter(|closest| about.clone().any(|claim| closest.what == *claim));
    let drawing = Plot {
        title: format!("the probe {} over the run: {what}, and how many requests failed", probe.name),
        cells: &cells,
        unit,
        phases: &stretches(record),
        faults: &in_place(record),
        limits: &limits,
        closest: closest.and_then(|closest| closest.at),
    };
    html! {
        h2 { "Probe " code { (shown(probe.name.as_str())) } }
        p.dim { (shown(&probe.kind.in_words())) }
        @if all.is_empty() { p.unsure { "Nothing was measured." } } @else {
            (drawing.draw())
            ul.legend {
                li { "line: median" } li { "band: to the 99th percentile" } li { "pale: least to most" }
                li { "red: a fault in place" } li { "below: failed requests" }
                @if !limits.is_empty() { li { "dashed: limits of claims" } }
            }
        }
    }
}

/// Returns the limits of claims that speak of this probe alone, in its unit.
fn limits(record: &Record, probe: &str, unit: Unit) -> Vec<(f64, String)> {
    let claims = record.plan.experiment.expectations.iter().zip(&record.expectations);
    let about = claims.filter(|(expectation, _)| {
        expectation
            .claim
            .comparisons()
            .iter()
            .flat_map(|c| c.metrics())
            .all(|metric| metric.probe.as_str() == probe)
    });
    let findings = about.flat_map(|(_, judged)| &judged.findings).filter(|finding| finding.unit == unit);
    let mut limits: Vec<(f64, String)> = findings
        .filter_map(|finding| Some((finding.limit.filter(|limit| limit.is_finite())?, shown(&finding.claim))))
        .collect();
    limits.dedup();
    limits
}

/// The stretches of a run that a reader looks for.
fn stretches(record: &Record) -> Vec<Stretch> {
    let all = record.stages.iter().filter(|stage| stage.end > stage.start);
    all.map(|stage| Stretch { name: shown(&stage.stage.to_string()), start: stage.start, end: stage.end })
        .collect()
}

/// When each fault was in place, its objects together.
fn in_place(record: &Record) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for part in record.parts.iter().filter(|part| part.role == Role::Fault) {
        let (Some(start), end) = (part.injected, part.reverted.unwrap_or(record.ended)) else { continue };
        match all.iter_mut().find(|stretch| {
            stretch.name == shown(&part.fault) && stretch.start <= end && start <= stretch.end
        }) {
            Some(stretch) => {
                stretch.start = stretch.start.min(start);
                stretch.end = stretch.end.max(end);
            }
            None => all.push(Stretch { name: shown(&part.fault), start, end }),
        }
    }
    all
}

fn faults(record: &Record) -> Markup {
    let parts: Vec<&PartRecord> = record.parts.iter().filter(|part| part.role != Role::Background).collect();
    html! {
        @if !parts.is_empty() {
            h2 { "Faults and changes" }
            table {
                thead { tr { th scope="col" { "What" } th scope="col" { "Where" } th scope="col" { "What it did" } th scope="col" { "Put back" } } }
                tbody { @for part in parts {
                    @let (did, line) = effect(record, part);
                    @let (back, proof) = restored(part);
                    tr {
                        td { strong { (shown(&part.fault)) } br; code { (shown(&asked(record, part))) } br; span.dim { "by " (shown(&part.backend)) } }
                        td { (shown(&part.object.to_string())) }
                        td class=(class(did)) { (shown(&line)) }
                        td class=(class(back)) { (shown(&proof)) }
                    }
                } }
            }
        }
    }
}

fn steady(record: &Record) -> Markup {
    html! {
        @if !record.steady.is_empty() {
            h2 { "Steady state" }
            table {
                thead { tr { th scope="col" { "When" } th scope="col" { "Condition" } th scope="col" { "Measured" } } }
                tbody { @for state in &record.steady { @for predicate in &state.predicates {
                    @let style = match predicate.held { Some(true) => Style::Good, Some(false) => Style::Bad, None => Style::Unsure };
                    tr {
                        td { (match state.when { SteadyWhen::Before => "before", SteadyWhen::After => "after the rollback" }) }
                        td { code { (shown(&predicate.text)) } }
                        td class=(class(style)) { (text::sign(style)) " " (shown(&predicate.measured)) }
                    }
                } } }
            }
        }
    }
}

fn probes(record: &Record) -> Markup {
    let cell = |value: Option<std::time::Duration>| value.map_or_else(|| "–".to_owned(), time);
    html! {
        h2 { "Probes, phase by phase" }
        table {
            thead { tr {
                @for name in ["Probe", "Phase"] { th scope="col" { (name) } }
                @for name in ["Taken", "Success", "p50", "p95", "p99", "Longest"] { th.number scope="col" { (name) } }
            } }
            tbody { @for probe in &record.probes { @for phase in phases(probe) { tr {
                td { (shown(&probe.probe)) }
                td { (shown(&phase.phase.to_string())) }
                td.number { (phase.count) }
                td.number { (phase.success.map_or_else(|| "–".to_owned(), |share| Quantity::ratio((share * 1e4).round() / 1e4).to_string())) }
                @for value in [phase.p50, phase.p95, phase.p99, phase.max] { td.number { (cell(value)) } }
            } } } }
        }
        @for probe in record.probes.iter().filter(|probe| !probe.errors.is_empty()) {
            h3 { "Errors of " (shown(&probe.probe)) }
            ul { @for (error, count) in &probe.errors { li { (count) " × " (shown(error)) } } }
        }
    }
}

fn warnings(record: &Record) -> Markup {
    let all: Vec<&String> = record.plan.warnings.iter().map(|w| &w.message).chain(&record.warnings).collect();
    html! {
        @if !all.is_empty() {
            h2 { "Warnings" }
            ul { @for warning in all { li { (shown(warning)) } } }
        }
    }
}

fn repeat(record: &Record, file: Option<&str>) -> Markup {
    html! {
        h2 { "Again" }
        pre { code { (shown(&markdown::again(record, file.unwrap_or("FILE")))) } }
        details {
            summary { "The report as text" }
            pre { (text::render(record)) }
        }
        @for source in &record.scenario {
            details {
                summary { "The scenario " code { (harmless::line(&source.name)) } }
                pre { (shown(&source.text)) }
            }
        }
    }
}
