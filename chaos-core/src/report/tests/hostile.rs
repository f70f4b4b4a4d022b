//! Whatever stands in a record, its reports only say it.

use serde_json::Value;

use super::records;
use crate::{
    outcome::{NotRun, Verdict},
    report::{self, FORMATS, Reported, Reports, Subject},
    run::Record,
};

/// What steers a terminal, turns text around, hides text, and commands a CI system.
const HOSTILE: &str =
    "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2066}\u{200f}\u{e0041}\r\n::error file=a::b ##[error]c ##vso[d]e";

fn assert_harmless(name: &str, text: &str) {
    for (number, line) in text.lines().enumerate() {
        let steers = |c: char| {
            c.is_control()
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(c, '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
        };
        assert!(!line.contains(steers), "{name}, line {number}: {line:?}");
        assert!(!line.trim_start().starts_with("::"), "{name}, line {number}: {line:?}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{name}, line {number}: {line:?}");
    }
}

/// Returns the places of all texts of a document.
fn texts(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::String(_) => out.push(at),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, value)| texts(value, format!("{at}/{i}"), out));
        }
        Value::Object(all) => {
            for (key, value) in all {
                texts(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        _ => {}
    }
}

#[test]
fn no_text_of_a_record_does_more_than_be_read() {
    let mut tried = 0;
    for (name, record) in records::all() {
        let whole = serde_json::to_value(&record).unwrap();
        let mut places = Vec::new();
        texts(&whole, String::new(), &mut places);
        for place in places {
            let mut hostile = whole.clone();
            let text = hostile.pointer_mut(&place).unwrap();
            *text = format!("{HOSTILE}{}{HOSTILE}", text.as_str().unwrap()).into();
            // Words of a fixed set, and times, cannot hold anything else.
            let Ok(hostile) = serde_json::from_value::<Record>(hostile) else { continue };
            tried += 1;
            let reported = Reported { subject: Subject::Run(&hostile), file: Some(HOSTILE) };
            for format in &FORMATS {
                let text = format.document(&Reports { all: vec![reported], several: false }).unwrap();
                assert_harmless(&format!("{} of {name} with {place}", format.name), &text);
            }
            let page = report::html::render(&hostile, &records::samples(), Some(HOSTILE));
            assert_harmless(&format!("page of {name} with {place}"), &page);
            assert_harmless(&format!("plan of {name} with {place}"), &report::plan::render(&hostile.plan));
        }
    }
    assert!(tried > 500, "{tried} texts were tried");
}

#[test]
fn no_reason_for_not_running_does_more_than_be_read() {
    let text = || HOSTILE.to_owned();
    let not_run =
        NotRun { experiment: text(), verdict: Verdict::Refused, reason: text(), help: Some(text()) };
    let reported = Reported { subject: Subject::NotRun(&not_run), file: None };
    for format in &FORMATS {
        let text = format.document(&Reports { all: vec![reported], several: false }).unwrap();
        assert_harmless(format.name, &text);
    }
}
