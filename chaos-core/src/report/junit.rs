//! Runs as JUnit XML, for continuous integration.
//!
//! One suite per run, with a test case for each expectation and for the steady state, the course of the run and the
//! rollback. What does not hold is a `failure`; what is red for another reason is an `error` whose type says which:
//! `inconclusive`, `aborted`, `refused`, `not-permitted`, `not-restored`. Only the expectations of a refused run are
//! `skipped`. A suite without failures and errors is a run that passed, and the other way round.

use std::{collections::BTreeSet, io};

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::{
    excerpt::excerpt,
    fault::{counted, restored},
    matrix::Matrix,
    text,
};
use crate::outcome::{NotRun, Overall, Verdict, remarks, result};
use crate::{
    judge::view::{self, Judged},
    run::{
        Completion, Record, Restoration,
        record::{AbortKind, Refusal, SteadyResult, SteadyWhen},
    },
    span::Span,
    time::duration,
};

/// Writes runs as one JUnit report.
pub fn write<'a>(records: impl IntoIterator<Item = &'a Record>, out: impl io::Write) -> io::Result<()> {
    write_suites(records.into_iter().map(suite), out)
}

/// Writes suites as one JUnit report.
pub(super) fn write_suites(
    suites: impl IntoIterator<Item = TestSuite>,
    out: impl io::Write,
) -> io::Result<()> {
    let mut report = Report::new("chaos");
    let mut time = std::time::Duration::ZERO;
    for suite in suites {
        time += suite.time.unwrap_or_default();
        report.add_test_suite(suite);
    }
    report.set_time(time);
    report.serialize(out).map_err(io::Error::other)
}

/// Folds an experiment that was not run to a suite with one `error`: what is missing must not look like success.
pub(super) fn not_run(not_run: &NotRun, file: Option<&str>) -> TestSuite {
    let name = xml(&not_run.experiment);
    let mut suite = TestSuite::new(name.clone());
    if let Some(file) = file {
        suite.extra.insert("file".into(), xml(super::harmless::line(file)));
    }
    suite.set_time(std::time::Duration::ZERO);
    suite.add_property(Property::new("verdict", xml(not_run.verdict.words())));
    let why = std::iter::once(&not_run.reason).chain(&not_run.help).map(String::as_str);
    let text = why.collect::<Vec<_>>().join("\n");
    let of_type = of_type(not_run.verdict);
    let mut case = red("run completed", NonSuccessKind::Error, of_type, &not_run.reason, text);
    case.set_classname(name).set_time(std::time::Duration::ZERO);
    suite.add_test_case(case);
    suite
}

/// Says that the reports of a matrix are not whole; none where they are.
pub(super) fn unkept_matrix(matrix: &Matrix) -> Option<TestSuite> {
    let lost = matrix.unkept.as_ref()?;
    let name = xml(format!("matrix {}", matrix.matrix));
    let mut suite = TestSuite::new(name.clone());
    suite.set_time(std::time::Duration::ZERO);
    let mut case = unkept(lost);
    case.set_classname(name).set_time(std::time::Duration::ZERO);
    suite.add_test_case(case);
    Some(suite)
}

/// Returns the `type` that stands for a verdict.
pub(super) fn of_type(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotKept => "not-kept",
        Verdict::Failed => "failed",
        Verdict::Aborted => "aborted",
        Verdict::Refused => "refused",
        Verdict::NotPermitted => "not-permitted",
        Verdict::NotRestored => "not-restored",
    }
}

