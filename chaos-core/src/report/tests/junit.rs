use quick_xml::{Reader, events::Event};

use super::records;
use crate::{
    outcome::{Verdict, result},
    report::junit,
    run::Record,
};

fn written(records: &[Record]) -> String {
    let mut out = Vec::new();
    junit::write(records, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What stands in a suite, counted from its elements.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Reads a report back; returns each suite's counts as it says them and as they are.
fn suites(xml: &str) -> Vec<(Counts, Counts)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut suites: Vec<(Counts, Counts)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return suites,
            Event::Start(e) | Event::Empty(e) => {
                let attribute = |name: &str| -> Option<String> {
                    let found = e.try_get_attribute(name).unwrap()?;
                    Some(String::from_utf8(found.value.into_owned()).unwrap())
                };
                let number = |name: &str| attribute(name).map_or(0, |n| n.parse().unwrap());
                match e.name().as_ref() {
                    b"testsuite" => {
                        let said = Counts {
                            tests: number("tests"),
                            failures: number("failures"),
                            errors: number("errors"),
                            skipped: number("skipped"),
                        };
                        assert!(attribute("timestamp").is_some() && attribute("time").is_some());
                        suites.push((said, Counts::default()));
                    }
                    b"testcase" => {
                        for needed in ["name", "classname", "time"] {
                            assert!(attribute(needed).is_some(), "a test case without `{needed}`");
                        }
                        suites.last_mut().unwrap().1.tests += 1;
                    }
                    b"failure" => suites.last_mut().unwrap().1.failures += 1,
                    b"error" => suites.last_mut().unwrap().1.errors += 1,
                    b"skipped" => suites.last_mut().unwrap().1.skipped += 1,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[test]
fn as_continuous_integration_reads_it() {
    for name in [
        "passed",
        "failed",
        "inconclusive",
        "refused_by_steady_state",
        "not_restored",
        "aborted_by_condition",
    ] {
        let record = records::all().into_iter().find(|(n, _)| *n == name).unwrap().1;
        insta::assert_snapshot!(format!("junit_{name}"), written(&[record]));
    }
}

#[test]
fn counts_are_right_and_red_is_what_did_not_pass() {
    let all: Vec<Record> = records::all().into_iter().map(|(_, r)| r).collect();
    let suites = suites(&written(&all));
    assert_eq!(suites.len(), all.len());
    for (record, (said, counted)) in all.iter().zip(suites) {
        let verdict = result(record).verdict;
        assert_eq!(said, counted, "{verdict}");
        let red = counted.failures + counted.errors > 0;
        assert_eq!(red, verdict != Verdict::Passed, "{verdict}: {counted:?}");
        assert_eq!(
            counted.failures > 0,
            result(record).if_restored == Verdict::Failed,
            "{verdict}: {counted:?}"
        );
        let refused = matches!(verdict, Verdict::Refused | Verdict::NotPermitted);
        assert_eq!(counted.skipped, if refused { 3 } else { 0 }, "{verdict}");
        assert!(counted.tests > record.plan.experiment.expectations.len());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever a probe has met or a file says, the document stays well-formed and nothing in it becomes an element.
    #[test]
    fn any_text_is_well_formed(any in "[\\x00-\\x7f\u{80}-\u{9f}\u{fffe}\u{ffff}é😀]{0,40}") {
        let mut record = records::failed();
        record.plan.experiment.name = any.as_str().into();
        record.expectations[1].measured = any.clone();
        record.expectations[0].name = any.clone();
        record.probes[0].errors[0].0 = any.clone();
        let xml = written(&[record]);
        let suites = suites(&xml);
        proptest::prop_assert_eq!(suites.len(), 1);
        proptest::prop_assert_eq!(&suites[0].0, &suites[0].1);
        let illegal = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        proptest::prop_assert!(!xml.contains(illegal));
    }
}
