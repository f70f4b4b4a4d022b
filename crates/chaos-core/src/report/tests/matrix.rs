use super::records;
use crate::{
    model::{Param, Quantity, Unit},
    report::{Verdict, line::WIDTH, matrix},
    run::Record,
};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/matrix.schema.json");

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

/// `UPDATE_SCHEMA=1 cargo test -p chaos-core schema` writes it anew.
#[test]
fn the_schema_in_the_documentation_is_current() {
    let schema = matrix::schema().to_value();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
    }
    let documented: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(SCHEMA).unwrap_or_default()).unwrap_or_default();
    assert!(
        documented == schema,
        "run `UPDATE_SCHEMA=1 cargo test -p chaos-core schema` and look at the change"
    );
}
