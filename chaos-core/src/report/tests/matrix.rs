use super::{records, schema::assert_documented};
use crate::{
    model::{Param, Quantity, Unit},
    outcome::Verdict,
    report::{line::WIDTH, matrix},
    run::Record,
};

fn at(mut record: Record, extra: f64) -> Record {
    let value = Quantity::new(extra, Unit::Seconds);
    let param =
        Param { name: "extra".into(), value, default: Quantity::new(0.1, Unit::Seconds), range: None };
    record.plan.experiment.params = vec![param];
    record.plan.experiment.varied = vec!["extra".into()];
    record
}

fn records() -> Vec<Record> {
    vec![
        at(records::passed(), 0.1),
        at(records::failed(), 0.5),
        at(records::inconclusive(), 1.0),
        at(records::aborted_by_condition(), 2.0),
    ]
}

#[test]
fn one_table_for_all_runs() {
    let all = records();
    let matrix = matrix::Matrix::of("m1", 4, &all);
    assert_eq!(matrix.verdict, Verdict::Aborted);
    insta::assert_snapshot!("matrix_text", matrix::render(&matrix));
    insta::assert_snapshot!("matrix_markdown", matrix::markdown(&matrix, "a.chaos"));
    assert!(matrix::render(&matrix).lines().all(|line| line.chars().count() <= WIDTH));
    let mut out = Vec::new();
    matrix::json(&matrix, &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<matrix::Matrix>(&out).unwrap(), matrix);
}

#[test]
fn each_cell_is_a_suite_of_its_own() {
    let mut out = Vec::new();
    crate::report::junit::write(&records(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("<testsuite ").count(), 4);
    for value in ["100ms", "500ms", "1s", "2s"] {
        assert!(text.contains(&format!("[extra = {value}]\"")), "{value}: {text}");
    }
}

#[test]
fn what_was_not_run_is_no_pass() {
    let passed = [at(records::passed(), 0.1)];
    assert_eq!(matrix::Matrix::of("m1", 1, &passed).verdict, Verdict::Passed);
    assert_eq!(matrix::Matrix::of("m1", 2, &passed).verdict, Verdict::Aborted);
    assert_eq!(matrix::Matrix::of("m1", 2, []).verdict, Verdict::Refused);
}

#[test]
fn the_schema_in_the_documentation_is_current() {
    assert_documented("matrix.schema.json", matrix::schema());
}