/// Folds a run to a suite.
pub(super) fn suite(record: &Record) -> TestSuite {
    let overall = result(record);
    let name = xml(record.plan.experiment.title());
    let mut suite = TestSuite::new(name.clone());
    let started = record.started.round(jiff::Unit::Second).unwrap_or(record.started);
    suite.extra.insert("timestamp".into(), started.to_string().into());
    suite.set_time(duration(record.ended));
    let backends: BTreeSet<&str> = record.parts.iter().map(|p| p.backend.as_str()).collect();
    let backends: Vec<&str> = backends.into_iter().collect();
    for (key, value) in [
        ("run", record.run.clone()),
        ("seed", record.plan.seed.to_string()),
        ("verdict", overall.verdict.to_string()),
        ("backends", backends.join(",")),
        ("record-version", record.version.to_string()),
    ] {
        suite.add_property(Property::new(key, xml(value)));
    }
    for (key, value) in [
        ("closest-call", overall.closest.as_ref().map(|c| &c.sentence)),
        ("confidence", overall.confidence.as_ref()),
    ] {
        if let Some(value) = value {
            suite.add_property(Property::new(key, xml(value)));
        }
    }
    for param in &record.plan.experiment.params {
        suite.add_property(Property::new(xml(format!("param {}", param.name)), param.value.to_string()));
    }
    let experiment = place(record, record.plan.experiment.span);
    if let Some((file, _)) = &experiment {
        suite.extra.insert("file".into(), xml(super::harmless::line(file)));
    }
    let mut cases = vec![completed(record, &overall)];
    cases.extend(record.unkept.as_deref().map(unkept));
    cases.extend(record.steady.iter().map(|s| steady(record, s)));
    cases.extend(expectations(record));
    cases.extend(unsteady(record));
    cases.push(rollback(record));
    for mut case in cases {
        case.set_classname(name.clone());
        if case.time.is_none() {
            case.set_time(std::time::Duration::ZERO);
        }
        if !case.extra.contains_key("file") {
            set_place(&mut case, experiment.as_ref());
        }
        suite.add_test_case(case);
    }
    suite.set_system_out(xml(text::render(record)));
    suite
}

/// Returns the file and the line of a place; none if the record does not hold the file.
fn place(record: &Record, span: Span) -> Option<(String, u32)> {
    let file = record.scenario.get(span.file.0 as usize)?;
    Some((file.name.clone(), file.position(span.start).line))
}

/// Says where a test case was written, as JUnit's successors do: `file` and `line`.
fn set_place(case: &mut TestCase, place: Option<&(String, u32)>) {
    if let Some((file, line)) = place {
        case.extra.insert("file".into(), xml(super::harmless::line(file)));
        case.extra.insert("line".into(), xml(line.to_string()));
    }
}

/// Leaves out what no XML document may hold, and what would do more than be read.
pub(super) fn xml(text: impl AsRef<str>) -> XmlString {
    XmlString::new(super::harmless::lines(text.as_ref()).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}

fn passed(name: &str) -> TestCase {
    TestCase::new(xml(name), TestCaseStatus::success())
}

fn red(name: &str, kind: NonSuccessKind, of_type: &str, message: &str, text: impl AsRef<str>) -> TestCase {
    let mut status = TestCaseStatus::non_success(kind);
    // A message is an attribute, which cannot hold more than one line.
    status.set_type(of_type).set_message(xml(super::harmless::line(message))).set_description(xml(text));
    TestCase::new(xml(name), status)
}

/// Adds to a text what the scenario says at these places, underlined.
fn with_places(record: &Record, text: String, places: impl IntoIterator<Item = Span>) -> String {
    let places = places.into_iter().filter_map(|place| excerpt(record, place));
    std::iter::once(text).chain(places).collect::<Vec<_>>().join("\n\n")
}

/// Whether the run was completed.
fn completed(record: &Record, overall: &Overall) -> TestCase {
    let name = "run completed";
    let by_steady_state = matches!(record.completion, Completion::Refused { by: Refusal::SteadyState, .. });
    let of_type = match overall.if_restored {
        Verdict::Aborted => "aborted",
        Verdict::Refused => "refused",
        Verdict::NotPermitted => "not-permitted",
        _ if record.abort.as_ref().is_some_and(|a| a.kind == AbortKind::Unproven) => "inconclusive",
        _ => "",
    };
    // Where the steady state refused the run, its own case is red.
    let of_itself = by_steady_state && record.steady.iter().any(|s| !s.held);
    let mut case = if of_type.is_empty() || of_itself {
        passed(name)
    } else {
        let reason = match (&record.abort, &record.completion) {
            (Some(cause), _) => cause.reason.clone(),
            (None, Completion::Refused { reason, .. } | Completion::Aborted { reason }) => reason.clone(),
            (None, Completion::Completed) => overall.meaning.clone(),
        };
        let place = record.abort.as_ref().and_then(|cause| cause.span);
        let help = match &record.completion {
            Completion::Refused { help: Some(help), .. } => format!("{reason}\n{help}"),
            _ => reason.clone(),
        };
        red(name, NonSuccessKind::Error, of_type, &reason, with_places(record, help, place))
    };
    case.set_time(duration(record.ended));
    case
}

/// What shows a result could not be kept.
fn unkept(lost: &str) -> TestCase {
    let text = format!("{lost}\n{}", Verdict::NotKept.meaning());
    red("the evidence is kept", NonSuccessKind::Error, of_type(Verdict::NotKept), lost, text)
}

fn steady_name(when: SteadyWhen) -> &'static str {
    match when {
        SteadyWhen::Before => "the steady state holds before",
        SteadyWhen::After => "the steady state holds after the rollback",
    }
}

