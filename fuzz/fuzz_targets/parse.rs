//! Any text becomes an experiment or mistakes, without a panic; what parses is formatted without loss.

#![no_main]

use std::fmt::Write as _;

use chaos_core::{model::Experiment, span::FileId};
use chaos_dsl::{diagnostic::Report, format, parse};
use libfuzzer_sys::fuzz_target;
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let parsed = parse(FileId::default(), text);
    let compiled = chaos_dsl::compile("fuzz.chaos", text, &[]);
    let screen = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut shown = String::new();
    for diagnostic in &compiled.diagnostics {
        let explained = diagnostic.secondary.iter().map(|label| label.span);
        let mended = diagnostic.fix.iter().map(|fix| fix.span);
        for span in diagnostic.place().into_iter().chain(explained).chain(mended) {
            let inside = text.get(span.start as usize..span.end as usize);
            assert!(inside.is_some(), "{diagnostic:?} points past the text or into a character");
        }
    }
    // Drawing is slow beside all the rest, and one mistake is drawn like the other.
    let found = &compiled.diagnostics;
    for diagnostic in found.first().into_iter().chain(found.get(1..).and_then(<[_]>::last)) {
        let drawn = screen.render_report(&mut shown, &Report::new(diagnostic, &compiled.sources));
        assert!(drawn.is_ok(), "{diagnostic:?} cannot be shown");
    }
    if compiled.is_ok() {
        assert!(parsed.is_ok(), "a text that does not parse has a meaning");
    } else {
        assert!(compiled.experiments.is_empty(), "a text with mistakes has a meaning");
    }
    let Ok(formatted) = format(text) else {
        assert!(!parsed.is_ok(), "a text that parses cannot be formatted");
        return;
    };
    let again = parse(FileId::default(), &formatted);
    assert!(again.is_ok(), "what was formatted does not parse: {:?}", again.diagnostics);
    assert_eq!(again.tree, parsed.tree, "formatting changed the tree");
    assert_eq!(format(&formatted).as_deref(), Ok(formatted.as_str()), "formatting does not settle");
    let recompiled = chaos_dsl::compile("fuzz.chaos", &formatted, &[]);
    assert_eq!(recompiled.is_ok(), compiled.is_ok(), "formatting changed whether the file can be used");
    for (before, after) in compiled.experiments.iter().zip(&recompiled.experiments) {
        assert_eq!(without_places(before), without_places(after), "formatting changed the meaning");
        shown.clear();
        for part in &before.expectations {
            write!(shown, "{}", part.claim).expect("text can always be written to");
        }
    }
});

/// Returns everything that an experiment says, but not where in the file.
fn without_places(experiment: &Experiment) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("span");
                // A selector that is nothing but a place is one, too.
                fields.retain(|_, v| v.get("file").is_none() || v.get("start").is_none());
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(experiment).expect("an experiment has a JSON form");
    strip(&mut value);
    value
}
