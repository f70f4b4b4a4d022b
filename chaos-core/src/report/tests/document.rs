use serde_json::Value;

use super::{records, schema::assert_documented};
use crate::{outcome::result, report::json};

fn written(record: &crate::run::Record) -> String {
    let mut out = Vec::new();
    json::write(record, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What was read is what was written.
pub(super) fn assert_same(read: &json::Document, record: &crate::run::Record) {
    assert_eq!(read.result, result(record));
    let [read, written] = [&read.record, record].map(|r| serde_json::to_value(r).unwrap());
    assert!(nearly(&read, &written), "{read:#}\n{written:#}");
}

/// Whether two values are equal, but for the last bits of fractions, which reading JSON may get wrong.
fn nearly(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| nearly(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn what_is_written_can_be_read() {
    for (name, record) in records::all() {
        let read = json::read(&written(&record)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_same(&read, &record);
    }
}

#[test]
fn the_result_is_easy_to_find() {
    let value: Value = serde_json::from_str(&written(&records::failed())).unwrap();
    assert_eq!(value["version"], 2);
    insta::assert_json_snapshot!("json_result", value["result"]);
}

#[test]
fn the_schema_in_the_documentation_is_current() {
    assert_documented("record.schema.json", json::schema());
}

#[test]
fn every_field_that_is_written_is_in_the_schema() {
    let schema = json::schema().to_value();
    let properties = schema["properties"].as_object().unwrap();
    let value: Value = serde_json::from_str(&written(&records::not_restored())).unwrap();
    for field in value.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "`{field}` is not in the schema");
    }
}
