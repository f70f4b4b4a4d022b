//! Diagnostics as a log of SARIF 2.1.0 (OASIS), which code scanning takes.

use chaos_core::remark::Severity;
use chaos_dsl::{
    Code,
    diagnostic::{LabelRecord, Record},
};
use serde_json::{Value, json};

use super::Checked;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Makes the log of one run, with a result for each diagnostic.
pub(super) fn log(checked: &[Checked]) -> Value {
    let said =
        checked.iter().flat_map(|file| file.diagnostics.iter().map(move |said| (file.file.as_str(), said)));
    let results: Vec<Value> = said.clone().map(|(file, said)| result(file, said)).collect();
    let is_said = |code: &&Code| said.clone().any(|(_, said)| said.code == code.number());
    let rules: Vec<Value> = Code::ALL.iter().filter(is_said).map(rule).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "chaos",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            // Columns count characters, not the UTF-16 units that are meant where nothing is said.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &Code) -> Value {
    json!({ "id": code.number(), "shortDescription": { "text": code.meaning() } })
}

fn result(file: &str, said: &Record) -> Value {
    let level = match said.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = said.help.iter().map(|help| format!("\nhelp: {help}"));
    let text: String = std::iter::once(said.message.clone()).chain(help).collect();
    let mut result = json!({
        "ruleId": said.code,
        "level": level,
        "message": { "text": text },
        "locations": [location(file, said.primary.as_ref())],
    });
    let related: Vec<Value> = said
        .secondary
        .iter()
        .map(|label| {
            let mut place = location(file, Some(label));
            place["message"] = json!({ "text": label.message });
            place
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

fn location(file: &str, label: Option<&LabelRecord>) -> Value {
    let uri = uri(label.and_then(|label| label.file.as_deref()).unwrap_or(file));
    let mut place = json!({ "artifactLocation": { "uri": uri } });
    if let Some((start, end)) = label.and_then(|label| label.start.zip(label.end)) {
        place["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    json!({ "physicalLocation": place })
}

/// Writes a path as a reference of RFC 3986: what is no unreserved character or slash is escaped.
fn uri(path: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(b).to_string()
        }
        _ => format!("%{b:02X}"),
    };
    path.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("a/b-1.chaos"), "a/b-1.chaos");
        assert_eq!(uri("a b/c:ü%.chaos"), "a%20b/c%3A%C3%BC%25.chaos");
    }

    #[test]
    fn each_diagnostic_is_a_result_of_its_rule() {
        let compiled = chaos_dsl::compile("x.chaos", "experiment \"x\" {\n  hypothesis 5 %\n}\n", &[]);
        let diagnostics = compiled.diagnostics.iter().map(|d| d.record(&compiled.sources)).collect();
        let mut log = log(&[Checked { file: "x.chaos".into(), ok: false, experiments: vec![], diagnostics }]);
        assert_eq!(log["runs"][0]["tool"]["driver"]["semanticVersion"], env!("CARGO_PKG_VERSION"));
        log["runs"][0]["tool"]["driver"]["semanticVersion"] = "VERSION".into();
        insta::assert_json_snapshot!(log);
    }
}
