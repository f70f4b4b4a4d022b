//! Whatever becomes of a scenario's text, checking it ends, and ends with messages.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, Instant},
};

use chaos_core::{explain::explain, run::Policy};
use chaos_dsl::{
    compile,
    diagnostic::{Diagnostic, MAX_DIAGNOSTICS},
    eval::{self, Known, Setting},
    format,
};
use proptest::prelude::*;

/// The scenarios that are mutated, cut into words, spaces and signs.
static TEXTS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let corpora = ["language", "check", "parse", "format"].map(|corpus| format!("../tests/corpus/{corpus}"));
    texts_in(corpora.iter().map(String::as_str).chain(["../scenarios"]), "chaos")
});

/// The formulas that are mutated.
static FORMULAS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| texts_in(["../tests/corpus/eval"], "formula"));

fn texts_in<'f>(folders: impl IntoIterator<Item = &'f str>, extension: &str) -> Vec<Vec<String>> {
    let mut texts = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.extension().is_some_and(|e| e == extension) {
                texts.push(cut(&fs::read_to_string(path).expect("the file can be read")));
            }
        }
    }
    texts.sort();
    texts
}

fn cut(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let class = |c: char| {
        if c.is_alphanumeric() {
            0
        } else if c == ' ' {
            1
        } else {
            2
        }
    };
    let mut last = 3;
    for c in text.chars() {
        match tokens.last_mut() {
            Some(token) if class(c) == last && last != 2 => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        last = class(c);
    }
    tokens
}

/// What is done, and where.
type Change = (u8, prop::sample::Index, prop::sample::Index);

/// Deletes, repeats, exchanges or replaces tokens, each change at a place of its own.
fn mutate(tokens: &[String], changes: &[Change]) -> String {
    let mut tokens = tokens.to_vec();
    for (what, here, there) in changes {
        if tokens.is_empty() {
            break;
        }
        // A whole line, from its indentation on.
        if *what == LINE {
            let here = here.index(tokens.len());
            let start = tokens[..here].iter().rposition(|t| t == "\n").map_or(0, |end| end + 1);
            let end =
                tokens[here..].iter().position(|t| t == "\n").map_or(tokens.len(), |end| here + end + 1);
            drop(tokens.drain(start..end));
            continue;
        }
        let (here, there) = (here.index(tokens.len()), there.index(tokens.len()));
        match what % 5 {
            0 => drop(tokens.remove(here)),
            1 => tokens.insert(here, tokens[here].clone()),
            2 => tokens.swap(here, there),
            3 => tokens[here] = tokens[there].clone(),
            _ => tokens.truncate(here.max(1)),
        }
    }
    tokens.concat()
}

/// Leaves out a line.
const LINE: u8 = 5;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_scenarios_are_checked_to_the_end(
        text in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..4u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
        cut_off in prop::bool::weighted(0.1),
    ) {
        let tokens = &TEXTS[text.index(TEXTS.len())];
        let mut changes = changes;
        if cut_off {
            let (_, here, there) = changes[0];
            changes.push((4, here, there));
        }
        let text = mutate(tokens, &changes);
        let compiled = compile("mutated.chaos", &text, &["extra=1ms".into()]);
        prop_assert!(compiled.diagnostics.len() <= MAX_DIAGNOSTICS);
        prop_assert_eq!(compiled.is_ok(), !compiled.experiments.is_empty());
        for experiment in &compiled.experiments {
            prop_assert!(!explain(experiment, &Policy::default()).is_empty());
        }
        for diagnostic in &compiled.diagnostics {
            if let Some(span) = diagnostic.place() {
                let end = span.end as usize;
                prop_assert!(span.start <= span.end && end <= text.len(), "{diagnostic:?}");
                prop_assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(end));
            }
        }
    }
}

/// Signs that get into a text by hand: of other languages, of word processors, and some that nobody sees.
const STRAY: &[&str] =
    &["", "", "", "\t", "\u{feff}", "// ", "'", "“", "&&", "http://", "\u{200b}", "{", "\"", "}\n"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What `chaos check` refuses it refuses with a mistake to mend: never in silence, nor with warnings alone.
    #[test]
    fn what_is_refused_has_an_error(
        text in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..=LINE, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
        (stray, at) in (prop::sample::select(STRAY), any::<prop::sample::Index>()),
    ) {
        let mut tokens = TEXTS[text.index(TEXTS.len())].clone();
        tokens.insert(at.index(tokens.len() + 1), stray.to_owned());
        let text = mutate(&tokens, &changes);
        let compiled = compile("mutated.chaos", &text, &[]);
        let errors = compiled.diagnostics.iter().filter(|d| d.is_error()).count();
        prop_assert_eq!(compiled.experiments.is_empty(), errors > 0, "{}\n{:#?}", text, compiled.diagnostics);
        prop_assert_eq!(compiled.is_ok(), errors == 0);
        // Reading alone: what cannot be read is not laid out anew either.
        if let Err(diagnostics) = format(&text) {
            prop_assert!(diagnostics.iter().any(Diagnostic::is_error), "{}\n{:#?}", text, diagnostics);
            prop_assert!(errors > 0, "{}\n{:#?}", text, diagnostics);
        }
    }

    /// So does `chaos eval`.
    #[test]
    fn a_formula_that_is_refused_has_an_error(
        text in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..4u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
        (stray, at) in (prop::sample::select(STRAY), any::<prop::sample::Index>()),
    ) {
        let mut setting = Setting::new(["latency", "errors"].map(Known::number), 60_000_000_000);
        setting.signals.push(Known::boolean("up"));
        setting.add_phases("baseline=0s..10s,fault=10s..30s,watch=30s..60s").expect("phases are written so");
        let mut tokens = FORMULAS[text.index(FORMULAS.len())].clone();
        tokens.insert(at.index(tokens.len() + 1), stray.to_owned());
        let text = mutate(&tokens, &changes);
        if let Err(diagnostics) = eval::compile(&text, &setting) {
            prop_assert!(diagnostics.iter().any(Diagnostic::is_error), "{}\n{:#?}", text, diagnostics);
        }
    }
}

