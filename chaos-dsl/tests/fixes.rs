//! Suggestions as data: what a diagnostic offers to write in place of a mistake mends the mistake.

use std::{fs, path::PathBuf};

use chaos_core::span::FileId;
use chaos_dsl::{
    Code, Diagnostic, compile,
    diagnostic::{Fix, Record},
    parse,
};

fn mended(text: &str, fix: &Fix) -> String {
    let mut text = text.to_owned();
    text.replace_range(fix.span.start as usize..fix.span.end as usize, &fix.text);
    text
}

fn errors(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.into_iter().filter(Diagnostic::is_error).collect()
}

/// Returns the files of a corpus with their texts.
fn files(corpus: &str) -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(format!("../tests/corpus/{corpus}")).expect("there is such a corpus");
    let paths = folder.map(|entry| entry.expect("the folder can be read").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "chaos"));
    paths.map(|path| (path.clone(), fs::read_to_string(path).expect("it is text"))).collect()
}

/// Applies each fix of each file of a corpus by itself; returns how many there are, and what is wrong with them.
fn apply(corpus: &str, read: impl Fn(&str) -> Vec<Diagnostic>) -> (usize, Vec<String>) {
    let (mut applied, mut wrong) = (0, Vec::new());
    for (path, text) in files(corpus) {
        let before = errors(read(&text));
        for diagnostic in &before {
            let Some(fix) = &diagnostic.fix else { continue };
            applied += 1;
            let after = errors(read(&mended(&text, fix)));
            let (code, message, start) = (diagnostic.code, &diagnostic.message, diagnostic.span.start);
            let gone = !after.iter().any(|d| (d.code, &d.message, d.span.start) == (code, message, start));
            // A name that stands wrong in several places is reported once; a fix is for the first of them.
            let shrinks = after.len() < before.len() || !diagnostic.secondary.is_empty();
            if !gone || !shrinks {
                let left: Vec<&str> = after.iter().map(|d| d.message.as_str()).collect();
                let (path, said) = (path.display(), &diagnostic.message);
                wrong.push(format!("{path}: `{}` for `{said}` leaves {left:?}", fix.text));
            }
        }
    }
    (applied, wrong)
}

#[test]
fn each_fix_of_the_checker_mends_what_it_is_offered_for() {
    let (applied, wrong) = apply("check", |text| compile("corpus.chaos", text, &[]).diagnostics);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(applied >= 30, "{applied} fixes are offered");
}

#[test]
fn each_fix_of_the_parser_mends_what_it_is_offered_for() {
    let (applied, wrong) = apply("parse", |text| parse(FileId::default(), text).diagnostics);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(applied >= 20, "{applied} fixes are offered");
}

#[test]
fn who_asks_what_was_meant_offers_to_write_it() {
    for corpus in ["check", "parse"] {
        for (path, text) in files(corpus) {
            for diagnostic in compile("corpus.chaos", &text, &[]).diagnostics {
                let asks = diagnostic.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
                assert!(!asks || diagnostic.fix.is_some(), "{}: {diagnostic:?}", path.display());
            }
        }
    }
}

#[test]
fn a_fix_is_part_of_the_json_form() {
    let text = fs::read_to_string("../scenarios/quickstart.chaos").unwrap().replacen("delay", "dealy", 1);
    let compiled = compile("quickstart.chaos", &text, &[]);
    let records: Vec<Record> = compiled.diagnostics.iter().map(|d| d.record(&compiled.sources)).collect();
    let fix = records.iter().find_map(|record| record.fix.as_ref()).expect("a misspelt word has a fix");
    assert_eq!((fix.file.as_str(), fix.text.as_str()), ("quickstart.chaos", "delay"));
    assert_eq!(fix.start.line, fix.end.line);
    let json = serde_json::to_value(&records).unwrap();
    let found = json.as_array().unwrap().iter().find(|record| record.get("fix").is_some()).unwrap();
    assert_eq!(found["code"], Code::UnknownKind.to_string());
    assert_eq!(found["fix"]["text"], "delay");
}