fn steady(record: &Record, steady: &SteadyResult) -> TestCase {
    let name = steady_name(steady.when);
    if steady.held {
        return passed(name);
    }
    let lines: Vec<String> = steady
        .predicates
        .iter()
        .filter(|p| p.held != Some(true))
        .map(|p| format!("{}: {}", p.text, p.measured))
        .collect();
    let message = lines.first().cloned().unwrap_or_else(|| "undecided".into());
    let refused = matches!(record.completion, Completion::Refused { .. });
    let (kind, of_type) = match steady.when {
        SteadyWhen::Before if refused => (NonSuccessKind::Error, "refused"),
        _ if steady.predicates.iter().any(|p| p.held == Some(false)) => (NonSuccessKind::Failure, "failed"),
        _ => (NonSuccessKind::Error, "inconclusive"),
    };
    let places = steady.predicates.iter().filter(|p| p.held != Some(true)).map(|p| p.span);
    red(name, kind, of_type, &message, with_places(record, lines.join("\n"), places))
}

/// A steady state that should have been judged after the rollback and was not.
fn unsteady(record: &Record) -> Option<TestCase> {
    let judged = record.steady.iter().any(|s| s.when == SteadyWhen::After);
    let refused = matches!(record.completion, Completion::Refused { .. });
    if judged || refused || record.plan.experiment.steady_state.predicates.is_empty() {
        return None;
    }
    let message = "the steady state was not judged after the rollback";
    Some(red(steady_name(SteadyWhen::After), NonSuccessKind::Error, "inconclusive", message, message))
}

fn expectations(record: &Record) -> Vec<TestCase> {
    let judged = record.expectations.iter().map(|judged| {
        let mut case = expectation(record, judged);
        set_place(&mut case, place(record, judged.span).as_ref());
        case
    });
    let mut cases: Vec<TestCase> = judged.collect();
    let refused = matches!(record.completion, Completion::Refused { .. });
    for missing in record.plan.experiment.expectations.iter().skip(record.expectations.len()) {
        let name = missing.name.as_str();
        cases.push(if refused {
            let mut status = TestCaseStatus::skipped();
            status.set_message("no fault was injected");
            TestCase::new(xml(name), status)
        } else {
            let message = "it was not judged";
            red(name, NonSuccessKind::Error, "inconclusive", message, missing.claim.to_string())
        });
    }
    cases
}

fn expectation(record: &Record, judged: &Judged) -> TestCase {
    let text = |reasons: &[String]| {
        let more = reasons.iter().filter(|r| !judged.measured.contains(r.as_str()));
        let texts = [&judged.claim, &judged.measured].into_iter().chain(more).map(String::as_str);
        let lines: Vec<&str> = texts.chain(remarks(&judged.findings)).collect();
        lines.join("\n")
    };
    match &judged.verdict {
        view::Verdict::Passed => {
            let mut case = passed(&judged.name);
            case.set_system_out(xml(text(&[])));
            case
        }
        view::Verdict::Failed => {
            let message = if judged.measured.is_empty() { "it does not hold" } else { &judged.measured };
            red(
                &judged.name,
                NonSuccessKind::Failure,
                "failed",
                message,
                with_places(record, text(&[]), [judged.span]),
            )
        }
        view::Verdict::Inconclusive { reasons } => {
            let message =
                if judged.measured.is_empty() { reasons.join("; ") } else { judged.measured.clone() };
            red(
                &judged.name,
                NonSuccessKind::Error,
                "inconclusive",
                &message,
                with_places(record, text(reasons), [judged.span]),
            )
        }
    }
}

fn rollback(record: &Record) -> TestCase {
    let name = "everything is as it was";
    match &record.restoration {
        Restoration::Restored => {
            let mut case = passed(name);
            let lines: Vec<String> =
                record.parts.iter().map(|p| format!("{}: {}", p.id, restored(p).1)).collect();
            case.set_system_out(xml(lines.join("\n")));
            case
        }
        Restoration::NotRestored { what, command } => {
            let message = format!("{} still in place; `{command}` finishes it", counted(what.len(), "thing"));
            red(
                name,
                NonSuccessKind::Error,
                "not-restored",
                &message,
                format!("{}\n{command}", what.join("\n")),
            )
        }
    }
}
