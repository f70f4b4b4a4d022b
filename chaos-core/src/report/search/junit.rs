//! A search as JUnit XML: one suite, with a case for the answer and one for each trial.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{counted, found};
use crate::{
    outcome::Verdict,
    report::junit::{of_type, xml},
    search::{Outcome, SearchRecord},
};

/// Folds a search to a suite.
///
/// The case of the answer is green where there is one, a `failure` where the mildest level already fails, else an `error`. A trial
/// that did not hold is not a failure: it is what was looked for. One that ended the search is an `error`.
pub(crate) fn suite(record: &SearchRecord) -> TestSuite {
    let question = &record.header.question;
    let name = xml(format!("{} of {}", question.param(), record.header.experiment));
    let mut suite = TestSuite::new(name.clone());
    let started = record.header.started.round(jiff::Unit::Second).unwrap_or(record.header.started);
    suite.extra.insert("timestamp".into(), started.to_string().into());
    for (key, value) in [
        ("search", record.header.search.clone()),
        ("seed", record.header.seed.to_string()),
        ("range", format!("{} .. {}", question.low(), question.high())),
        ("tolerance", question.tolerance().to_string()),
        ("record-version", record.header.version.to_string()),
    ] {
        suite.add_property(Property::new(key, xml(value)));
    }
    let mut cases = vec![answer(record)];
    for trial in &record.trials {
        let mut status = TestCaseStatus::success();
        if let Outcome::Ended { by, reason } = &trial.outcome {
            status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type(of_type(*by)).set_message(xml(reason));
        }
        let mut case = TestCase::new(xml(format!("trial {} at {}", trial.number, trial.level)), status);
        case.set_time(trial.took);
        case.set_system_out(xml(format!("{}\n{}", trial.outcome.words(), trial.reason)));
        cases.push(case);
    }
    let time = record.trials.iter().map(|trial| trial.took).sum();
    for mut case in cases {
        case.set_classname(name.clone());
        if case.time.is_none() {
            case.set_time(std::time::Duration::ZERO);
        }
        suite.add_test_case(case);
    }
    suite.set_time(time);
    suite.set_system_out(xml(super::render(record)));
    suite
}

fn answer(record: &SearchRecord) -> TestCase {
    let name = format!("the breaking point is known to within {}", record.header.question.tolerance());
    let found = found(record);
    let red = |kind, of_type: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(of_type).set_message(xml(&found)).set_description(xml(counted(record)));
        TestCase::new(xml(&name), status)
    };
    match record.verdict() {
        Verdict::Passed => {
            let mut case = TestCase::new(xml(&name), TestCaseStatus::success());
            case.set_system_out(xml(&found));
            case
        }
        Verdict::Failed => red(NonSuccessKind::Failure, of_type(Verdict::Failed)),
        verdict => red(NonSuccessKind::Error, of_type(verdict)),
    }
}
