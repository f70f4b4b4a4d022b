//! Messages for people, on standard error.

use std::{
    io::{ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use chaos_core::{
    remark::{Remark, Severity},
    report::{
        Format, Line, Reports, Style, harmless,
        line::{WIDTH, plain, wrap},
    },
    source::SourceFile,
};
use chaos_dsl::{Diagnostic, SourceMap, diagnostic::Report};
use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::exit_code::Exit;

/// Prints everything there is to say about a file.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic], sources: &SourceMap) {
    if diagnostics.is_empty() {
        return;
    }
    let (handler, sources) = (handler(), visible(sources));
    for diagnostic in diagnostics {
        let mut diagnostic = diagnostic.clone();
        diagnostic.remark = readable(&diagnostic.remark);
        for label in &mut diagnostic.secondary {
            label.message = harmless::line(&label.message);
        }
        let mut text = String::new();
        if handler.render_report(&mut text, &Report::new(&diagnostic, &sources)).is_ok() {
            write(&mut std::io::stderr().lock(), &text);
        }
    }
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    if errors > 1 {
        say(&format!("{errors} errors\n"));
    }
}

/// Underlines a place of a scenario with what a run or a plan has to say about it. Its message says how grave it is, so all
/// are drawn alike.
pub(crate) fn at(sources: &SourceMap, remark: &Remark) {
    if sources.file(remark.span.file).is_none() {
        return error(&remark.message, remark.help.as_deref());
    }
    let remark = Remark { severity: Severity::Error, ..readable(remark) };
    let mut text = String::new();
    if handler().render_report(&mut text, &Report::of(&remark, &visible(sources))).is_ok() {
        write(&mut std::io::stderr().lock(), &text);
    }
}

/// The files as they are quoted: nothing in them steers the terminal, and every place is where it was.
fn visible(sources: &SourceMap) -> SourceMap {
    let shown = |file: &SourceFile| SourceFile::new(harmless::line(&file.name), harmless::source(&file.text));
    sources.all().iter().map(shown).collect::<Vec<_>>().into()
}

fn readable(remark: &Remark) -> Remark {
    Remark {
        message: harmless::lines(&remark.message),
        label: harmless::line(&remark.label),
        help: remark.help.as_deref().map(harmless::lines),
        ..remark.clone()
    }
}

fn handler() -> GraphicalReportHandler {
    let theme = if colour(&std::io::stderr()) {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false)
}

/// Whether a stream is a terminal that may be coloured: not with `NO_COLOR` (no-color.org), `CLICOLOR=0` (bixense.com/clicolors),
/// or a terminal that calls itself dumb.
fn colour(stream: &impl std::io::IsTerminal) -> bool {
    let off = anstyle_query::no_color() || anstyle_query::clicolor() == Some(false);
    moves(stream) && !off
}

/// Whether a stream is a terminal that understands more than text.
pub(crate) fn moves(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && anstyle_query::term_supports_color()
}

/// Prints the lines of a report to standard output: coloured on a terminal, else plain.
pub(crate) fn lines(lines: &[Line]) {
    let lines = wrap(lines.to_vec(), WIDTH);
    if !colour(&std::io::stdout()) {
        return print(&plain(&lines));
    }
    let mut out = String::new();
    for line in &lines {
        out.push_str(&" ".repeat(line.indent));
        for piece in &line.pieces {
            // SGR parameters of ECMA-48.
            let code = match piece.style {
                Style::Plain => "0",
                Style::Strong => "1",
                Style::Dim => "2",
                Style::Good => "1;32",
                Style::Bad => "1;31",
                Style::Unsure => "1;33",
            };
            out.push_str(&format!("\u{1b}[{code}m{}\u{1b}[0m", piece.text));
        }
        out.push('\n');
    }
    result(&out);
}

/// Prints an error with its likely fix.
pub(crate) fn error(message: &str, help: Option<&str>) {
    labelled("error", message, help);
}

/// Prints a warning with what to do about it.
pub(crate) fn warning(message: &str, help: Option<&str>) {
    labelled("warning", message, help);
}

fn labelled(label: &str, message: &str, help: Option<&str>) {
    let mut text = format!("{label}: {message}\n");
    if let Some(help) = help {
        text.push_str(&format!("  help: {help}\n"));
    }
    say(&text);
}

/// Writes text for people to standard error; where that is gone, there is nobody to read it and nothing fails.
pub(crate) fn say(text: &str) {
    write(&mut std::io::stderr().lock(), &harmless::lines(text));
}

fn write(out: &mut impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

/// Writes a command's result to standard output.
pub(crate) fn print(text: &str) {
    result(&harmless::lines(text));
}

/// Writes a command's result to standard output as JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(&format!("{}\n", harmless::json(&text))),
        Err(error) => failed(&error.into()),
    }
}

/// Writes a command's result to standard output as JSON on one line.
pub(crate) fn json_line(value: &serde_json::Value) {
    result(&format!("{}\n", harmless::json(&value.to_string())));
}

/// Writes to standard output what is read by programs and has to come out as it is.
pub(crate) fn raw(text: &str) {
    result(text);
}

/// Writes reports to standard output as one document.
pub(crate) fn document(format: &Format, reports: &Reports<'_>) {
    match format.document(reports) {
        Ok(text) => result(&text),
        Err(error) => failed(&error),
    }
}

/// Whether a result could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes a result as it is. A closed pipe is not a reason to fail, as its reader has what it wanted; a full disk is.
fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed(&error),
        _ => {}
    }
}

fn failed(error: &std::io::Error) {
    if !LOST.swap(true, Ordering::Relaxed) {
        labelled("error", &format!("the result cannot be written to standard output: {error}"), None);
    }
}

/// Ranks how a command ended, with whether its result came out.
pub(crate) fn printed(exit: Exit) -> Exit {
    if LOST.load(Ordering::Relaxed) { exit.max(Exit::NotKept) } else { exit }
}
