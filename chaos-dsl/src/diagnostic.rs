//! What a phase has to say about a text: a code, a message, places, and the likely fix.

mod report;

use std::ops::{Deref, DerefMut};

use chaos_core::span::Span;
use serde::Serialize;

use crate::codes::Code;
use crate::source::{Position, SourceMap};
use crate::suggest::Advice;

pub use chaos_core::remark::{Fix, Remark, Severity};
pub use report::Report;

/// How many diagnostics of one file are reported; more would help nobody.
pub const MAX_DIAGNOSTICS: usize = 50;

/// A place with what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said there; may be empty.
    pub message: String,
}

/// What is known of a mistake beside its code, for whoever decides by it: which others only follow from it, or it from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A word that is near enough to a known one to be meant as it.
    Misspelt,
    /// A name that nothing declares.
    Undeclared {
        /// The name.
        name: String,
        /// Whether it is near enough to a declared one to be meant as it.
        misspelt: bool,
    },
    /// A statement whose block was never opened.
    NoBlock,
    /// A block where none belongs.
    StrayBlock,
    /// A statement that stands in no experiment, and has to.
    OutsideExperiment,
    /// Measured numbers are compared for being equal.
    ExactComparison,
}

/// One mistake or warning: a remark with the code of its sort.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// What there is to say, where, and the fix; a file that could not be read has no place.
    pub remark: Remark,
    /// Other places that explain it, possibly in other files.
    pub secondary: Vec<Label>,
    /// What is known of it.
    pub cause: Option<Cause>,
}

impl Deref for Diagnostic {
    type Target = Remark;

    fn deref(&self) -> &Remark {
        &self.remark
    }
}

impl DerefMut for Diagnostic {
    fn deref_mut(&mut self) -> &mut Remark {
        &mut self.remark
    }
}

impl Diagnostic {
    /// Makes a diagnostic without a place, an error or a warning as its code says.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Diagnostic::of(code, Remark::error(Span::NONE, message))
    }

    /// Makes a diagnostic of a remark, an error or a warning as its code says.
    pub fn of(code: Code, remark: Remark) -> Self {
        let remark = Remark { severity: code.severity(), ..remark };
        Diagnostic { code, remark, secondary: Vec::new(), cause: None }
    }

    /// Sets the place and what is said there.
    #[must_use]
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.span = span;
        self.label = label.into();
        self
    }

    /// Adds another place that explains the first.
    #[must_use]
    pub fn and_at(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label { span, message: message.into() });
        self
    }

    /// Sets the advice about what stands at the place.
    #[must_use]
    pub fn help(mut self, advice: impl Into<Advice>) -> Self {
        self.advise(advice);
        self
    }

    /// Sets the advice about what stands at the place.
    pub fn advise(&mut self, advice: impl Into<Advice>) -> &mut Self {
        let span = self.span;
        self.advise_on(span, advice)
    }

    /// Sets the advice, which is about a part of what stands at the place.
    pub fn advise_on(&mut self, span: Span, advice: impl Into<Advice>) -> &mut Self {
        let Advice { help, text, misspelt } = advice.into();
        self.remark.help = Some(help);
        self.remark.fix = text.filter(|_| !span.is_none()).map(|text| Fix { span, text });
        if misspelt {
            self.cause = Some(Cause::Misspelt);
        }
        self
    }

    /// Says what is known of it.
    pub fn because(&mut self, cause: Cause) -> &mut Self {
        self.cause = Some(cause);
        self
    }

    /// Returns its place, where it has one.
    pub fn place(&self) -> Option<Span> {
        self.remark.place()
    }

    /// Returns whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.remark.is_error()
    }

    /// Returns whether it is known what was meant.
    pub fn is_misspelt(&self) -> bool {
        matches!(self.cause, Some(Cause::Misspelt | Cause::Undeclared { misspelt: true, .. }))
    }

    /// Returns the serialisable form with lines and columns, for editors and CI.
    pub fn record(&self, sources: &SourceMap) -> Record {
        let label = |span: Span, message: &str| LabelRecord {
            file: sources.file(span.file).map(|f| f.name.clone()),
            start: sources.file(span.file).map(|f| f.position(span.start)),
            end: sources.file(span.file).map(|f| f.position(span.end)),
            message: message.to_owned(),
        };
        let fix = |fix: &Fix| {
            let file = sources.file(fix.span.file)?;
            let (start, end) = (file.position(fix.span.start), file.position(fix.span.end));
            Some(FixRecord { file: file.name.clone(), start, end, text: fix.text.clone() })
        };
        Record {
            code: self.code.to_string(),
            severity: self.severity,
            message: self.message.clone(),
            help: self.help.clone(),
            fix: self.fix.as_ref().and_then(fix),
            primary: self.place().map(|span| label(span, &self.label)),
            secondary: self.secondary.iter().map(|l| label(l.span, &l.message)).collect(),
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
    /// The same as an editor applies it, where it is that certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixRecord>,
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

/// A fix as JSON: what stands from `start` to `end` is replaced by the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FixRecord {
    /// The file's name, as given.
    pub file: String,
    /// The first character that is replaced.
    pub start: Position,
    /// One past the last character that is replaced.
    pub end: Position,
    /// What stands there afterwards.
    pub text: String,
}
