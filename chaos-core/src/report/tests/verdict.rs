use super::records;
use crate::{
    outcome::{Verdict, result},
    report::underlines,
    run::{Completion, Record, record::SteadyWhen},
};

fn verdict(record: &Record) -> Verdict {
    result(record).verdict
}

#[test]
fn each_kind_of_run_has_its_verdict() {
    let verdicts: Vec<(&str, Verdict)> =
        records::all().iter().map(|(name, record)| (*name, verdict(record))).collect();
    assert_eq!(
        verdicts,
        [
            ("passed", Verdict::Passed),
            ("failed", Verdict::Failed),
            ("inconclusive", Verdict::Inconclusive),
            ("aborted_by_condition", Verdict::Aborted),
            ("aborted_by_request", Verdict::Aborted),
            ("refused_by_steady_state", Verdict::Refused),
            ("refused_by_permission", Verdict::NotPermitted),
            ("not_restored", Verdict::NotRestored),
            ("unproven", Verdict::Inconclusive),
        ]
    );
}

#[test]
fn what_is_left_behind_outranks_everything_and_hides_nothing() {
    let left = records::not_restored().restoration;
    for (name, mut record) in records::all() {
        let clean = result(&record);
        record.restoration = left.clone();
        let dirty = result(&record);
        assert_eq!(dirty.verdict, Verdict::NotRestored, "{name}");
        assert_eq!(
            dirty.if_restored,
            if name == "not_restored" { Verdict::Failed } else { clean.verdict },
            "{name}"
        );
        assert!(dirty.reasons[0].contains("chaos restore"), "{name}: {:?}", dirty.reasons);
    }
}

#[test]
fn the_order_is_that_of_gravity() {
    assert!(Verdict::ALL.is_sorted());
    let words: std::collections::BTreeSet<_> = Verdict::ALL.iter().map(|v| v.words()).collect();
    assert_eq!(words.len(), Verdict::ALL.len());
}

#[test]
fn a_failure_outranks_a_doubt_and_an_abort_both() {
    let mut record = records::inconclusive();
    record.expectations[1] = records::failed().expectations[1].clone();
    assert_eq!(verdict(&record), Verdict::Failed);
    record.abort = records::aborted_by_request().abort;
    assert_eq!(verdict(&record), Verdict::Aborted);
}

#[test]
fn a_steady_state_that_does_not_come_back_is_a_failure() {
    for (held, expected) in [(Some(false), Verdict::Failed), (None, Verdict::Inconclusive)] {
        let mut record = records::passed();
        let after = record.steady.iter_mut().find(|s| s.when == SteadyWhen::After).unwrap();
        after.held = false;
        after.predicates[0].held = held;
        assert_eq!(verdict(&record), expected);
    }
    let mut record = records::passed();
    record.steady.truncate(1);
    assert_eq!(verdict(&record), Verdict::Inconclusive);
}

#[test]
fn an_expectation_that_was_not_judged_is_no_pass() {
    let mut record = records::passed();
    record.expectations.clear();
    assert_eq!(verdict(&record), Verdict::Inconclusive);
    record.plan.experiment.expectations.clear();
    assert_eq!(verdict(&record), Verdict::Passed);
}

#[test]
fn a_right_missing_when_injecting_is_not_permitted() {
    let mut record = records::aborted_by_request();
    record.abort.as_mut().unwrap().kind = crate::run::record::AbortKind::Denied;
    assert_eq!(verdict(&record), Verdict::NotPermitted);
}

#[test]
fn an_abort_without_its_cause_is_still_one() {
    let mut record = records::passed();
    record.completion = Completion::Aborted { reason: "the power went".into() };
    assert_eq!(verdict(&record), Verdict::Aborted);
}

#[test]
fn violated_lines_are_underlined_the_gravest_first() {
    let mut record = records::failed();
    record.expectations[0] = records::inconclusive().expectations[0].clone();
    let lines = underlines(&record);
    assert_eq!(
        lines.iter().map(|u| (u.is_error(), u.message.as_str(), u.span.start)).collect::<Vec<_>>(),
        [
            (true, "`most users notice nothing` does not hold", 900),
            (false, "`nobody sees an error` is undecided", 800),
        ]
    );
    assert!(lines[0].label.contains("24.3ms too much"));
    assert!(underlines(&records::passed()).is_empty());
    let refused = underlines(&records::refused_by_steady_state());
    assert_eq!(refused[0].label, "71.3% of 400");
    let aborted = underlines(&records::aborted_by_condition());
    assert_eq!((aborted[0].message.as_str(), aborted[0].span.start), ("the run was aborted", 700));
}
