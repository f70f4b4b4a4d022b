//! Everything that is known of a run, for machines, with a versioned schema.

use std::io;

use serde::{Deserialize, Serialize};

use crate::outcome::{Overall, result};
use crate::run::Record;

/// A record with its result; its `version` is that of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "chaos run record")]
pub struct Document {
    /// The outcome of the run.
    pub result: Overall,
    /// Everything that it rests on.
    #[serde(flatten)]
    pub record: Record,
}

impl Document {
    /// Adds the result of a run to its record.
    pub fn new(record: Record) -> Document {
        Document { result: result(&record), record }
    }
}

/// Borrows what [`Document`] owns, so that writing copies nothing.
#[derive(Serialize)]
struct View<'a> {
    result: Overall,
    #[serde(flatten)]
    record: &'a Record,
}

/// Writes a run as one JSON object, indented.
pub fn write(record: &Record, out: impl io::Write) -> io::Result<()> {
    object(&View { result: result(record), record }, out)
}

/// Writes anything as JSON, indented, with a line feed behind it.
pub(super) fn object(value: &impl Serialize, mut out: impl io::Write) -> io::Result<()> {
    let text = super::harmless::json(&serde_json::to_string_pretty(value)?);
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")
}

/// Reads what [`write()`] has written.
pub fn read(text: &str) -> Result<Document, serde_json::Error> {
    serde_json::from_str(text)
}

/// Returns the JSON schema of what [`write()`] writes (draft 2020-12).
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Document>()
}
