//! What there is to say about a place in a scenario: one shape for the checker, the planner and the judge.
//!
//! The words are for people; what a program needs to know stands in fields beside them.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How grave a remark is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It stops the work.
    Error,
    /// The work goes on, but this is worth a look.
    Warning,
}

/// A replacement that does what the help says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fix {
    /// What is replaced; where nothing is, the text goes in there.
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
}

/// One thing to say about one place.
///
/// Messages are lower case without a full stop, user text stands in backticks, advice stands in the help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[error("{message}")]
pub struct Remark {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, and why it matters.
    pub message: String,
    /// What to say at the place itself; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The likely fix, in words.
    pub help: Option<String>,
    /// The likely fix as an editor applies it, where it is that certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// The place; [`Span::NONE`] where there is none.
    pub span: Span,
}

impl Remark {
    /// Makes one of something that stops the work.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Remark { severity: Severity::Error, message, label: String::new(), help: None, fix: None, span }
    }

    /// Makes one of something that should be known.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Remark { severity: Severity::Warning, ..Remark::error(span, message) }
    }

    /// Sets what to say at the place itself.
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        Remark { label: label.into(), ..self }
    }

    /// Sets the advice.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Remark { help: Some(help.into()), ..self }
    }

    /// Returns whether it stops the work.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Returns its place, where it has one.
    pub fn place(&self) -> Option<Span> {
        (!self.span.is_none()).then_some(self.span)
    }
}
