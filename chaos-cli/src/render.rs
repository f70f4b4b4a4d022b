//! Messages for people, on standard error.

use std::io::Write as _;

use chaos_core::{
    remark::{Remark, Severity},
    report::{
        Line, Style,
        line::{WIDTH, plain, wrap},
    },
};
use chaos_dsl::{Diagnostic, SourceMap, diagnostic::Report};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// Prints everything there is to say about a file.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let handler = handler();
    for diagnostic in diagnostics {
        let mut text = String::new();
        if handler.render_report(&mut text, &Report::new(diagnostic, sources)).is_ok() {
            say(&text);
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
    let remark = Remark { severity: Severity::Error, ..remark.clone() };
    let mut text = String::new();
    if handler().render_report(&mut text, &Report::of(&remark, sources)).is_ok() {
        say(&text);
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

/// Whether a stream is a terminal that may be coloured (no-color.org).
fn colour(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Folds the lines of a report for standard output: coloured on a terminal, else plain.
pub(crate) fn styled(lines: &[Line]) -> String {
    let lines = wrap(lines.to_vec(), WIDTH);
    if !colour(&std::io::stdout()) {
        return plain(&lines);
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
    out
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

/// Writes to standard error; where that is gone, nobody is told and nothing fails.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a command's result to standard output; a closed pipe is not a reason to fail.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
