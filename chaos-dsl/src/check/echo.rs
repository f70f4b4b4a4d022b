//! Drops diagnostics that are only consequences of another one.

use std::collections::BTreeMap;

use chaos_core::span::{FileId, Span};

use crate::{
    codes::Code,
    diagnostic::{Cause, Diagnostic, Label},
    source::SourceMap,
};

/// How many other places of one unknown name are pointed at.
const MOST_PLACES: usize = 4;

/// Whether a diagnostic of the checker may only follow from a statement that could not be read.
pub(super) fn follows(diagnostic: &Diagnostic) -> bool {
    match diagnostic.code {
        Code::MissingLine | Code::ImpossibleOrder | Code::NoBaseline | Code::TooShort | Code::Undecidable => {
            true
        }
        Code::UnknownName => !diagnostic.is_misspelt(),
        _ => false,
    }
}

/// Removes what only follows from another mistake; the diagnostics are in the order of the text.
pub(super) fn silence(out: &mut Vec<Diagnostic>, sources: &SourceMap) {
    // A warning is not a mistake, so nothing follows from it: the text would be refused without a word.
    let (mut errors, warnings): (Vec<_>, Vec<_>) = out.drain(..).partition(Diagnostic::is_error);
    if errors.len() > 1 {
        misplaced_blocks(&mut errors);
        same_place(&mut errors);
        same_line(&mut errors, sources);
        same_name(&mut errors);
    }
    out.extend(errors.into_iter().chain(warnings));
    out.sort_by_key(|d| d.place().map(|span| (span.file, span.start)));
}

/// Where a brace or a quote is missing or one too many, other lines stand in the wrong block, or in none.
fn misplaced_blocks(out: &mut Vec<Diagnostic>) {
    let headless = |d: &Diagnostic| d.cause == Some(Cause::NoBlock);
    let cause = |d: &Diagnostic| {
        headless(d)
            || matches!(
                d.code,
                Code::StrayBracket | Code::UnclosedBracket | Code::UnterminatedText | Code::BraceOnOwnLine
            )
    };
    let echo = |d: &Diagnostic| match d.code {
        Code::UnknownStatement | Code::NotYet => !d.is_misspelt(),
        Code::NotShared | Code::Unexpected | Code::MissingLabel | Code::NotAMetric | Code::WrongEquals => {
            true
        }
        Code::Misplaced => d.cause == Some(Cause::StrayBlock),
        _ => false,
    };
    let of_file = |d: &Diagnostic| d.place().map(|span| span.file);
    let files: Vec<FileId> = out.iter().filter(|d| cause(d)).filter_map(of_file).collect();
    let mut outside: BTreeMap<FileId, Span> = BTreeMap::new();
    out.retain(|d| {
        let silent = echo(d) && of_file(d).is_some_and(|file| files.contains(&file));
        if silent
            && d.cause == Some(Cause::OutsideExperiment)
            && let Some(span) = d.place()
        {
            outside.entry(span.file).or_insert(Span { end: span.start + 1, ..span });
        }
        !silent
    });
    // The block that was never opened, or the quote that was never closed, has been reported.
    let opened: Vec<FileId> =
        out.iter().filter(|d| headless(d) || d.code == Code::UnterminatedText).filter_map(of_file).collect();
    out.retain(|d| d.code != Code::StrayBracket || of_file(d).is_none_or(|file| !opened.contains(&file)));
    for stray in out.iter_mut().filter(|d| d.code == Code::StrayBracket) {
        let first = of_file(stray).and_then(|file| outside.get(&file));
        stray.secondary.extend(
            first.map(|span| Label { span: *span, message: "already outside of any experiment here".into() }),
        );
    }
}

/// Of two mistakes in one place the better explained is reported: a number without its unit is also of the wrong unit.
fn same_place(out: &mut Vec<Diagnostic>) {
    let places = |codes: &[Code]| -> Vec<Span> {
        out.iter().filter(|d| codes.contains(&d.code)).filter_map(Diagnostic::place).collect()
    };
    let units = places(&[Code::SpacedUnit, Code::MissingUnit, Code::UnknownUnit]);
    let exact: Vec<Span> = out
        .iter()
        .filter(|d| d.cause == Some(Cause::ExactComparison))
        .filter_map(Diagnostic::place)
        .collect();
    let touches = |all: &[Span], one: Span| {
        all.iter().any(|s| s.file == one.file && s.start < one.end && one.start < s.end)
    };
    out.retain(|d| match (d.code, d.place()) {
        (Code::WrongUnit, Some(span)) => !touches(&units, span),
        // Writing `==` instead would be the next mistake.
        (Code::WrongEquals, Some(span)) => !touches(&exact, span),
        _ => true,
    });
}

/// What stands behind a mistake on its line, and could not be read without it.
fn same_line(out: &mut Vec<Diagnostic>, sources: &SourceMap) {
    let line = |d: &Diagnostic| {
        let span = d.place()?;
        Some((span.file, sources.file(span.file)?.position(span.start).line))
    };
    let mut last = None;
    out.retain(|d| {
        let here = line(d);
        let echo = match d.code {
            Code::MissingLabel => true,
            Code::UnknownStatement => !d.is_misspelt(),
            _ => false,
        };
        let keep = !echo || here.is_none() || here != last;
        if keep {
            last = here;
        }
        keep
    });
}

/// An unknown name is reported once, with the other places where it stands.
fn same_name(out: &mut Vec<Diagnostic>) {
    let name = |d: &Diagnostic| match &d.cause {
        Some(Cause::Undeclared { name, .. }) => Some(name.clone()),
        _ => None,
    };
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(out.len());
    for diagnostic in out.drain(..) {
        let Some(name) = name(&diagnostic) else {
            kept.push(diagnostic);
            continue;
        };
        match first.get(&name).and_then(|at| kept.get_mut(*at)) {
            Some(earlier) => {
                if let (Some(span), true) = (diagnostic.place(), earlier.secondary.len() < MOST_PLACES) {
                    earlier.secondary.push(Label { span, message: "and here".into() });
                }
            }
            None => {
                first.insert(name, kept.len());
                kept.push(diagnostic);
            }
        }
    }
    *out = kept;
}
