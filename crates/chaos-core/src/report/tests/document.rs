use super::records;
use crate::report::json;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/record.schema.json");

fn written(record: &crate::run::Record) -> String {
    let mut out = Vec::new();
    json::write(record, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_written_can_be_read() {
    for (name, record) in records::all() {
        let read = json::read(&written(&record)).unwrap();
        assert_eq!(read, json::Document::new(record), "{name}");
    }
}

#[test]
fn the_result_is_easy_to_find() {
    let value: serde_json::Value = serde_json::from_str(&written(&records::failed())).unwrap();
    assert_eq!(value["version"], 1);
    insta::assert_json_snapshot!("json_result", value["result"]);
}

/// `UPDATE_SCHEMA=1 cargo test -p chaos-core schema` writes it anew.
#[test]
fn the_schema_in_the_documentation_is_current() {
    let schema = json::schema().to_value();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    let documented: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        documented == schema,
        "docs/record.schema.json is not current: run `UPDATE_SCHEMA=1 cargo test -p chaos-core schema`, look at the change, \
         and raise SCHEMA_VERSION if a field changed its meaning or went away"
    );
}

#[test]
fn every_field_that_is_written_is_in_the_schema() {
    let schema = json::schema().to_value();
    let properties = schema["properties"].as_object().unwrap();
    let value: serde_json::Value = serde_json::from_str(&written(&records::not_restored())).unwrap();
    for field in value.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "`{field}` is not in the schema");
    }
}
