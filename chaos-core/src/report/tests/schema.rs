//! Schemas in the documentation against those of the code.

use std::path::Path;

use schemars::Schema;
use serde_json::Value;

/// What is documented is what is written; `UPDATE_SCHEMA=1 cargo test -p chaos-core schema` writes it anew.
pub(in crate::report) fn assert_documented(name: &str, schema: Schema) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let schema = schema.to_value();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let documented: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        documented == schema,
        "docs/{name} is not current: run `UPDATE_SCHEMA=1 cargo test -p chaos-core schema`, look at the change, and raise \
         SCHEMA_VERSION if a field changed its meaning or went away"
    );
}