/// A scenario of about this many lines, each name of its own.
fn large(lines: usize) -> String {
    let n = lines / 4;
    let mut text = String::from(
        "experiment \"large\" {\n  hypothesis \"it is checked in no time\"\n  lab {\n    host client\n    host api 500 { run http port 8080 }\n  }\n",
    );
    for i in 0..n {
        let api = i % 500 + 1;
        text.push_str(&format!("  probe p{i} = tcp \"api-{api}:8080\" from client\n"));
        text.push_str(&format!("  fault f{i} = delay 1ms on client to api-{api}\n"));
    }
    text.push_str("  steady state over 5s {\n");
    (0..n).for_each(|i| text.push_str(&format!("    success(p{i}) >= 90%\n")));
    text.push_str("  }\n  duration 30s\n  expect {\n");
    (0..n).for_each(|i| text.push_str(&format!("    \"e{i}\": success(p{i}) >= 90% during f{i}\n")));
    text.push_str("  }\n}\n");
    text
}

#[test]
fn large_files_take_no_more_than_their_share() {
    let time = |lines: usize, break_it: bool| {
        let mut text = large(lines);
        if break_it {
            text = text.replace("(p", "(q");
        }
        let started = Instant::now();
        let compiled = compile("large.chaos", &text, &[]);
        assert_eq!(compiled.is_ok(), !break_it, "{:#?}", compiled.diagnostics.first());
        let took = started.elapsed();
        println!(
            "{lines} lines, {} bytes: {took:?}, {:.2} MB/s",
            text.len(),
            text.len() as f64 / 1e6 / took.as_secs_f64()
        );
        took
    };
    for break_it in [false, true] {
        let (small, large) = (time(1_000, break_it), time(10_000, break_it));
        // Ten times as much in a hundred times the time would be quadratic; names are compared one by one, at little cost.
        assert!(large < small * 60 + Duration::from_secs(2), "{small:?} and {large:?}");
    }
}

/// Mistakes as people make them, one in each text: a word, a sign or a line left out, a word misspelt, a unit forgotten, set
/// apart or unknown, a quote left open, a line twice.
fn slips(text: &str) -> Vec<(String, String)> {
    let mut slips = Vec::new();
    let mut slip = |name: &str, range: std::ops::Range<usize>, instead: String| {
        let what = format!("{name} `{}` at byte {}", &text[range.clone()], range.start);
        slips.push((what, format!("{}{instead}{}", &text[..range.start], &text[range.end..])));
    };
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let word = |c: char| c.is_ascii_alphanumeric() || "_.%/-".contains(c);
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (range, token) = (at..at + length, &rest[..length]);
        at += length;
        if first.is_whitespace() {
            continue;
        }
        slip("left out", range.clone(), String::new());
        let digits = token.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = token.split_at(digits);
        if matches!(unit, "ms" | "s" | "%" | "/s") && digits > 0 {
            slip("without unit", range.clone(), number.to_owned());
            slip("of no unit", range.clone(), format!("{number}q"));
            slip("set apart", range.clone(), format!("{number} {unit}"));
        } else if token.len() > 2 && token.bytes().all(|b| b.is_ascii_lowercase()) {
            slip("misspelt", range.clone(), format!("{}x", &token[..token.len() - 1]));
        } else if first == '"' {
            slip("left open", range, token[..token.len() - 1].to_owned());
        }
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        slip("line left out", range.clone(), String::new());
        slip("line twice", range, line.repeat(2));
    }
    slips
}

#[test]
fn one_slip_is_reported_once() {
    let text = std::fs::read_to_string("../scenarios/loss.chaos").unwrap();
    assert!(compile("loss.chaos", &text, &[]).is_ok());
    let slips = slips(&text);
    let mut often = Vec::new();
    for (what, text) in &slips {
        let diagnostics: Vec<String> =
            compile("loss.chaos", text, &[]).diagnostics.into_iter().map(|d| d.remark.message).collect();
        if diagnostics.len() > 1 {
            often.push(format!("{what}: {diagnostics:#?}"));
        }
    }
    // A brace in the wrong place may well look like two mistakes.
    assert!(
        slips.len() > 250 && often.len() * 25 < slips.len(),
        "{} of {}: {often:#?}",
        often.len(),
        slips.len()
    );
}
