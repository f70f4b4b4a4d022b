//! The corpus of formulas: one mistake per file with all that is said about it.

use std::{cell::RefCell, fs};

use chaos_dsl::eval::{Known, Setting, compile};
use chaos_dsl::{SourceMap, diagnostic::Report};
use miette::{GraphicalReportHandler, GraphicalTheme};

#[test]
fn each_mistake_is_told_once_with_place_and_fix() {
    let mut setting = Setting::new(["latency", "errors"].map(Known::number), 0);
    setting.signals.push(Known::boolean("up"));
    setting.add_phases("baseline=0s..10s,fault=10s..30s,watch=30s..60s").unwrap();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let wrong = RefCell::new(Vec::new());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("../../tests/corpus/eval/snapshots");
    settings.bind(|| {
        insta::glob!("../../tests/corpus/eval", "*.formula", |path| {
            let text = fs::read_to_string(path).unwrap();
            let mut sources = SourceMap::new();
            sources.add("formula", text.trim_end());
            let diagnostics = compile(text.trim_end(), &setting).err().unwrap_or_default();
            let mut out = String::new();
            for diagnostic in &diagnostics {
                handler.render_report(&mut out, &Report::new(diagnostic, &sources)).unwrap();
            }
            insta::assert_snapshot!(out);
            let complete = diagnostics.iter().all(|d| d.place().is_some() && d.help.is_some());
            if diagnostics.len() != 1 || !complete {
                wrong.borrow_mut().push(path.to_owned());
            }
        });
    });
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
