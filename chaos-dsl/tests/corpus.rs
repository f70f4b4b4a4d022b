//! The corpora: one mistake per file with its rendered diagnostics, layouts before and after, and every construct of the
//! language.

use chaos_core::span::FileId;
use chaos_dsl::diagnostic::Report;
use chaos_dsl::{SourceMap, format, parse};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// Renders all diagnostics of a text as the command line does, without colour.
fn render(name: &str, text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let mut out = String::new();
    for diagnostic in parse(file, text).diagnostics {
        handler.render_report(&mut out, &Report::new(&diagnostic, &sources)).expect("a diagnostic renders");
        out.push('\n');
    }
    out
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn mistakes_are_told_with_place_and_fix() {
    let mut settings = settings();
    settings.set_snapshot_path("../../tests/corpus/parse/snapshots");
    settings.bind(|| {
        insta::glob!("../../tests/corpus/parse", "*.chaos", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let rendered = render(path.file_name().unwrap().to_str().unwrap(), &text);
            assert!(!rendered.is_empty(), "{} has no mistake", path.display());
            let help = parse(FileId(0), &text).diagnostics.iter().all(|d| d.place().is_some());
            assert!(help, "{} has a diagnostic without a place", path.display());
            insta::assert_snapshot!(rendered);
        });
    });
}

#[test]
fn layout_is_canonical_and_stable() {
    let mut settings = settings();
    settings.set_snapshot_path("../../tests/corpus/format/snapshots");
    settings.bind(|| {
        insta::glob!("../../tests/corpus/format", "*.chaos", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let once = format(&text).unwrap_or_else(|e| panic!("{}: {e:#?}", path.display()));
            assert_eq!(format(&once).unwrap(), once, "{}", path.display());
            insta::assert_snapshot!(once);
        });
    });
}

#[test]
fn the_whole_language_parses_and_formats() {
    let mut settings = settings();
    settings.set_snapshot_path("../../tests/corpus/language/snapshots");
    settings.bind(|| {
        insta::glob!("../../tests/corpus/language", "*.chaos", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let rendered = render(path.file_name().unwrap().to_str().unwrap(), &text);
            assert!(rendered.is_empty(), "{rendered}");
            let once = format(&text).unwrap();
            assert_eq!(format(&once).unwrap(), once);
            insta::assert_snapshot!(once);
        });
    });
}

#[test]
fn records_for_editors_have_lines_and_columns() {
    let mut sources = SourceMap::new();
    let text = "experiment \"é\" { duration 10mms }\n";
    let file = sources.add("a.chaos", text);
    let diagnostics = parse(file, text).diagnostics;
    let json = serde_json::to_value(diagnostics[0].record(&sources)).unwrap();
    assert_eq!(json["code"], "E0021");
    assert_eq!(json["primary"]["file"], "a.chaos");
    assert_eq!(json["primary"]["start"]["line"], 1);
    assert_eq!(json["primary"]["start"]["column"], 29);
    assert_eq!(json["primary"]["end"]["column"], 32);
    assert_eq!(json["help"], "did you mean `10ms`?");
}
