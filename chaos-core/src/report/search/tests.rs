use std::time::Duration;

use crate::{
    model::{Quantity, Unit},
    outcome::Verdict,
    report::{line::WIDTH, search as report, tests::schema::assert_documented},
    search::{Header, Next, Outcome, Question, SCHEMA_VERSION, SearchRecord, Trial},
};

/// A search of a system that answers by a rule, stopped after this many trials.
fn searched(most: usize, rule: impl Fn(f64, usize) -> Outcome) -> SearchRecord {
    let seconds = |value| Quantity::new(value, Unit::Seconds);
    let question = Question::new("extra", seconds(0.0), seconds(2.0), seconds(0.04)).unwrap();
    let mut record = SearchRecord::new(Header {
        version: SCHEMA_VERSION,
        search: "20260301-100000-1".into(),
        experiment: "the shop rides out <slow> DNS".into(),
        question,
        seed: 7,
        started: "2026-03-01T10:00:00Z".parse().unwrap(),
        scenario: "0".into(),
    });
    while let Next::Try(level) = record.search().next() {
        if record.trials.len() == most {
            break;
        }
        let number = record.trials.len() as u32 + 1;
        let outcome = rule(level.value, number as usize);
        let verdict = if outcome == Outcome::Held { Verdict::Passed } else { Verdict::Failed };
        let reason = if outcome == Outcome::Held { String::new() } else { "`fast` does not hold".into() };
        record.push(Trial {
            number,
            level,
            run: Some(format!("20260301-100000-1-{number}")),
            outcome,
            verdict: Some(verdict),
            reason,
            took: Duration::from_secs(30),
        });
    }
    record
}

fn edge(level: f64, _: usize) -> Outcome {
    if level < 0.74 { Outcome::Held } else { Outcome::NotHeld }
}

fn ended(level: f64, number: usize) -> Outcome {
    match number {
        3 => Outcome::Ended { by: Verdict::Refused, reason: "the steady state does not hold".into() },
        _ => edge(level, number),
    }
}

#[test]
fn as_people_read_it() {
    let found = searched(200, edge);
    insta::assert_snapshot!("search_found", report::render(&found));
    insta::assert_snapshot!("search_markdown", report::markdown(&found, Some("a file.chaos")));
    insta::assert_snapshot!("search_stopped", report::render(&searched(4, edge)));
    insta::assert_snapshot!("search_ended", report::render(&searched(200, ended)));
    insta::assert_snapshot!("search_fails", report::render(&searched(200, |_, _| Outcome::NotHeld)));
    for record in [found, searched(4, edge), searched(200, ended), searched(200, |_, _| Outcome::Held)] {
        assert!(report::render(&record).lines().all(|line| line.chars().count() <= WIDTH));
    }
}

#[test]
fn as_continuous_integration_reads_it() {
    let written = |record: &SearchRecord| {
        let mut out = Vec::new();
        crate::report::junit::write_suites([report::suite(record)], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let found = searched(200, edge);
    let text = written(&found);
    assert!(text.contains(&format!("tests=\"{}\"", found.trials.len() + 1)), "{text}");
    assert!(text.contains("failures=\"0\"") && text.contains("errors=\"0\""), "{text}");
    assert!(written(&searched(200, |_, _| Outcome::NotHeld)).contains("failures=\"1\""));
    assert!(written(&searched(200, ended)).contains("type=\"refused\""));
    assert!(written(&searched(4, edge)).contains("type=\"aborted\""));
}

#[test]
fn what_is_written_can_be_read() {
    for record in [searched(200, edge), searched(4, edge), searched(200, ended)] {
        let mut out = Vec::new();
        report::json(&record, &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<SearchRecord>(&out).unwrap(), record);
    }
}

#[test]
fn the_schema_in_the_documentation_is_current() {
    assert_documented("search.schema.json", report::schema());
}
