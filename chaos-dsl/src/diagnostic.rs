//! What a phase has to say about a text: a code, a message, places, and the likely fix.

mod report;

use chaos_core::span::Span;
use serde::Serialize;

use crate::codes::Code;
use crate::source::{Position, SourceMap};

pub use report::Report;

/// How many diagnostics of one file are reported; more would help nobody.
pub const MAX_DIAGNOSTICS: usize = 50;

/// Whether a diagnostic stops the file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but this is worth a look.
    Warning,
}

/// A place with what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said there; may be empty.
    pub message: String,
}

/// One mistake or warning.
///
/// Messages are lower case without a full stop, user text stands in backticks, advice stands in the help.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; none for a file that could not be read.
    pub primary: Option<Label>,
    /// Other places that explain it, possibly in other files.
    pub secondary: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes a diagnostic without a place, an error or a warning as its code says.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: None,
        }
    }

    /// Sets the place and what is said there.
    #[must_use]
    pub fn at(mut self, span: Span, message: impl Into<String>) -> Self {
        self.primary = Some(Label { span, message: message.into() });
        self
    }

    /// Adds another place that explains the first.
    #[must_use]
    pub fn and_at(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label { span, message: message.into() });
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the advice where there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Returns whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Returns the serialisable form with lines and columns, for editors and CI.
    pub fn record(&self, sources: &SourceMap) -> Record {
        let label = |label: &Label| LabelRecord {
            file: sources.file(label.span.file).map(|f| f.name.clone()),
            start: sources.file(label.span.file).map(|f| f.position(label.span.start)),
            end: sources.file(label.span.file).map(|f| f.position(label.span.end)),
            message: label.message.clone(),
        };
        Record {
            code: self.code.to_string(),
            severity: self.severity,
            message: self.message.clone(),
            help: self.help.clone(),
            primary: self.primary.as_ref().map(label),
            secondary: self.secondary.iter().map(label).collect(),
        }
    }
}

/// A diagnostic as JSON: places are resolved to file, byte, line and column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The stable code, such as `E0107`.
    pub code: String,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<LabelRecord>,
    /// Other places that explain it.
    pub secondary: Vec<LabelRecord>,
}

/// A label as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelRecord {
    /// The file's name, as given.
    pub file: Option<String>,
    /// The first character.
    pub start: Option<Position>,
    /// One past the last character.
    pub end: Option<Position>,
    /// What is said there.
    pub message: String,
}
